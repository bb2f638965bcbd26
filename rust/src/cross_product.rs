//! One pass over the rows: the cross-products of [Z X y] that every evaluation of the likelihood starts from.
//!
//! Grouping factors are split into a *chain* (a leaf factor and the factors it is nested in, eliminated level by level
//! without fill between siblings) and a *tail* (everything that crosses the chain, kept dense). X and y are the last
//! `d` columns. After this pass the rows are not needed again.

use std::borrow::Cow;

use ndarray::{ArrayView1, ArrayView2};

use crate::dense::dot;
use crate::error::{room, KernelError};
use crate::threads::map_parts;

/// One grouping factor over the rows.
pub struct FactorRows<'a> {
    pub codes: &'a [i32],
    /// Z values (n, p), row-major; `None` is a column of ones.
    pub values: Option<Cow<'a, [f64]>>,
    pub p: usize,
    pub q: usize,
}

impl FactorRows<'_> {
    #[inline(always)]
    fn read(&self, row: usize, z: &mut [f64]) {
        match &self.values {
            None => z[0] = 1.0,
            Some(values) => z.copy_from_slice(&values[row * z.len()..(row + 1) * z.len()]),
        }
    }
}

/// The values of a matrix row by row: borrowed where they lie so, else copied.
pub fn row_major<'a>(matrix: ArrayView2<'a, f64>) -> Cow<'a, [f64]> {
    match matrix.to_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(matrix.iter().copied().collect()),
    }
}

/// The dense columns over the rows: (X − centre)·scale, and y − that·β₀ last.
pub struct DenseRows<'a> {
    /// (n, r), row-major.
    pub x: Cow<'a, [f64]>,
    pub y: ArrayView1<'a, f64>,
    pub centre: &'a [f64],
    pub scale: &'a [f64],
    pub beta0: &'a [f64],
    pub weights: Option<ArrayView1<'a, f64>>,
}

impl DenseRows<'_> {
    /// Columns of X, and y.
    fn width(&self) -> usize {
        self.centre.len() + 1
    }

    /// Fills `out` with the row and returns its weight.
    #[inline(always)]
    fn read(&self, row: usize, out: &mut [f64]) -> f64 {
        let r = out.len() - 1;
        let given = &self.x[row * r..(row + 1) * r];
        for j in 0..r {
            out[j] = (given[j] - self.centre[j]) * self.scale[j];
        }
        out[r] = self.y[row] - dot(&out[..r], self.beta0);
        self.weights.as_ref().map_or(1.0, |w| w[row])
    }
}

/// Cross-products of one chain factor with itself, its ancestors, the tail and the dense columns, level by level.
#[derive(Clone)]
pub struct ChainFactor {
    pub p: usize,
    pub q: usize,
    /// `ancestors[k][u]`: level of the k-th factor above that level u lies in.
    pub ancestors: Vec<Vec<u32>>,
    /// Columns of all ancestors together.
    pub ancestor_width: usize,
    /// (q, p, p)
    pub block: Vec<f64>,
    /// (q, p, ancestor_width)
    pub ancestor: Vec<f64>,
    /// (q, p, d)
    pub dense: Vec<f64>,
    /// Tail columns met by each level, sorted: entries `tail_start[u]..tail_start[u + 1]`.
    pub tail_start: Vec<usize>,
    pub tail_column: Vec<u32>,
    /// (entries, p)
    pub tail: Vec<f64>,
}

/// Everything the data contribute.
#[derive(Clone)]
pub struct CrossProducts {
    pub chain: Vec<ChainFactor>,
    pub tail_width: usize,
    pub d: usize,
    /// (tail_width, tail_width), lower triangle.
    pub tail: Vec<f64>,
    /// (tail_width, d)
    pub tail_dense: Vec<f64>,
}

/// Rows looked through at once for those whose level belongs to a part.
const WINDOW: usize = 2048;

/// Accumulates all cross-products that involve a random column; each of `parts` threads sums the rows of a range of
/// levels, in the order of the rows, so that the result does not depend on their number.
pub fn cross_products<'a>(
    chain: &[FactorRows<'a>],
    tail: &[FactorRows<'a>],
    rows: &DenseRows<'_>,
    parts: usize,
) -> Result<CrossProducts, KernelError> {
    let n = rows.y.len();
    check(chain, tail, rows, n)?;
    let d = rows.width();
    room(numbers(chain, tail, d as f64))?;
    let offsets = tail_offsets(tail);
    let tail_width = *offsets.last().unwrap_or(&0);
    let mut factors = Vec::with_capacity(chain.len());
    for c in 0..chain.len() {
        factors.push(chain_factor(c, chain, tail, &offsets, rows, d, parts)?);
    }
    let (tail_block, tail_dense) = tail_products(tail, &offsets, rows, d);
    Ok(CrossProducts {
        chain: factors,
        tail_width,
        d,
        tail: tail_block,
        tail_dense,
    })
}

/// The cross-products of one factor's levels with themselves, the dense columns and the columns of other factors that
/// each level meets: what a batch of rows contributes before it is known which factors make a chain.
pub fn level_products<'a>(
    own: &[FactorRows<'a>; 1],
    others: &[FactorRows<'a>],
    rows: &DenseRows<'_>,
    parts: usize,
) -> Result<ChainFactor, KernelError> {
    check(own, others, rows, rows.y.len())?;
    let d = rows.width();
    room(numbers(own, &[], d as f64))?;
    chain_factor(0, own, others, &tail_offsets(others), rows, d, parts)
}

/// Replaces the response: the last dense column of every chain factor becomes Z'W(y − Xs·β₀) of the given rows.
pub fn response_products(
    cross: &mut CrossProducts,
    chain: &[FactorRows<'_>],
    rows: &DenseRows<'_>,
) {
    let d = cross.d;
    let mut row = vec![0.0; d];
    for (target, f) in cross.chain.iter_mut().zip(chain) {
        let mut z = vec![0.0; f.p];
        target
            .dense
            .iter_mut()
            .skip(d - 1)
            .step_by(d)
            .for_each(|v| *v = 0.0);
        for i in 0..rows.y.len() {
            let w = rows.read(i, &mut row);
            f.read(i, &mut z);
            let u = f.codes[i] as usize;
            for (k, v) in z.iter().enumerate() {
                target.dense[(u * f.p + k) * d + d - 1] += w * v * row[d - 1];
            }
        }
    }
}

fn check<'a>(
    chain: &[FactorRows<'a>],
    tail: &[FactorRows<'a>],
    rows: &DenseRows<'_>,
    n: usize,
) -> Result<(), KernelError> {
    let r = rows.centre.len();
    if rows.x.len() != n * r || rows.scale.len() != r || rows.beta0.len() != r {
        return Err(KernelError::Shape(
            "x, y, centre, scale and beta0 do not fit together".into(),
        ));
    }
    if rows.weights.as_ref().is_some_and(|w| w.len() != n) {
        return Err(KernelError::Shape("weights and y differ in length".into()));
    }
    for f in chain.iter().chain(tail) {
        let bad_values = f.values.as_ref().is_some_and(|v| v.len() != n * f.p);
        if f.q > i32::MAX as usize || f.p > i32::MAX as usize {
            return Err(KernelError::Shape(
                "a factor has too many levels or columns".into(),
            ));
        }
        if f.codes.len() != n || bad_values || (f.values.is_none() && f.p != 1) {
            return Err(KernelError::Shape(
                "codes or values of a factor do not match the rows".into(),
            ));
        }
        if f.codes.iter().any(|&c| c < 0 || c as usize >= f.q) {
            return Err(KernelError::Shape("a level code lies outside 0..q".into()));
        }
    }
    Ok(())
}

/// How many numbers the cross-products take, those of levels with tail columns they do not meet left out.
fn numbers(chain: &[FactorRows<'_>], tail: &[FactorRows<'_>], d: f64) -> f64 {
    let width = |f: &FactorRows<'_>| (f.p as f64, f.q as f64);
    let dense: f64 = tail.iter().map(width).map(|(p, q)| p * q).sum();
    let levels = chain
        .iter()
        .map(width)
        .map(|(p, q)| q * (p * (p + d) + 2.0));
    dense * (dense + d) + levels.sum::<f64>()
}

fn tail_offsets(tail: &[FactorRows<'_>]) -> Vec<usize> {
    let mut offsets = vec![0];
    for f in tail {
        offsets.push(offsets.last().unwrap() + f.q * f.p);
    }
    offsets
}

/// Row numbers in order of level, with the start of every level.
fn rows_by_level(codes: &[i32], q: usize) -> (Vec<usize>, Vec<u32>) {
    let mut start = vec![0usize; q + 1];
    for &c in codes {
        start[c as usize + 1] += 1;
    }
    for u in 0..q {
        start[u + 1] += start[u];
    }
    let mut next = start.clone();
    let mut order = vec![0u32; codes.len()];
    for (row, &c) in codes.iter().enumerate() {
        order[next[c as usize]] = row as u32;
        next[c as usize] += 1;
    }
    (start, order)
}

/// The sums of one range of levels.
struct Part<'a> {
    span: std::ops::Range<usize>,
    block: &'a mut [f64],
    ancestor: &'a mut [f64],
    dense: &'a mut [f64],
}

fn take<'a>(rest: &mut &'a mut [f64], size: usize) -> &'a mut [f64] {
    let (head, tail) = std::mem::take(rest).split_at_mut(size);
    *rest = tail;
    head
}

/// Adds the rows of a part's levels. `P` and `D` are the numbers of random and dense columns where fixed, else 0.
fn sum_levels<const P: usize, const D: usize>(
    own: &FactorRows<'_>,
    above: &[FactorRows<'_>],
    rows: &DenseRows<'_>,
    part: &mut Part<'_>,
) {
    let (first, count) = (part.span.start as u32, part.span.len() as u32);
    let mut chosen = [0u32; WINDOW];
    for start in (0..own.codes.len()).step_by(WINDOW) {
        let codes = &own.codes[start..(start + WINDOW).min(own.codes.len())];
        if count as usize == own.q {
            add_rows::<P, D>(own, above, rows, part, start..start + codes.len());
            continue;
        }
        let mut found = 0;
        for (k, &code) in codes.iter().enumerate() {
            // no branch: which rows belong to the part is as good as random
            chosen[found] = k as u32;
            found += usize::from((code as u32).wrapping_sub(first) < count);
        }
        let chosen = chosen[..found].iter().map(|&k| start + k as usize);
        add_rows::<P, D>(own, above, rows, part, chosen);
    }
}

fn add_rows<const P: usize, const D: usize>(
    own: &FactorRows<'_>,
    above: &[FactorRows<'_>],
    rows: &DenseRows<'_>,
    part: &mut Part<'_>,
    chosen: impl Iterator<Item = usize>,
) {
    if P > 0 && D > 0 && above.is_empty() {
        add_short_rows::<P, D>(own, rows, part, chosen);
        return;
    }
    let (p, d) = (own.p, rows.width());
    let width: usize = above.iter().map(|f| f.p).sum();
    let (mut z, mut za, mut row) = (vec![0.0; p], vec![0.0; width], vec![0.0; d]);
    for i in chosen {
        let u = own.codes[i] as usize - part.span.start;
        let w = rows.read(i, &mut row);
        own.read(i, &mut z);
        let mut at = 0;
        for f in above {
            f.read(i, &mut za[at..at + f.p]);
            at += f.p;
        }
        for k in 0..p {
            let (zk, base) = (z[k] * w, u * p + k);
            add(&mut part.block[base * p..(base + 1) * p], zk, &z);
            add(&mut part.dense[base * d..(base + 1) * d], zk, &row);
            add(
                &mut part.ancestor[base * width..(base + 1) * width],
                zk,
                &za,
            );
        }
    }
}

/// The same for a factor without ancestors whose rows are short, everything about a row in registers.
fn add_short_rows<const P: usize, const D: usize>(
    own: &FactorRows<'_>,
    rows: &DenseRows<'_>,
    part: &mut Part<'_>,
    chosen: impl Iterator<Item = usize>,
) {
    let r = D - 1;
    let (mut centre, mut scale, mut beta) = ([0.0; D], [0.0; D], [0.0; D]);
    centre[..r].copy_from_slice(rows.centre);
    scale[..r].copy_from_slice(rows.scale);
    beta[..r].copy_from_slice(rows.beta0);
    for i in chosen {
        let u = own.codes[i] as usize - part.span.start;
        let given = &rows.x[i * r..i * r + r];
        let (mut row, mut fitted) = ([0.0; D], 0.0);
        for j in 0..r {
            row[j] = (given[j] - centre[j]) * scale[j];
            fitted += row[j] * beta[j];
        }
        row[r] = rows.y[i] - fitted;
        let w = rows.weights.as_ref().map_or(1.0, |w| w[i]);
        let mut z = [1.0; P];
        if let Some(values) = &own.values {
            z.copy_from_slice(&values[i * P..(i + 1) * P]);
        }
        let block = &mut part.block[u * P * P..(u + 1) * P * P];
        let dense = &mut part.dense[u * P * D..(u + 1) * P * D];
        for k in 0..P {
            let zk = z[k] * w;
            for m in 0..P {
                block[k * P + m] += zk * z[m];
            }
            for m in 0..D {
                dense[k * D + m] += zk * row[m];
            }
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn chain_factor(
    c: usize,
    chain: &[FactorRows<'_>],
    tail: &[FactorRows<'_>],
    offsets: &[usize],
    rows: &DenseRows<'_>,
    d: usize,
    parts: usize,
) -> Result<ChainFactor, KernelError> {
    let own = &chain[c];
    let above = &chain[c + 1..];
    let (p, q) = (own.p, own.q);
    let ancestor_width: usize = above.iter().map(|f| f.p).sum();
    let mut factor = ChainFactor {
        p,
        q,
        ancestors: ancestors(own, above)?,
        ancestor_width,
        block: vec![0.0; q * p * p],
        ancestor: vec![0.0; q * p * ancestor_width],
        dense: vec![0.0; q * p * d],
        tail_start: vec![0; q + 1],
        tail_column: Vec::new(),
        tail: Vec::new(),
    };
    let (block, ancestor, dense) = (&mut factor.block, &mut factor.ancestor, &mut factor.dense);
    let size = q.div_ceil(parts.max(1)).max(1);
    let spans = (0..q)
        .step_by(size)
        .map(|first| first..(first + size).min(q));
    let mut slices: Vec<Part<'_>> = Vec::with_capacity(parts);
    let (mut b, mut a, mut x) = (&mut block[..], &mut ancestor[..], &mut dense[..]);
    for span in spans {
        let levels = span.len();
        slices.push(Part {
            span,
            block: take(&mut b, levels * p * p),
            ancestor: take(&mut a, levels * p * ancestor_width),
            dense: take(&mut x, levels * p * d),
        });
    }
    map_parts(slices, |mut part| match (p, d) {
        (1, 2) => sum_levels::<1, 2>(own, above, rows, &mut part),
        (1, 3) => sum_levels::<1, 3>(own, above, rows, &mut part),
        (1, _) => sum_levels::<1, 0>(own, above, rows, &mut part),
        (2, 3) => sum_levels::<2, 3>(own, above, rows, &mut part),
        (2, 4) => sum_levels::<2, 4>(own, above, rows, &mut part),
        (2, _) => sum_levels::<2, 0>(own, above, rows, &mut part),
        (3, _) => sum_levels::<3, 0>(own, above, rows, &mut part),
        (4, _) => sum_levels::<4, 0>(own, above, rows, &mut part),
        _ => sum_levels::<0, 0>(own, above, rows, &mut part),
    });
    if !tail.is_empty() {
        tail_couplings(&mut factor, own, tail, offsets, rows, d);
    }
    Ok(factor)
}

#[inline(always)]
fn add(target: &mut [f64], scale: f64, values: &[f64]) {
    for (t, v) in target.iter_mut().zip(values) {
        *t += scale * v;
    }
}

fn ancestors(own: &FactorRows<'_>, above: &[FactorRows<'_>]) -> Result<Vec<Vec<u32>>, KernelError> {
    let mut all = Vec::with_capacity(above.len());
    for f in above {
        let mut parent = vec![u32::MAX; own.q];
        for (&u, &v) in own.codes.iter().zip(f.codes) {
            let slot = &mut parent[u as usize];
            if *slot == u32::MAX {
                *slot = v as u32;
            } else if *slot != v as u32 {
                return Err(KernelError::Shape(
                    "a chain factor is not nested in the one above it".into(),
                ));
            }
        }
        if parent.contains(&u32::MAX) {
            return Err(KernelError::Shape(
                "a level of a chain factor has no rows".into(),
            ));
        }
        all.push(parent);
    }
    Ok(all)
}

fn tail_couplings(
    factor: &mut ChainFactor,
    own: &FactorRows<'_>,
    tail: &[FactorRows<'_>],
    offsets: &[usize],
    rows: &DenseRows<'_>,
    d: usize,
) {
    let p = factor.p;
    let (start, order) = rows_by_level(own.codes, own.q);
    let width = *offsets.last().unwrap();
    let mut seen_in = vec![u32::MAX; width];
    let mut place = vec![0u32; width];
    let (mut z, mut row) = (vec![0.0; p], vec![0.0; d]);
    let widest = tail.iter().map(|f| f.p).max().unwrap_or(0);
    let mut zt = vec![0.0; widest];
    for u in 0..own.q {
        let first = factor.tail_column.len();
        for &i in &order[start[u]..start[u + 1]] {
            for (f, &offset) in tail.iter().zip(offsets) {
                let column = offset + f.codes[i as usize] as usize * f.p;
                if seen_in[column] != u as u32 {
                    seen_in[column] = u as u32;
                    factor
                        .tail_column
                        .extend((column..column + f.p).map(|k| k as u32));
                }
            }
        }
        factor.tail_column[first..].sort_unstable();
        for (k, &column) in factor.tail_column[first..].iter().enumerate() {
            place[column as usize] = (first + k) as u32;
        }
        factor.tail.resize(factor.tail_column.len() * p, 0.0);
        for &i in &order[start[u]..start[u + 1]] {
            let i = i as usize;
            let w = rows.weights.as_ref().map_or(1.0, |w| w[i]);
            own.read(i, &mut z);
            for (f, &offset) in tail.iter().zip(offsets) {
                f.read(i, &mut zt[..f.p]);
                let entry = place[offset + f.codes[i] as usize * f.p] as usize;
                for (k, &v) in zt[..f.p].iter().enumerate() {
                    add(
                        &mut factor.tail[(entry + k) * p..(entry + k + 1) * p],
                        w * v,
                        &z,
                    );
                }
            }
        }
        factor.tail_start[u + 1] = factor.tail_column.len();
    }
    row.clear();
}

fn tail_products(
    tail: &[FactorRows<'_>],
    offsets: &[usize],
    rows: &DenseRows<'_>,
    d: usize,
) -> (Vec<f64>, Vec<f64>) {
    let width = *offsets.last().unwrap_or(&0);
    let mut block = vec![0.0; width * width];
    let mut dense = vec![0.0; width * d];
    if width == 0 {
        return (block, dense);
    }
    let per_row: usize = tail.iter().map(|f| f.p).sum();
    let (mut column, mut value) = (vec![0usize; per_row], vec![0.0; per_row]);
    let mut row = vec![0.0; d];
    for i in 0..rows.y.len() {
        let w = rows.read(i, &mut row);
        let mut at = 0;
        for (f, &offset) in tail.iter().zip(offsets) {
            f.read(i, &mut value[at..at + f.p]);
            for k in 0..f.p {
                column[at + k] = offset + f.codes[i] as usize * f.p + k;
            }
            at += f.p;
        }
        for a in 0..per_row {
            let (ca, va) = (column[a], value[a] * w);
            add(&mut dense[ca * d..(ca + 1) * d], va, &row);
            for b in 0..=a {
                // columns ascend with a, so (ca, cb) is in the lower triangle
                block[ca * width + column[b]] += va * value[b];
            }
        }
    }
    (block, dense)
}
