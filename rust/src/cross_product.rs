//! One pass over the rows: the cross-products of [Z X y] that every evaluation of the likelihood starts from.
//!
//! Grouping factors are split into a *chain* (a leaf factor and the factors it is nested in, eliminated level by level
//! without fill between siblings) and a *tail* (everything that crosses the chain, kept dense). X and y are the last
//! `d` columns. After this pass the rows are not needed again.

use ndarray::{ArrayView1, ArrayView2};

use crate::error::KernelError;

/// One grouping factor over the rows.
pub struct FactorRows<'a> {
    pub codes: &'a [i32],
    /// Z values (n, p); `None` is a column of ones.
    pub values: Option<ArrayView2<'a, f64>>,
    pub p: usize,
    pub q: usize,
}

impl FactorRows<'_> {
    #[inline(always)]
    fn read(&self, row: usize, z: &mut [f64]) {
        match &self.values {
            None => z[0] = 1.0,
            Some(values) => {
                for (k, slot) in z.iter_mut().enumerate() {
                    *slot = values[[row, k]];
                }
            }
        }
    }
}

/// The dense columns over the rows: (X − centre)·scale, and y − that·β₀ last.
pub struct DenseRows<'a> {
    pub x: ArrayView2<'a, f64>,
    pub y: ArrayView1<'a, f64>,
    pub centre: &'a [f64],
    pub scale: &'a [f64],
    pub beta0: &'a [f64],
    pub weights: Option<ArrayView1<'a, f64>>,
}

impl DenseRows<'_> {
    /// Fills `out` with the row and returns its weight.
    #[inline(always)]
    fn read(&self, row: usize, out: &mut [f64]) -> f64 {
        let r = out.len() - 1;
        let mut residual = self.y[row];
        for j in 0..r {
            let v = (self.x[[row, j]] - self.centre[j]) * self.scale[j];
            out[j] = v;
            residual -= v * self.beta0[j];
        }
        out[r] = residual;
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

/// Accumulates all cross-products that involve a random column.
pub fn cross_products<'a>(
    chain: &[FactorRows<'a>],
    tail: &[FactorRows<'a>],
    rows: &DenseRows<'_>,
) -> Result<CrossProducts, KernelError> {
    let n = rows.y.len();
    check(chain, tail, rows, n)?;
    let d = rows.x.ncols() + 1;
    let offsets = tail_offsets(tail);
    let tail_width = *offsets.last().unwrap_or(&0);
    let mut factors = Vec::with_capacity(chain.len());
    for c in 0..chain.len() {
        factors.push(chain_factor(c, chain, tail, &offsets, rows, d)?);
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
    let r = rows.x.ncols();
    if rows.x.nrows() != n
        || rows.centre.len() != r
        || rows.scale.len() != r
        || rows.beta0.len() != r
    {
        return Err(KernelError::Shape(
            "x, y, centre, scale and beta0 do not fit together".into(),
        ));
    }
    if rows.weights.as_ref().is_some_and(|w| w.len() != n) {
        return Err(KernelError::Shape("weights and y differ in length".into()));
    }
    for f in chain.iter().chain(tail) {
        let bad_values = f.values.as_ref().is_some_and(|v| v.dim() != (n, f.p));
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

fn chain_factor(
    c: usize,
    chain: &[FactorRows<'_>],
    tail: &[FactorRows<'_>],
    offsets: &[usize],
    rows: &DenseRows<'_>,
    d: usize,
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
    let (mut z, mut za, mut row) = (vec![0.0; p], vec![0.0; ancestor_width], vec![0.0; d]);
    for i in 0..own.codes.len() {
        let u = own.codes[i] as usize;
        let w = rows.read(i, &mut row);
        own.read(i, &mut z);
        let mut at = 0;
        for f in above {
            f.read(i, &mut za[at..at + f.p]);
            at += f.p;
        }
        for k in 0..p {
            let zk = z[k] * w;
            let base = u * p + k;
            add(&mut factor.block[base * p..(base + 1) * p], zk, &z);
            add(
                &mut factor.ancestor[base * ancestor_width..(base + 1) * ancestor_width],
                zk,
                &za,
            );
            add(&mut factor.dense[base * d..(base + 1) * d], zk, &row);
        }
    }
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
