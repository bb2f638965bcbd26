//! Column moments and cross-products for Python.

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::gram::{column_squares, column_sums, gram, DenseColumns, ROWS};
use crate::threads::run;

type Flat<'py> = Bound<'py, PyArray1<f64>>;

/// Column sums of x (n, r) and whether each column is constant.
#[pyfunction]
#[pyo3(name = "column_sums")]
fn py_column_sums<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'_, f64>,
    threads: usize,
) -> PyResult<(Flat<'py>, Bound<'py, PyArray1<bool>>)> {
    let view = x.as_array();
    let (sum, constant) = py.detach(|| run(view.nrows() <= ROWS, threads, || column_sums(view)))?;
    Ok((
        PyArray1::from_vec(py, sum),
        PyArray1::from_vec(py, constant),
    ))
}

/// Sums of squared deviations of the columns of x (n, r) from `centre` (r,).
#[pyfunction]
#[pyo3(name = "column_squares")]
fn py_column_squares<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'_, f64>,
    centre: PyReadonlyArray1<'_, f64>,
    threads: usize,
) -> PyResult<Flat<'py>> {
    if centre.len() != x.shape()[1] {
        return Err(PyValueError::new_err("centre and x do not fit together"));
    }
    let (view, centre) = (x.as_array(), centre.as_slice()?);
    let squares = py.detach(|| {
        run(view.nrows() <= ROWS, threads, || {
            column_squares(view, centre)
        })
    })?;
    Ok(PyArray1::from_vec(py, squares))
}

/// [Xs ys]'W[Xs ys] flat, Xs = (x − centre)·scale, ys = y − Xs·beta.
#[pyfunction]
#[pyo3(name = "gram")]
#[allow(clippy::too_many_arguments)]
fn py_gram<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'_, f64>,
    y: PyReadonlyArray1<'_, f64>,
    weights: Option<PyReadonlyArray1<'_, f64>>,
    centre: PyReadonlyArray1<'_, f64>,
    scale: PyReadonlyArray1<'_, f64>,
    beta: PyReadonlyArray1<'_, f64>,
    threads: usize,
) -> PyResult<Flat<'py>> {
    let (n, r) = (x.shape()[0], x.shape()[1]);
    let fits = y.len() == n
        && [centre.len(), scale.len(), beta.len()]
            .iter()
            .all(|&k| k == r)
        && weights.as_ref().is_none_or(|w| w.len() == n);
    if !fits {
        return Err(PyValueError::new_err(
            "x, y, weights, centre, scale and beta do not fit together",
        ));
    }
    let columns = DenseColumns {
        x: x.as_array(),
        y: y.as_array(),
        weights: weights.as_ref().map(|w| w.as_array()),
        centre: centre.as_slice()?,
        scale: scale.as_slice()?,
        beta: beta.as_slice()?,
    };
    Ok(PyArray1::from_vec(
        py,
        py.detach(|| run(n <= ROWS, threads, || gram(&columns)))?,
    ))
}

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(py_column_sums, m)?)?;
    m.add_function(wrap_pyfunction!(py_column_squares, m)?)?;
    m.add_function(wrap_pyfunction!(py_gram, m)?)
}
