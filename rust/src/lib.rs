//! Numerical kernels of `mixedmodels`: contiguous arrays in, contiguous arrays out.
//!
//! Pure kernels live in files that know nothing of Python (tested by `cargo test`); the `py*` files alone know PyO3.

pub mod average_information;
pub mod backward;
pub mod blocked_cholesky;
pub mod chain_solve;
pub mod cross_product;
pub mod dense;
pub mod error;
pub mod given_products;
pub mod gram;
pub mod leaf;
pub mod level_modes;
pub mod level_rows;
pub mod neighbours;
pub mod newton;
pub mod predictions;
#[cfg(feature = "python")]
mod py;
#[cfg(feature = "python")]
mod py_blocked;
#[cfg(feature = "python")]
mod py_dense;
#[cfg(feature = "python")]
mod py_gram;
#[cfg(feature = "python")]
mod py_levels;
#[cfg(feature = "python")]
mod py_neighbours;
#[cfg(feature = "python")]
mod py_newton;
#[cfg(feature = "python")]
mod py_products;
#[cfg(feature = "python")]
mod py_sparse;
pub mod row_densities;
pub mod selected_inverse;
pub mod small_dense;
pub mod sparse;
pub mod sparse_blocks;
pub mod sparse_inverse;
pub mod sparse_order;
pub mod sparse_pattern;
pub mod sparse_product;
pub mod sparse_solve;
pub mod squares;
pub mod threads;
