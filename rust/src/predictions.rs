//! Predicted effects of the chain factors from the solution of the tail: what a fit needs where no derivatives are asked.

use crate::blocked_cholesky::{Blocked, CHUNK};
use crate::by_block_size;
use crate::small_dense::{block_size, outer_product, remaining};
use crate::threads::map_parts;

/// b̂ = Σr of every level, r = (I − AE)(N(y) − Nx), (q, p) per chain factor; x (m) solves the tail, m = tail + rank X.
pub fn predictions(blocked: &Blocked, x: &[f64]) -> Vec<Vec<f64>> {
    let count = blocked.cross.chain.len();
    let mut done: Vec<Vec<f64>> = vec![Vec::new(); count];
    for c in (0..count).rev() {
        let p = blocked.cross.chain[c].p;
        let found = by_block_size!(p, predict_factor, blocked, c, x, &done);
        done[c] = found;
    }
    done
}

fn predict_factor<const P: usize>(
    blocked: &Blocked,
    c: usize,
    x: &[f64],
    above: &[Vec<f64>],
) -> Vec<f64> {
    let f = &blocked.cross.chain[c];
    let p = block_size::<P>(f.p);
    let (a, d) = (f.ancestor_width, blocked.cross.d);
    let (block, ancestor, dense, tail) = blocked.current(c);
    let (e, lambda) = (&blocked.work[c].e, &blocked.lambda[c]);
    let sigma: Vec<Vec<f64>> = lambda
        .values
        .chunks_exact(p * p)
        .map(|l| outer_product(p, l))
        .collect();
    let fixed = &x[blocked.cross.tail_width..];
    let mut out = vec![0.0; f.q * p];
    let parts: Vec<(usize, &mut [f64])> = out.chunks_mut(CHUNK * p).enumerate().collect();
    map_parts(parts, |(chunk, out)| {
        let (mut left, mut r, mut scratch) = (vec![0.0; p], vec![0.0; p], vec![0.0; p]);
        let mut outside = vec![0.0; a];
        for (k, b) in out.chunks_exact_mut(p).enumerate() {
            let u = chunk * CHUNK + k;
            let mut at = 0;
            for (j, parent) in f.ancestors.iter().enumerate() {
                let pg = blocked.cross.chain[c + 1 + j].p;
                let v = parent[u] as usize;
                outside[at..at + pg].copy_from_slice(&above[c + 1 + j][v * pg..(v + 1) * pg]);
                at += pg;
            }
            for i in 0..p {
                let base = u * p + i;
                let own = &dense[base * d..(base + 1) * d];
                let mut rest = own[d - 1] - dot(&own[..d - 1], fixed);
                rest -= dot(&ancestor[base * a..(base + 1) * a], &outside);
                for entry in f.tail_start[u]..f.tail_start[u + 1] {
                    rest -= tail[entry * p + i] * x[f.tail_column[entry] as usize];
                }
                left[i] = rest;
            }
            let own = &block[u * p * p..(u + 1) * p * p];
            let eu = &e[u * p * p..(u + 1) * p * p];
            remaining::<P>(p, 1, own, eu, lambda.of(u, p), &left, &mut r, &mut scratch);
            let s = &sigma[lambda.set[u] as usize];
            for i in 0..p {
                b[i] = dot(&s[i * p..(i + 1) * p], &r);
            }
        }
    });
    out
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
