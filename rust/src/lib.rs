//! Numerical kernels of `mixedmodels`: contiguous arrays in, contiguous arrays out.
//!
//! Pure kernels live in files that know nothing of Python (tested by `cargo test`); the `py*` files alone know PyO3.

pub mod error;
mod py;
