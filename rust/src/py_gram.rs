//! Column moments and cross-products for Python.

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::gram::{column_moments, gram, response_products, DenseColumns, ROWS};
use crate::threads::run;

type Flat<'py> = Bound<'py, PyArray1<f64>>;

/// Means of the columns of x (n, r), whether each is constant, and the cross-products about the means, flat (r, r).
#[pyfunction]
#[pyo3(name = "column_moments")]
#[allow(clippy::type_complexity)]
fn py_column_moments<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'_, f64>,
    threads: usize,
) -> PyResult<(Flat<'py>, Bound<'py, PyArray1<bool>>, Flat<'py>)> {
    let view = x.as_array();
    let found = py.detach(|| run(view.nrows() <= ROWS, threads, || column_moments(view)))?;
    Ok((
        PyArray1::from_vec(py, found.mean),
        PyArray1::from_vec(py, found.constant),
        PyArray1::from_vec(py, found.gram),
    ))
}

type Kernel = fn(&DenseColumns<'_>) -> Vec<f64>;

#[allow(clippy::too_many_arguments)]
fn products<'py>(
    py: Python<'py>,
    kernel: Kernel,
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
        py.detach(|| run(n <= ROWS, threads, || kernel(&columns)))?,
    ))
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
    products(py, gram, x, y, weights, centre, scale, beta, threads)
}

/// [Xs ys]'Wys (r + 1).
#[pyfunction]
#[pyo3(name = "response_products")]
#[allow(clippy::too_many_arguments)]
fn py_response_products<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'_, f64>,
    y: PyReadonlyArray1<'_, f64>,
    weights: Option<PyReadonlyArray1<'_, f64>>,
    centre: PyReadonlyArray1<'_, f64>,
    scale: PyReadonlyArray1<'_, f64>,
    beta: PyReadonlyArray1<'_, f64>,
    threads: usize,
) -> PyResult<Flat<'py>> {
    let kernel = response_products;
    products(py, kernel, x, y, weights, centre, scale, beta, threads)
}

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(py_column_moments, m)?)?;
    m.add_function(wrap_pyfunction!(py_response_products, m)?)?;
    m.add_function(wrap_pyfunction!(py_gram, m)?)
}
