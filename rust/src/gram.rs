//! Cross-products of the dense columns [(X − centre)·scale, y − that·β], in fixed blocks of rows.

use ndarray::{ArrayView1, ArrayView2};

use crate::threads::map_parts;

/// Rows summed as one unit; fixed, so that the result does not depend on the number of threads.
pub const ROWS: usize = 8192;

/// Column sums of X and whether each column is constant.
pub fn column_sums(x: ArrayView2<'_, f64>) -> (Vec<f64>, Vec<bool>) {
    let (n, r) = x.dim();
    let parts: Vec<(Vec<f64>, Vec<bool>)> = map_parts((0..n.div_ceil(ROWS)).collect(), |chunk| {
        let (mut sum, mut constant) = (vec![0.0; r], vec![true; r]);
        for i in chunk * ROWS..((chunk + 1) * ROWS).min(n) {
            for j in 0..r {
                let v = x[[i, j]];
                sum[j] += v;
                constant[j] &= v == x[[0, j]];
            }
        }
        (sum, constant)
    });
    let mut total = (vec![0.0; r], vec![true; r]);
    for (sum, constant) in parts {
        for j in 0..r {
            total.0[j] += sum[j];
            total.1[j] &= constant[j];
        }
    }
    total
}

/// Sums of squared deviations of the columns of X from `centre`.
pub fn column_squares(x: ArrayView2<'_, f64>, centre: &[f64]) -> Vec<f64> {
    let (n, r) = x.dim();
    let parts: Vec<Vec<f64>> = map_parts((0..n.div_ceil(ROWS)).collect(), |chunk| {
        let mut sum = vec![0.0; r];
        for i in chunk * ROWS..((chunk + 1) * ROWS).min(n) {
            for j in 0..r {
                let v = x[[i, j]] - centre[j];
                sum[j] += v * v;
            }
        }
        sum
    });
    add_up(parts, r)
}

/// The standardised dense columns with weights.
pub struct DenseColumns<'a> {
    pub x: ArrayView2<'a, f64>,
    pub y: ArrayView1<'a, f64>,
    pub weights: Option<ArrayView1<'a, f64>>,
    pub centre: &'a [f64],
    pub scale: &'a [f64],
    pub beta: &'a [f64],
}

/// [Xs ys]'W[Xs ys], (r + 1, r + 1), both triangles.
pub fn gram(columns: &DenseColumns<'_>) -> Vec<f64> {
    let (n, r) = columns.x.dim();
    let d = r + 1;
    let parts: Vec<Vec<f64>> = map_parts((0..n.div_ceil(ROWS)).collect(), |chunk| {
        let mut sum = vec![0.0; d * d];
        let mut row = vec![0.0; d];
        for i in chunk * ROWS..((chunk + 1) * ROWS).min(n) {
            let mut residual = columns.y[i];
            for j in 0..r {
                let v = (columns.x[[i, j]] - columns.centre[j]) * columns.scale[j];
                row[j] = v;
                residual -= v * columns.beta[j];
            }
            row[r] = residual;
            let w = columns.weights.as_ref().map_or(1.0, |w| w[i]);
            for j in 0..d {
                let v = row[j] * w;
                for k in 0..=j {
                    sum[j * d + k] += v * row[k];
                }
            }
        }
        sum
    });
    let mut total = add_up(parts, d * d);
    for j in 0..d {
        for k in 0..j {
            total[k * d + j] = total[j * d + k];
        }
    }
    total
}

fn add_up(parts: Vec<Vec<f64>>, size: usize) -> Vec<f64> {
    let mut total = vec![0.0; size];
    for part in parts {
        for (t, v) in total.iter_mut().zip(&part) {
            *t += v;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    #[test]
    fn matches_the_definition() {
        let x = arr2(&[[1.0, 2.0], [1.0, 4.0], [1.0, 9.0]]);
        let (sum, constant) = column_sums(x.view());
        assert_eq!((sum, constant), (vec![3.0, 15.0], vec![true, false]));
        assert_eq!(column_squares(x.view(), &[0.0, 5.0]), vec![3.0, 26.0]);
        let y = arr1(&[1.0, 0.0, 2.0]);
        let w = arr1(&[1.0, 2.0, 1.0]);
        let columns = DenseColumns {
            x: x.view(),
            y: y.view(),
            weights: Some(w.view()),
            centre: &[0.0, 5.0],
            scale: &[1.0, 2.0],
            beta: &[1.0, 0.0],
        };
        // rows: (1, −6, 0), (1, −2, −1), (1, 8, 1)
        assert_eq!(
            gram(&columns),
            vec![4.0, -2.0, -1.0, -2.0, 108.0, 12.0, -1.0, 12.0, 3.0]
        );
    }
}
