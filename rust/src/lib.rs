//! Numerical kernels of `mixedmodels`: contiguous arrays in, contiguous arrays out.
//!
//! Pure kernels live in files that know nothing of Python (tested by `cargo test`); the `py*` files alone know PyO3.

pub mod average_information;
pub mod blocked_cholesky;
pub mod cross_product;
pub mod error;
pub mod gram;
pub mod leaf;
#[cfg(feature = "python")]
mod py;
#[cfg(feature = "python")]
mod py_blocked;
#[cfg(feature = "python")]
mod py_gram;
pub mod selected_inverse;
pub mod small_dense;
pub mod threads;
