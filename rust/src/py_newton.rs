//! Many responses on one design, for Python.

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::cross_product::{row_major, DenseRows};
use crate::gram::{gram, DenseColumns};
use crate::newton::{refit, Entry, Refitted, Task};
use crate::py_blocked::{rows_of, Factor, PyBlocked};
use crate::threads::{map_parts, run};

type Flat<'py> = Bound<'py, PyArray1<f64>>;

/// Optima of several responses, one row each (flat): θ, criterion, σ², decrement, standardised β, (X'Ṽ⁻¹X)⁻¹, b̂; counts
/// of iterations and evaluations; and whether each optimum lies in the interior.
#[pyclass(name = "Refits", module = "mixedmodels._rust")]
pub struct PyRefits {
    results: Vec<Refitted>,
}

#[pymethods]
impl PyRefits {
    fn interior(&self) -> Vec<bool> {
        self.results.iter().map(|r| r.interior).collect()
    }

    fn counts(&self) -> Vec<(usize, usize)> {
        self.results
            .iter()
            .map(|r| (r.iterations, r.evaluations))
            .collect()
    }

    /// (θ, criterion, σ², decrement, β, (X'Ṽ⁻¹X)⁻¹ flat, b̂ flat) of response `i`.
    #[allow(clippy::type_complexity)]
    fn result<'py>(
        &self,
        py: Python<'py>,
        i: usize,
    ) -> PyResult<(Flat<'py>, f64, f64, f64, Flat<'py>, Flat<'py>, Flat<'py>)> {
        let r = self
            .results
            .get(i)
            .ok_or_else(|| PyValueError::new_err("no such response"))?;
        Ok((
            PyArray1::from_slice(py, &r.theta),
            r.value,
            r.sigma2,
            r.decrement,
            PyArray1::from_slice(py, &r.beta),
            PyArray1::from_slice(py, &r.h),
            PyArray1::from_slice(py, &r.b),
        ))
    }
}

/// Refit `responses` (k, n) on the design of `system`. `template` holds rows (chain factor, set, row, column, θ index);
/// `beta0` (k, r) are least-squares coefficients of the responses on the standardised columns.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn refit_responses(
    py: Python<'_>,
    system: PyRef<'_, PyBlocked>,
    chain: Vec<Factor<'_>>,
    x: PyReadonlyArray2<'_, f64>,
    responses: PyReadonlyArray2<'_, f64>,
    centre: PyReadonlyArray1<'_, f64>,
    scale: PyReadonlyArray1<'_, f64>,
    beta0: PyReadonlyArray2<'_, f64>,
    weights: Option<PyReadonlyArray1<'_, f64>>,
    template: PyReadonlyArray2<'_, i64>,
    start: PyReadonlyArray1<'_, f64>,
    settings: (f64, bool, f64, f64, usize),
    threads: usize,
) -> PyResult<PyRefits> {
    let (n, r) = (x.shape()[0], x.shape()[1]);
    let k = responses.shape()[0];
    let fits = responses.shape()[1] == n
        && beta0.shape() == [k, r]
        && centre.len() == r
        && scale.len() == r;
    let blocked = system.blocked();
    if !fits
        || template.shape()[1] != 5
        || chain.len() != blocked.cross.chain.len()
        || blocked.cross.tail_width > 0
    {
        return Err(PyValueError::new_err("the responses do not fit the system"));
    }
    let entries = entries(&template, start.len())?;
    let (nu, reml, constant, decrement, max_iterations) = settings;
    let task = Task {
        entries: &entries,
        n_theta: start.len(),
        nu,
        reml,
        constant,
        decrement,
        max_iterations,
    };
    let (centre, scale, start) = (centre.as_slice()?, scale.as_slice()?, start.as_slice()?);
    let (betas, view) = (beta0.as_slice()?, responses.as_array());
    let (x, w) = (x.as_array(), weights.as_ref().map(|w| w.as_array()));
    let chain = rows_of(&chain);
    let per_part = k.div_ceil(4 * threads.max(1)).max(1);
    let spans: Vec<(usize, usize)> = (0..k)
        .step_by(per_part)
        .map(|i| (i, (i + per_part).min(k)))
        .collect();
    let work = |(first, last): (usize, usize)| -> Vec<Refitted> {
        let mut own = blocked.clone();
        (first..last)
            .map(|i| {
                let y = view.row(i);
                let beta = &betas[i * r..(i + 1) * r];
                let columns = DenseColumns {
                    x,
                    y,
                    weights: w,
                    centre,
                    scale,
                    beta,
                };
                let rows = DenseRows {
                    x: row_major(x),
                    y,
                    centre,
                    scale,
                    beta0: beta,
                    weights: w,
                };
                refit(&mut own, &chain, &rows, gram(&columns), start, &task)
            })
            .collect()
    };
    let results = py.detach(|| {
        run(spans.len() <= 1 && n <= crate::gram::ROWS, threads, || {
            map_parts(spans, work)
        })
    })?;
    Ok(PyRefits {
        results: results.into_iter().flatten().collect(),
    })
}

fn entries(template: &PyReadonlyArray2<'_, i64>, n_theta: usize) -> PyResult<Vec<Entry>> {
    let view = template.as_array();
    let mut out = Vec::with_capacity(view.nrows());
    for row in view.rows() {
        let e = Entry {
            factor: row[0] as usize,
            set: row[1] as usize,
            row: row[2] as usize,
            column: row[3] as usize,
            theta: row[4] as usize,
        };
        if e.theta >= n_theta {
            return Err(PyValueError::new_err(
                "the template names a parameter that does not exist",
            ));
        }
        out.push(e);
    }
    Ok(out)
}

/// Adds the class and the function to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyRefits>()?;
    m.add_function(wrap_pyfunction!(refit_responses, m)?)
}
