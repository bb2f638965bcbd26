//! Dense factorisations for Python: checks shapes, releases the GIL, runs in the extension's own thread pools.

use numpy::ndarray::Array2;
use numpy::{
    IntoPyArray, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::cross_product::row_major;
use crate::dense;
use crate::error::room;
use crate::threads::run;

fn square(shape: &[usize]) -> PyResult<usize> {
    if shape[0] != shape[1] {
        return Err(PyValueError::new_err(format!(
            "a square matrix is needed, not {shape:?}"
        )));
    }
    Ok(shape[0])
}

/// Replaces the lower triangle of m (k, k) by its Cholesky factor.
#[pyfunction]
fn cholesky(py: Python<'_>, mut m: PyReadwriteArray2<'_, f64>, threads: usize) -> PyResult<()> {
    let order = square(m.shape())?;
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
    let order = square(lower.shape())?;
    room((order * order) as f64)?;
    let values = lower.as_slice()?;
    let inverse = py.detach(|| {
        run(!dense::shares_work(order, threads), threads, || {
            dense::cholesky_inverse(values, order, threads)
        })?
    })?;
    let matrix = Array2::from_shape_vec((order, order), inverse).expect("order² numbers");
    Ok(matrix.into_pyarray(py))
}

/// L⁻¹b (k, c), or L⁻ᵀb where `transposed`, for b of few columns.
#[pyfunction]
fn solve_triangular<'py>(
    py: Python<'py>,
    lower: PyReadonlyArray2<'_, f64>,
    b: PyReadonlyArray2<'_, f64>,
    transposed: bool,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (order, columns) = (lower.shape()[0], b.shape()[1]);
    if lower.shape()[1] != order || b.shape()[0] != order || columns == 0 {
        return Err(PyValueError::new_err("lower and b do not fit together"));
    }
    let values = lower.as_slice()?;
    let mut out = row_major(b.as_array()).into_owned();
    let solve = if transposed {
        dense::solve_upper
    } else {
        dense::solve_lower
    };
    py.detach(|| run(true, 1, || solve(values, order, &mut out, columns)))?;
    let matrix = Array2::from_shape_vec((order, columns), out).expect("order · columns numbers");
    Ok(matrix.into_pyarray(py))
}

/// H b (size, c), H the leading rows and columns of a larger lower triangle, for b (size, c) of few columns.
#[pyfunction]
fn symmetric_product<'py>(
    py: Python<'py>,
    lower: PyReadonlyArray2<'_, f64>,
    b: PyReadonlyArray2<'_, f64>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (stride, size, columns) = (lower.shape()[1], b.shape()[0], b.shape()[1]);
    if size > stride || size > lower.shape()[0] || columns == 0 {
        return Err(PyValueError::new_err("lower and b do not fit together"));
    }
    let (values, given) = (lower.as_slice()?, row_major(b.as_array()));
    let work = || dense::symmetric_times(values, stride, size, &given, columns);
    let out = py.detach(|| run(true, 1, work))?;
    let matrix = Array2::from_shape_vec((size, columns), out).expect("size · c numbers");
    Ok(matrix.into_pyarray(py))
}

/// w_i·m_ij·w_j for the leading rows and columns of the lower triangle of `matrix`, into the lower triangle of `out`.
#[pyfunction]
fn scale_triangle(
    py: Python<'_>,
    matrix: PyReadonlyArray2<'_, f64>,
    weights: PyReadonlyArray1<'_, f64>,
    mut out: PyReadwriteArray2<'_, f64>,
) -> PyResult<()> {
    let (stride, order) = (matrix.shape()[1], weights.len());
    if out.shape() != [order, order] || order > stride || order > matrix.shape()[0] {
        return Err(PyValueError::new_err(
            "matrix, weights and out do not fit together",
        ));
    }
    let (values, weights) = (matrix.as_slice()?, weights.as_slice()?);
    let target = out.as_slice_mut()?;
    py.detach(|| dense::scale_triangle(values, stride, weights, target, order));
    Ok(())
}

/// m_ij ← w_i·m_ij·w_j in the lower triangle of m (k, k).
#[pyfunction]
fn scale_triangle_in_place(
    py: Python<'_>,
    mut m: PyReadwriteArray2<'_, f64>,
    weights: PyReadonlyArray1<'_, f64>,
) -> PyResult<()> {
    if m.shape() != [weights.len(); 2] {
        return Err(PyValueError::new_err("m and weights do not fit together"));
    }
    let (values, weights) = (m.as_slice_mut()?, weights.as_slice()?);
    py.detach(|| dense::scale_triangle_in_place(values, weights));
    Ok(())
}

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(cholesky, m)?)?;
    m.add_function(wrap_pyfunction!(cholesky_inverse, m)?)?;
    m.add_function(wrap_pyfunction!(solve_triangular, m)?)?;
    m.add_function(wrap_pyfunction!(symmetric_product, m)?)?;
    m.add_function(wrap_pyfunction!(scale_triangle, m)?)?;
    m.add_function(wrap_pyfunction!(scale_triangle_in_place, m)?)
}
