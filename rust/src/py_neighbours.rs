//! Conditional distributions given neighbours for Python: stacks of packed covariances and of data.

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3};
use pyo3::prelude::*;

use crate::error::KernelError;
use crate::neighbours::{pair_distances, products, slopes, sums, weights, Sets};

type Flat<'py> = Bound<'py, PyArray1<f64>>;

fn sets<'a>(
    v: &'a PyReadonlyArray2<'_, f64>,
    z: &'a PyReadonlyArray3<'_, f64>,
) -> PyResult<Sets<'a>> {
    let shape = z.as_array().dim();
    let own = Sets {
        t: shape.1,
        c: shape.2,
        v: v.as_slice()?,
        z: z.as_slice()?,
    };
    if v.as_array().dim() != (shape.0, own.packed()) {
        return Err(
            KernelError::Shape("covariances and data are not of the same sets".into()).into(),
        );
    }
    Ok(own)
}

/// Σ log d and Σ hh'/d (c·c) over sets with covariances (C, t(t+1)/2) and data (C, t, c), own rows last.
#[pyfunction]
#[pyo3(name = "conditional_sums")]
fn py_sums<'py>(
    py: Python<'py>,
    v: PyReadonlyArray2<'_, f64>,
    z: PyReadonlyArray3<'_, f64>,
    threads: usize,
) -> PyResult<(f64, Flat<'py>)> {
    let own = sets(&v, &z)?;
    let (logdet, total) = py.detach(|| sums(&own, threads))?;
    Ok((logdet, PyArray1::from_vec(py, total)))
}

/// w (C·t) and d (C) of every set.
#[pyfunction]
#[pyo3(name = "conditional_weights")]
fn py_weights<'py>(
    py: Python<'py>,
    v: PyReadonlyArray2<'_, f64>,
    z: PyReadonlyArray3<'_, f64>,
    threads: usize,
) -> PyResult<(Flat<'py>, Flat<'py>)> {
    let own = sets(&v, &z)?;
    let (w, d) = py.detach(|| weights(&own, threads))?;
    Ok((PyArray1::from_vec(py, w), PyArray1::from_vec(py, d)))
}

/// Slopes of `log_weight`·Σ log d + tr(W Σ hh'/d) in every V, packed (C·t(t+1)/2), both halves in one.
#[pyfunction]
#[pyo3(name = "conditional_slopes")]
fn py_slopes<'py>(
    py: Python<'py>,
    v: PyReadonlyArray2<'_, f64>,
    z: PyReadonlyArray3<'_, f64>,
    weight: PyReadonlyArray2<'_, f64>,
    log_weight: f64,
    threads: usize,
) -> PyResult<Flat<'py>> {
    let (own, weight) = (sets(&v, &z)?, weight.as_slice()?);
    let found = py.detach(|| slopes(&own, weight, log_weight, threads))?;
    Ok(PyArray1::from_vec(py, found))
}

/// E (k·k), P (k·c·c) and Q (k·k·c·c) along directions (k, C, t(t+1)/2).
#[pyfunction]
#[pyo3(name = "conditional_products")]
#[allow(clippy::type_complexity)]
fn py_products<'py>(
    py: Python<'py>,
    v: PyReadonlyArray2<'_, f64>,
    z: PyReadonlyArray3<'_, f64>,
    directions: PyReadonlyArray3<'_, f64>,
    threads: usize,
) -> PyResult<(Flat<'py>, Flat<'py>, Flat<'py>)> {
    let (own, k) = (sets(&v, &z)?, directions.as_array().dim().0);
    let along = directions.as_slice()?;
    let (e, p, q) = py.detach(|| products(&own, along, k, threads))?;
    Ok((
        PyArray1::from_vec(py, e),
        PyArray1::from_vec(py, p),
        PyArray1::from_vec(py, q),
    ))
}

/// Distances of all pairs of t positions, flat coordinates of C sets (C·t·k), packed (C·t(t+1)/2).
#[pyfunction]
#[pyo3(name = "pair_distances")]
fn py_pair_distances<'py>(
    py: Python<'py>,
    coordinates: PyReadonlyArray1<'_, f64>,
    t: usize,
    k: usize,
    threads: usize,
) -> PyResult<Flat<'py>> {
    let points = coordinates.as_slice()?;
    let found = py.detach(|| pair_distances(points, t, k, threads))?;
    Ok(PyArray1::from_vec(py, found))
}

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(py_sums, m)?)?;
    m.add_function(wrap_pyfunction!(py_weights, m)?)?;
    m.add_function(wrap_pyfunction!(py_slopes, m)?)?;
    m.add_function(wrap_pyfunction!(py_products, m)?)?;
    m.add_function(wrap_pyfunction!(py_pair_distances, m)?)
}
