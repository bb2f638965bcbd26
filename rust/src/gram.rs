//! Moments of the columns of X, and cross-products of [(X − centre)·scale, y − that·β], in fixed blocks of rows.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{ArrayView1, ArrayView2};

use crate::dense::dot;
use crate::small_dense::block_size;
use crate::threads::map_parts;

/// Rows summed as one unit; fixed, so that the result does not depend on the number of threads.
pub const ROWS: usize = 8192;

/// Rows of a wide matrix centred and multiplied at once: they stay in the second-level cache.
const CACHED: usize = 65_536;
/// Columns up to which plain loops beat the blocked product.
const NARROW: usize = 4;

/// Means, cross-products about the means, and which columns are constant.
pub struct Moments {
    pub mean: Vec<f64>,
    pub constant: Vec<bool>,
    /// (r, r), both triangles.
    pub gram: Vec<f64>,
}

/// The moments of the columns of X, from one pass over its rows.
///
/// Blocks of rows are centred about their own means and joined by the update of Chan, Golub and LeVeque (1983), so
/// that nothing cancels whatever the order and level of the values. Means are carried as distances from the first row,
/// which are known to the rounding of the spread where the means themselves are known to that of the level.
pub fn column_moments(x: ArrayView2<'_, f64>) -> Moments {
    let (n, r) = x.dim();
    let standard = x.as_standard_layout();
    let values = standard.as_slice().expect("a standard layout");
    // never more than a quarter of X in partial results
    let parts = (n / (4 * r.max(1)))
        .clamp(1, 64)
        .min(n.div_ceil(ROWS).max(1));
    let size = n.div_ceil(parts);
    let first = &values[..r.min(values.len())];
    let found = map_parts((0..parts).collect(), |part| {
        let rows = &values[(part * size).min(n) * r..((part + 1) * size).min(n) * r];
        moments_of(rows, r, first)
    });
    let mut total = Accumulated::new(r);
    for part in found {
        total.join(&part);
    }
    for j in 0..r {
        for k in 0..j {
            total.gram[k * r + j] = total.gram[j * r + k];
        }
    }
    for (m, level) in total.mean.iter_mut().zip(first) {
        *m += level;
    }
    Moments {
        mean: total.mean,
        constant: total.constant,
        gram: total.gram,
    }
}

/// Moments of some rows, lower triangle.
struct Accumulated {
    rows: usize,
    /// Distances of the means from the first row of X.
    mean: Vec<f64>,
    constant: Vec<bool>,
    gram: Vec<f64>,
}

impl Accumulated {
    fn new(r: usize) -> Accumulated {
        Accumulated {
            rows: 0,
            mean: vec![0.0; r],
            constant: vec![true; r],
            gram: vec![0.0; r * r],
        }
    }

    fn join(&mut self, other: &Accumulated) {
        self.shift(other.rows, &other.mean);
        for (total, v) in self.gram.iter_mut().zip(&other.gram) {
            *total += v;
        }
        for (total, v) in self.constant.iter_mut().zip(&other.constant) {
            *total &= v;
        }
    }

    /// Takes in `rows` rows with means `mean`; their own cross-products are added by the caller.
    fn shift(&mut self, rows: usize, mean: &[f64]) {
        if rows == 0 {
            return;
        }
        let r = self.mean.len();
        let share = rows as f64 / (self.rows + rows) as f64;
        let weight = self.rows as f64 * share;
        let gap: Vec<f64> = mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        for j in 0..r {
            for k in 0..=j {
                self.gram[j * r + k] += weight * gap[j] * gap[k];
            }
            self.mean[j] += share * gap[j];
        }
        self.rows += rows;
    }
}

fn moments_of(rows: &[f64], r: usize, first: &[f64]) -> Accumulated {
    let mut total = Accumulated::new(r);
    if r == 0 {
        return total;
    }
    let block = (CACHED / r).max(64) * r;
    let mut centred = vec![0.0; if r > NARROW { block.min(rows.len()) } else { 0 }];
    let (mut mean, mut distance) = (vec![0.0; r], vec![0.0; r]);
    for rows in rows.chunks(block) {
        mean_of(rows, r, first, &mut distance);
        for j in 0..r {
            mean[j] = first[j] + distance[j];
        }
        check_constant(rows, r, first, &mut mean, &mut total.constant);
        total.shift(rows.len() / r, &distance);
        match r {
            1 => add_squares::<1>(rows, &mean, &mut total.gram),
            2 => add_squares::<2>(rows, &mean, &mut total.gram),
            3 => add_squares::<3>(rows, &mean, &mut total.gram),
            4 => add_squares::<4>(rows, &mean, &mut total.gram),
            _ => add_product(rows, r, &mean, &mut centred[..rows.len()], &mut total.gram),
        }
    }
    total
}

/// The means of some rows as distances from `first`.
fn mean_of(rows: &[f64], r: usize, first: &[f64], distance: &mut [f64]) {
    distance.fill(0.0);
    for row in rows.chunks_exact(r) {
        for ((d, v), level) in distance.iter_mut().zip(row).zip(first) {
            *d += v - level;
        }
    }
    let count = (rows.len() / r) as f64;
    for d in distance.iter_mut() {
        *d /= count;
    }
}

/// Looks whether the columns that were constant so far still are; their mean is their value, whatever rounding says.
fn check_constant(rows: &[f64], r: usize, first: &[f64], mean: &mut [f64], constant: &mut [bool]) {
    for j in (0..r).filter(|&j| rows[j] == rows[rows.len() - r + j]) {
        let same = rows[j..].iter().step_by(r).all(|&v| v == rows[j]);
        if same {
            mean[j] = rows[j];
        }
        constant[j] &= same && rows[j] == first[j];
    }
    for j in (0..r).filter(|&j| rows[j] != rows[rows.len() - r + j]) {
        constant[j] = false;
    }
}

fn add_squares<const R: usize>(rows: &[f64], mean: &[f64], gram: &mut [f64]) {
    let mean: [f64; R] = mean.try_into().expect("R columns");
    let mut sum = [[0.0; R]; R];
    for row in rows.chunks_exact(R) {
        let mut v = [0.0; R];
        for j in 0..R {
            v[j] = row[j] - mean[j];
        }
        for j in 0..R {
            for k in 0..=j {
                sum[j][k] += v[j] * v[k];
            }
        }
    }
    for j in 0..R {
        for k in 0..=j {
            gram[j * R + k] += sum[j][k];
        }
    }
}

fn add_product(rows: &[f64], r: usize, mean: &[f64], centred: &mut [f64], gram: &mut [f64]) {
    for (out, row) in centred.chunks_exact_mut(r).zip(rows.chunks_exact(r)) {
        for j in 0..r {
            out[j] = row[j] - mean[j];
        }
    }
    let c = MatRef::from_row_major_slice(centred, rows.len() / r, r);
    triangular::matmul(
        MatMut::from_row_major_slice_mut(gram, r, r),
        BlockStructure::TriangularLower,
        Accum::Add,
        c.transpose(),
        BlockStructure::Rectangular,
        c,
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
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
    let d = columns.x.ncols() + 1;
    let mut total = match d {
        2 => by_row::<2, Whole>(columns),
        3 => by_row::<3, Whole>(columns),
        4 => by_row::<4, Whole>(columns),
        _ => by_row::<0, Whole>(columns),
    };
    for j in 0..d {
        for k in 0..j {
            total[k * d + j] = total[j * d + k];
        }
    }
    total
}

/// [Xs ys]'Wys, (r + 1).
pub fn response_products(columns: &DenseColumns<'_>) -> Vec<f64> {
    match columns.x.ncols() + 1 {
        2 => by_row::<2, Last>(columns),
        3 => by_row::<3, Last>(columns),
        4 => by_row::<4, Last>(columns),
        _ => by_row::<0, Last>(columns),
    }
}

/// What is summed of every row of [Xs ys], times its weight.
trait Products {
    fn size(d: usize) -> usize;
    fn add(row: &[f64], w: f64, sum: &mut [f64]);
}

/// Products of every pair of columns, lower triangle.
struct Whole;
/// Products of every column with the last.
struct Last;

impl Products for Whole {
    fn size(d: usize) -> usize {
        d * d
    }

    #[inline(always)]
    fn add(row: &[f64], w: f64, sum: &mut [f64]) {
        let d = row.len();
        for j in 0..d {
            let v = row[j] * w;
            for k in 0..=j {
                sum[j * d + k] += v * row[k];
            }
        }
    }
}

impl Products for Last {
    fn size(d: usize) -> usize {
        d
    }

    #[inline(always)]
    fn add(row: &[f64], w: f64, sum: &mut [f64]) {
        let v = row[row.len() - 1] * w;
        for (s, x) in sum.iter_mut().zip(row) {
            *s += v * x;
        }
    }
}

/// Σ_j a_j·b_j, plainly where there are few.
#[inline(always)]
pub fn product<const D: usize>(a: &[f64], b: &[f64]) -> f64 {
    if D > 0 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    } else {
        dot(a, b)
    }
}

/// The sums over all rows, in fixed blocks; `D` is the number of columns where fixed, else 0.
fn by_row<const D: usize, P: Products>(columns: &DenseColumns<'_>) -> Vec<f64> {
    let n = columns.x.nrows();
    let d = block_size::<D>(columns.x.ncols() + 1);
    let r = d - 1;
    let standard = columns.x.as_standard_layout();
    let x = standard.as_slice().expect("a standard layout");
    let (centre, scale, beta) = (
        &columns.centre[..r],
        &columns.scale[..r],
        &columns.beta[..r],
    );
    let parts: Vec<Vec<f64>> = map_parts((0..n.div_ceil(ROWS)).collect(), |chunk| {
        let mut sum = vec![0.0; P::size(d)];
        let mut fixed = [0.0; 4];
        let mut free = vec![0.0; if D > 0 { 0 } else { d }];
        let row: &mut [f64] = if D > 0 { &mut fixed[..d] } else { &mut free };
        for i in chunk * ROWS..((chunk + 1) * ROWS).min(n) {
            let given = &x[i * r..(i + 1) * r];
            for j in 0..r {
                row[j] = (given[j] - centre[j]) * scale[j];
            }
            row[r] = columns.y[i] - product::<D>(&row[..r], beta);
            let w = columns.weights.as_ref().map_or(1.0, |w| w[i]);
            P::add(row, w, &mut sum);
        }
        sum
    });
    add_up(parts, P::size(d))
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
        let found = column_moments(x.view());
        assert_eq!(
            (found.mean, found.constant),
            (vec![1.0, 5.0], vec![true, false])
        );
        assert_eq!(found.gram, vec![0.0, 0.0, 0.0, 26.0]);
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
        assert_eq!(response_products(&columns), vec![-1.0, 12.0, 3.0]);
    }

    #[test]
    fn moments_of_blocks_join_to_those_of_all_rows() {
        for r in [1, 2, 3, 4, 7] {
            let n = 30_000;
            // a level of a million, and a drift: block means differ from the mean of all
            let x = ndarray::Array2::from_shape_fn((n, r), |(i, j)| {
                let noise = ((i * (2 * j + 3)) % 101) as f64 / 101.0;
                1e6 + noise + if j == 0 { 1e-3 * i as f64 } else { 0.0 }
            });
            let found = column_moments(x.view());
            // about the level, where sums lose nothing
            let x = x - 1e6;
            let mean: Vec<f64> = (0..r).map(|j| x.column(j).sum() / n as f64).collect();
            for j in 0..r {
                assert!((found.mean[j] - 1e6 - mean[j]).abs() < 1e-9);
                for k in 0..r {
                    let expected: f64 = (0..n)
                        .map(|i| (x[[i, j]] - mean[j]) * (x[[i, k]] - mean[k]))
                        .sum();
                    let size = (found.gram[j * r + j] * found.gram[k * r + k]).sqrt();
                    assert!((found.gram[j * r + k] - expected).abs() < 1e-13 * size);
                }
            }
        }
    }
}
