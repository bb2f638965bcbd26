//! Dense factorisations for Python: checks shapes, releases the GIL, runs in the extension's own thread pools.

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2, PyReadwriteArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::dense;
use crate::threads::run;

/// Replaces the lower triangle of m (k, k) by its Cholesky factor.
#[pyfunction]
fn cholesky(py: Python<'_>, mut m: PyReadwriteArray2<'_, f64>, threads: usize) -> PyResult<()> {
    let order = m.shape()[0];
    let values = m.as_slice_mut()?;
    py.detach(|| {
        run(!dense::shares_work(order, threads), threads, || {
            dense::cholesky(values, order, threads)
        })?
    })?;
    Ok(())
}

/// The lower triangle of (LL')⁻¹ (k, k) from L.
#[pyfunction]
fn cholesky_inverse<'py>(
    py: Python<'py>,
    lower: PyReadonlyArray2<'_, f64>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let order = lower.shape()[0];
    let values = lower.as_slice()?;
    let inverse = py.detach(|| {
        run(!dense::shares_work(order, threads), threads, || {
            dense::cholesky_inverse(values, order, threads)
        })?
    })?;
    let matrix = Array2::from_shape_vec((order, order), inverse).expect("order² numbers");
    Ok(matrix.into_pyarray(py))
}

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(cholesky, m)?)?;
    m.add_function(wrap_pyfunction!(cholesky_inverse, m)?)
}
