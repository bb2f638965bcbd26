//! Rows of one grouping factor, sorted by level, and what is asked of them without a search.

use crate::level_modes::Sums;
use crate::row_densities::{Density, LogSum, Response};
use crate::squares::dot;
use crate::threads::map_parts;

/// Rows of a part at least: parts do not depend on the number of threads, so neither do sums.
const PART: usize = 8192;

/// Rows in the order of their levels.
pub struct LevelRows {
    /// First row of every level, and n.
    pub starts: Vec<usize>,
    pub y: Vec<f64>,
    pub trials: Option<Vec<f64>>,
    pub frequency: Option<Vec<f64>>,
    pub offset: Option<Vec<f64>>,
    /// (n, p); empty for ones.
    pub z: Vec<f64>,
    /// (n, r).
    pub x: Vec<f64>,
    pub r: usize,
    /// Value of the column of ζ, 0 for none.
    pub scale: f64,
    /// The set of covariances a level has.
    pub sets: Vec<u32>,
    pub n_sets: usize,
    /// Directions of Σ.
    pub k: usize,
}

impl LevelRows {
    pub fn levels(&self) -> usize {
        self.starts.len() - 1
    }

    /// Coefficients, that of ζ included.
    pub fn coefficients(&self) -> usize {
        self.r + usize::from(self.scale != 0.0)
    }

    /// Numbers kept of a level: r, K, C, Z'WX, Σ̇r.
    pub fn kept(&self, p: usize) -> usize {
        p + 2 * p * p + p * self.coefficients() + p * self.k
    }

    #[inline(always)]
    pub fn response(&self, i: usize) -> Response {
        Response {
            y: self.y[i],
            trials: self.trials.as_ref().map_or(1.0, |m| m[i]),
            frequency: self.frequency.as_ref().map_or(1.0, |f| f[i]),
        }
    }

    #[inline(always)]
    pub fn z<const P: usize>(&self, i: usize) -> [f64; P] {
        if self.z.is_empty() {
            [1.0; P]
        } else {
            std::array::from_fn(|a| self.z[i * P + a])
        }
    }

    #[inline(always)]
    pub fn x(&self, i: usize) -> &[f64] {
        &self.x[i * self.r..(i + 1) * self.r]
    }

    #[inline(always)]
    pub fn fixed(&self, i: usize, beta: &[f64]) -> f64 {
        let own: f64 = self.x(i).iter().zip(beta).map(|(x, b)| x * b).sum();
        self.offset.as_ref().map_or(own, |o| own + o[i])
    }

    /// Ranges of levels, the same whatever the number of threads.
    pub fn parts(&self) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        let mut first = 0;
        for level in 0..self.levels() {
            if self.starts[level + 1] - self.starts[first] >= PART || level + 1 == self.levels() {
                out.push((first, level + 1));
                first = level + 1;
            }
        }
        out
    }
}

/// −2Σℓ, X's and X'WX of the model without random effects, rows at o + Xβ.
pub fn without_effects<D: Density>(rows: &LevelRows, density: &D, beta: &[f64]) -> Sums {
    let (r, size) = (rows.r, rows.coefficients());
    let found = map_parts(rows.parts(), |(first, last)| {
        let mut sums = Sums::empty(size, size, 0);
        let mut sum = LogSum::default();
        for i in rows.starts[first]..rows.starts[last] {
            let x = rows.x(i);
            let row = rows.response(i);
            let eta = rows.fixed(i, beta);
            density.slopes(row, eta, &mut sum);
            let found = density.derivatives(row, eta).scaled(row.frequency);
            for a in 0..r {
                sums.score[a] += x[a] * found.score;
                for c in 0..=a {
                    sums.gram[a * size + c] += found.weight * x[a] * x[c];
                }
            }
            if size > r {
                sums.score[r] += rows.scale * found.score_zeta;
                for c in 0..r {
                    sums.gram[r * size + c] += rows.scale * found.weight_mixed * x[c];
                }
                sums.gram[r * size + r] += rows.scale * rows.scale * found.weight_zeta;
            }
        }
        sums.value = -2.0 * sum.total();
        sums
    });
    let mut total = Sums::empty(size, size, 0);
    for one in &found {
        total.add(one);
    }
    for a in 0..size {
        for c in 0..a {
            total.gram[c * size + a] = total.gram[a * size + c];
        }
    }
    total
}

/// η, s and W of every row, in the order of the rows here, at effects b (q, p).
pub fn rows_at<const P: usize, D: Density>(
    rows: &LevelRows,
    density: &D,
    beta: &[f64],
    effects: &[f64],
) -> [Vec<f64>; 3] {
    let n = rows.y.len();
    let mut out = [vec![0.0; n], vec![0.0; n], vec![0.0; n]];
    for level in 0..rows.levels() {
        let b: [f64; P] = std::array::from_fn(|a| effects[level * P + a]);
        for i in rows.starts[level]..rows.starts[level + 1] {
            let row = rows.response(i);
            let eta = rows.fixed(i, beta) + dot(&rows.z::<P>(i), &b);
            let found = density.derivatives(row, eta);
            out[0][i] = eta;
            out[1][i] = row.frequency * found.score;
            out[2][i] = row.frequency * found.weight;
        }
    }
    out
}

/// How far a step moves the predictor of a row at most, u held: by Σ̇r of what is kept and by the coefficients.
pub fn furthest<const P: usize>(
    rows: &LevelRows,
    kept: &[f64],
    theta: &[f64],
    beta: &[f64],
) -> f64 {
    let (per, k) = (rows.kept(P), rows.k);
    let first = P + 2 * P * P + P * rows.coefficients();
    let found = map_parts(rows.parts(), |(start, last)| {
        let mut largest = 0.0_f64;
        for level in start..last {
            let moved = &kept[level * per + first..(level + 1) * per];
            let b: [f64; P] = std::array::from_fn(|a| {
                (0..k)
                    .map(|which| moved[a * k + which] * theta[which])
                    .sum()
            });
            for i in rows.starts[level]..rows.starts[level + 1] {
                let own: f64 = rows.x(i).iter().zip(beta).map(|(x, s)| x * s).sum();
                largest = largest.max((own + dot(&rows.z::<P>(i), &b)).abs());
            }
        }
        largest
    });
    found.into_iter().fold(0.0, f64::max)
}
