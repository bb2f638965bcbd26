//! The backward sweep when one factor with narrow blocks is all there is: no ancestors, no tail.
//!
//! Everything is one pass over the levels with blocks on the stack. Along the way it keeps the sums
//! Σ r⊗B⊗r and Σ r⊗N°, from which the average information of any direction c = Σ̃̇r follows without another pass:
//! c_a'Bc_b and N°'c_a are linear in them.

use crate::backward::{Backward, LevelSums, TailSolution};
use crate::blocked_cholesky::{Blocked, CHUNK};
use crate::gram::product;
use crate::small_dense::{block_size, outer_product, remaining};
use crate::threads::map_parts;

/// Widest block handled on the stack.
pub const WIDEST: usize = 3;

struct Part<'a> {
    first: usize,
    r: &'a mut [f64],
    b: &'a mut [f64],
    trace: Vec<f64>,
    quadratic: Vec<f64>,
    level_sums: LevelSums,
}

/// The backward sweep of the only factor.
pub fn backward_leaf(blocked: &Blocked, tail: &TailSolution<'_>) -> Backward {
    match (blocked.cross.chain[0].p, blocked.cross.d) {
        (1, 2) => sweep::<1, 2>(blocked, tail),
        (1, 3) => sweep::<1, 3>(blocked, tail),
        (1, _) => sweep::<1, 0>(blocked, tail),
        (2, 3) => sweep::<2, 3>(blocked, tail),
        (2, 4) => sweep::<2, 4>(blocked, tail),
        (2, _) => sweep::<2, 0>(blocked, tail),
        (3, _) => sweep::<3, 0>(blocked, tail),
        _ => sweep::<0, 0>(blocked, tail),
    }
}

fn sweep<const P: usize, const D: usize>(blocked: &Blocked, tail: &TailSolution<'_>) -> Backward {
    let f = &blocked.cross.chain[0];
    let p = block_size::<P>(f.p);
    let x = block_size::<D>(blocked.cross.d) - 1;
    let sets = blocked.lambda[0].values.len() / (p * p);
    let mut out = Backward {
        r: vec![0.0; f.q * p],
        b: vec![0.0; f.q * p],
        ..Backward::default()
    };
    let sigma: Vec<f64> = blocked.lambda[0]
        .values
        .chunks_exact(p * p)
        .flat_map(|l| outer_product(p, l))
        .collect();
    let parts: Vec<Part<'_>> = out
        .r
        .chunks_mut(CHUNK * p)
        .zip(out.b.chunks_mut(CHUNK * p))
        .enumerate()
        .map(|(chunk, (r, b))| Part {
            first: chunk * CHUNK,
            r,
            b,
            trace: vec![0.0; sets * p * p],
            quadratic: vec![0.0; sets * p * p],
            level_sums: LevelSums {
                fourth: vec![0.0; sets * p.pow(4)],
                cross: vec![0.0; sets * p * p * x],
            },
        })
        .collect();
    let sums = map_parts(parts, |mut part| {
        chunk::<P, D>(blocked, tail, &sigma, &mut part);
        (part.trace, part.quadratic, part.level_sums)
    });
    let mut level_sums = LevelSums {
        fourth: vec![0.0; sets * p.pow(4)],
        cross: vec![0.0; sets * p * p * x],
    };
    out.trace = vec![0.0; sets * p * p];
    out.quadratic = vec![0.0; sets * p * p];
    for (trace, quadratic, part) in &sums {
        add(&mut out.trace, trace);
        add(&mut out.quadratic, quadratic);
        add(&mut level_sums.fourth, &part.fourth);
        add(&mut level_sums.cross, &part.cross);
    }
    out.level_sums = Some(level_sums);
    out
}

fn add(total: &mut [f64], part: &[f64]) {
    for (t, v) in total.iter_mut().zip(part) {
        *t += v;
    }
}

fn chunk<const P: usize, const D: usize>(
    blocked: &Blocked,
    tail: &TailSolution<'_>,
    sigma: &[f64],
    part: &mut Part<'_>,
) {
    let f = &blocked.cross.chain[0];
    let p = block_size::<P>(f.p);
    let d = block_size::<D>(blocked.cross.d);
    let x = d - 1;
    let h = full(tail.h, x);
    let (mut b, mut t) = ([0.0; WIDEST * WIDEST], [0.0; WIDEST * WIDEST]);
    let mut r = [0.0; WIDEST];
    let mut n = vec![0.0; p * d];
    let mut g = vec![0.0; p * x];
    let mut scratch = vec![0.0; p * d.max(p)];
    let levels = part.r.len() / p;
    for k in 0..levels {
        let u = part.first + k;
        let set = blocked.lambda[0].set[u] as usize;
        let own = &f.block[u * p * p..(u + 1) * p * p];
        let e = &blocked.work[0].e[u * p * p..(u + 1) * p * p];
        let lambda = blocked.lambda[0].of(u, p);
        remaining::<P>(p, p, own, e, lambda, own, &mut b, &mut scratch);
        let dense = &f.dense[u * p * d..(u + 1) * p * d];
        remaining::<P>(p, d, own, e, lambda, dense, &mut n, &mut scratch);
        for i in 0..p {
            r[i] = n[i * d + x] - product::<D>(&n[i * d..i * d + x], &tail.x[..x]);
            for m in 0..x {
                g[i * x + m] = product::<D>(&n[i * d..i * d + x], &h[m * x..(m + 1) * x]);
            }
        }
        for i in 0..p {
            for m in 0..p {
                let lost = product::<D>(&g[i * x..(i + 1) * x], &n[m * d..m * d + x]);
                t[i * p + m] = b[i * p + m] - lost;
            }
        }
        let s = &sigma[set * p * p..(set + 1) * p * p];
        let (trace, quadratic) = (
            &mut part.trace[set * p * p..(set + 1) * p * p],
            &mut part.quadratic[set * p * p..(set + 1) * p * p],
        );
        for i in 0..p {
            part.r[k * p + i] = r[i];
            part.b[k * p + i] = (0..p).map(|m| s[i * p + m] * r[m]).sum();
            for m in 0..p {
                trace[i * p + m] += 0.5 * (t[i * p + m] + t[m * p + i]);
                quadratic[i * p + m] += r[i] * r[m];
            }
        }
        let fourth = &mut part.level_sums.fourth[set * p.pow(4)..(set + 1) * p.pow(4)];
        let cross = &mut part.level_sums.cross[set * p * p * x..(set + 1) * p * p * x];
        for i in 0..p {
            for m in 0..p {
                for q in 0..p {
                    let rb = r[i] * b[m * p + q];
                    for l in 0..p {
                        fourth[((i * p + m) * p + q) * p + l] += rb * r[l];
                    }
                }
                for q in 0..x {
                    cross[(i * p + m) * x + q] += r[i] * n[m * d + q];
                }
            }
        }
    }
}

/// Both triangles of a matrix given by its lower one.
fn full(lower: &[f64], size: usize) -> Vec<f64> {
    let mut out = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..=i {
            out[i * size + j] = lower[i * size + j];
            out[j * size + i] = lower[i * size + j];
        }
    }
    out
}
