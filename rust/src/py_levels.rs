//! Laplace's approximation by levels for Python.

use numpy::{
    PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::level_modes::{evaluate, At, Sums};
use crate::level_rows::{furthest, rows_at, without_effects, LevelRows};
use crate::row_densities::{Cloglog, Gamma, Gaussian, Logit, NegativeBinomial, Poisson, Probit};
use crate::threads::run;

type Flat<'py> = Bound<'py, PyArray1<f64>>;
type Evaluated<'py> = (f64, Flat<'py>, Flat<'py>, Flat<'py>, Flat<'py>, Flat<'py>);

/// Rows up to which everything happens on the calling thread.
const FEW: usize = 50_000;

#[derive(Clone, Copy)]
enum Kind {
    Logit,
    Cloglog,
    Probit,
    Poisson,
    NegativeBinomial,
    Gamma,
    Gaussian,
}

fn kind_of(name: &str) -> PyResult<Kind> {
    Ok(match name {
        "logit" => Kind::Logit,
        "cloglog" => Kind::Cloglog,
        "probit" => Kind::Probit,
        "poisson" => Kind::Poisson,
        "nb2" => Kind::NegativeBinomial,
        "gamma" => Kind::Gamma,
        "gaussian" => Kind::Gaussian,
        _ => return Err(PyValueError::new_err(format!("no density {name}"))),
    })
}

/// Calls `$call` with `$density` bound to the density of a kind at ζ.
macro_rules! with_density {
    ($kind:expr, $zeta:expr, $density:ident => $call:expr) => {{
        let zeta: f64 = $zeta;
        match $kind {
            Kind::Logit => {
                let $density = &Logit;
                $call
            }
            Kind::Cloglog => {
                let $density = &Cloglog;
                $call
            }
            Kind::Probit => {
                let $density = &Probit;
                $call
            }
            Kind::Poisson => {
                let $density = &Poisson;
                $call
            }
            Kind::NegativeBinomial => {
                let $density = &NegativeBinomial {
                    zeta,
                    k: zeta.exp(),
                };
                $call
            }
            Kind::Gamma => {
                let $density = &Gamma { shape: zeta.exp() };
                $call
            }
            Kind::Gaussian => {
                let $density = &Gaussian {
                    precision: (-zeta).exp(),
                };
                $call
            }
        }
    }};
}

/// The rows of one grouping factor, sorted by level, with what is kept between evaluations.
#[pyclass(module = "mixedmodels._rust")]
pub struct LevelModes {
    rows: LevelRows,
    /// Place in the caller's order of every row.
    order: Vec<usize>,
    kind: Kind,
    p: usize,
    threads: usize,
    base: Vec<f64>,
    next: Vec<f64>,
    effects: Vec<f64>,
    duals: Vec<f64>,
}

fn placed(order: &[usize], values: &[f64], width: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(values.len());
    for &i in order {
        out.extend_from_slice(&values[i * width..(i + 1) * width]);
    }
    out
}

fn optional(
    order: &[usize],
    values: Option<PyReadonlyArray1<'_, f64>>,
) -> PyResult<Option<Vec<f64>>> {
    values
        .map(|own| {
            let own = own.as_slice()?;
            if own.len() != order.len() {
                return Err(misfit());
            }
            Ok(placed(order, own, 1))
        })
        .transpose()
}

fn misfit() -> PyErr {
    PyValueError::new_err("the arrays of rows, levels and coefficients do not fit together")
}

fn flat<'py>(py: Python<'py>, sums: Sums) -> Evaluated<'py> {
    (
        sums.value,
        PyArray1::from_vec(py, sums.slope),
        PyArray1::from_vec(py, sums.score),
        PyArray1::from_vec(py, sums.gammas),
        PyArray1::from_vec(py, sums.traces),
        PyArray1::from_vec(py, sums.gram),
    )
}

#[pymethods]
impl LevelModes {
    /// Rows with responses y (n,), trials, frequency and offset (n,) or None, levels `codes` (n,) of `sets.len()`, Z
    /// (n, p) or None for one column of ones, X (n, r), the value of the column of ζ (0 for none), the set of
    /// covariances of every level, the number of sets and of directions.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        density: &str,
        y: PyReadonlyArray1<'_, f64>,
        trials: Option<PyReadonlyArray1<'_, f64>>,
        frequency: Option<PyReadonlyArray1<'_, f64>>,
        offset: Option<PyReadonlyArray1<'_, f64>>,
        codes: PyReadonlyArray1<'_, i64>,
        z: Option<PyReadonlyArray2<'_, f64>>,
        x: PyReadonlyArray2<'_, f64>,
        scale: f64,
        sets: PyReadonlyArray1<'_, i64>,
        n_sets: usize,
        directions: usize,
        threads: usize,
    ) -> PyResult<Self> {
        let kind = kind_of(density)?;
        let (n, r) = (x.shape()[0], x.shape()[1]);
        let p = z.as_ref().map_or(1, |z| z.shape()[1]);
        let (codes, sets) = (codes.as_slice()?, sets.as_slice()?);
        let levels = sets.len();
        let fits = y.len() == n
            && codes.len() == n
            && z.as_ref().is_none_or(|z| z.shape()[0] == n)
            && (1..=3).contains(&p)
            && codes.iter().all(|&c| c >= 0 && (c as usize) < levels)
            && sets.iter().all(|&s| s >= 0 && (s as usize) < n_sets);
        if !fits {
            return Err(misfit());
        }
        let mut starts = vec![0usize; levels + 1];
        for &code in codes {
            starts[code as usize + 1] += 1;
        }
        for level in 0..levels {
            starts[level + 1] += starts[level];
        }
        let mut next = starts.clone();
        let mut order = vec![0usize; n];
        for (i, &code) in codes.iter().enumerate() {
            order[next[code as usize]] = i;
            next[code as usize] += 1;
        }
        let rows = LevelRows {
            starts,
            y: placed(&order, y.as_slice()?, 1),
            trials: optional(&order, trials)?,
            frequency: optional(&order, frequency)?,
            offset: optional(&order, offset)?,
            z: match z {
                None => Vec::new(),
                Some(z) => placed(&order, z.as_slice()?, p),
            },
            x: placed(&order, x.as_slice()?, r),
            r,
            scale,
            sets: sets.iter().map(|&s| s as u32).collect(),
            n_sets,
            k: directions,
        };
        let kept = rows.kept(p) * levels;
        Ok(LevelModes {
            rows,
            order,
            kind,
            p,
            threads,
            base: vec![0.0; kept],
            next: vec![0.0; kept],
            effects: vec![0.0; levels * p],
            duals: vec![0.0; levels * p],
        })
    }

    /// Value, slopes and scores of coefficients, Γ and T by set, and the Gram matrix over directions and coefficients,
    /// all flat, at coefficients β, ζ and Λ by set; None where a mode is not found. Without directions the last is empty.
    #[allow(clippy::too_many_arguments)]
    fn evaluate<'py>(
        &mut self,
        py: Python<'py>,
        beta: PyReadonlyArray1<'_, f64>,
        zeta: f64,
        roots: PyReadonlyArray3<'_, f64>,
        tolerance: f64,
        directions: Option<PyReadonlyArray1<'_, f64>>,
        moved: Option<(PyReadonlyArray3<'_, f64>, PyReadonlyArray1<'_, f64>)>,
    ) -> PyResult<Option<Evaluated<'py>>> {
        let (p, rows) = (self.p, &self.rows);
        let entries = rows.n_sets * p * p;
        let given = moved
            .as_ref()
            .map(|(sigma, step)| Ok::<_, PyErr>((sigma.as_slice()?, step.as_slice()?)))
            .transpose()?;
        let directions = directions.as_ref().map(|d| d.as_slice()).transpose()?;
        let fits = beta.len() == rows.r
            && roots.len() == entries
            && directions.is_none_or(|d| d.len() == rows.k * entries)
            && given.is_none_or(|(s, b)| s.len() == entries && b.len() == rows.coefficients());
        if !fits {
            return Err(misfit());
        }
        let at = At {
            beta: beta.as_slice()?,
            roots: roots.as_slice()?,
            tolerance,
            directions,
            moved: given,
        };
        let (base, next) = (&self.base, &mut self.next);
        let (effects, duals) = (&mut self.effects, &mut self.duals);
        let single = rows.y.len() < FEW;
        let threads = self.threads;
        let found = with_density!(self.kind, zeta, density => {
            let density = &density;
            py.detach(|| run(single, threads, move || match p {
                1 => evaluate::<1, _>(rows, *density, &at, base, next, effects, duals),
                2 => evaluate::<2, _>(rows, *density, &at, base, next, effects, duals),
                _ => evaluate::<3, _>(rows, *density, &at, base, next, effects, duals),
            }))?
        });
        Ok(found.map(|sums| flat(py, sums)))
    }

    /// Predicts modes from here on from where `evaluate` was last called with directions.
    fn settle(&mut self) {
        std::mem::swap(&mut self.base, &mut self.next);
    }

    /// b and its dual by level (q, p), flat, where `evaluate` was last called.
    fn effects<'py>(&self, py: Python<'py>) -> (Flat<'py>, Flat<'py>) {
        (
            PyArray1::from_slice(py, &self.effects),
            PyArray1::from_slice(py, &self.duals),
        )
    }

    /// Starts the next search for the modes from duals by level (q, p), flat.
    fn start_from(&mut self, duals: PyReadonlyArray1<'_, f64>) -> PyResult<()> {
        let given = duals.as_slice()?;
        if given.len() != self.duals.len() {
            return Err(misfit());
        }
        self.duals.copy_from_slice(given);
        Ok(())
    }

    /// −2Σℓ, X's and X'WX (flat) of the model without random effects.
    fn without_effects<'py>(
        &self,
        py: Python<'py>,
        beta: PyReadonlyArray1<'_, f64>,
        zeta: f64,
    ) -> PyResult<(f64, Flat<'py>, Flat<'py>)> {
        let rows = &self.rows;
        if beta.len() != rows.r {
            return Err(misfit());
        }
        let own = beta.as_slice()?;
        let single = rows.y.len() < FEW;
        let threads = self.threads;
        let sums = with_density!(self.kind, zeta, density => {
            let density = &density;
            py.detach(|| run(single, threads, move || without_effects(rows, *density, own)))?
        });
        Ok((
            sums.value,
            PyArray1::from_vec(py, sums.score),
            PyArray1::from_vec(py, sums.gram),
        ))
    }

    /// η, ∂ℓ/∂η and −∂²ℓ/∂η² of every row, in the caller's order, where `evaluate` was last called.
    fn rows_at<'py>(
        &self,
        py: Python<'py>,
        beta: PyReadonlyArray1<'_, f64>,
        zeta: f64,
    ) -> PyResult<(Flat<'py>, Flat<'py>, Flat<'py>)> {
        if beta.len() != self.rows.r {
            return Err(misfit());
        }
        let own = beta.as_slice()?;
        let (rows, b) = (&self.rows, &self.effects);
        let found = with_density!(self.kind, zeta, density => match self.p {
            1 => rows_at::<1, _>(rows, density, own, b),
            2 => rows_at::<2, _>(rows, density, own, b),
            _ => rows_at::<3, _>(rows, density, own, b),
        });
        let [eta, score, weight] = found.map(|sorted| {
            let mut out = vec![0.0; sorted.len()];
            for (&i, value) in self.order.iter().zip(sorted) {
                out[i] = value;
            }
            PyArray1::from_vec(py, out)
        });
        Ok((eta, score, weight))
    }

    /// How far a step in the parameters of Σ and the coefficients moves a predictor at most, from where it was settled.
    fn furthest(
        &self,
        py: Python<'_>,
        theta: PyReadonlyArray1<'_, f64>,
        beta: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<f64> {
        if theta.len() != self.rows.k || beta.len() != self.rows.r {
            return Err(misfit());
        }
        let (theta, beta) = (theta.as_slice()?, beta.as_slice()?);
        let (rows, base, p) = (&self.rows, &self.base, self.p);
        let single = rows.y.len() < FEW;
        let threads = self.threads;
        Ok(py.detach(|| {
            run(single, threads, move || match p {
                1 => furthest::<1>(rows, base, theta, beta),
                2 => furthest::<2>(rows, base, theta, beta),
                _ => furthest::<3>(rows, base, theta, beta),
            })
        })?)
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<LevelModes>()
}
