//! Symmetric positive definite sparse matrices: Cholesky factor with reusable structure, log-determinant, solves and
//! the selected inverse.
//!
//! C = P' L L' P with P from minimum degree. Not-positive-definite means a pivot that is not a positive number.

use rayon::prelude::*;

use crate::error::{zeros, KernelError};
use crate::sparse_blocks::{factor_panel, outer_trapezoid};
use crate::sparse_inverse::selected_inverse;
use crate::sparse_pattern::{Pattern, Update};
use crate::sparse_solve::{solve, Half};

/// A fixed pattern with its symbolic factor, and the numeric factor of the values last given.
pub struct SparseSymmetric {
    pattern: Pattern,
    entries: Entries,
    factor: Vec<f64>,
    factored: bool,
    inverse: Option<Vec<f64>>,
}

/// Where each entry of the caller's pattern lies in the factor's layout.
struct Entries {
    at: Vec<usize>,
    /// Upper triangle of a pattern given in full: it repeats the lower one and is not read.
    repeated: Vec<bool>,
}

impl SparseSymmetric {
    /// Symbolic analysis of a compressed-column pattern: the lower triangle, or all of a symmetric pattern.
    pub fn new(
        order: usize,
        indptr: &[i64],
        indices: &[i32],
        permutation: Option<&[u32]>,
    ) -> Result<SparseSymmetric, KernelError> {
        check_pattern(order, indptr, indices)?;
        let pairs = coordinates(indptr, indices);
        let pattern = Pattern::new(order, pairs.clone().filter(|(i, j)| i != j), permutation)?;
        let entries = Entries {
            at: pairs
                .clone()
                .map(|(i, j)| locate(&pattern, i, j).expect("entry of the matrix"))
                .collect(),
            repeated: pairs.map(|(i, j)| i < j).collect(),
        };
        Ok(SparseSymmetric {
            pattern,
            entries,
            factor: Vec::new(),
            factored: false,
            inverse: None,
        })
    }

    pub fn order(&self) -> usize {
        self.pattern.order
    }

    /// Number of entries in the caller's pattern.
    pub fn entries(&self) -> usize {
        self.entries.at.len()
    }

    /// Non-zeros of the factor.
    pub fn fill(&self) -> usize {
        self.pattern.fill
    }

    /// Numbers stored for the factor, explicit zeros of its dense blocks included.
    pub fn stored(&self) -> usize {
        self.pattern.stored()
    }

    /// Additions and multiplications of one factorisation.
    pub fn flops(&self) -> f64 {
        self.pattern.flops
    }

    /// The columns in the order in which they are eliminated.
    pub fn permutation(&self) -> &[u32] {
        &self.pattern.permutation
    }

    /// Factors the matrix with these values on the pattern; returns its log-determinant.
    pub fn factor(&mut self, values: &[f64], threads: usize) -> Result<f64, KernelError> {
        check_length("values", values.len(), self.entries())?;
        self.factored = false;
        self.inverse = None;
        if self.factor.len() == self.stored() {
            self.factor.fill(0.0);
        } else {
            self.factor = zeros(self.stored())?;
        }
        for ((&value, &at), &repeated) in values
            .iter()
            .zip(&self.entries.at)
            .zip(&self.entries.repeated)
        {
            if !repeated {
                self.factor[at] += value;
            }
        }
        let outcome = if self.pattern.workers(threads) == 1 {
            factor_in_order(&self.pattern, &mut self.factor)
        } else {
            factor_by_level(&self.pattern, &mut self.factor, threads)
        };
        outcome.map_err(|column| {
            KernelError::NotPositiveDefinite(self.pattern.permutation[column] as usize)
        })?;
        self.factored = true;
        Ok(self.log_determinant())
    }

    fn log_determinant(&self) -> f64 {
        let pattern = &self.pattern;
        let logarithms = (0..pattern.supernodes()).map(|s| {
            let (offset, height) = (pattern.offset[s], pattern.height(s));
            (0..pattern.width(s))
                .map(|j| self.factor[offset + j * height + j].ln())
                .sum::<f64>()
        });
        2.0 * logarithms.sum::<f64>()
    }

    /// Solves in place for the row-major order × `columns` matrix `b`.
    pub fn solve(
        &self,
        b: &mut [f64],
        columns: usize,
        half: Half,
        threads: usize,
    ) -> Result<(), KernelError> {
        self.check_factored()?;
        check_length("b", b.len(), self.order() * columns)?;
        solve(&self.pattern, &self.factor, b, columns, half, threads);
        Ok(())
    }

    /// The entries of C⁻¹ on the caller's pattern, in the caller's order.
    pub fn selected_inverse(&mut self, threads: usize) -> Result<Vec<f64>, KernelError> {
        self.invert(threads)?;
        let inverse = self.inverse.as_ref().expect("just computed");
        Ok(self.entries.at.iter().map(|&at| inverse[at]).collect())
    }

    /// The entries of C⁻¹ at these pairs, each of which must lie on the pattern of L.
    pub fn inverse_entries(
        &mut self,
        rows: &[i32],
        columns: &[i32],
        threads: usize,
    ) -> Result<Vec<f64>, KernelError> {
        check_length("cols", columns.len(), rows.len())?;
        let order = self.order() as i64;
        let mut places = Vec::with_capacity(rows.len());
        for (&i, &j) in rows.iter().zip(columns) {
            if i64::from(i.min(j)) < 0 || i64::from(i.max(j)) >= order {
                return Err(KernelError::Shape(format!(
                    "pair ({i}, {j}) is outside a matrix of order {order}"
                )));
            }
            places.push(locate(&self.pattern, i as u32, j as u32).ok_or_else(|| {
                KernelError::Shape(format!(
                    "pair ({i}, {j}) is not on the pattern of the Cholesky factor"
                ))
            })?);
        }
        self.invert(threads)?;
        let inverse = self.inverse.as_ref().expect("just computed");
        Ok(places.into_iter().map(|at| inverse[at]).collect())
    }

    fn invert(&mut self, threads: usize) -> Result<(), KernelError> {
        self.check_factored()?;
        if self.inverse.is_none() {
            let mut inverse = zeros(self.stored())?;
            selected_inverse(&self.pattern, &self.factor, &mut inverse, threads);
            self.inverse = Some(inverse);
        }
        Ok(())
    }

    fn check_factored(&self) -> Result<(), KernelError> {
        if self.factored {
            return Ok(());
        }
        Err(KernelError::Shape(
            "no factor: call factor(values) with positive definite values first".into(),
        ))
    }
}

fn check_length(name: &str, found: usize, expected: usize) -> Result<(), KernelError> {
    if found == expected {
        return Ok(());
    }
    Err(KernelError::Shape(format!(
        "{name} has {found} entries, expected {expected}"
    )))
}

fn check_pattern(order: usize, indptr: &[i64], indices: &[i32]) -> Result<(), KernelError> {
    let shape = |text: String| Err(KernelError::Shape(text));
    if order >= i32::MAX as usize {
        return shape(format!(
            "order {order} is too large, the limit is {}",
            i32::MAX - 1
        ));
    }
    if indptr.len() != order + 1 || indptr[0] != 0 || indptr[order] != indices.len() as i64 {
        return shape(format!(
            "indptr must hold order + 1 = {} offsets from 0 to len(indices)",
            order + 1
        ));
    }
    if !indptr.is_sorted() {
        return shape("indptr decreases".into());
    }
    if let Some(index) = indices.iter().find(|&&i| i < 0 || i as usize >= order) {
        return shape(format!(
            "row index {index} is outside a matrix of order {order}"
        ));
    }
    let (mut upper, mut lower) = (Vec::new(), Vec::new());
    for (i, j) in coordinates(indptr, indices) {
        match i.cmp(&j) {
            std::cmp::Ordering::Less => upper.push((j, i)),
            std::cmp::Ordering::Greater => lower.push((i, j)),
            std::cmp::Ordering::Equal => (),
        }
    }
    if upper.is_empty() {
        return Ok(());
    }
    upper.sort_unstable();
    lower.sort_unstable();
    if upper != lower {
        return shape("pattern must be the lower triangle, or a full symmetric pattern".into());
    }
    Ok(())
}

/// (row, column) of every entry of a checked pattern.
fn coordinates<'a>(
    indptr: &'a [i64],
    indices: &'a [i32],
) -> impl Iterator<Item = (u32, u32)> + Clone + 'a {
    let columns =
        (0..indptr.len() - 1).map(|j| (j as u32, indptr[j] as usize..indptr[j + 1] as usize));
    columns.flat_map(move |(j, range)| indices[range].iter().map(move |&i| (i as u32, j)))
}

fn locate(pattern: &Pattern, i: u32, j: u32) -> Option<usize> {
    let (i, j) = (
        pattern.position[i as usize] as usize,
        pattern.position[j as usize] as usize,
    );
    pattern.locate(i.max(j), i.min(j))
}

/// Buffers that one worker reuses from supernode to supernode.
struct Workspace {
    /// Position of each row of the matrix in the block being factored; valid for the rows of that block only.
    local: Vec<u32>,
    relative: Vec<u32>,
    product: Vec<f64>,
}

impl Workspace {
    fn new(order: usize) -> Workspace {
        Workspace {
            local: vec![0; order],
            relative: Vec::new(),
            product: Vec::new(),
        }
    }
}

fn factor_in_order(pattern: &Pattern, values: &mut [f64]) -> Result<(), usize> {
    let mut workspace = Workspace::new(pattern.order);
    for s in 0..pattern.supernodes() {
        let (done, rest) = values.split_at_mut(pattern.offset[s]);
        let block = &mut rest[..pattern.offset[s + 1] - pattern.offset[s]];
        factor_supernode(pattern, s, done, block, 1, &mut workspace)?;
    }
    Ok(())
}

fn factor_by_level(pattern: &Pattern, values: &mut [f64], threads: usize) -> Result<(), usize> {
    let mut own = Workspace::new(pattern.order);
    for level in &pattern.by_height {
        if !pattern.is_shared(level) {
            for &s in level {
                let s = s as usize;
                let (done, rest) = values.split_at_mut(pattern.offset[s]);
                let block = &mut rest[..pattern.offset[s + 1] - pattern.offset[s]];
                factor_supernode(pattern, s, done, block, threads, &mut own)?;
            }
            continue;
        }
        let done = &*values;
        let factored: Vec<(usize, Result<Vec<f64>, usize>)> = level
            .par_iter()
            .with_min_len(level.len().div_ceil(4 * threads))
            .map_init(
                || Workspace::new(pattern.order),
                |workspace, &s| {
                    let s = s as usize;
                    let mut block = done[pattern.offset[s]..pattern.offset[s + 1]].to_vec();
                    let outcome = factor_supernode(pattern, s, done, &mut block, 1, workspace);
                    (s, outcome.map(|()| block))
                },
            )
            .collect();
        for (s, block) in factored {
            values[pattern.offset[s]..pattern.offset[s + 1]].copy_from_slice(&block?);
        }
    }
    Ok(())
}

/// Subtracts what earlier supernodes contribute to this block, then factors it; the error is a column in elimination order.
fn factor_supernode(
    pattern: &Pattern,
    s: usize,
    done: &[f64],
    block: &mut [f64],
    threads: usize,
    workspace: &mut Workspace,
) -> Result<(), usize> {
    let (first, width, height) = (pattern.first_column(s), pattern.width(s), pattern.height(s));
    if !pattern.updates(s).is_empty() {
        for (j, place) in workspace.local[first..first + width].iter_mut().enumerate() {
            *place = j as u32;
        }
        for (k, &row) in pattern.rows(s).iter().enumerate() {
            workspace.local[row as usize] = (width + k) as u32;
        }
    }
    for update in pattern.updates(s) {
        apply_update(pattern, update, done, block, height, threads, workspace);
    }
    factor_panel(block, width, height, threads).map_err(|column| first + column)
}

fn apply_update(
    pattern: &Pattern,
    update: &Update,
    done: &[f64],
    block: &mut [f64],
    height: usize,
    threads: usize,
    workspace: &mut Workspace,
) {
    let from = update.from as usize;
    let (begin, end) = (update.begin as usize, update.end as usize);
    let (width, stride) = (pattern.width(from), pattern.height(from));
    let rows = &pattern.rows(from)[begin..];
    let Workspace {
        local,
        relative,
        product,
    } = workspace;
    relative.clear();
    relative.extend(rows.iter().map(|&row| local[row as usize]));
    let source = &done[pattern.offset[from] + width + begin..pattern.offset[from + 1]];
    let columns = end - begin;
    if width == 1 {
        for k in 0..columns {
            let target = &mut block[relative[k] as usize * height..][..height];
            for (&l, &row) in source[k..].iter().zip(&relative[k..]) {
                target[row as usize] -= l * source[k];
            }
        }
        return;
    }
    // The part of `product` that is read is always overwritten first.
    if product.len() < rows.len() * columns {
        product.resize(rows.len() * columns, 0.0);
    }
    let product = &mut product[..rows.len() * columns];
    outer_trapezoid(
        source,
        stride,
        (rows.len(), columns, width),
        product,
        threads,
    );
    for (k, values) in product.chunks_exact(rows.len()).enumerate() {
        let target = &mut block[relative[k] as usize * height..][..height];
        for (&value, &row) in values[k..].iter().zip(&relative[k..]) {
            target[row as usize] -= value;
        }
    }
}

#[cfg(test)]
#[path = "sparse_tests.rs"]
mod tests;
