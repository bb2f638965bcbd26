//! Elimination of the chain factors: from cross-products and Λ to log-determinant and the Schur complement on the tail.
//!
//! For a level with own block A (children already eliminated) and couplings N to the columns outside it,
//! E = Λ(Λ'AΛ + I)⁻¹Λ' and every outside cross-product loses N'EN. Levels of one factor do not meet, so each factor is
//! one parallel sweep; sums are taken in a fixed order, so that results do not depend on the number of threads.

use crate::by_block_size;
use crate::cross_product::{ChainFactor, CrossProducts};
use crate::small_dense::{
    apply_posterior, block_size, half_posterior, posterior_block, LogProduct,
};
use crate::threads::map_parts;

/// Levels handled as one unit of parallel work; fixed, so that partial sums are reproducible.
pub const CHUNK: usize = 1024;
/// Rows of the tail handled as one unit.
const TAIL_ROWS: usize = 32;

/// For a chain factor, where it meets its k-th ancestor.
#[derive(Clone)]
struct Descent {
    /// Levels below each ancestor level: `level[start[v]..start[v + 1]]`.
    start: Vec<usize>,
    level: Vec<u32>,
    /// For each tail entry, its place among the ancestor's tail entries.
    tail_place: Vec<u32>,
}

/// Cross-products of one chain factor after everything below it has been eliminated.
#[derive(Clone)]
pub struct Eliminated {
    pub block: Vec<f64>,
    pub ancestor: Vec<f64>,
    pub dense: Vec<f64>,
    pub tail: Vec<f64>,
    /// Cholesky factor of every level, (q, p, p); see `small_dense::posterior_block`.
    pub e: Vec<f64>,
}

/// Λ of one factor: (sets, p, p) and the set of every level.
#[derive(Clone)]
pub struct Lambda {
    pub values: Vec<f64>,
    pub set: Vec<u32>,
}

impl Lambda {
    #[inline(always)]
    pub fn of(&self, level: usize, p: usize) -> &[f64] {
        let s = self.set[level] as usize;
        &self.values[s * p * p..(s + 1) * p * p]
    }
}

/// The chain part of the mixed-model equations with its workspace.
#[derive(Clone)]
pub struct Blocked {
    pub cross: CrossProducts,
    pub work: Vec<Eliminated>,
    pub lambda: Vec<Lambda>,
    descents: Vec<Vec<Descent>>,
    /// Tail column → (factor, level, entry) of every coupling, for row-wise assembly of the tail.
    by_column: Vec<Vec<(u32, u32)>>,
    column_start: Vec<Vec<usize>>,
}

impl Blocked {
    pub fn new(cross: CrossProducts, sets: Vec<Vec<u32>>) -> Blocked {
        let lambda = cross
            .chain
            .iter()
            .zip(sets)
            .map(|(f, set)| {
                let n_sets = set.iter().max().map_or(1, |&s| s as usize + 1);
                Lambda {
                    values: vec![0.0; n_sets * f.p * f.p],
                    set,
                }
            })
            .collect();
        let work = cross
            .chain
            .iter()
            .enumerate()
            .map(|(c, f)| workspace(c, f))
            .collect();
        let descents = (0..cross.chain.len())
            .map(|c| descents(c, &cross.chain))
            .collect();
        let (column_start, by_column) = cross
            .chain
            .iter()
            .map(|f| entries_by_column(f, cross.tail_width))
            .unzip();
        Blocked {
            cross,
            work,
            lambda,
            descents,
            by_column,
            column_start,
        }
    }

    /// Whether no sweep over this problem has more than one unit of work.
    pub fn single_part(&self) -> bool {
        self.cross.tail_width <= TAIL_ROWS && self.cross.chain.iter().all(|f| f.q <= CHUNK)
    }

    /// Cross-products of factor `c` with what lies below it eliminated: (block, ancestor, dense, tail).
    pub fn current(&self, c: usize) -> (&[f64], &[f64], &[f64], &[f64]) {
        if c == 0 {
            let f = &self.cross.chain[0];
            (&f.block, &f.ancestor, &f.dense, &f.tail)
        } else {
            let w = &self.work[c];
            (&w.block, &w.ancestor, &w.dense, &w.tail)
        }
    }

    /// Eliminates the chain. `schur` (T, T), T = tail + d, receives the lower triangle of the tail's Schur complement,
    /// `dense` (d, d) being the cross-products of the dense columns. Returns Σ log|Λ'AΛ + I|.
    pub fn eliminate(&mut self, dense: &[f64], schur: &mut [f64]) -> f64 {
        let d = self.cross.d;
        let mut dense_block = dense.to_vec();
        let mut logdet = 0.0;
        for c in 0..self.cross.chain.len() {
            if c > 0 {
                let (w, f) = (&mut self.work[c], &self.cross.chain[c]);
                w.block.copy_from_slice(&f.block);
                w.ancestor.copy_from_slice(&f.ancestor);
                w.dense.copy_from_slice(&f.dense);
                w.tail.copy_from_slice(&f.tail);
            }
        }
        for c in 0..self.cross.chain.len() {
            let p = self.cross.chain[c].p;
            let (part, lost) = match (p, d) {
                (1, 2) => eliminate_factor::<1, 2>(self, c),
                (1, 3) => eliminate_factor::<1, 3>(self, c),
                (1, _) => eliminate_factor::<1, 0>(self, c),
                (2, 3) => eliminate_factor::<2, 3>(self, c),
                (2, 4) => eliminate_factor::<2, 4>(self, c),
                (2, _) => eliminate_factor::<2, 0>(self, c),
                (3, _) => eliminate_factor::<3, 0>(self, c),
                (4, _) => eliminate_factor::<4, 0>(self, c),
                _ => eliminate_factor::<0, 0>(self, c),
            };
            logdet += part;
            for (target, v) in dense_block.iter_mut().zip(&lost) {
                *target -= v;
            }
            self.update_ancestors(c);
        }
        self.assemble(&dense_block, schur, d);
        logdet
    }

    fn update_ancestors(&mut self, c: usize) {
        for k in 0..self.descents[c].len() {
            let target = c + 1 + k;
            let mut upper = std::mem::replace(&mut self.work[target], Eliminated::empty());
            self.update_ancestor(c, k, &mut upper);
            self.work[target] = upper;
        }
    }

    /// Subtracts N'EN of all levels of factor `c` from the cross-products of its k-th ancestor.
    fn update_ancestor(&self, c: usize, k: usize, upper: &mut Eliminated) {
        let f = &self.cross.chain[c];
        let g = &self.cross.chain[c + 1 + k];
        let (p, d, a) = (f.p, self.cross.d, f.ancestor_width);
        let (_, ancestor, dense, tail) = self.current(c);
        let (e, lambda) = (&self.work[c].e, &self.lambda[c]);
        let first: usize = self.cross.chain[c + 1..c + 1 + k].iter().map(|h| h.p).sum();
        let descent = &self.descents[c][k];
        let (pg, ag) = (g.p, g.ancestor_width);
        let mut tails = split_by_level(&mut upper.tail, &g.tail_start, pg);
        let mut levels: Vec<_> = upper
            .block
            .chunks_mut(pg * pg)
            .zip(slices_of(&mut upper.ancestor, pg * ag, g.q))
            .zip(upper.dense.chunks_mut(pg * d))
            .zip(tails.iter_mut())
            .enumerate()
            .collect();
        map_parts(levels.chunks_mut(CHUNK).collect(), |chunk| {
            let (mut column, mut en) = (vec![0.0; p], vec![0.0; p]);
            for (v, (((block, anc), dns), tl)) in chunk.iter_mut() {
                for &u in &descent.level[descent.start[*v]..descent.start[*v + 1]] {
                    let u = u as usize;
                    let eu = &e[u * p * p..(u + 1) * p * p];
                    let nu = &ancestor[u * p * a..(u + 1) * p * a];
                    let du = &dense[u * p * d..(u + 1) * p * d];
                    for i in 0..pg {
                        // en = E N[:, first + i]
                        for (m, slot) in column.iter_mut().enumerate() {
                            *slot = nu[m * a + first + i];
                        }
                        apply_posterior::<0>(p, 1, eu, lambda.of(u, p), &column, &mut en);
                        for (m, &x) in en.iter().enumerate() {
                            let na = &nu[m * a + first..(m + 1) * a];
                            subtract(&mut block[i * pg..(i + 1) * pg], x, &na[..pg]);
                            subtract(&mut anc[i * ag..(i + 1) * ag], x, &na[pg..]);
                            subtract(&mut dns[i * d..(i + 1) * d], x, &du[m * d..(m + 1) * d]);
                        }
                        for entry in f.tail_start[u]..f.tail_start[u + 1] {
                            let place = descent.tail_place[entry] as usize;
                            let s: f64 = (0..p).map(|m| en[m] * tail[entry * p + m]).sum();
                            tl[place * pg + i] -= s;
                        }
                    }
                }
            }
        });
    }

    /// Writes the lower triangle of the tail's Schur complement, one tail row per task.
    fn assemble(&self, dense_block: &[f64], schur: &mut [f64], d: usize) {
        let width = self.cross.tail_width;
        let total = width + d;
        let mut cross_dense = self.cross.tail_dense.clone();
        let mut rows: Vec<_> = schur[..width * total]
            .chunks_mut(total)
            .zip(cross_dense.chunks_mut(d))
            .enumerate()
            .collect();
        map_parts(rows.chunks_mut(TAIL_ROWS).collect(), |rows| {
            for (r, (row, dense_row)) in rows.iter_mut() {
                let r = *r;
                row[..=r].copy_from_slice(&self.cross.tail[r * width..r * width + r + 1]);
                for c in 0..self.cross.chain.len() {
                    by_block_size!(
                        self.cross.chain[c].p,
                        assemble_row,
                        self,
                        c,
                        r,
                        row,
                        dense_row
                    );
                }
            }
        });
        for j in 0..d {
            let row = &mut schur[(width + j) * total..(width + j + 1) * total];
            for (r, slot) in row[..width].iter_mut().enumerate() {
                *slot = cross_dense[r * d + j];
            }
            row[width..].copy_from_slice(&dense_block[j * d..(j + 1) * d]);
        }
    }
}

impl Eliminated {
    fn empty() -> Eliminated {
        Eliminated {
            block: vec![],
            ancestor: vec![],
            dense: vec![],
            tail: vec![],
            e: vec![],
        }
    }
}

#[inline(always)]
pub fn subtract(target: &mut [f64], scale: f64, values: &[f64]) {
    for (t, v) in target.iter_mut().zip(values) {
        *t -= scale * v;
    }
}

/// `q` mutable slices of `size` numbers each; empty slices when `size` is 0.
fn slices_of(values: &mut [f64], size: usize, q: usize) -> Vec<&mut [f64]> {
    let mut slices: Vec<&mut [f64]> = Vec::with_capacity(q);
    let mut rest = values;
    for _ in 0..q {
        let (head, tail) = rest.split_at_mut(size);
        slices.push(head);
        rest = tail;
    }
    slices
}

fn split_by_level<'a>(values: &'a mut [f64], start: &[usize], p: usize) -> Vec<&'a mut [f64]> {
    let mut slices = Vec::with_capacity(start.len() - 1);
    let mut rest = values;
    for pair in start.windows(2) {
        let (head, tail) = rest.split_at_mut((pair[1] - pair[0]) * p);
        slices.push(head);
        rest = tail;
    }
    slices
}

/// Factors every level of factor `c`; returns the log-determinant and Σ N'EN over its dense couplings N. `P` and `D`
/// are the numbers of random and dense columns where fixed, else 0.
fn eliminate_factor<const P: usize, const D: usize>(
    blocked: &mut Blocked,
    c: usize,
) -> (f64, Vec<f64>) {
    let d = block_size::<D>(blocked.cross.d);
    let mut e = std::mem::take(&mut blocked.work[c].e);
    let lambda = &blocked.lambda[c];
    let (block, _, dense, _) = blocked.current(c);
    let p = block_size::<P>(blocked.cross.chain[c].p);
    let chunks: Vec<(usize, &mut [f64])> = e.chunks_mut(CHUNK * p * p).enumerate().collect();
    let parts: Vec<(f64, Vec<f64>)> = map_parts(chunks, |(chunk, e)| {
        let mut scratch = vec![0.0; p * p];
        let mut half = vec![0.0; p * d];
        let mut lost = vec![0.0; d * d];
        let mut determinant = LogProduct::one();
        for (k, eu) in e.chunks_exact_mut(p * p).enumerate() {
            let u = chunk * CHUNK + k;
            let a = &block[u * p * p..(u + 1) * p * p];
            let own = lambda.of(u, p);
            posterior_block::<P>(p, a, own, eu, &mut scratch, &mut determinant);
            let du = &dense[u * p * d..(u + 1) * p * d];
            half_posterior::<P>(p, d, eu, own, du, &mut half);
            for m in 0..p {
                let row = &half[m * d..(m + 1) * d];
                for i in 0..d {
                    let v = row[i];
                    for (slot, x) in lost[i * d..i * d + i + 1].iter_mut().zip(row) {
                        *slot += v * x;
                    }
                }
            }
        }
        (determinant.logarithm(), lost)
    });
    blocked.work[c].e = e;
    let mut total = (0.0, vec![0.0; d * d]);
    for (logdet, lost) in parts {
        total.0 += logdet;
        for (t, v) in total.1.iter_mut().zip(&lost) {
            *t += v;
        }
    }
    total
}

/// Row `r` of the tail: subtracts n_r'E N of every level of factor `c` that meets it.
fn assemble_row<const P: usize>(
    blocked: &Blocked,
    c: usize,
    r: usize,
    row: &mut [f64],
    dense_row: &mut [f64],
) {
    let f = &blocked.cross.chain[c];
    let p = block_size::<P>(f.p);
    let d = dense_row.len();
    let (_, _, dense, tail) = blocked.current(c);
    let (e, lambda) = (&blocked.work[c].e, &blocked.lambda[c]);
    let mut en = vec![0.0; p];
    let span = blocked.column_start[c][r]..blocked.column_start[c][r + 1];
    for &(u, entry) in &blocked.by_column[c][span] {
        let (u, entry) = (u as usize, entry as usize);
        let eu = &e[u * p * p..(u + 1) * p * p];
        let own = &tail[entry * p..(entry + 1) * p];
        apply_posterior::<P>(p, 1, eu, lambda.of(u, p), own, &mut en);
        let first = f.tail_start[u];
        let columns = &f.tail_column[first..=entry];
        let values = &tail[first * p..(entry + 1) * p];
        for (&column, n) in columns.iter().zip(values.chunks_exact(p)) {
            let s: f64 = (0..p).map(|m| en[m] * n[m]).sum();
            row[column as usize] -= s;
        }
        for (m, &x) in en.iter().enumerate() {
            subtract(dense_row, x, &dense[(u * p + m) * d..(u * p + m + 1) * d]);
        }
    }
}

fn workspace(c: usize, f: &ChainFactor) -> Eliminated {
    let e = vec![0.0; f.q * f.p * f.p];
    if c == 0 {
        return Eliminated {
            e,
            ..Eliminated::empty()
        };
    }
    Eliminated {
        block: vec![0.0; f.block.len()],
        ancestor: vec![0.0; f.ancestor.len()],
        dense: vec![0.0; f.dense.len()],
        tail: vec![0.0; f.tail.len()],
        e,
    }
}

fn descents(c: usize, chain: &[ChainFactor]) -> Vec<Descent> {
    let f = &chain[c];
    (0..f.ancestors.len())
        .map(|k| {
            let g = &chain[c + 1 + k];
            let parent = &f.ancestors[k];
            let mut start = vec![0usize; g.q + 1];
            for &v in parent {
                start[v as usize + 1] += 1;
            }
            for v in 0..g.q {
                start[v + 1] += start[v];
            }
            let mut next = start.clone();
            let mut level = vec![0u32; f.q];
            for (u, &v) in parent.iter().enumerate() {
                level[next[v as usize]] = u as u32;
                next[v as usize] += 1;
            }
            Descent {
                start,
                level,
                tail_place: tail_places(f, g, parent),
            }
        })
        .collect()
}

/// Where each tail entry of a level stands among its ancestor's; the ancestor's columns include the level's.
fn tail_places(f: &ChainFactor, g: &ChainFactor, parent: &[u32]) -> Vec<u32> {
    let mut places = vec![0u32; f.tail_column.len()];
    for u in 0..f.q {
        let v = parent[u] as usize;
        let columns = &g.tail_column[g.tail_start[v]..g.tail_start[v + 1]];
        let mut at = 0;
        for entry in f.tail_start[u]..f.tail_start[u + 1] {
            while columns[at] != f.tail_column[entry] {
                at += 1;
            }
            places[entry] = at as u32;
        }
    }
    places
}

fn entries_by_column(f: &ChainFactor, width: usize) -> (Vec<usize>, Vec<(u32, u32)>) {
    let mut start = vec![0usize; width + 1];
    for &column in &f.tail_column {
        start[column as usize + 1] += 1;
    }
    for r in 0..width {
        start[r + 1] += start[r];
    }
    let mut next = start.clone();
    let mut entries = vec![(0u32, 0u32); f.tail_column.len()];
    for u in 0..f.q {
        for entry in f.tail_start[u]..f.tail_start[u + 1] {
            let slot = &mut next[f.tail_column[entry] as usize];
            entries[*slot] = (u as u32, entry as u32);
            *slot += 1;
        }
    }
    (start, entries)
}
