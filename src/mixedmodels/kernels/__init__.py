"""The only door to native code: the extension's classes, and dense factorisations of symmetric matrices.

Symmetric matrices and Cholesky factors are row-major with only the lower triangle meaningful.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..lazy import LazyModule
from ..typing import Array
from .arrays import by_rows, check_written, checked, sound

try:
    from .._rust import Blocked, LevelModes, NotPositiveDefinite, SparseSymmetric, refit_responses
    from .._rust import blocked_from_products as native_blocked_from_products
    from .._rust import cholesky as native_cholesky
    from .._rust import cholesky_inverse as native_cholesky_inverse
    from .._rust import column_moments as native_column_moments
    from .._rust import conditional_products as native_conditional_products
    from .._rust import conditional_slopes as native_conditional_slopes
    from .._rust import conditional_sums as native_conditional_sums
    from .._rust import conditional_weights as native_conditional_weights
    from .._rust import gram as native_gram
    from .._rust import level_products as native_level_products
    from .._rust import pair_distances as native_pair_distances
    from .._rust import response_products as native_response_products
    from .._rust import scale_triangle as native_scale_triangle
    from .._rust import scale_triangle_in_place as native_scale_triangle_in_place
    from .._rust import solve_triangular as native_solve_triangular
    from .._rust import sparse_product as native_sparse_product
    from .._rust import symmetric_product as native_symmetric_product
except ImportError as error:
    raise ImportError(
        "mixedmodels: the compiled kernels are missing or older than the Python sources. Build them: cargo build "
        "--release --features pyo3/extension-module, or maturin develop --release."
    ) from error

if TYPE_CHECKING:
    from scipy.linalg import blas
else:
    blas = LazyModule("scipy.linalg.blas")
    Blocked, SparseSymmetric = checked(Blocked), checked(SparseSymmetric)
    LevelModes = checked(LevelModes)

# `refit_responses` is called thousands of times with the same predictors: who calls it makes arrays sound, once
blocked_from_products = checked(native_blocked_from_products)
column_moments = checked(native_column_moments)
conditional_products = by_rows(native_conditional_products)
conditional_slopes = by_rows(native_conditional_slopes)
conditional_sums = by_rows(native_conditional_sums)
conditional_weights = by_rows(native_conditional_weights)
gram = checked(native_gram)
level_products = checked(native_level_products)
pair_distances = by_rows(native_pair_distances)
response_products = checked(native_response_products)
solve_triangular = checked(native_solve_triangular)
sparse_product = checked(native_sparse_product)
symmetric_product = checked(native_symmetric_product)

UNTHREADED = 200_000
"""Products (k·l·n) of a matrix product below which OpenBLAS keeps to one thread."""
WORTH_THREADS = 1e9
"""Products above which its threads gain more than they cost to start and stop."""
FEW = 16
"""Columns up to which one pass over a triangle beats BLAS, whose threads wait for one another."""

__all__ = [
    "Blocked",
    "LevelModes",
    "NotPositiveDefinite",
    "SparseSymmetric",
    "blocked_from_products",
    "cholesky",
    "cholesky_inverse",
    "column_moments",
    "conditional_products",
    "conditional_slopes",
    "conditional_sums",
    "conditional_weights",
    "gram",
    "inverse_of",
    "level_products",
    "pair_distances",
    "refit_responses",
    "response_products",
    "row_products",
    "scale_triangle",
    "scale_triangle_in_place",
    "solve_lower",
    "solve_upper",
    "sound",
    "sparse_product",
    "symmetric_times",
    "thin_product",
]


def cholesky(m: Array, threads: int = 1) -> Array:
    """Return L with LL' = `m`, overwriting `m` (k, k); `NotPositiveDefinite` carries the column that failed.

    Examples
    --------
    >>> cholesky(np.array([[4.0, 0.0], [2.0, 2.0]]))[1, 0]
    np.float64(1.0)
    """
    check_written("m", m)
    native_cholesky(m, threads)
    return m


def cholesky_inverse(lower: Array, threads: int = 1) -> Array:
    """Return (LL')⁻¹ (k, k), lower triangle, from L."""
    return native_cholesky_inverse(sound(lower), threads)


def scale_triangle(matrix: Array, weights: Array, out: Array) -> None:
    """Write w_i·m_ij·w_j of the leading lower triangle of `matrix` into that of `out` (k, k)."""
    check_written("out", out)
    native_scale_triangle(sound(matrix), sound(weights), out)


def scale_triangle_in_place(m: Array, weights: Array) -> None:
    """Replace m_ij by w_i·m_ij·w_j in the lower triangle of m (k, k)."""
    check_written("m", m)
    native_scale_triangle_in_place(m, sound(weights))


def row_products(a: Array, b: Array) -> Array:
    """Return ab' (k, l) for a (k, n) and b (l, n), in parts for which BLAS wakes no threads unless they are worth it.

    Examples
    --------
    >>> row_products(np.ones((1, 3)), np.ones((2, 3)))
    array([[3., 3.]])
    """
    (k, n), m = a.shape, len(b)
    step = UNTHREADED // max(k * m, 1)
    if n <= step or step < 8 or float(k) * m * n > WORTH_THREADS:
        return np.asarray(a @ b.T)
    whole = n // step * step
    left = a[:, :whole].reshape(k, -1, step).transpose(1, 0, 2)
    right = b[:, :whole].reshape(m, -1, step).transpose(1, 2, 0)
    return np.asarray((left @ right).sum(axis=0) + a[:, whole:] @ b[:, whole:].T)


def thin_product(x: Array, m: Array) -> Array:
    """Return xm for x (n, k) of many rows and a small m (k, l), in parts for which BLAS wakes no threads.

    Examples
    --------
    >>> thin_product(np.ones((1, 2)), np.eye(2))
    array([[1., 1.]])
    """
    step = max(1, UNTHREADED // max(m.size, 1))
    if len(x) <= step:
        return np.asarray(x @ m)
    return np.concatenate([x[i : i + step] @ m for i in range(0, len(x), step)])


def inverse_of(gram: Array) -> Array:
    """Return the inverse of a small positive definite matrix (k, k), symmetric."""
    if len(gram) == 0:
        return np.zeros((0, 0))
    lower = np.asarray(np.linalg.cholesky(gram), dtype=np.float64)
    half = solve_lower(lower, np.eye(len(gram)))
    return np.asarray(half.T @ half)


def solve_lower(lower: Array, b: Array) -> Array:
    """Return L⁻¹b for b (k,) or (k, c)."""
    return _triangular(lower, b, transposed=False)


def solve_upper(lower: Array, b: Array) -> Array:
    """Return L⁻ᵀb for b (k,) or (k, c)."""
    return _triangular(lower, b, transposed=True)


def _triangular(lower: Array, b: Array, *, transposed: bool) -> Array:
    if len(lower) == 0 or b.size == 0:
        return np.zeros(b.shape)
    columns = b[:, None] if b.ndim == 1 else b
    if columns.shape[1] <= FEW:
        found = solve_triangular(np.ascontiguousarray(lower), columns, transposed)
        return found[:, 0] if b.ndim == 1 else found
    # BLAS rather than LAPACK's dtrtrs, which wakes every thread of OpenBLAS however small the system
    return np.asarray(blas.dtrsm(1.0, lower.T, b, lower=0, trans_a=not transposed))


def symmetric_times(lower: Array, b: Array, size: int) -> Array:
    """Return H b (size,) or (size, c), H the leading `size` rows and columns of a larger lower triangle."""
    if b.size == 0:
        return np.zeros((size, *b.shape[1:]))
    columns = b[:size, None] if b.ndim == 1 else b[:size]
    if columns.shape[1] <= FEW:
        found = symmetric_product(lower, columns)
        return found[:, 0] if b.ndim == 1 else found
    padded = np.zeros((len(lower), columns.shape[1]))
    padded[:size] = columns
    return np.asarray(blas.dsymm(1.0, lower.T, padded, lower=0))[:size]
