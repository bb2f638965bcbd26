//! Log densities of single rows with their derivatives in the linear predictor, all concave in it.
//!
//! A density may have one number besides, ζ, the same for every row. What depends on the response and ζ alone is left
//! out: whoever sums over rows adds it.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

/// A sum of terms c + m log(1 + x): factors of whole rows are multiplied before a logarithm is taken.
#[derive(Clone, Copy)]
pub struct LogSum {
    sum: f64,
    product: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        LogSum {
            sum: 0.0,
            product: 1.0,
        }
    }
}

impl LogSum {
    #[inline(always)]
    fn add(&mut self, value: f64) {
        self.sum += value;
    }

    /// Subtracts m log(1 + x), 0 ≤ x ≤ 1.
    #[inline(always)]
    fn subtract_log1p(&mut self, times: f64, x: f64) {
        if times == 1.0 {
            self.product *= 1.0 + x;
            if self.product > 1e290 {
                self.sum -= self.product.ln();
                self.product = 1.0;
            }
        } else {
            self.sum -= times * x.ln_1p();
        }
    }

    pub fn total(&self) -> f64 {
        self.sum - self.product.ln()
    }
}

/// A response, its trials and how many rows it stands for.
#[derive(Clone, Copy)]
pub struct Response {
    pub y: f64,
    pub trials: f64,
    pub frequency: f64,
}

/// ∂ℓ/∂η and −∂²ℓ/∂η².
#[derive(Clone, Copy)]
pub struct Slopes {
    pub score: f64,
    pub weight: f64,
}

/// The slopes with ∂³ℓ/∂η³ and, where there is a ζ, ∂ℓ/∂ζ, −∂²ℓ/∂η∂ζ, −∂²ℓ/∂ζ², ∂³ℓ/∂η²∂ζ.
#[derive(Clone, Copy, Default)]
pub struct Derivatives {
    pub score: f64,
    pub weight: f64,
    pub third: f64,
    pub score_zeta: f64,
    pub weight_mixed: f64,
    pub weight_zeta: f64,
    pub third_mixed: f64,
}

impl Derivatives {
    pub fn scaled(self, f: f64) -> Self {
        Derivatives {
            score: f * self.score,
            weight: f * self.weight,
            third: f * self.third,
            score_zeta: f * self.score_zeta,
            weight_mixed: f * self.weight_mixed,
            weight_zeta: f * self.weight_zeta,
            third_mixed: f * self.third_mixed,
        }
    }
}

pub trait Density: Sync {
    /// Adds the log density to a sum and returns its slopes.
    fn slopes(&self, row: Response, eta: f64, sum: &mut LogSum) -> Slopes;
    fn derivatives(&self, row: Response, eta: f64) -> Derivatives;
}

/// y of m trials, log odds η.
pub struct Logit;

/// μ and 1 − μ from e^{−|η|}.
#[inline(always)]
fn odds(eta: f64) -> (f64, f64, f64) {
    let small = (-eta.abs()).exp();
    let near = 1.0 / (1.0 + small);
    let far = small * near;
    if eta >= 0.0 {
        (near, far, small)
    } else {
        (far, near, small)
    }
}

impl Density for Logit {
    #[inline(always)]
    fn slopes(&self, row: Response, eta: f64, sum: &mut LogSum) -> Slopes {
        let (mu, rest, small) = odds(eta);
        let others = row.trials - row.y;
        sum.add(row.frequency * (row.y * eta.min(0.0) - others * eta.max(0.0)));
        sum.subtract_log1p(row.frequency * row.trials, small);
        Slopes {
            score: row.y * rest - others * mu,
            weight: row.trials * (mu * rest),
        }
    }

    #[inline(always)]
    fn derivatives(&self, row: Response, eta: f64) -> Derivatives {
        let (mu, rest, _) = odds(eta);
        let weight = row.trials * (mu * rest);
        Derivatives {
            score: row.y * rest - (row.trials - row.y) * mu,
            weight,
            third: weight * (mu - rest),
            ..Default::default()
        }
    }
}

/// log F(η) of a distribution function with three derivatives.
type Tail = (f64, f64, f64, f64);

fn joined(row: Response, events: Tail, others: Tail) -> (f64, Derivatives) {
    let failures = row.trials - row.y;
    let weighed = |one: f64, two: f64| {
        (if row.y == 0.0 { 0.0 } else { row.y * one })
            + (if failures == 0.0 { 0.0 } else { failures * two })
    };
    (
        weighed(events.0, others.0),
        Derivatives {
            score: weighed(events.1, others.1),
            weight: -weighed(events.2, others.2),
            third: weighed(events.3, others.3),
            ..Default::default()
        },
    )
}

macro_rules! by_tails {
    ($name:ident) => {
        impl Density for $name {
            fn slopes(&self, row: Response, eta: f64, sum: &mut LogSum) -> Slopes {
                let (value, found) = self.both(row, eta);
                sum.add(row.frequency * value);
                Slopes {
                    score: found.score,
                    weight: found.weight,
                }
            }

            fn derivatives(&self, row: Response, eta: f64) -> Derivatives {
                self.both(row, eta).1
            }
        }
    };
}

/// y of m trials, μ = 1 − exp(−e^η).
pub struct Cloglog;

impl Cloglog {
    fn both(&self, row: Response, eta: f64) -> (f64, Derivatives) {
        let w = eta.exp();
        let below = if w > 700.0 {
            (-(-w).exp(), 0.0, 0.0, 0.0)
        } else {
            let value = if w < LN_2 {
                (-(-w).exp_m1()).ln()
            } else {
                (-(-w).exp()).ln_1p()
            };
            let q = if w == 0.0 { 1.0 } else { w / w.exp_m1() };
            // log(1 − e^{−w}) tends to η
            let value = if w == 0.0 { eta } else { value };
            let bend = if w < 1e-8 { -0.5 * w } else { 1.0 - w - q };
            (value, q, q * bend, q * (bend * bend - w - q * bend))
        };
        joined(row, below, (-w, -w, -w, -w))
    }
}

by_tails!(Cloglog);

/// y of m trials, μ = Φ(η).
pub struct Probit;

extern "C" {
    fn erfc(x: f64) -> f64;
}

const LOG_ROOT_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// Below this Φ is taken from the continued fraction of Mills' ratio.
const FAR: f64 = -5.0;

/// log Φ(x) with three derivatives: λ, −λ(x + λ), λ((x + λ)(x + 2λ) − 1).
fn log_normal(x: f64) -> Tail {
    let (value, hazard) = if x < FAR {
        // (1 − Φ(t))/φ(t) = 1/(t + 1/(t + 2/(t + 3/(t + …)))), t = −x
        let t = -x;
        let mut fraction = t;
        for k in (1..=60).rev() {
            fraction = t + f64::from(k) / fraction;
        }
        (-0.5 * x * x - LOG_ROOT_TWO_PI - fraction.ln(), fraction)
    } else {
        // SAFETY: the C library's function takes and returns a number
        let (tail, value) = if x < 0.0 {
            let below = 0.5 * unsafe { erfc(-x * FRAC_1_SQRT_2) };
            (below, below.ln())
        } else {
            let above = 0.5 * unsafe { erfc(x * FRAC_1_SQRT_2) };
            (1.0 - above, (-above).ln_1p())
        };
        (value, (-0.5 * x * x - LOG_ROOT_TWO_PI).exp() / tail)
    };
    let sum = x + hazard;
    (
        value,
        hazard,
        -hazard * sum,
        hazard * (sum * (sum + hazard) - 1.0),
    )
}

impl Probit {
    fn both(&self, row: Response, eta: f64) -> (f64, Derivatives) {
        let (below, above) = (log_normal(eta), log_normal(-eta));
        joined(row, below, (above.0, -above.1, above.2, -above.3))
    }
}

by_tails!(Probit);

/// Counts with mean e^η.
pub struct Poisson;

impl Density for Poisson {
    #[inline(always)]
    fn slopes(&self, row: Response, eta: f64, sum: &mut LogSum) -> Slopes {
        let mu = eta.exp();
        sum.add(row.frequency * (row.y * eta - mu));
        Slopes {
            score: row.y - mu,
            weight: mu,
        }
    }

    #[inline(always)]
    fn derivatives(&self, row: Response, eta: f64) -> Derivatives {
        let mu = eta.exp();
        Derivatives {
            score: row.y - mu,
            weight: mu,
            third: -mu,
            ..Default::default()
        }
    }
}

/// Counts with mean e^η and variance μ + μ²/k, k = e^ζ: yη − (y + k) log(1 + μ/k), the sum over j < y of log(1 + j/k)
/// left out.
pub struct NegativeBinomial {
    pub zeta: f64,
    pub k: f64,
}

impl Density for NegativeBinomial {
    #[inline(always)]
    fn slopes(&self, row: Response, eta: f64, sum: &mut LogSum) -> Slopes {
        let d = eta - self.zeta;
        let (t, rest, small) = odds(d);
        let total = row.y + self.k;
        let log = d.max(0.0) + small.ln_1p();
        sum.add(row.frequency * (row.y * eta - total * log));
        Slopes {
            score: row.y * rest - self.k * t,
            weight: total * t * rest,
        }
    }

    #[inline(always)]
    fn derivatives(&self, row: Response, eta: f64) -> Derivatives {
        let d = eta - self.zeta;
        let (t, rest, small) = odds(d);
        let (k, total) = (self.k, row.y + self.k);
        let log = d.max(0.0) + small.ln_1p();
        let s = t * rest;
        Derivatives {
            score: row.y * rest - k * t,
            weight: total * s,
            third: -total * s * (rest - t),
            score_zeta: row.y * t - k * (log - t),
            weight_mixed: k * t - total * s,
            weight_zeta: k * log - 2.0 * k * t + total * s,
            third_mixed: total * s * (rest - t) - k * s,
        }
    }
}

/// Positive responses with mean e^η and shape ν = e^ζ: −ν(η + y/μ).
pub struct Gamma {
    pub shape: f64,
}

impl Density for Gamma {
    #[inline(always)]
    fn slopes(&self, row: Response, eta: f64, sum: &mut LogSum) -> Slopes {
        let q = row.y * (-eta).exp();
        sum.add(-row.frequency * self.shape * (eta + q));
        Slopes {
            score: self.shape * (q - 1.0),
            weight: self.shape * q,
        }
    }

    #[inline(always)]
    fn derivatives(&self, row: Response, eta: f64) -> Derivatives {
        let q = row.y * (-eta).exp();
        let (score, weight) = (self.shape * (q - 1.0), self.shape * q);
        Derivatives {
            score,
            weight,
            third: weight,
            score_zeta: -self.shape * (eta + q),
            weight_mixed: -score,
            weight_zeta: self.shape * (eta + q),
            third_mixed: -weight,
        }
    }
}

/// Responses with mean η and precision e^{−ζ}: −½(y − η)²e^{−ζ}.
pub struct Gaussian {
    pub precision: f64,
}

impl Density for Gaussian {
    #[inline(always)]
    fn slopes(&self, row: Response, eta: f64, sum: &mut LogSum) -> Slopes {
        let gap = row.y - eta;
        sum.add(-0.5 * row.frequency * self.precision * gap * gap);
        Slopes {
            score: self.precision * gap,
            weight: self.precision,
        }
    }

    #[inline(always)]
    fn derivatives(&self, row: Response, eta: f64) -> Derivatives {
        let gap = row.y - eta;
        let half = 0.5 * self.precision * gap * gap;
        Derivatives {
            score: self.precision * gap,
            weight: self.precision,
            third: 0.0,
            score_zeta: half,
            weight_mixed: self.precision * gap,
            weight_zeta: half,
            third_mixed: self.precision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(density: &dyn Density, row: Response, eta: f64) -> f64 {
        let mut sum = LogSum::default();
        density.slopes(row, eta, &mut sum);
        sum.total()
    }

    #[test]
    fn derivatives_are_those_of_the_value() {
        let row = Response {
            y: 2.0,
            trials: 5.0,
            frequency: 1.0,
        };
        let zeta = 0.4_f64;
        let densities: [Box<dyn Density>; 7] = [
            Box::new(Logit),
            Box::new(Cloglog),
            Box::new(Probit),
            Box::new(Poisson),
            Box::new(NegativeBinomial {
                zeta,
                k: zeta.exp(),
            }),
            Box::new(Gamma { shape: zeta.exp() }),
            Box::new(Gaussian {
                precision: (-zeta).exp(),
            }),
        ];
        for density in &densities {
            for eta in [-6.5, -1.3, 0.2, 1.1] {
                let step = 1e-4;
                let found = density.derivatives(row, eta);
                let slope = (value(density.as_ref(), row, eta + step)
                    - value(density.as_ref(), row, eta - step))
                    / (2.0 * step);
                assert!((slope - found.score).abs() < 1e-6 * (1.0 + slope.abs()));
                let near = [-step, step].map(|h| density.derivatives(row, eta + h));
                let second = (near[1].score - near[0].score) / (2.0 * step);
                assert!((second + found.weight).abs() < 1e-6 * (1.0 + second.abs()));
                let third = (near[0].weight - near[1].weight) / (2.0 * step);
                assert!((third - found.third).abs() < 1e-6 * (1.0 + third.abs()));
            }
        }
    }

    #[test]
    fn derivatives_in_zeta_are_those_of_the_others() {
        let row = Response {
            y: 3.0,
            trials: 1.0,
            frequency: 1.0,
        };
        let at: [&dyn Fn(f64) -> Box<dyn Density>; 3] = [
            &|zeta| {
                Box::new(NegativeBinomial {
                    zeta,
                    k: zeta.exp(),
                })
            },
            &|zeta| Box::new(Gamma { shape: zeta.exp() }),
            &|zeta| {
                Box::new(Gaussian {
                    precision: (-zeta).exp(),
                })
            },
        ];
        let (eta, zeta, step) = (0.7, 0.3, 1e-4);
        for make in at {
            let found = make(zeta).derivatives(row, eta);
            let values = [zeta - step, zeta + step].map(|z| value(make(z).as_ref(), row, eta));
            let near = [zeta - step, zeta + step].map(|z| make(z).derivatives(row, eta));
            let by = |a: f64, b: f64| (b - a) / (2.0 * step);
            assert!((by(values[0], values[1]) - found.score_zeta).abs() < 1e-6);
            assert!((by(near[0].score, near[1].score) + found.weight_mixed).abs() < 1e-6);
            assert!((by(near[0].score_zeta, near[1].score_zeta) + found.weight_zeta).abs() < 1e-6);
            assert!((by(near[0].weight, near[1].weight) + found.third_mixed).abs() < 1e-6);
        }
    }
}
