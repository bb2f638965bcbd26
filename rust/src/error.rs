//! The one error type every kernel returns.

use std::fmt;

/// What can go wrong inside a kernel; the Python side turns it into a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelError {
    /// A pivot at this column (in the caller's ordering) was not positive.
    NotPositiveDefinite(usize),
    /// Array sizes that do not fit together; the text names them.
    Shape(String),
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
        }
    }
}

impl std::error::Error for KernelError {}
