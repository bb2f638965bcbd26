//! The way back: posterior covariances on the pattern of the equations, score matrices, and predictions.
//!
//! With H the posterior covariance of the columns outside a level (in units of σ²), N° = (I − AE)N its couplings after
//! its own elimination and B = (I − AE)A:
//!   T = Z'P̃Z = B − N°HN°',   r = Z'P̃y = N°(y) − N°x,   var(b − b̂)/σ² = Σ − ΣTΣ,   cov(b, outside) = −ΣN°H,   b̂ = Σr.
//! None of this divides by Σ, so singular covariances need no care.

use crate::backward::{Backward, TailSolution};
use crate::blocked_cholesky::{Blocked, CHUNK};
use crate::by_block_size;
use crate::leaf::{backward_leaf, WIDEST};
use crate::small_dense::{block_size, multiply, outer_product, remaining};
use crate::threads::map_parts;

/// The chunk-wise outputs of one factor.
struct Part<'a> {
    first: usize,
    r: &'a mut [f64],
    b: &'a mut [f64],
    t: &'a mut [f64],
    own: &'a mut [f64],
    ancestor: &'a mut [f64],
    tail: &'a mut [f64],
    dense: &'a mut [f64],
    trace: Vec<f64>,
    quadratic: Vec<f64>,
}

/// Scores and predictions of all chain factors, top of the chain first. `keep_levels` fills `t`.
pub fn backward(blocked: &Blocked, tail: &TailSolution<'_>, keep_levels: bool) -> Vec<Backward> {
    let count = blocked.cross.chain.len();
    if count == 1
        && blocked.cross.tail_width == 0
        && !keep_levels
        && blocked.cross.chain[0].p <= WIDEST
    {
        return vec![backward_leaf(blocked, tail)];
    }
    let mut done: Vec<Backward> = (0..count).map(|_| Backward::default()).collect();
    for c in (0..count).rev() {
        let p = blocked.cross.chain[c].p;
        let (_, above) = done.split_at(c + 1);
        let result = by_block_size!(p, backward_factor, blocked, c, tail, above, keep_levels);
        done[c] = result;
    }
    done
}

fn backward_factor<const P: usize>(
    blocked: &Blocked,
    c: usize,
    tail: &TailSolution<'_>,
    above: &[Backward],
    keep_levels: bool,
) -> Backward {
    let f = &blocked.cross.chain[c];
    let p = block_size::<P>(f.p);
    let r = blocked.cross.d - 1;
    let inner = c > 0;
    let sets = blocked.lambda[c].values.len() / (p * p);
    let mut out = Backward {
        r: vec![0.0; f.q * p],
        b: vec![0.0; f.q * p],
        t: vec![0.0; if keep_levels { f.q * p * p } else { 0 }],
        trace: vec![0.0; sets * p * p],
        quadratic: vec![0.0; sets * p * p],
        own: vec![0.0; if inner { f.q * p * p } else { 0 }],
        ancestor: vec![0.0; if inner { f.ancestor.len() } else { 0 }],
        tail: vec![0.0; if inner { f.tail.len() } else { 0 }],
        dense: vec![0.0; if inner { f.q * p * r } else { 0 }],
        level_sums: None,
    };
    let sigma: Vec<f64> = blocked.lambda[c]
        .values
        .chunks_exact(p * p)
        .flat_map(|l| outer_product(p, l))
        .collect();
    let parts = split(&mut out, &f.tail_start, f.q, p, f.ancestor_width, r, sets);
    let sums = map_parts(parts, |mut part| {
        let mut scratch = Scratch::default();
        for k in 0..part.r.len() / p {
            level::<P>(blocked, c, tail, above, &sigma, &mut part, k, &mut scratch);
        }
        (part.trace, part.quadratic)
    });
    for (trace, quadratic) in sums {
        for (t, v) in out.trace.iter_mut().zip(&trace) {
            *t += v;
        }
        for (t, v) in out.quadratic.iter_mut().zip(&quadratic) {
            *t += v;
        }
    }
    out
}

fn take<'a>(rest: &mut &'a mut [f64], size: usize) -> &'a mut [f64] {
    let size = size.min(rest.len());
    let (head, tail) = std::mem::take(rest).split_at_mut(size);
    *rest = tail;
    head
}

fn split<'a>(
    out: &'a mut Backward,
    tail_start: &[usize],
    q: usize,
    p: usize,
    a: usize,
    r: usize,
    sets: usize,
) -> Vec<Part<'a>> {
    let (mut rr, mut rb, mut rt) = (&mut out.r[..], &mut out.b[..], &mut out.t[..]);
    let (mut ro, mut ra) = (&mut out.own[..], &mut out.ancestor[..]);
    let (mut rl, mut rd) = (&mut out.tail[..], &mut out.dense[..]);
    let mut parts = Vec::with_capacity(q / CHUNK + 1);
    let mut first = 0;
    while first < q {
        let m = CHUNK.min(q - first);
        parts.push(Part {
            first,
            r: take(&mut rr, m * p),
            b: take(&mut rb, m * p),
            t: take(&mut rt, m * p * p),
            own: take(&mut ro, m * p * p),
            ancestor: take(&mut ra, m * p * a),
            tail: take(&mut rl, (tail_start[first + m] - tail_start[first]) * p),
            dense: take(&mut rd, m * p * r),
            trace: vec![0.0; sets * p * p],
            quadratic: vec![0.0; sets * p * p],
        });
        first += m;
    }
    parts
}

#[derive(Default)]
struct Scratch {
    work: Vec<f64>,
    raw: Vec<f64>,
    b: Vec<f64>,
    n: Vec<f64>,
    g: Vec<f64>,
    x: Vec<f64>,
    tail_places: Vec<usize>,
}

fn sized(v: &mut Vec<f64>, size: usize) {
    v.clear();
    v.resize(size, 0.0);
}

/// One level: fills its part of the outputs.
#[allow(clippy::too_many_arguments)]
fn level<const P: usize>(
    blocked: &Blocked,
    c: usize,
    tail: &TailSolution<'_>,
    above: &[Backward],
    sigma: &[f64],
    part: &mut Part<'_>,
    k: usize,
    s: &mut Scratch,
) {
    let f = &blocked.cross.chain[c];
    let p = block_size::<P>(f.p);
    let (a, d) = (f.ancestor_width, blocked.cross.d);
    let r = d - 1;
    let u = part.first + k;
    let set = blocked.lambda[c].set[u] as usize;
    let (block, _, _, _) = blocked.current(c);
    let own = &block[u * p * p..(u + 1) * p * p];
    let e = &blocked.work[c].e[u * p * p..(u + 1) * p * p];
    let lambda = blocked.lambda[c].of(u, p);
    let entries = f.tail_start[u]..f.tail_start[u + 1];
    let w = a + entries.len() + r;
    sized(&mut s.b, p * p);
    sized(&mut s.work, p * (w + 1).max(p));
    remaining::<P>(p, p, own, e, lambda, own, &mut s.b, &mut s.work);
    gather_couplings::<P>(blocked, c, u, w, s);
    sized(&mut s.n, p * (w + 1));
    remaining::<P>(p, w + 1, own, e, lambda, &s.raw, &mut s.n, &mut s.work);
    gather_solution(blocked, c, u, tail, above, w, s);
    sized(&mut s.g, w * p);
    if a == 0 {
        covariance_times_couplings::<P>(p, &f.tail_column[entries.clone()], tail, r, w, s);
    } else {
        with_ancestors::<P>(blocked, c, u, tail, above, w, s);
    }
    // T = B − N°HN°', r = N°(y) − N°x
    for i in 0..p {
        for j in 0..p {
            let lost: f64 = (0..w).map(|m| s.n[i * (w + 1) + m] * s.g[m * p + j]).sum();
            s.b[i * p + j] -= lost;
        }
        let row = &s.n[i * (w + 1)..(i + 1) * (w + 1)];
        let fitted: f64 = (0..w).map(|m| row[m] * s.x[m]).sum();
        part.r[k * p + i] = row[w] - fitted;
    }
    let sigma = &sigma[set * p * p..(set + 1) * p * p];
    for i in 0..p {
        part.b[k * p + i] = (0..p).map(|m| sigma[i * p + m] * part.r[k * p + m]).sum();
        for j in 0..p {
            let t = 0.5 * (s.b[i * p + j] + s.b[j * p + i]);
            part.trace[set * p * p + i * p + j] += t;
            part.quadratic[set * p * p + i * p + j] += part.r[k * p + i] * part.r[k * p + j];
            if !part.t.is_empty() {
                part.t[k * p * p + i * p + j] = t;
            }
        }
    }
    if !part.own.is_empty() {
        store_covariances::<P>(
            f.tail_start[part.first],
            entries,
            sigma,
            part,
            k,
            p,
            a,
            r,
            s,
        );
    }
}

/// N over ancestors, tail entries, X and y, (p, w + 1).
fn gather_couplings<const P: usize>(
    blocked: &Blocked,
    c: usize,
    u: usize,
    w: usize,
    s: &mut Scratch,
) {
    let f = &blocked.cross.chain[c];
    let p = block_size::<P>(f.p);
    let (a, d) = (f.ancestor_width, blocked.cross.d);
    let (_, ancestor, dense, tail) = blocked.current(c);
    sized(&mut s.raw, p * (w + 1));
    let first = f.tail_start[u];
    let count = f.tail_start[u + 1] - first;
    for i in 0..p {
        let base = u * p + i;
        let row = &mut s.raw[i * (w + 1)..(i + 1) * (w + 1)];
        row[..a].copy_from_slice(&ancestor[base * a..(base + 1) * a]);
        for (q, t) in row[a..a + count].iter_mut().enumerate() {
            *t = tail[(first + q) * p + i];
        }
        row[a + count..].copy_from_slice(&dense[base * d..(base + 1) * d]);
    }
}

/// Estimates of the columns outside the level, in the order of its couplings.
fn gather_solution(
    blocked: &Blocked,
    c: usize,
    u: usize,
    tail: &TailSolution<'_>,
    above: &[Backward],
    w: usize,
    s: &mut Scratch,
) {
    let f = &blocked.cross.chain[c];
    s.x.clear();
    for (k, parent) in f.ancestors.iter().enumerate() {
        let pg = blocked.cross.chain[c + 1 + k].p;
        let v = parent[u] as usize;
        s.x.extend_from_slice(&above[k].b[v * pg..(v + 1) * pg]);
    }
    s.x.extend(
        f.tail_column[f.tail_start[u]..f.tail_start[u + 1]]
            .iter()
            .map(|&m| tail.x[m as usize]),
    );
    s.x.extend_from_slice(&tail.x[blocked.cross.tail_width..]);
    debug_assert_eq!(s.x.len(), w);
}

/// g = H N°' (w, p) when everything outside the level is in the tail.
fn covariance_times_couplings<const P: usize>(
    p: usize,
    columns: &[u32],
    tail: &TailSolution<'_>,
    r: usize,
    w: usize,
    s: &mut Scratch,
) {
    let p = block_size::<P>(p);
    let size = tail.x.len();
    s.tail_places.clear();
    s.tail_places.extend(columns.iter().map(|&m| m as usize));
    s.tail_places.extend(size - r..size);
    for i in 0..w {
        let row = &tail.h[s.tail_places[i] * size..];
        for j in 0..i {
            let h = row[s.tail_places[j]];
            for m in 0..p {
                s.g[i * p + m] += h * s.n[m * (w + 1) + j];
                s.g[j * p + m] += h * s.n[m * (w + 1) + i];
            }
        }
        let h = row[s.tail_places[i]];
        for m in 0..p {
            s.g[i * p + m] += h * s.n[m * (w + 1) + i];
        }
    }
}

/// g = H N°' (w, p) with ancestors first among the outside columns.
fn with_ancestors<const P: usize>(
    blocked: &Blocked,
    c: usize,
    u: usize,
    tail: &TailSolution<'_>,
    above: &[Backward],
    w: usize,
    s: &mut Scratch,
) {
    let f = &blocked.cross.chain[c];
    let p = block_size::<P>(f.p);
    let r = blocked.cross.d - 1;
    let columns = &f.tail_column[f.tail_start[u]..f.tail_start[u + 1]];
    let add = |i: usize, j: usize, h: f64, g: &mut [f64], n: &[f64]| {
        for m in 0..p {
            g[i * p + m] += h * n[m * (w + 1) + j];
            if i != j {
                g[j * p + m] += h * n[m * (w + 1) + i];
            }
        }
    };
    // ancestors with themselves and with everything further out
    let mut at = 0;
    for (k, parent) in f.ancestors.iter().enumerate() {
        let g = &blocked.cross.chain[c + 1 + k];
        let (pg, ag, v) = (g.p, g.ancestor_width, parent[u] as usize);
        let up = &above[k];
        for i in 0..pg {
            let row = v * pg + i;
            for j in 0..=i {
                add(at + i, at + j, up.own[row * pg + j], &mut s.g, &s.n);
            }
            for j in 0..ag {
                add(
                    at + i,
                    at + pg + j,
                    up.ancestor[row * ag + j],
                    &mut s.g,
                    &s.n,
                );
            }
            let mut place = g.tail_start[v];
            for (q, &column) in columns.iter().enumerate() {
                while g.tail_column[place] != column {
                    place += 1;
                }
                add(
                    at + i,
                    f.ancestor_width + q,
                    up.tail[place * pg + i],
                    &mut s.g,
                    &s.n,
                );
            }
            for j in 0..r {
                add(at + i, w - r + j, up.dense[row * r + j], &mut s.g, &s.n);
            }
        }
        at += pg;
    }
    let size = tail.x.len();
    s.tail_places.clear();
    s.tail_places.extend(columns.iter().map(|&m| m as usize));
    s.tail_places.extend(size - r..size);
    for i in 0..s.tail_places.len() {
        for j in 0..=i {
            let h = tail.h[s.tail_places[i] * size + s.tail_places[j]];
            add(at + i, at + j, h, &mut s.g, &s.n);
        }
    }
}

/// Keeps Σ − ΣTΣ and −ΣN°H of a level for the levels below it.
#[allow(clippy::too_many_arguments)]
fn store_covariances<const P: usize>(
    chunk_tail: usize,
    entries: std::ops::Range<usize>,
    sigma: &[f64],
    part: &mut Part<'_>,
    k: usize,
    p: usize,
    a: usize,
    r: usize,
    s: &Scratch,
) {
    let p = block_size::<P>(p);
    let mut st = vec![0.0; p * p];
    multiply::<P>(p, p, sigma, &s.b, &mut st);
    for i in 0..p {
        for j in 0..p {
            let lost: f64 = (0..p).map(|m| st[i * p + m] * sigma[m * p + j]).sum();
            part.own[(k * p + i) * p + j] = sigma[i * p + j] - lost;
        }
        let minus = |m: usize| -> f64 {
            -(0..p)
                .map(|q| sigma[i * p + q] * s.g[m * p + q])
                .sum::<f64>()
        };
        for m in 0..a {
            part.ancestor[(k * p + i) * a + m] = minus(m);
        }
        for (q, entry) in entries.clone().enumerate() {
            part.tail[(entry - chunk_tail) * p + i] = minus(a + q);
        }
        for m in 0..r {
            part.dense[(k * p + i) * r + m] = minus(a + entries.len() + m);
        }
    }
}
