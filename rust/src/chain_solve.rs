//! Solutions of the equations for other right-hand sides than X and y, with the factors that `eliminate` has left.
//!
//! Going up, every level hands −N'Eg to the columns outside it that it meets; coming down, b = E(g − Nb_outside).

use crate::blocked_cholesky::Blocked;
use crate::small_dense::apply_posterior;

/// Columns outside a level: (row of the outside vectors, couplings with the level at stride `step` from `first`).
fn outside(
    blocked: &Blocked,
    c: usize,
    u: usize,
    mut meet: impl FnMut(Option<usize>, usize, usize),
) {
    let f = &blocked.cross.chain[c];
    let mut at = 0;
    for (k, parent) in f.ancestors.iter().enumerate() {
        let pg = blocked.cross.chain[c + 1 + k].p;
        for j in 0..pg {
            meet(Some(k), parent[u] as usize * pg + j, at + j);
        }
        at += pg;
    }
    for entry in f.tail_start[u]..f.tail_start[u + 1] {
        meet(None, f.tail_column[entry] as usize, entry);
    }
}

fn add(target: &mut [f64], scale: f64, values: &[f64]) {
    for (t, v) in target.iter_mut().zip(values) {
        *t += scale * v;
    }
}

/// Adds to right-hand sides (q, p, k) of chain factors and to those of the tail (tail, k) what levels below hand on.
pub fn reduce(blocked: &Blocked, k: usize, chain: &mut [Vec<f64>], tail: &mut [f64]) {
    for c in 0..chain.len() {
        let f = &blocked.cross.chain[c];
        let (p, a) = (f.p, f.ancestor_width);
        let (_, ancestor, _, couplings) = blocked.current(c);
        let (below, above) = chain.split_at_mut(c + 1);
        let mut v = vec![0.0; p * k];
        for u in 0..f.q {
            let e = &blocked.work[c].e[u * p * p..(u + 1) * p * p];
            let own = &below[c][u * p * k..(u + 1) * p * k];
            apply_posterior::<0>(p, k, e, blocked.lambda[c].of(u, p), own, &mut v);
            outside(blocked, c, u, |factor, row, place| {
                let target = match factor {
                    Some(j) => &mut above[j][row * k..(row + 1) * k],
                    None => &mut tail[row * k..(row + 1) * k],
                };
                for i in 0..p {
                    let n = match factor {
                        Some(_) => ancestor[(u * p + i) * a + place],
                        None => couplings[place * p + i],
                    };
                    add(target, -n, &v[i * k..(i + 1) * k]);
                }
            });
        }
    }
}

/// Turns what `reduce` has left of right-hand sides (q, p, k) into solutions, given those of the tail (tail, k).
pub fn substitute(blocked: &Blocked, k: usize, chain: &mut [Vec<f64>], tail: &[f64]) {
    for c in (0..chain.len()).rev() {
        let f = &blocked.cross.chain[c];
        let (p, a) = (f.p, f.ancestor_width);
        let (_, ancestor, _, couplings) = blocked.current(c);
        let (below, above) = chain.split_at_mut(c + 1);
        let mut left = vec![0.0; p * k];
        for u in 0..f.q {
            let own = &mut below[c][u * p * k..(u + 1) * p * k];
            left.copy_from_slice(own);
            outside(blocked, c, u, |factor, row, place| {
                let source = match factor {
                    Some(j) => &above[j][row * k..(row + 1) * k],
                    None => &tail[row * k..(row + 1) * k],
                };
                for i in 0..p {
                    let n = match factor {
                        Some(_) => ancestor[(u * p + i) * a + place],
                        None => couplings[place * p + i],
                    };
                    add(&mut left[i * k..(i + 1) * k], -n, source);
                }
            });
            let e = &blocked.work[c].e[u * p * p..(u + 1) * p * p];
            apply_posterior::<0>(p, k, e, blocked.lambda[c].of(u, p), &left, own);
        }
    }
}
