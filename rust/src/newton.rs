//! Average-information Newton for many responses on one design whose factors form a chain and whose Λ is linear in θ.
//!
//! The loop of the optimiser in small: profiled σ², Λ entries as parameters, H = AI + ⟨Γ, Σ̈⟩, step halving, absolute
//! decrement. It handles optima in the interior only; a response whose optimum lies on the boundary, or that does not
//! converge, is handed back as such.

use crate::average_information::{chain_information, Direction};
use crate::backward::{Backward, TailSolution};
use crate::blocked_cholesky::Blocked;
use crate::cross_product::{response_products, DenseRows, FactorRows};
use crate::selected_inverse::backward;

/// One entry of Λ of a chain factor's parameter set that is the parameter `theta`.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub factor: usize,
    pub set: usize,
    pub row: usize,
    pub column: usize,
    pub theta: usize,
}

/// What all responses share.
pub struct Task<'a> {
    pub entries: &'a [Entry],
    pub n_theta: usize,
    /// n − rank for REML, n for ML.
    pub nu: f64,
    pub reml: bool,
    /// Constants of the criterion: −Σ log w and the scaling of X.
    pub constant: f64,
    pub decrement: f64,
    pub max_iterations: usize,
}

/// The optimum of one response; `interior` is false when it must be found by the general optimiser.
#[derive(Debug, Clone)]
pub struct Refitted {
    pub theta: Vec<f64>,
    pub value: f64,
    pub sigma2: f64,
    pub decrement: f64,
    pub iterations: usize,
    pub evaluations: usize,
    pub interior: bool,
    /// Coefficients of the standardised columns, on top of the least-squares ones.
    pub beta: Vec<f64>,
    /// (X'Ṽ⁻¹X)⁻¹ in standardised columns, lower triangle.
    pub h: Vec<f64>,
    /// b̂ of every chain factor, one after the other.
    pub b: Vec<f64>,
}

/// A diagonal entry of Λ below this counts as on the boundary.
const BOUNDARY: f64 = 1e-4;
const HALVINGS: usize = 20;

struct Point {
    value: f64,
    sigma2: f64,
    x: Vec<f64>,
    h: Vec<f64>,
}

struct Search<'a> {
    blocked: &'a mut Blocked,
    task: &'a Task<'a>,
    dense: Vec<f64>,
    schur: Vec<f64>,
    evaluations: usize,
}

/// Puts the response `rows.y` in place and finds its optimum from `start`.
pub fn refit(
    blocked: &mut Blocked,
    chain: &[FactorRows<'_>],
    rows: &DenseRows<'_>,
    dense: Vec<f64>,
    start: &[f64],
    task: &Task<'_>,
) -> Refitted {
    response_products(&mut blocked.cross, chain, rows);
    let d = blocked.cross.d;
    let mut search = Search {
        blocked,
        task,
        dense,
        schur: vec![0.0; d * d],
        evaluations: 0,
    };
    search.run(start)
}

impl Search<'_> {
    fn run(&mut self, start: &[f64]) -> Refitted {
        let mut theta = start.to_vec();
        let mut iterations = 0;
        let mut point = match self.evaluate(&theta) {
            Some(point) => point,
            None => return self.failed(theta, f64::NAN, iterations),
        };
        let mut decrement = f64::INFINITY;
        let mut last: Vec<Backward> = Vec::new();
        while iterations <= self.task.max_iterations {
            let (step, predicted) = match self.newton_step(&theta, &point, &mut last) {
                Some(found) => found,
                None => return self.failed(theta, point.value, iterations),
            };
            decrement = predicted;
            let done = decrement <= self.task.decrement;
            let Some((moved, next)) = self.descend(&theta, &point, &step, done) else {
                if done {
                    break;
                }
                return self.failed(theta, point.value, iterations);
            };
            theta = moved;
            point = next;
            iterations += 1;
            if done {
                break;
            }
        }
        // the factorisation may stand at a rejected trial: restore it before reading b̂
        let _ = self.evaluate(&theta);
        last = self.sweep(&point, true);
        let on_boundary = self
            .task
            .entries
            .iter()
            .any(|e| e.row == e.column && theta[e.theta].abs() < BOUNDARY);
        Refitted {
            interior: decrement <= self.task.decrement && !on_boundary,
            value: point.value,
            sigma2: point.sigma2,
            decrement,
            iterations,
            evaluations: self.evaluations,
            b: last.iter().flat_map(|f| f.b.iter().copied()).collect(),
            beta: point.x,
            h: point.h,
            theta,
        }
    }

    fn failed(&self, theta: Vec<f64>, value: f64, iterations: usize) -> Refitted {
        Refitted {
            theta,
            value,
            sigma2: f64::NAN,
            decrement: f64::INFINITY,
            iterations,
            evaluations: self.evaluations,
            interior: false,
            beta: Vec::new(),
            h: Vec::new(),
            b: Vec::new(),
        }
    }

    /// The criterion at θ, or None where it is not finite.
    fn evaluate(&mut self, theta: &[f64]) -> Option<Point> {
        self.evaluations += 1;
        for lambda in &mut self.blocked.lambda {
            lambda.values.fill(0.0);
        }
        for e in self.task.entries {
            let p = self.blocked.cross.chain[e.factor].p;
            self.blocked.lambda[e.factor].values[(e.set * p + e.row) * p + e.column] =
                theta[e.theta];
        }
        let logdet = self.blocked.eliminate(&self.dense, &mut self.schur);
        let d = self.blocked.cross.d;
        let r = d - 1;
        let (factor, logs) = cholesky(&self.schur, r, d)?;
        let half = forward(&factor, r, &self.schur[r * d..r * d + r]);
        let quadratic = self.schur[r * d + r] - half.iter().map(|v| v * v).sum::<f64>();
        if quadratic.is_nan() || quadratic <= 0.0 {
            return None;
        }
        let sigma2 = quadratic / self.task.nu;
        let fixed = if self.task.reml { 2.0 * logs } else { 0.0 };
        let value = self.task.constant
            + logdet
            + fixed
            + self.task.nu * (1.0 + (2.0 * std::f64::consts::PI * sigma2).ln());
        let h = inverse(&factor, r);
        let x = (0..r)
            .map(|i| {
                (0..r)
                    .map(|j| h[i.max(j) * r + i.min(j)] * self.schur[r * d + j])
                    .sum::<f64>()
            })
            .collect();
        value.is_finite().then_some(Point {
            value,
            sigma2,
            x,
            h,
        })
    }

    fn sweep(&self, point: &Point, unknown_beta: bool) -> Vec<Backward> {
        let zero;
        let h = if unknown_beta {
            &point.h
        } else {
            zero = vec![0.0; point.h.len()];
            &zero
        };
        backward(self.blocked, &TailSolution { h, x: &point.x }, false)
    }

    /// The Newton step and its predicted decrease at the factored θ.
    fn newton_step(
        &self,
        theta: &[f64],
        point: &Point,
        last: &mut Vec<Backward>,
    ) -> Option<(Vec<f64>, f64)> {
        let k = self.task.n_theta;
        *last = self.sweep(point, true);
        let traces = if self.task.reml {
            None
        } else {
            Some(self.sweep(point, false))
        };
        let gammas: Vec<Vec<f64>> = last
            .iter()
            .enumerate()
            .map(|(c, f)| {
                let trace = traces.as_ref().map_or(&f.trace, |t| &t[c].trace);
                trace
                    .iter()
                    .zip(&f.quadratic)
                    .map(|(t, q)| t - q / point.sigma2)
                    .collect()
            })
            .collect();
        let (directions, owner) = self.directions(theta);
        let mut gradient = vec![0.0; k];
        let mut pull = vec![0.0; k];
        for (direction, &a) in directions.iter().zip(&owner) {
            let size = direction.matrix.len();
            let span = direction.set as usize * size..(direction.set as usize + 1) * size;
            gradient[a] += dot(&gammas[direction.factor][span.clone()], &direction.matrix);
            pull[a] += dot(&last[direction.factor].quadratic[span], &direction.matrix);
        }
        let mut hessian = self.information(point, last, &directions, &owner, &pull);
        let information = hessian.clone();
        self.add_curvature(&gammas, &mut hessian);
        let factor = cholesky(&hessian, k, k)
            .or_else(|| ridged(&information, k))?
            .0;
        let half = forward(&factor, k, &gradient);
        let decrement = half.iter().map(|v| v * v).sum();
        let step = backward_solve(&factor, k, &half)
            .iter()
            .map(|v| -v)
            .collect();
        Some((step, decrement))
    }

    /// ∂Σ̃/∂θ for every (factor, set) a parameter appears in, and the parameter each belongs to.
    fn directions(&self, theta: &[f64]) -> (Vec<Direction>, Vec<usize>) {
        let mut directions: Vec<Direction> = Vec::new();
        let mut owner: Vec<usize> = Vec::new();
        for e in self.task.entries {
            let p = self.blocked.cross.chain[e.factor].p;
            let found = directions.iter().zip(&owner).position(|(d, &a)| {
                a == e.theta && d.factor == e.factor && d.set as usize == e.set
            });
            let at = found.unwrap_or_else(|| {
                directions.push(Direction {
                    factor: e.factor,
                    set: e.set as u32,
                    matrix: vec![0.0; p * p],
                });
                owner.push(e.theta);
                directions.len() - 1
            });
            let matrix = &mut directions[at].matrix;
            for other in self.task.entries {
                if (other.factor, other.set, other.column) == (e.factor, e.set, e.column) {
                    matrix[e.row * p + other.row] += theta[other.theta];
                    matrix[other.row * p + e.row] += theta[other.theta];
                }
            }
        }
        (directions, owner)
    }

    fn information(
        &self,
        point: &Point,
        last: &[Backward],
        directions: &[Direction],
        owner: &[usize],
        pull: &[f64],
    ) -> Vec<f64> {
        let (k, nd) = (self.task.n_theta, directions.len());
        let r = point.x.len();
        let out = chain_information(self.blocked, last, directions);
        let mut hessian = vec![0.0; k * k];
        for i in 0..nd {
            for j in 0..nd {
                let mut value = out.gram[i * nd + j];
                for m in 0..r {
                    for q in 0..r {
                        let h = point.h[m.max(q) * r + m.min(q)];
                        value -= out.rhs[m * nd + i] * h * out.rhs[q * nd + j];
                    }
                }
                hessian[owner[i] * k + owner[j]] += value / point.sigma2;
            }
        }
        let scale = point.sigma2 * point.sigma2 * self.task.nu;
        for i in 0..k {
            for j in 0..k {
                hessian[i * k + j] -= pull[i] * pull[j] / scale;
            }
        }
        hessian
    }

    /// ⟨Γ, Σ̈⟩: 2Γ between entries of one column of Λ.
    fn add_curvature(&self, gammas: &[Vec<f64>], hessian: &mut [f64]) {
        let k = self.task.n_theta;
        for a in self.task.entries {
            for b in self.task.entries {
                if (a.factor, a.set, a.column) == (b.factor, b.set, b.column) {
                    let p = self.blocked.cross.chain[a.factor].p;
                    hessian[a.theta * k + b.theta] +=
                        2.0 * gammas[a.factor][(a.set * p + a.row) * p + b.row];
                }
            }
        }
    }

    /// The first of the halved steps that does not raise the criterion.
    fn descend(
        &mut self,
        theta: &[f64],
        point: &Point,
        step: &[f64],
        last: bool,
    ) -> Option<(Vec<f64>, Point)> {
        let slack = 1e-12 * point.value.abs().max(1.0);
        let mut length = 1.0;
        for _ in 0..if last { 1 } else { HALVINGS } {
            let moved: Vec<f64> = theta
                .iter()
                .zip(step)
                .map(|(t, s)| t + length * s)
                .collect();
            if let Some(next) = self.evaluate(&moved) {
                if next.value <= point.value + slack {
                    return Some((moved, next));
                }
            }
            length *= 0.5;
        }
        None
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Lower Cholesky factor (k, k) of the leading block of a row-major matrix of row length `stride`, and Σ log L_jj.
fn cholesky(a: &[f64], k: usize, stride: usize) -> Option<(Vec<f64>, f64)> {
    let mut l = vec![0.0; k * k];
    let mut logs = 0.0;
    for i in 0..k {
        for j in 0..=i {
            let s = a[i * stride + j] - dot(&l[i * k..i * k + j], &l[j * k..j * k + j]);
            if i == j {
                // a pivot lost to rounding is no curvature
                if s.is_nan() || s <= 1e-10 * a[i * stride + i].abs() {
                    return None;
                }
                l[i * k + i] = s.sqrt();
                logs += l[i * k + i].ln();
            } else {
                l[i * k + j] = s / l[j * k + j];
            }
        }
    }
    Some((l, logs))
}

/// The information with its diagonal raised until it can be factored.
fn ridged(information: &[f64], k: usize) -> Option<(Vec<f64>, f64)> {
    let mut damping = 1e-4;
    while damping < 1e3 {
        let mut raised = information.to_vec();
        for i in 0..k {
            raised[i * k + i] += damping * information[i * k + i].abs() + 1e-300;
        }
        if let Some(found) = cholesky(&raised, k, k) {
            return Some(found);
        }
        damping *= 10.0;
    }
    None
}

fn forward(l: &[f64], k: usize, b: &[f64]) -> Vec<f64> {
    let mut x = vec![0.0; k];
    for i in 0..k {
        x[i] = (b[i] - dot(&l[i * k..i * k + i], &x[..i])) / l[i * k + i];
    }
    x
}

fn backward_solve(l: &[f64], k: usize, b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in (0..k).rev() {
        x[i] /= l[i * k + i];
        for j in 0..i {
            x[j] -= l[i * k + j] * x[i];
        }
    }
    x
}

fn inverse(l: &[f64], k: usize) -> Vec<f64> {
    let mut out = vec![0.0; k * k];
    let mut unit = vec![0.0; k];
    for j in 0..k {
        unit.fill(0.0);
        unit[j] = 1.0;
        let column = backward_solve(l, k, &forward(l, k, &unit));
        for (i, v) in column.iter().enumerate() {
            out[i * k + j] = *v;
        }
    }
    out
}
