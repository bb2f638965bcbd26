//! A sparse matrix by rows times a dense matrix of several columns: what conjugate gradients spend their time on.

use crate::error::KernelError;
use crate::threads::map_parts;

/// Columns of the dense matrix summed at once, in registers.
const TOGETHER: usize = 8;

/// A sparse matrix by rows: where each starts, and columns and values of its entries.
pub struct SparseRows<'a> {
    pub start: &'a [i64],
    pub column: &'a [i32],
    pub values: &'a [f64],
}

/// Checks that starts ascend to the number of entries and that columns are below `width`.
pub fn check_rows(matrix: &SparseRows<'_>, width: usize) -> Result<(), KernelError> {
    let ascending = matrix.start.first() == Some(&0)
        && matrix.start.windows(2).all(|w| w[0] <= w[1])
        && matrix.start.last() == Some(&(matrix.column.len() as i64));
    let inside = matrix.column.iter().all(|&c| (c as u32 as usize) < width);
    if !ascending || !inside || matrix.values.len() != matrix.column.len() {
        return Err(KernelError::Shape(
            "starts, columns and values are not those of a sparse matrix of this width".into(),
        ));
    }
    Ok(())
}

/// The product with `dense` (width, c), row-major, by `parts` of about as many entries. Every row is summed in the order
/// of its entries, so that the result does not depend on `parts`.
pub fn sparse_product(
    matrix: &SparseRows<'_>,
    dense: &[f64],
    c: usize,
    parts: usize,
) -> Result<Vec<f64>, KernelError> {
    let rows = matrix.start.len().saturating_sub(1);
    let width = dense.len().checked_div(c).unwrap_or(0);
    if matrix.start.is_empty() || width * c != dense.len() {
        return Err(KernelError::Shape("the arrays do not fit together".into()));
    }
    check_rows(matrix, if c == 0 { usize::MAX } else { width })?;
    let mut out = vec![0.0; rows * c];
    let mut pieces = Vec::with_capacity(parts);
    let (mut rest, mut first) = (out.as_mut_slice(), 0);
    for part in 1..=parts.max(1) {
        let share = (matrix.column.len() as u128 * part as u128 / parts.max(1) as u128) as i64;
        let stop = if part == parts.max(1) {
            rows
        } else {
            matrix
                .start
                .partition_point(|&s| s < share)
                .clamp(first, rows)
        };
        let (mine, others) = rest.split_at_mut((stop - first) * c);
        pieces.push((first, mine));
        rest = others;
        first = stop;
    }
    map_parts(pieces, |(first, piece)| {
        for (i, row) in piece.chunks_exact_mut(c.max(1)).enumerate() {
            let (from, to) = (
                matrix.start[first + i] as usize,
                matrix.start[first + i + 1] as usize,
            );
            add_row(
                &matrix.column[from..to],
                &matrix.values[from..to],
                dense,
                c,
                row,
            );
        }
    });
    Ok(out)
}

/// One row of the product.
fn add_row(column: &[i32], values: &[f64], dense: &[f64], c: usize, row: &mut [f64]) {
    let whole = c / TOGETHER * TOGETHER;
    for at in (0..whole).step_by(TOGETHER) {
        let mut sums = [0.0; TOGETHER];
        for (&j, &v) in column.iter().zip(values) {
            let from = j as usize * c + at;
            for (sum, x) in sums.iter_mut().zip(&dense[from..from + TOGETHER]) {
                *sum += v * x;
            }
        }
        row[at..at + TOGETHER].copy_from_slice(&sums);
    }
    for at in whole..c {
        row[at] = column
            .iter()
            .zip(values)
            .map(|(&j, &v)| v * dense[j as usize * c + at])
            .sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_dense_matrix_whatever_the_parts() {
        let start = [0, 2, 2, 5, 6];
        let column = [1, 3, 0, 1, 2, 3];
        let values = [1.5, -2.0, 0.5, 3.0, 1.0, -1.0];
        let matrix = SparseRows {
            start: &start,
            column: &column,
            values: &values,
        };
        for c in [0, 1, 7, 8, 11, 16] {
            let dense: Vec<f64> = (0..4 * c).map(|k| (k * k % 7) as f64 - 3.0).collect();
            let one = sparse_product(&matrix, &dense, c, 1).unwrap();
            for parts in [2, 3, 9] {
                assert_eq!(one, sparse_product(&matrix, &dense, c, parts).unwrap());
            }
            for i in 0..4 {
                for k in 0..c {
                    let wanted: f64 = (start[i] as usize..start[i + 1] as usize)
                        .map(|e| values[e] * dense[column[e] as usize * c + k])
                        .sum();
                    assert_eq!(one[i * c + k], wanted);
                }
            }
        }
    }

    #[test]
    fn what_is_no_sparse_matrix_is_refused() {
        let dense = [1.0; 4];
        for (start, column) in [
            ([0, 2], [0, 4]),
            ([0, 1], [0, 1]),
            ([1, 2], [0, 1]),
            ([0, 2], [-1, 1]),
        ] {
            let matrix = SparseRows {
                start: &start,
                column: &column,
                values: &[1.0, 1.0],
            };
            assert!(sparse_product(&matrix, &dense, 1, 1).is_err());
        }
    }
}
