//! The one error type every kernel returns.

use std::fmt;

/// What can go wrong inside a kernel; the Python side turns it into a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelError {
    /// A pivot at this column (in the caller's ordering) was not positive.
    NotPositiveDefinite(usize),
    /// Array sizes that do not fit together; the text names them.
    Shape(String),
    /// So many numbers cannot be held.
    Memory(u64),
}

/// Refuses tables of so many numbers that neither memory nor address space can hold them, before one is made.
pub fn room(numbers: f64) -> Result<(), KernelError> {
    let mut probe: Vec<f64> = Vec::new();
    // a count that overflows is beyond every machine
    if numbers > 1e15 || probe.try_reserve_exact(numbers as usize).is_err() {
        return Err(KernelError::Memory(numbers as u64));
    }
    Ok(())
}

/// `n` zeros, or why they cannot be had.
pub fn zeros(n: usize) -> Result<Vec<f64>, KernelError> {
    room(n as f64)?;
    Ok(vec![0.0; n])
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelError::NotPositiveDefinite(column) => {
                write!(
                    f,
                    "matrix is not positive definite (pivot of column {column})"
                )
            }
            KernelError::Shape(text) => write!(f, "{text}"),
            KernelError::Memory(numbers) => {
                write!(
                    f,
                    "tables of {:.1} GB cannot be held",
                    8e-9 * *numbers as f64
                )
            }
        }
    }
}

impl std::error::Error for KernelError {}
