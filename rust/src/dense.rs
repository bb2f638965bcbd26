//! Cholesky factor and inverse of dense symmetric matrices, row-major with only the lower triangle meaningful.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::{MatMut, MatRef, Par};

use crate::error::KernelError;

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
