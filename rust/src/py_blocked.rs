//! `Blocked` for Python: checks shapes, releases the GIL, runs in its own thread pool.

use numpy::{
    PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::average_information::{
    chain_information, chain_products, level_columns, prediction_variance, ChainInformation,
    Direction, NewRows,
};
use crate::backward::{Backward, TailSolution};
use crate::blocked_cholesky::{Blocked, CHUNK};
use crate::chain_solve::{reduce, substitute};
use crate::cross_product::{cross_products, row_major, CrossProducts, DenseRows, FactorRows};
use crate::error::{room, KernelError};
use crate::predictions::predictions;
use crate::selected_inverse::backward;
use crate::threads::run;

/// Rows from which threads share the sums over levels.
pub const SHARED_ROWS: usize = 50_000;

pub type Factor<'py> = (
    PyReadonlyArray1<'py, i32>,
    Option<PyReadonlyArray2<'py, f64>>,
    usize,
    usize,
);
type Flat<'py> = Bound<'py, PyArray1<f64>>;

/// The chain part of the mixed-model equations of one design.
#[pyclass(name = "Blocked", module = "mixedmodels._rust")]
pub struct PyBlocked {
    blocked: Blocked,
    backward: Vec<Backward>,
    threads: usize,
}

pub fn rows_of<'a>(factors: &'a [Factor<'_>]) -> Vec<FactorRows<'a>> {
    factors
        .iter()
        .map(|(codes, values, p, q)| FactorRows {
            codes: codes.as_slice().unwrap_or(&[]),
            values: values.as_ref().map(|v| row_major(v.as_array())),
            p: *p,
            q: *q,
        })
        .collect()
}

impl PyBlocked {
    pub fn blocked(&self) -> &Blocked {
        &self.blocked
    }

    /// The equations of cross-products, with the parameter set of every level of each chain factor.
    pub fn of(
        cross: CrossProducts,
        sets: &[PyReadonlyArray1<'_, i32>],
        threads: usize,
    ) -> PyResult<PyBlocked> {
        if sets.len() != cross.chain.len() {
            return Err(PyValueError::new_err(
                "one array of parameter sets per chain factor is needed",
            ));
        }
        let mut owned = Vec::with_capacity(sets.len());
        for (s, f) in sets.iter().zip(&cross.chain) {
            let s: Vec<u32> = s.as_array().iter().map(|&v| v as u32).collect();
            if s.len() != f.q {
                return Err(PyValueError::new_err(
                    "sets and levels of a chain factor differ in number",
                ));
            }
            owned.push(s);
        }
        Ok(PyBlocked {
            blocked: Blocked::new(cross, owned),
            backward: Vec::new(),
            threads,
        })
    }

    /// Right-hand sides, flat (q, p, count) per chain factor, as vectors of our own.
    fn right_sides(
        &self,
        given: &[PyReadonlyArray1<'_, f64>],
        count: usize,
    ) -> PyResult<Vec<Vec<f64>>> {
        let chain = &self.blocked.cross.chain;
        let owned: Vec<Vec<f64>> = given.iter().map(|c| c.as_array().to_vec()).collect();
        room((self.blocked.cross.tail_width + count) as f64 * count as f64)?;
        let sizes = chain.iter().map(|f| f.q * f.p * count);
        if owned.len() != chain.len() || owned.iter().zip(sizes).any(|(c, size)| c.len() != size) {
            return Err(PyValueError::new_err(
                "numbers given by level do not fit the chain factors",
            ));
        }
        Ok(owned)
    }

    fn check_schur(&self, shape: &[usize]) -> PyResult<()> {
        let total = self.blocked.cross.tail_width + self.blocked.cross.d;
        if shape != [total, total] {
            return Err(PyValueError::new_err(format!(
                "schur must be {total} by {total}, not {shape:?}"
            )));
        }
        Ok(())
    }
}

#[pymethods]
impl PyBlocked {
    /// Accumulate cross-products. `chain` and `tail` are lists of (codes, values or None, p, q); `sets` one array per
    /// chain factor with the parameter set of every level.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        chain: Vec<Factor<'_>>,
        tail: Vec<Factor<'_>>,
        sets: Vec<PyReadonlyArray1<'_, i32>>,
        x: PyReadonlyArray2<'_, f64>,
        y: PyReadonlyArray1<'_, f64>,
        centre: PyReadonlyArray1<'_, f64>,
        scale: PyReadonlyArray1<'_, f64>,
        beta0: PyReadonlyArray1<'_, f64>,
        weights: Option<PyReadonlyArray1<'_, f64>>,
        threads: usize,
    ) -> PyResult<PyBlocked> {
        let rows = DenseRows {
            x: row_major(x.as_array()),
            y: y.as_array(),
            centre: centre.as_slice()?,
            scale: scale.as_slice()?,
            beta0: beta0.as_slice()?,
            weights: weights.as_ref().map(|w| w.as_array()),
        };
        let (chain_rows, tail_rows) = (rows_of(&chain), rows_of(&tail));
        let parts = if y.len() < SHARED_ROWS { 1 } else { threads };
        let cross = py.detach(|| {
            run(parts <= 1, threads, || {
                cross_products(&chain_rows, &tail_rows, &rows, parts)
            })?
        })?;
        PyBlocked::of(cross, &sets, threads)
    }

    /// Cross-products among tail columns (lower triangle, flat) and of the tail with the dense columns (flat).
    fn tail_products<'py>(&self, py: Python<'py>) -> (Flat<'py>, Flat<'py>) {
        let cross = &self.blocked.cross;
        (
            PyArray1::from_slice(py, &cross.tail),
            PyArray1::from_slice(py, &cross.tail_dense),
        )
    }

    /// The level of every factor above that each level of chain factor `c` lies in.
    fn ancestors<'py>(
        &self,
        py: Python<'py>,
        c: usize,
    ) -> PyResult<Vec<Bound<'py, PyArray1<u32>>>> {
        let chain = &self.blocked.cross.chain;
        let f = chain
            .get(c)
            .ok_or_else(|| PyValueError::new_err(format!("there is no chain factor {c}")))?;
        Ok(f.ancestors
            .iter()
            .map(|a| PyArray1::from_slice(py, a))
            .collect())
    }

    /// Raw cross-products of chain factor `c`: blocks (q·p·p), ancestors, dense (q·p·d), tail starts, columns, values.
    #[allow(clippy::type_complexity)]
    fn chain_products<'py>(
        &self,
        py: Python<'py>,
        c: usize,
    ) -> PyResult<(
        Flat<'py>,
        Flat<'py>,
        Flat<'py>,
        Bound<'py, PyArray1<u64>>,
        Bound<'py, PyArray1<u32>>,
        Flat<'py>,
    )> {
        let chain = &self.blocked.cross.chain;
        let f = chain
            .get(c)
            .ok_or_else(|| PyValueError::new_err(format!("there is no chain factor {c}")))?;
        let start: Vec<u64> = f.tail_start.iter().map(|&s| s as u64).collect();
        Ok((
            PyArray1::from_slice(py, &f.block),
            PyArray1::from_slice(py, &f.ancestor),
            PyArray1::from_slice(py, &f.dense),
            PyArray1::from_vec(py, start),
            PyArray1::from_slice(py, &f.tail_column),
            PyArray1::from_slice(py, &f.tail),
        ))
    }

    /// Eliminate the chain at Λ (flat (sets, p, p) per factor); fills the lower triangle of `schur` (T, T) and returns
    /// the log-determinant of the chain.
    fn eliminate(
        &mut self,
        py: Python<'_>,
        factors: Vec<PyReadonlyArray1<'_, f64>>,
        dense: PyReadonlyArray2<'_, f64>,
        mut schur: PyReadwriteArray2<'_, f64>,
    ) -> PyResult<f64> {
        self.check_schur(schur.shape())?;
        if dense.shape() != [self.blocked.cross.d; 2] {
            return Err(PyValueError::new_err("dense must be d by d"));
        }
        for (lambda, values) in self.blocked.lambda.iter_mut().zip(&factors) {
            let values = values.as_slice()?;
            if values.len() != lambda.values.len() {
                return Err(PyValueError::new_err(
                    "a factor has the wrong number of entries",
                ));
            }
            lambda.values.copy_from_slice(values);
        }
        let (dense, schur) = (dense.as_slice()?, schur.as_slice_mut()?);
        let (single, threads) = (self.blocked.single_part(), self.threads);
        let blocked = &mut self.blocked;
        Ok(py.detach(|| run(single, threads, || blocked.eliminate(dense, schur)))?)
    }

    /// The backward sweep given H lower (m, m) and x (m); returns per factor (trace, quadratic), flat (sets, p, p).
    #[allow(clippy::type_complexity)]
    fn backward<'py>(
        &mut self,
        py: Python<'py>,
        h: PyReadonlyArray2<'_, f64>,
        x: PyReadonlyArray1<'_, f64>,
        keep_levels: bool,
    ) -> PyResult<Vec<(Flat<'py>, Flat<'py>)>> {
        let m = self.blocked.cross.tail_width + self.blocked.cross.d - 1;
        if h.shape() != [m, m] || x.len() != m {
            return Err(PyValueError::new_err(format!(
                "h must be {m} by {m} and x of length {m}"
            )));
        }
        let tail = TailSolution {
            h: h.as_slice()?,
            x: x.as_slice()?,
        };
        let (blocked, threads) = (&self.blocked, self.threads);
        // what the sweep keeps of every level is at most three times its cross-products
        let held: usize = blocked
            .cross
            .chain
            .iter()
            .map(|f| f.block.len() + f.tail.len())
            .sum();
        room(3.0 * held as f64)?;
        self.backward = py.detach(|| {
            run(blocked.single_part(), threads, || {
                backward(blocked, &tail, keep_levels)
            })
        })?;
        Ok(self
            .backward
            .iter()
            .map(|b| {
                (
                    PyArray1::from_slice(py, &b.trace),
                    PyArray1::from_slice(py, &b.quadratic),
                )
            })
            .collect())
    }

    /// b̂ of every level, flat (q, p) per chain factor, from the solution x (m) of the tail alone.
    fn predictions<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<Vec<Flat<'py>>> {
        let m = self.blocked.cross.tail_width + self.blocked.cross.d - 1;
        if x.len() != m {
            return Err(PyValueError::new_err(format!("x must be of length {m}")));
        }
        let (blocked, x, threads) = (&self.blocked, x.as_slice()?, self.threads);
        let found =
            py.detach(|| run(blocked.single_part(), threads, || predictions(blocked, x)))?;
        Ok(found
            .into_iter()
            .map(|b| PyArray1::from_vec(py, b))
            .collect())
    }

    /// b̂ and Z'P̃y of chain factor `c` (flat (q, p)) and T of every level if kept (flat (q, p, p)).
    fn levels<'py>(
        &self,
        py: Python<'py>,
        c: usize,
    ) -> PyResult<(Flat<'py>, Flat<'py>, Flat<'py>)> {
        let b = self
            .backward
            .get(c)
            .ok_or_else(|| PyValueError::new_err("call backward first"))?;
        Ok((
            PyArray1::from_slice(py, &b.b),
            PyArray1::from_slice(py, &b.r),
            PyArray1::from_slice(py, &b.t),
        ))
    }

    /// Chain share of the average information: (rhs flat (m, D), gram flat (D, D)). Directions are
    /// (chain factor, set, flat matrix).
    fn information<'py>(
        &self,
        py: Python<'py>,
        directions: Vec<(usize, u32, PyReadonlyArray1<'_, f64>)>,
    ) -> PyResult<(Flat<'py>, Flat<'py>)> {
        if self.backward.len() != self.blocked.cross.chain.len() {
            return Err(PyValueError::new_err("call backward first"));
        }
        let mut owned = Vec::with_capacity(directions.len());
        for (factor, set, matrix) in &directions {
            let matrix = matrix.as_slice()?.to_vec();
            if self
                .blocked
                .cross
                .chain
                .get(*factor)
                .is_none_or(|f| matrix.len() != f.p * f.p)
            {
                return Err(PyValueError::new_err(
                    "a direction names no chain factor or has the wrong size",
                ));
            }
            owned.push(Direction {
                factor: *factor,
                set: *set,
                matrix,
            });
        }
        let (blocked, back, threads) = (&self.blocked, &self.backward, self.threads);
        let out = py.detach(|| {
            run(blocked.single_part(), threads, || {
                chain_information(blocked, back, &owned)
            })
        })?;
        Ok((
            PyArray1::from_vec(py, out.rhs),
            PyArray1::from_vec(py, out.gram),
        ))
    }

    /// Z'Ṽ⁻¹X of every level, flat (q, p, r) per chain factor, given `x_tail` (tail, r).
    fn level_columns<'py>(
        &self,
        py: Python<'py>,
        x_tail: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Vec<Flat<'py>>> {
        let cross = &self.blocked.cross;
        if x_tail.shape() != [cross.tail_width, cross.d - 1] {
            return Err(PyValueError::new_err("x_tail has the wrong shape"));
        }
        let (blocked, x) = (&self.blocked, x_tail.as_slice()?);
        let all = py.detach(|| run(true, 1, || level_columns(blocked, x)))?;
        Ok(all.into_iter().map(|u| PyArray1::from_vec(py, u)).collect())
    }

    /// For f_a = Z c_a with coefficients flat (q, p, D) per chain factor: (rhs flat (m, D), f'V₁⁻¹f flat (D, D)).
    fn products<'py>(
        &self,
        py: Python<'py>,
        coefficients: Vec<PyReadonlyArray1<'_, f64>>,
        count: usize,
    ) -> PyResult<(Flat<'py>, Flat<'py>)> {
        let cross = &self.blocked.cross;
        let owned = self.right_sides(&coefficients, count)?;
        let m = cross.tail_width + cross.d - 1;
        let (blocked, threads) = (&self.blocked, self.threads);
        let work = || {
            let mut out = ChainInformation {
                rhs: vec![0.0; m * count],
                gram: vec![0.0; count * count],
            };
            chain_products(blocked, &owned, count, &mut out);
            out
        };
        let out = py.detach(|| run(blocked.single_part(), threads, work))?;
        Ok((
            PyArray1::from_vec(py, out.rhs),
            PyArray1::from_vec(py, out.gram),
        ))
    }

    /// What right-hand sides g, flat (q, p, count) per chain factor, leave on the tail: −Z_t'WZ_cC₁g, flat (tail, count).
    fn reduce<'py>(
        &self,
        py: Python<'py>,
        sides: Vec<PyReadonlyArray1<'_, f64>>,
        count: usize,
    ) -> PyResult<Flat<'py>> {
        let mut owned = self.right_sides(&sides, count)?;
        let mut tail = vec![0.0; self.blocked.cross.tail_width * count];
        let blocked = &self.blocked;
        py.detach(|| run(true, 1, || reduce(blocked, count, &mut owned, &mut tail)))?;
        Ok(PyArray1::from_vec(py, tail))
    }

    /// C₁(g − Z_c'WZ_t x), flat (q, p, count) per chain factor, for the solution x (tail, count) of the tail.
    fn substitute<'py>(
        &self,
        py: Python<'py>,
        sides: Vec<PyReadonlyArray1<'_, f64>>,
        x_tail: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Vec<Flat<'py>>> {
        let (width, count) = (self.blocked.cross.tail_width, x_tail.shape()[1]);
        let mut owned = self.right_sides(&sides, count)?;
        if x_tail.shape()[0] != width {
            return Err(PyValueError::new_err("x_tail has the wrong shape"));
        }
        let x = x_tail.as_slice()?;
        let mut tail = vec![0.0; width * count];
        let blocked = &self.blocked;
        let work = || {
            reduce(blocked, count, &mut owned, &mut tail);
            substitute(blocked, count, &mut owned, x);
        };
        py.detach(|| run(true, 1, work))?;
        Ok(owned
            .into_iter()
            .map(|b| PyArray1::from_vec(py, b))
            .collect())
    }

    /// var/σ² of new rows; `chain` and `tail` hold (codes, flat values) per factor, tail with (p, offset).
    #[allow(clippy::type_complexity)]
    fn prediction_variance<'py>(
        &self,
        py: Python<'py>,
        h: PyReadonlyArray2<'_, f64>,
        x: PyReadonlyArray2<'_, f64>,
        chain: Vec<(PyReadonlyArray1<'_, i32>, PyReadonlyArray1<'_, f64>)>,
        tail: Vec<(
            PyReadonlyArray1<'_, i32>,
            PyReadonlyArray1<'_, f64>,
            usize,
            usize,
        )>,
    ) -> PyResult<Flat<'py>> {
        let n = x.shape()[0];
        let m = self.blocked.cross.tail_width + self.blocked.cross.d - 1;
        if h.shape() != [m, m] || x.shape()[1] + 1 != self.blocked.cross.d {
            return Err(PyValueError::new_err("h or x has the wrong shape"));
        }
        let zeros = vec![0.0; m];
        let solution = TailSolution {
            h: h.as_slice()?,
            x: &zeros,
        };
        let mut rows = NewRows {
            n,
            chain: vec![],
            tail: vec![],
            x: x.as_slice()?,
        };
        for ((codes, values), f) in chain.iter().zip(&self.blocked.cross.chain) {
            let (codes, values) = (codes.as_slice()?, values.as_slice()?);
            check_rows(codes, values, n, f.p, f.q)?;
            rows.chain.push((codes, values));
        }
        for (codes, values, p, offset) in &tail {
            let (codes, values) = (codes.as_slice()?, values.as_slice()?);
            let after = self.blocked.cross.tail_width.saturating_sub(*offset);
            check_rows(codes, values, n, *p, after / (*p).max(1))?;
            rows.tail.push((codes, values, *p, *offset));
        }
        let (blocked, threads) = (&self.blocked, self.threads);
        let work = || prediction_variance(blocked, &solution, &rows);
        let out = py.detach(|| run(n <= CHUNK, threads, work))?;
        Ok(PyArray1::from_vec(py, out))
    }
}

fn check_rows(
    codes: &[i32],
    values: &[f64],
    n: usize,
    p: usize,
    q: usize,
) -> Result<(), KernelError> {
    if codes.len() != n || values.len() != n * p || codes.iter().any(|&c| c >= q as i32) {
        return Err(KernelError::Shape(
            "codes or values of new rows do not fit the factor".into(),
        ));
    }
    Ok(())
}

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyBlocked>()
}
