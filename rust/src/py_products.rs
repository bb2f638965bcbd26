//! Cross-products of batches of rows for Python, and `Blocked` on cross-products summed from them.

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::cross_product::{level_products, row_major, ChainFactor, CrossProducts, DenseRows};
use crate::given_products::check_products;
use crate::py_blocked::{rows_of, Factor, PyBlocked, SHARED_ROWS};
use crate::threads::run;

type Flat<'py> = Bound<'py, PyArray1<f64>>;

/// Cross-products of the levels of a factor with themselves, with [(X − centre)·scale, y − that·beta0] and with the
/// columns of other factors that each meets: blocks (q·p·p), dense (q·p·d), starts, columns and values of the last.
#[pyfunction]
#[pyo3(name = "level_products")]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn py_level_products<'py>(
    py: Python<'py>,
    own: Factor<'py>,
    others: Vec<Factor<'py>>,
    x: PyReadonlyArray2<'_, f64>,
    y: PyReadonlyArray1<'_, f64>,
    centre: PyReadonlyArray1<'_, f64>,
    scale: PyReadonlyArray1<'_, f64>,
    beta0: PyReadonlyArray1<'_, f64>,
    weights: Option<PyReadonlyArray1<'_, f64>>,
    threads: usize,
) -> PyResult<(
    Flat<'py>,
    Flat<'py>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<u32>>,
    Flat<'py>,
)> {
    let rows = DenseRows {
        x: row_major(x.as_array()),
        y: y.as_array(),
        centre: centre.as_slice()?,
        scale: scale.as_slice()?,
        beta0: beta0.as_slice()?,
        weights: weights.as_ref().map(|w| w.as_array()),
    };
    let own = [own];
    let (own_rows, other_rows) = (rows_of(&own), rows_of(&others));
    let own_rows: [_; 1] = own_rows.try_into().ok().expect("one factor");
    let parts = if rows.y.len() < SHARED_ROWS {
        1
    } else {
        threads
    };
    let found = py.detach(|| {
        run(parts <= 1, threads, || {
            level_products(&own_rows, &other_rows, &rows, parts)
        })?
    })?;
    let start = found.tail_start.iter().map(|&s| s as u64).collect();
    Ok((
        PyArray1::from_vec(py, found.block),
        PyArray1::from_vec(py, found.dense),
        PyArray1::from_vec(py, start),
        PyArray1::from_vec(py, found.tail_column),
        PyArray1::from_vec(py, found.tail),
    ))
}

/// (p, q, ancestors, blocks, with ancestors, dense, tail starts, columns, values) of one chain factor.
type GivenFactor<'py> = (
    usize,
    usize,
    Vec<PyReadonlyArray1<'py, i32>>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray1<'py, i32>,
    PyReadonlyArray1<'py, f64>,
);

/// `Blocked` on given cross-products; `tail` (T·T, lower triangle) and `tail_dense` (T·d) are flat.
#[pyfunction]
#[pyo3(name = "blocked_from_products")]
fn py_blocked_from_products(
    chain: Vec<GivenFactor<'_>>,
    sets: Vec<PyReadonlyArray1<'_, i32>>,
    tail_width: usize,
    d: usize,
    tail: PyReadonlyArray1<'_, f64>,
    tail_dense: PyReadonlyArray1<'_, f64>,
    threads: usize,
) -> PyResult<PyBlocked> {
    let widths: Vec<usize> = chain.iter().map(|f| f.0).collect();
    let factors = chain
        .iter()
        .enumerate()
        .map(|(c, f)| ChainFactor {
            p: f.0,
            q: f.1,
            ancestors: f.2.iter().map(unsigned).collect(),
            ancestor_width: widths[c + 1..].iter().sum(),
            block: f.3.as_array().to_vec(),
            ancestor: f.4.as_array().to_vec(),
            dense: f.5.as_array().to_vec(),
            tail_start: f.6.as_array().iter().map(|&s| s as usize).collect(),
            tail_column: unsigned(&f.7),
            tail: f.8.as_array().to_vec(),
        })
        .collect();
    let cross = CrossProducts {
        chain: factors,
        tail_width,
        d,
        tail: tail.as_array().to_vec(),
        tail_dense: tail_dense.as_array().to_vec(),
    };
    check_products(&cross)?;
    PyBlocked::of(cross, &sets, threads)
}

/// Numbers that must not be negative; one that is becomes too large for every check.
fn unsigned(values: &PyReadonlyArray1<'_, i32>) -> Vec<u32> {
    values.as_array().iter().map(|&v| v as u32).collect()
}

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(py_level_products, m)?)?;
    m.add_function(wrap_pyfunction!(py_blocked_from_products, m)?)
}
