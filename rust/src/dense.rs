//! Cholesky factor and inverse of dense symmetric matrices, row-major with only the lower triangle meaningful.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::{MatMut, MatRef, Par};

use crate::error::KernelError;
use crate::small_dense::block_size;

/// Order below which one thread factors faster than two.
const SHARED_FACTOR: usize = 2000;
/// Order below which one thread inverts as fast as two.
const SHARED_INVERSE: usize = 400;

fn parallelism(threads: usize, order: usize, shared: usize) -> Par {
    if threads <= 1 || order < shared {
        Par::Seq
    } else {
        Par::rayon(threads)
    }
}

/// Whether a computation of this order uses more than one thread.
pub fn shares_work(order: usize, threads: usize) -> bool {
    threads > 1 && order >= SHARED_INVERSE
}

/// Replaces the lower triangle of `matrix` (order × order) by L with LL' = matrix; what is above is left alone.
pub fn cholesky(matrix: &mut [f64], order: usize, threads: usize) -> Result<(), KernelError> {
    check(matrix.len(), order)?;
    let mut view = MatMut::from_row_major_slice_mut(matrix, order, order);
    let par = parallelism(threads, order, SHARED_FACTOR);
    let scratch = llt::factor::cholesky_in_place_scratch::<f64>(order, par, Default::default());
    let mut memory = MemBuffer::new(scratch);
    llt::factor::cholesky_in_place(
        view.as_mut(),
        Default::default(),
        par,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|error| match error {
        llt::factor::LltError::NonPositivePivot { index } => {
            KernelError::NotPositiveDefinite(index)
        }
    })?;
    // An infinite pivot passes for positive.
    match (0..order).find(|&k| !view[(k, k)].is_finite()) {
        Some(index) => Err(KernelError::NotPositiveDefinite(index)),
        None => Ok(()),
    }
}

/// The lower triangle of (LL')⁻¹ from L; what is above the diagonal is zero. Holds one further matrix meanwhile.
pub fn cholesky_inverse(
    lower: &[f64],
    order: usize,
    threads: usize,
) -> Result<Vec<f64>, KernelError> {
    check(lower.len(), order)?;
    let mut out = vec![0.0; order * order];
    let par = parallelism(threads, order, SHARED_INVERSE);
    let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<f64>(order, par));
    llt::inverse::inverse(
        MatMut::from_row_major_slice_mut(&mut out, order, order),
        MatRef::from_row_major_slice(lower, order, order),
        par,
        MemStack::new(&mut memory),
    );
    Ok(out)
}

/// Writes w_i·m_ij·w_j, j ≤ i, for the leading rows and columns of `matrix` (rows `stride` apart) into `out` (order²).
pub fn scale_triangle(
    matrix: &[f64],
    stride: usize,
    weights: &[f64],
    out: &mut [f64],
    order: usize,
) {
    for (i, row) in out.chunks_exact_mut(order.max(1)).enumerate() {
        let given = &matrix[i * stride..i * stride + i + 1];
        for (j, (o, v)) in row.iter_mut().zip(given).enumerate() {
            *o = v * (weights[i] * weights[j]);
        }
    }
}

/// m_ij ← w_i·m_ij·w_j, j ≤ i.
pub fn scale_triangle_in_place(matrix: &mut [f64], weights: &[f64]) {
    for (i, row) in matrix.chunks_exact_mut(weights.len().max(1)).enumerate() {
        for (v, w) in row[..=i].iter_mut().zip(weights) {
            *v *= weights[i] * w;
        }
    }
}

/// Calls `$f::<C>` with the number of columns fixed at compile time where it is small, else 0.
macro_rules! by_columns {
    ($c:expr, $f:ident, $($argument:expr),*) => {
        match $c {
            1 => $f::<1>($($argument),*),
            2 => $f::<2>($($argument),*),
            3 => $f::<3>($($argument),*),
            4 => $f::<4>($($argument),*),
            5 => $f::<5>($($argument),*),
            6 => $f::<6>($($argument),*),
            7 => $f::<7>($($argument),*),
            8 => $f::<8>($($argument),*),
            _ => $f::<0>($($argument),*),
        }
    };
}

/// L⁻¹b in place for b (order, c), c small: one pass over the rows of L.
pub fn solve_lower(lower: &[f64], order: usize, b: &mut [f64], c: usize) {
    by_columns!(c, forward, lower, order, b, c);
}

/// L⁻ᵀb in place for b (order, c), c small: one pass over the rows of L from the last.
pub fn solve_upper(lower: &[f64], order: usize, b: &mut [f64], c: usize) {
    by_columns!(c, backward, lower, order, b, c);
}

/// H b (size, c) for the leading `size` rows and columns of a lower triangle of rows `stride` apart, c small.
pub fn symmetric_times(lower: &[f64], stride: usize, size: usize, b: &[f64], c: usize) -> Vec<f64> {
    by_columns!(c, both_triangles, lower, stride, size, b, c)
}

fn forward<const C: usize>(lower: &[f64], order: usize, b: &mut [f64], c: usize) {
    let c = block_size::<C>(c);
    let mut sum = vec![0.0; c];
    for i in 0..order {
        let row = &lower[i * order..i * order + i + 1];
        let (known, rest) = b.split_at_mut(i * c);
        sum_products::<C>(&row[..i], known, &mut sum);
        for (v, s) in rest[..c].iter_mut().zip(&sum) {
            *v = (*v - s) / row[i];
        }
    }
}

fn backward<const C: usize>(lower: &[f64], order: usize, b: &mut [f64], c: usize) {
    let c = block_size::<C>(c);
    for i in (0..order).rev() {
        let row = &lower[i * order..i * order + i + 1];
        let (before, rest) = b.split_at_mut(i * c);
        let own = &mut rest[..c];
        for v in own.iter_mut() {
            *v /= row[i];
        }
        add_multiples::<C>(&row[..i], own, -1.0, before);
    }
}

fn both_triangles<const C: usize>(
    lower: &[f64],
    stride: usize,
    size: usize,
    b: &[f64],
    c: usize,
) -> Vec<f64> {
    let c = block_size::<C>(c);
    let mut out = vec![0.0; size * c];
    let mut sum = vec![0.0; c];
    for i in 0..size {
        let row = &lower[i * stride..i * stride + i + 1];
        let own = &b[i * c..(i + 1) * c];
        let (before, rest) = out.split_at_mut(i * c);
        add_multiples::<C>(&row[..i], own, 1.0, before);
        sum_products::<C>(&row[..i], b, &mut sum);
        for k in 0..c {
            rest[k] += sum[k] + row[i] * own[k];
        }
    }
    out
}

/// Σ_j row_j·b_j into `sum`, in several sums at a time so that they do not wait for one another.
#[inline(always)]
fn sum_products<const C: usize>(row: &[f64], b: &[f64], sum: &mut [f64]) {
    if C == 1 {
        sum[0] = dot(row, b);
        return;
    }
    let c = block_size::<C>(sum.len());
    sum.fill(0.0);
    if C == 0 {
        for (l, known) in row.iter().zip(b.chunks_exact(c)) {
            for (s, x) in sum.iter_mut().zip(known) {
                *s += l * x;
            }
        }
        return;
    }
    let mut lanes = [[0.0; C]; 4];
    let (mut quads, rest) = (row.chunks_exact(4), row.len() / 4 * 4);
    for (four, known) in quads.by_ref().zip(b.chunks_exact(4 * c)) {
        for q in 0..4 {
            for k in 0..C {
                lanes[q][k] += four[q] * known[q * C + k];
            }
        }
    }
    for (l, known) in row[rest..].iter().zip(b[rest * c..].chunks_exact(c)) {
        for k in 0..C {
            lanes[0][k] += l * known[k];
        }
    }
    for k in 0..C {
        sum[k] = (lanes[0][k] + lanes[1][k]) + (lanes[2][k] + lanes[3][k]);
    }
}

/// Σ_j a_j·b_j over the length of `a`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let rest = a.len() / LANES * LANES;
    for (x, y) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for k in 0..LANES {
            sums[k] += x[k] * y[k];
        }
    }
    let tail: f64 = a[rest..].iter().zip(&b[rest..]).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + tail
}

/// out_j += sign·row_j·own for every row j of `out`.
#[inline(always)]
fn add_multiples<const C: usize>(row: &[f64], own: &[f64], sign: f64, out: &mut [f64]) {
    let c = block_size::<C>(own.len());
    for (l, v) in row.iter().zip(out.chunks_exact_mut(c)) {
        let l = sign * l;
        for k in 0..c {
            v[k] += l * own[k];
        }
    }
}

fn check(length: usize, order: usize) -> Result<(), KernelError> {
    if length != order * order {
        return Err(KernelError::Shape(format!(
            "{length} numbers are no square matrix of order {order}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row-major lower triangle of a matrix with `order` on the diagonal and bounded entries below; 7 above it.
    fn example(order: usize) -> Vec<f64> {
        let mut state = 1u64;
        let mut matrix = vec![7.0; order * order];
        for i in 0..order {
            for j in 0..i {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                matrix[i * order + j] = (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            }
            matrix[i * order + i] = order as f64;
        }
        matrix
    }

    fn entry(lower: &[f64], order: usize, i: usize, j: usize) -> f64 {
        lower[i.max(j) * order + i.min(j)]
    }

    #[test]
    fn factor_times_its_transpose_is_the_matrix_and_the_inverse_inverts_it() {
        for order in [0, 1, 2, 5, 33, 150, 450] {
            for threads in [1, 2] {
                let matrix = example(order);
                let mut lower = matrix.clone();
                cholesky(&mut lower, order, threads).unwrap();
                let inverse = cholesky_inverse(&lower, order, threads).unwrap();
                for i in 0..order {
                    for j in 0..=i {
                        let product: f64 = (0..=j)
                            .map(|k| lower[i * order + k] * lower[j * order + k])
                            .sum();
                        assert!((product - matrix[i * order + j]).abs() < 1e-11 * order as f64);
                    }
                    let unit: f64 = (0..order)
                        .map(|k| entry(&matrix, order, 0, k) * entry(&inverse, order, k, i))
                        .sum();
                    assert!((unit - f64::from(i == 0)).abs() < 1e-11);
                }
            }
        }
    }

    #[test]
    fn triangles_are_scaled_from_both_sides() {
        let matrix = example(6);
        let weights = [2.0, 0.5, 1.0, 3.0];
        let mut out = vec![9.0; 16];
        scale_triangle(&matrix, 6, &weights, &mut out, 4);
        let mut again = out.clone();
        scale_triangle_in_place(&mut again, &weights);
        for i in 0..4 {
            for j in 0..4 {
                let w = weights[i] * weights[j];
                let expected = if j <= i { matrix[i * 6 + j] * w } else { 9.0 };
                assert_eq!(out[i * 4 + j], expected);
                assert_eq!(again[i * 4 + j], if j <= i { expected * w } else { 9.0 });
            }
        }
    }

    #[test]
    fn narrow_solves_and_products_undo_one_another() {
        for order in [0, 1, 7, 40] {
            for c in [1, 2, 3, 4, 6] {
                let matrix = example(order);
                let mut lower = matrix.clone();
                cholesky(&mut lower, order, 1).unwrap();
                let b: Vec<f64> = (0..order * c)
                    .map(|k| ((k * 7) % 13) as f64 - 6.0)
                    .collect();
                let mut x = b.clone();
                solve_lower(&lower, order, &mut x, c);
                solve_upper(&lower, order, &mut x, c);
                for (found, expected) in
                    symmetric_times(&matrix, order, order, &x, c).iter().zip(&b)
                {
                    assert!((found - expected).abs() < 1e-12 * order as f64);
                }
                // a leading part of a larger matrix
                let size = order / 2;
                let part = symmetric_times(&matrix, order, size, &b[..size * c], c);
                for i in 0..size {
                    for k in 0..c {
                        let expected: f64 = (0..size)
                            .map(|j| entry(&matrix, order, i, j) * b[j * c + k])
                            .sum();
                        assert!((part[i * c + k] - expected).abs() < 1e-12 * order as f64);
                    }
                }
            }
        }
    }

    #[test]
    fn the_column_that_fails_is_named() {
        for bad in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
            let mut matrix = example(90);
            matrix[41 * 90 + 41] = bad;
            assert_eq!(
                cholesky(&mut matrix, 90, 1),
                Err(KernelError::NotPositiveDefinite(41))
            );
        }
        assert!(matches!(
            cholesky(&mut [1.0, 2.0], 2, 1),
            Err(KernelError::Shape(_))
        ));
    }
}
