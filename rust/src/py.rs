//! The Python module: registers classes and functions, maps errors.

use pyo3::create_exception;
use pyo3::exceptions::{PyArithmeticError, PyMemoryError, PyValueError};
use pyo3::prelude::*;

use crate::error::KernelError;

create_exception!(_rust, NotPositiveDefinite, PyArithmeticError);

impl From<KernelError> for PyErr {
    fn from(error: KernelError) -> PyErr {
        match error {
            KernelError::NotPositiveDefinite(column) => NotPositiveDefinite::new_err(column),
            KernelError::Shape(text) => PyValueError::new_err(text),
            KernelError::Memory(_) => PyMemoryError::new_err(error.to_string()),
        }
    }
}

#[pymodule]
fn _rust(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add(
        "NotPositiveDefinite",
        m.py().get_type::<NotPositiveDefinite>(),
    )?;
    crate::py_blocked::register(m)?;
    crate::py_dense::register(m)?;
    crate::py_gram::register(m)?;
    crate::py_levels::register(m)?;
    crate::py_neighbours::register(m)?;
    crate::py_newton::register(m)?;
    crate::py_products::register(m)?;
    crate::py_sparse::register(m)?;
    Ok(())
}
