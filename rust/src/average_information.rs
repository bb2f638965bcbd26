//! Right-hand sides pushed through the elimination: average information and variances of linear combinations.

use crate::backward::{Backward, LevelSums, TailSolution};
use crate::blocked_cholesky::{Blocked, CHUNK};
use crate::small_dense::{apply_posterior, multiply, outer_product, remaining};
use crate::threads::map_parts;

/// ∂Σ̃ for one parameter set of one chain factor.
pub struct Direction {
    pub factor: usize,
    pub set: u32,
    pub matrix: Vec<f64>,
}

/// Outputs of the chain part: right-hand side on [tail, X] (m, D), and f'f − (eliminated part), (D, D).
pub struct ChainInformation {
    pub rhs: Vec<f64>,
    pub gram: Vec<f64>,
}

/// For f_a = Z c_a, c_a = Σ̃̇_a r: the chain's share of f_a'P̃f_b and what it leaves on the tail.
pub fn chain_information(
    blocked: &Blocked,
    backward: &[Backward],
    directions: &[Direction],
) -> ChainInformation {
    let nd = directions.len();
    let m = blocked.cross.tail_width + blocked.cross.d - 1;
    let mut out = ChainInformation {
        rhs: vec![0.0; m * nd],
        gram: vec![0.0; nd * nd],
    };
    if let [Backward {
        level_sums: Some(sums),
        ..
    }] = backward
    {
        from_level_sums(sums, blocked.cross.chain[0].p, m, directions, &mut out);
        return out;
    }
    let coefficients: Vec<Vec<f64>> = (0..blocked.cross.chain.len())
        .map(|c| coefficients(blocked, c, &backward[c].r, directions))
        .collect();
    chain_products(blocked, &coefficients, nd, &mut out);
    out
}

/// For any f_a = Z c_a given by the coefficients c (q, p, D) of every chain factor: right-hand side on [tail, X] after
/// the chain is integrated out, and f_a'V₁⁻¹f_b.
pub fn chain_products(
    blocked: &Blocked,
    coefficients: &[Vec<f64>],
    nd: usize,
    out: &mut ChainInformation,
) {
    let m = blocked.cross.tail_width + blocked.cross.d - 1;
    let mut received: Vec<Vec<f64>> = coefficients
        .iter()
        .enumerate()
        .map(|(c, v)| vec![0.0; if c > 0 { v.len() } else { 0 }])
        .collect();
    for c in 0..blocked.cross.chain.len() {
        let simple = blocked.cross.tail_width == 0 && blocked.cross.chain.len() == 1;
        let q = blocked.cross.chain[c].q;
        if simple {
            let parts = map_parts((0..q.div_ceil(CHUNK)).collect(), |chunk: usize| {
                let mut part = ChainInformation {
                    rhs: vec![0.0; m * nd],
                    gram: vec![0.0; nd * nd],
                };
                let span = chunk * CHUNK..((chunk + 1) * CHUNK).min(q);
                push(blocked, c, span, nd, coefficients, &mut [], &mut part);
                part
            });
            for part in parts {
                out.rhs.iter_mut().zip(&part.rhs).for_each(|(t, v)| *t += v);
                out.gram
                    .iter_mut()
                    .zip(&part.gram)
                    .for_each(|(t, v)| *t += v);
            }
        } else {
            push(blocked, c, 0..q, nd, coefficients, &mut received, out);
        }
    }
}

/// The same from the sums that a sweep over narrow leaves has kept.
fn from_level_sums(
    sums: &LevelSums,
    p: usize,
    m: usize,
    directions: &[Direction],
    out: &mut ChainInformation,
) {
    let nd = directions.len();
    let mut column = vec![0.0; m];
    for (a, one) in directions.iter().enumerate() {
        column.fill(0.0);
        sums.linear(one.set as usize, p, m, &one.matrix, &mut column);
        for (k, v) in column.iter().enumerate() {
            out.rhs[k * nd + a] = *v;
        }
        for (b, other) in directions.iter().enumerate() {
            if one.set == other.set {
                out.gram[a * nd + b] =
                    sums.quadratic(one.set as usize, p, &one.matrix, &other.matrix);
            }
        }
    }
}

/// c_u = Σ̃̇ r_u for every level and direction, (q, p, D).
fn coefficients(blocked: &Blocked, c: usize, r: &[f64], directions: &[Direction]) -> Vec<f64> {
    let f = &blocked.cross.chain[c];
    let (p, nd) = (f.p, directions.len());
    let set = &blocked.lambda[c].set;
    let mut out = vec![0.0; f.q * p * nd];
    for (a, direction) in directions.iter().enumerate() {
        if direction.factor != c {
            continue;
        }
        for u in 0..f.q {
            if set[u] != direction.set {
                continue;
            }
            for i in 0..p {
                out[(u * p + i) * nd + a] = (0..p)
                    .map(|m| direction.matrix[i * p + m] * r[u * p + m])
                    .sum();
            }
        }
    }
    out
}

#[inline(always)]
fn add(target: &mut [f64], scale: f64, values: &[f64]) {
    for (t, v) in target.iter_mut().zip(values) {
        *t += scale * v;
    }
}

/// Handles the levels of `span` of factor `c`, passing on to ancestors (`received`), tail and X (`out.rhs`).
#[allow(clippy::too_many_arguments)]
fn push(
    blocked: &Blocked,
    c: usize,
    span: std::ops::Range<usize>,
    nd: usize,
    coefficients: &[Vec<f64>],
    received: &mut [Vec<f64>],
    out: &mut ChainInformation,
) {
    let f = &blocked.cross.chain[c];
    let (p, a, d) = (f.p, f.ancestor_width, blocked.cross.d);
    let (r, width) = (d - 1, blocked.cross.tail_width);
    let (_, anc_now, dense_now, tail_now) = blocked.current(c);
    let (e, lambda) = (&blocked.work[c].e, &blocked.lambda[c]);
    let mine = &coefficients[c];
    let (mut g, mut h, mut v) = (vec![0.0; p * nd], vec![0.0; p * nd], vec![0.0; p * nd]);
    for u in span {
        let cu = &mine[u * p * nd..(u + 1) * p * nd];
        h.fill(0.0);
        for i in 0..p {
            let hi = &mut h[i * nd..(i + 1) * nd];
            let mut at = 0;
            for (k, parent) in f.ancestors.iter().enumerate() {
                let pg = blocked.cross.chain[c + 1 + k].p;
                let base = parent[u] as usize * pg;
                for j in 0..pg {
                    let theirs = &coefficients[c + 1 + k][(base + j) * nd..(base + j + 1) * nd];
                    add(hi, f.ancestor[(u * p + i) * a + at + j], theirs);
                }
                at += pg;
            }
        }
        g.copy_from_slice(&h);
        for i in 0..p {
            for j in 0..p {
                let x = f.block[(u * p + i) * p + j];
                add(&mut g[i * nd..(i + 1) * nd], x, &cu[j * nd..(j + 1) * nd]);
            }
        }
        for i in 0..p {
            for s in 0..nd {
                let row = &mut out.gram[s * nd..(s + 1) * nd];
                add(row, cu[i * nd + s], &g[i * nd..(i + 1) * nd]);
                add(row, h[i * nd + s], &cu[i * nd..(i + 1) * nd]);
            }
        }
        if c > 0 {
            add(&mut g, 1.0, &received[c][u * p * nd..(u + 1) * p * nd]);
        }
        apply_posterior::<0>(
            p,
            nd,
            &e[u * p * p..(u + 1) * p * p],
            lambda.of(u, p),
            &g,
            &mut v,
        );
        for i in 0..p {
            for s in 0..nd {
                add(
                    &mut out.gram[s * nd..(s + 1) * nd],
                    -g[i * nd + s],
                    &v[i * nd..(i + 1) * nd],
                );
            }
        }
        for i in 0..p {
            let (ci, vi) = (&cu[i * nd..(i + 1) * nd], &v[i * nd..(i + 1) * nd]);
            let mut at = 0;
            for (k, parent) in f.ancestors.iter().enumerate() {
                let pg = blocked.cross.chain[c + 1 + k].p;
                let base = parent[u] as usize * pg;
                for j in 0..pg {
                    let place = (u * p + i) * a + at + j;
                    let target = &mut received[c + 1 + k][(base + j) * nd..(base + j + 1) * nd];
                    add(target, f.ancestor[place], ci);
                    add(target, -anc_now[place], vi);
                }
                at += pg;
            }
            for entry in f.tail_start[u]..f.tail_start[u + 1] {
                let column = f.tail_column[entry] as usize;
                let target = &mut out.rhs[column * nd..(column + 1) * nd];
                add(target, f.tail[entry * p + i], ci);
                add(target, -tail_now[entry * p + i], vi);
            }
            for j in 0..r {
                let target = &mut out.rhs[(width + j) * nd..(width + j + 1) * nd];
                add(target, f.dense[(u * p + i) * d + j], ci);
                add(target, -dense_now[(u * p + i) * d + j], vi);
            }
        }
    }
}

/// Z'Ṽ⁻¹X of every chain level, (q, p, r) per factor, given the tail's posterior means `x_tail` (tail, r) for the columns
/// of X taken as responses.
pub fn level_columns(blocked: &Blocked, x_tail: &[f64]) -> Vec<Vec<f64>> {
    let count = blocked.cross.chain.len();
    let r = blocked.cross.d - 1;
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); count];
    let mut means: Vec<Vec<f64>> = vec![Vec::new(); count];
    for c in (0..count).rev() {
        let f = &blocked.cross.chain[c];
        let (p, a, d) = (f.p, f.ancestor_width, blocked.cross.d);
        let (block, ancestor, dense, tail) = blocked.current(c);
        let (mut u_all, mut b_all) = (vec![0.0; f.q * p * r], vec![0.0; f.q * p * r]);
        let (mut scratch, mut n) = (vec![0.0; p * r], vec![0.0; p * r]);
        for u in 0..f.q {
            for i in 0..p {
                let row = &mut n[i * r..(i + 1) * r];
                row.copy_from_slice(&dense[(u * p + i) * d..(u * p + i) * d + r]);
                let mut at = 0;
                for (k, parent) in f.ancestors.iter().enumerate() {
                    let pg = blocked.cross.chain[c + 1 + k].p;
                    let base = parent[u] as usize * pg;
                    for m in 0..pg {
                        let theirs = &means[c + 1 + k][(base + m) * r..(base + m + 1) * r];
                        add(row, -ancestor[(u * p + i) * a + at + m], theirs);
                    }
                    at += pg;
                }
                for entry in f.tail_start[u]..f.tail_start[u + 1] {
                    let column = f.tail_column[entry] as usize;
                    add(
                        row,
                        -tail[entry * p + i],
                        &x_tail[column * r..(column + 1) * r],
                    );
                }
            }
            let lambda = blocked.lambda[c].of(u, p);
            let e = &blocked.work[c].e[u * p * p..(u + 1) * p * p];
            let out = &mut u_all[u * p * r..(u + 1) * p * r];
            let own = &block[u * p * p..(u + 1) * p * p];
            remaining::<0>(p, r, own, e, lambda, &n, out, &mut scratch);
            let sigma = outer_product(p, lambda);
            multiply::<0>(p, r, &sigma, out, &mut b_all[u * p * r..(u + 1) * p * r]);
        }
        all[c] = u_all;
        means[c] = b_all;
    }
    all
}

/// New rows: a level per chain and tail factor (−1 where it is not in the fit), Z values, and x.
pub struct NewRows<'a> {
    pub n: usize,
    pub chain: Vec<(&'a [i32], &'a [f64])>,
    /// (level, values, p, offset of the factor in the tail)
    pub tail: Vec<(&'a [i32], &'a [f64], usize, usize)>,
    /// (n, r) in the internal (centred, scaled) columns.
    pub x: &'a [f64],
}

/// var(x'(β̂ − β) + z'(b̂ − b))/σ² of every new row over the levels that are in the fit.
pub fn prediction_variance(
    blocked: &Blocked,
    tail: &TailSolution<'_>,
    rows: &NewRows<'_>,
) -> Vec<f64> {
    if rows.chain.len() == 1 && blocked.cross.chain[0].p == 1 && blocked.cross.d == 1 {
        return variances_by_level(blocked, tail, rows);
    }
    let mut out = vec![0.0; rows.n];
    map_parts(
        out.chunks_mut(CHUNK).enumerate().collect(),
        |(chunk, out)| {
            let mut at = vec![0.0; tail.x.len()];
            let mut touched: Vec<usize> = Vec::new();
            for (k, slot) in out.iter_mut().enumerate() {
                *slot = row_variance(
                    blocked,
                    tail,
                    rows,
                    chunk * CHUNK + k,
                    &mut at,
                    &mut touched,
                );
            }
        },
    );
    out
}

/// The same where a single scalar chain factor stands over the tail and there is no x: rows of one level share what the
/// level's couplings make of H.
fn variances_by_level(blocked: &Blocked, tail: &TailSolution<'_>, rows: &NewRows<'_>) -> Vec<f64> {
    let f = &blocked.cross.chain[0];
    let (codes, values) = rows.chain[0];
    // rows by level, those without one first
    let mut starts = vec![0usize; f.q + 2];
    for &code in codes {
        starts[(code + 2) as usize] += 1;
    }
    for level in 0..=f.q {
        starts[level + 1] += starts[level];
    }
    let mut next = starts.clone();
    let mut order = vec![0usize; rows.n];
    for (i, &code) in codes.iter().enumerate() {
        let slot = (code + 1) as usize;
        order[next[slot]] = i;
        next[slot] += 1;
    }
    let size = tail.x.len();
    let h = |s: usize, t: usize| {
        if s >= t {
            tail.h[s * size + t]
        } else {
            tail.h[t * size + s]
        }
    };
    let (_, _, _, tails) = blocked.current(0);
    let parts: Vec<usize> = (0..=f.q).step_by(CHUNK).collect();
    let found = map_parts(parts, |first| {
        let last = (first + CHUNK).min(f.q + 1);
        let mut out = Vec::with_capacity(starts[last] - starts[first]);
        let (mut weights, mut pulled) = (Vec::new(), Vec::new());
        let mut place = vec![0u32; size];
        let mut own: Vec<(usize, f64)> = Vec::new();
        for slot in first..last {
            let (mut alone, mut columns) = (0.0, &f.tail_column[..0]);
            weights.clear();
            pulled.clear();
            if slot > 0 {
                let u = slot - 1;
                let mut v = [0.0];
                let e = &blocked.work[0].e[u..u + 1];
                apply_posterior::<0>(1, 1, e, blocked.lambda[0].of(u, 1), &[1.0], &mut v);
                columns = &f.tail_column[f.tail_start[u]..f.tail_start[u + 1]];
                weights.extend(
                    tails[f.tail_start[u]..f.tail_start[u + 1]]
                        .iter()
                        .map(|n| -n * v[0]),
                );
                for (k, &s) in columns.iter().enumerate() {
                    place[s as usize] = k as u32 + 1;
                    let own: f64 = columns
                        .iter()
                        .zip(&weights)
                        .map(|(&t, w)| h(s as usize, t as usize) * w)
                        .sum();
                    pulled.push(own);
                }
                alone = v[0] + weights.iter().zip(&pulled).map(|(w, g)| w * g).sum::<f64>();
            }
            for &i in &order[starts[slot]..starts[slot + 1]] {
                own.clear();
                for &(levels, z, p, offset) in &rows.tail {
                    if levels[i] >= 0 {
                        let at = offset + levels[i] as usize * p;
                        own.extend((0..p).map(|j| (at + j, z[i * p + j])));
                    }
                }
                let l = if slot > 0 { values[i] } else { 0.0 };
                let mut variance = l * l * alone;
                for (k, &(s, z)) in own.iter().enumerate() {
                    let across = match place[s] {
                        0 => columns
                            .iter()
                            .zip(&weights)
                            .map(|(&t, w)| h(s, t as usize) * w)
                            .sum(),
                        known => pulled[known as usize - 1],
                    };
                    let off: f64 = own[..k].iter().map(|&(t, other)| h(s, t) * other).sum();
                    variance += z * (2.0 * l * across + 2.0 * off + h(s, s) * z);
                }
                out.push((i, variance));
            }
            for &s in columns {
                place[s as usize] = 0;
            }
        }
        out
    });
    let mut out = vec![0.0; rows.n];
    for (i, variance) in found.into_iter().flatten() {
        out[i] = variance;
    }
    out
}

fn row_variance(
    blocked: &Blocked,
    tail: &TailSolution<'_>,
    rows: &NewRows<'_>,
    i: usize,
    at: &mut [f64],
    touched: &mut Vec<usize>,
) -> f64 {
    let width = blocked.cross.tail_width;
    let r = blocked.cross.d - 1;
    let put = |at: &mut [f64], touched: &mut Vec<usize>, column: usize, v: f64| {
        if at[column] == 0.0 {
            touched.push(column);
        }
        at[column] += v;
    };
    for &(codes, values, p, offset) in &rows.tail {
        if codes[i] >= 0 {
            for j in 0..p {
                put(
                    at,
                    touched,
                    offset + codes[i] as usize * p + j,
                    values[i * p + j],
                );
            }
        }
    }
    for j in 0..r {
        put(at, touched, width + j, rows.x[i * r + j]);
    }
    let mut pending: Vec<Vec<(usize, Vec<f64>)>> = vec![Vec::new(); rows.chain.len()];
    for (c, &(codes, values)) in rows.chain.iter().enumerate() {
        let p = blocked.cross.chain[c].p;
        if codes[i] >= 0 {
            pending[c].push((codes[i] as usize, values[i * p..(i + 1) * p].to_vec()));
        }
    }
    let mut variance = 0.0;
    for c in 0..rows.chain.len() {
        let f = &blocked.cross.chain[c];
        let (p, a, d) = (f.p, f.ancestor_width, blocked.cross.d);
        let (_, ancestor, dense, tails) = blocked.current(c);
        for (u, l) in std::mem::take(&mut pending[c]) {
            let e = &blocked.work[c].e[u * p * p..(u + 1) * p * p];
            let mut v = vec![0.0; p];
            apply_posterior::<0>(p, 1, e, blocked.lambda[c].of(u, p), &l, &mut v);
            variance += l.iter().zip(&v).map(|(x, y)| x * y).sum::<f64>();
            let mut first = 0;
            for (k, parent) in f.ancestors.iter().enumerate() {
                let pg = blocked.cross.chain[c + 1 + k].p;
                let lost: Vec<f64> = (0..pg)
                    .map(|j| {
                        -(0..p)
                            .map(|m| ancestor[(u * p + m) * a + first + j] * v[m])
                            .sum::<f64>()
                    })
                    .collect();
                let level = parent[u] as usize;
                match pending[c + 1 + k].iter_mut().find(|(w, _)| *w == level) {
                    Some((_, l)) => l.iter_mut().zip(&lost).for_each(|(t, x)| *t += x),
                    None => pending[c + 1 + k].push((level, lost)),
                }
                first += pg;
            }
            for entry in f.tail_start[u]..f.tail_start[u + 1] {
                let x: f64 = (0..p).map(|m| tails[entry * p + m] * v[m]).sum();
                put(at, touched, f.tail_column[entry] as usize, -x);
            }
            for j in 0..r {
                let x: f64 = (0..p).map(|m| dense[(u * p + m) * d + j] * v[m]).sum();
                put(at, touched, width + j, -x);
            }
        }
    }
    touched.sort_unstable();
    touched.dedup();
    let size = tail.x.len();
    for (k, &s) in touched.iter().enumerate() {
        let row = &tail.h[s * size..];
        let off: f64 = touched[..k].iter().map(|&t| row[t] * at[t]).sum();
        variance += at[s] * (2.0 * off + row[s] * at[s]);
    }
    for column in touched.drain(..) {
        at[column] = 0.0;
    }
    variance
}
