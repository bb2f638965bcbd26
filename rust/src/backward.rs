//! What the backward sweep over the levels is given, and what it leaves behind.

/// The dense solution on the tail: H lower (m, m) with m = tail + r, and the coefficients x (m).
pub struct TailSolution<'a> {
    pub h: &'a [f64],
    pub x: &'a [f64],
}

/// What the backward sweep leaves for one chain factor.
#[derive(Default)]
pub struct Backward {
    /// Z'P̃y per level, (q, p).
    pub r: Vec<f64>,
    /// b̂ per level, (q, p).
    pub b: Vec<f64>,
    /// T per level (q, p, p), kept on request.
    pub t: Vec<f64>,
    /// Σ over levels of T and of rr', (sets, p, p).
    pub trace: Vec<f64>,
    pub quadratic: Vec<f64>,
    /// Sums for the average information, where the sweep kept them.
    pub level_sums: Option<LevelSums>,
    /// cov(b, outside) per level for factors that have something below: own block, ancestors, tail entries, X.
    pub own: Vec<f64>,
    pub ancestor: Vec<f64>,
    pub tail: Vec<f64>,
    pub dense: Vec<f64>,
}

/// Sums over levels, per parameter set.
#[derive(Default, Clone)]
pub struct LevelSums {
    /// Σ r_i B_jk r_l, (sets, p, p, p, p).
    pub fourth: Vec<f64>,
    /// Σ r_i N°_jx over columns x of X, (sets, p, p, r).
    pub cross: Vec<f64>,
}

/// c_a'Bc_b summed over levels for two directions of one set, and N°'c_a (x) for one.
impl LevelSums {
    pub fn quadratic(&self, set: usize, p: usize, a: &[f64], b: &[f64]) -> f64 {
        let fourth = &self.fourth[set * p.pow(4)..(set + 1) * p.pow(4)];
        let mut total = 0.0;
        for i in 0..p {
            for m in 0..p {
                for q in 0..p {
                    for l in 0..p {
                        total +=
                            a[m * p + i] * b[q * p + l] * fourth[((i * p + m) * p + q) * p + l];
                    }
                }
            }
        }
        total
    }

    pub fn linear(&self, set: usize, p: usize, x: usize, a: &[f64], out: &mut [f64]) {
        let cross = &self.cross[set * p * p * x..(set + 1) * p * p * x];
        for i in 0..p {
            for m in 0..p {
                for q in 0..x {
                    out[q] += a[m * p + i] * cross[(i * p + m) * x + q];
                }
            }
        }
    }
}
