//! `SparseSymmetric` for Python: checks shapes, releases the GIL, runs in the extension's own thread pools.

use numpy::ndarray::Array2;
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::KernelError;
use crate::sparse::SparseSymmetric;
use crate::sparse_product::{sparse_product, SparseRows};
use crate::sparse_solve::Half;
use crate::threads::run;

/// Runs a fallible kernel in the pool of this many threads.
fn in_pool<T: Send>(
    threads: usize,
    work: impl FnOnce() -> Result<T, KernelError> + Send,
) -> Result<T, KernelError> {
    run(threads <= 1, threads, work)?
}

/// Cholesky factor, solves and selected inverse of symmetric positive definite matrices with one pattern.
#[pyclass(name = "SparseSymmetric", module = "mixedmodels._rust")]
pub struct PySparseSymmetric {
    matrix: SparseSymmetric,
    threads: usize,
}

impl PySparseSymmetric {
    fn solved<'py>(
        &self,
        py: Python<'py>,
        b: &PyReadonlyArray2<'_, f64>,
        half: Half,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (rows, columns) = (b.shape()[0], b.shape()[1]);
        if rows != self.matrix.order() {
            return Err(PyValueError::new_err(format!(
                "b has {rows} rows, expected {}",
                self.matrix.order()
            )));
        }
        let mut x: Array2<f64> = b.as_array().as_standard_layout().into_owned();
        let threads = self.threads;
        py.detach(|| {
            let values = x.as_slice_mut().expect("standard layout");
            in_pool(threads, || {
                self.matrix.solve(values, columns, half, threads)
            })
        })?;
        Ok(x.into_pyarray(py))
    }
}

#[pymethods]
impl PySparseSymmetric {
    /// Symbolic analysis of a compressed-column pattern (lower triangle, or all of it).
    #[new]
    #[pyo3(signature = (n, indptr, indices, *, permutation=None, threads=1))]
    fn new(
        py: Python<'_>,
        n: usize,
        indptr: PyReadonlyArray1<'_, i64>,
        indices: PyReadonlyArray1<'_, i32>,
        permutation: Option<PyReadonlyArray1<'_, i32>>,
        threads: usize,
    ) -> PyResult<Self> {
        let (indptr, indices) = (indptr.as_slice()?, indices.as_slice()?);
        // A negative number wraps to one that is out of range, which the kernel refuses.
        let permutation: Option<Vec<u32>> =
            permutation.map(|p| p.as_array().iter().map(|&j| j as u32).collect());
        let matrix =
            py.detach(|| SparseSymmetric::new(n, indptr, indices, permutation.as_deref()))?;
        Ok(PySparseSymmetric {
            matrix,
            threads: threads.max(1),
        })
    }

    /// log|C| of the matrix with these values on the pattern.
    fn factor(&mut self, py: Python<'_>, values: PyReadonlyArray1<'_, f64>) -> PyResult<f64> {
        let (values, threads) = (values.as_slice()?, self.threads);
        Ok(py.detach(|| in_pool(threads, || self.matrix.factor(values, threads)))?)
    }

    /// C⁻¹b (n, c).
    fn solve<'py>(
        &self,
        py: Python<'py>,
        b: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        self.solved(py, &b, Half::Both)
    }

    /// L⁻¹Pb (n, c), rows in elimination order.
    fn half_solve<'py>(
        &self,
        py: Python<'py>,
        b: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        self.solved(py, &b, Half::Forward)
    }

    /// P'L⁻ᵀb (n, c) for rows of b in elimination order.
    fn half_solve_transposed<'py>(
        &self,
        py: Python<'py>,
        b: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        self.solved(py, &b, Half::Backward)
    }

    /// Entries of C⁻¹ on the pattern given, in its order.
    fn selected_inverse<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let threads = self.threads;
        let values = py.detach(|| in_pool(threads, || self.matrix.selected_inverse(threads)))?;
        Ok(PyArray1::from_vec(py, values))
    }

    /// Entries of C⁻¹ at pairs on the pattern of L.
    fn inverse_entries<'py>(
        &mut self,
        py: Python<'py>,
        rows: PyReadonlyArray1<'_, i32>,
        cols: PyReadonlyArray1<'_, i32>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let (rows, cols, threads) = (rows.as_slice()?, cols.as_slice()?, self.threads);
        let values =
            py.detach(|| in_pool(threads, || self.matrix.inverse_entries(rows, cols, threads)))?;
        Ok(PyArray1::from_vec(py, values))
    }

    #[getter]
    fn n(&self) -> usize {
        self.matrix.order()
    }

    /// Columns in the order of their elimination.
    #[getter]
    fn permutation<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        PyArray1::from_iter(py, self.matrix.permutation().iter().map(|&j| j as i32))
    }

    /// Non-zeros of L.
    #[getter]
    fn fill(&self) -> usize {
        self.matrix.fill()
    }

    /// Numbers held for L, zeros inside its dense blocks included.
    #[getter]
    fn stored(&self) -> usize {
        self.matrix.stored()
    }

    /// Additions and multiplications of one factorisation.
    #[getter]
    fn flops(&self) -> f64 {
        self.matrix.flops()
    }
}

/// Entries times columns of a product below which one thread is faster than handing work over.
const SHARED_ENTRIES: usize = 200_000;

/// A sparse matrix by rows times a dense one (m, c), (n, c).
#[pyfunction]
#[pyo3(name = "sparse_product")]
fn py_sparse_product<'py>(
    py: Python<'py>,
    start: PyReadonlyArray1<'py, i64>,
    column: PyReadonlyArray1<'py, i32>,
    values: PyReadonlyArray1<'py, f64>,
    dense: PyReadonlyArray2<'py, f64>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let c = dense.shape()[1];
    let dense = dense.as_array();
    let owned;
    let flat: &[f64] = match dense.as_slice() {
        Some(flat) => flat,
        None => {
            owned = dense.as_standard_layout().into_owned();
            owned.as_slice().expect("standard layout")
        }
    };
    let matrix = SparseRows {
        start: start.as_slice()?,
        column: column.as_slice()?,
        values: values.as_slice()?,
    };
    let rows = matrix.start.len().saturating_sub(1);
    let parts = if matrix.column.len() * c < SHARED_ENTRIES {
        1
    } else {
        4 * threads
    };
    let found = py.detach(|| {
        in_pool(if parts > 1 { threads } else { 1 }, || {
            sparse_product(&matrix, flat, c, parts)
        })
    })?;
    let out = Array2::from_shape_vec((rows, c), found).expect("rows times columns");
    Ok(out.into_pyarray(py))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySparseSymmetric>()?;
    m.add_function(wrap_pyfunction!(py_sparse_product, m)?)
}
