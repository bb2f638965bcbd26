"""Definitions of the native dense kernels: what each computes, in a few lines of NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri

from ..typing import Array
from . import NotPositiveDefinite


def cholesky(m: Array, threads: int = 1) -> Array:
    """Return L (k, k) with LL' = m, of which the lower triangle is read."""
    factor, leading_minor = dpotrf(np.tril(m), lower=1, clean=1)
    if leading_minor > 0:
        raise NotPositiveDefinite(int(leading_minor) - 1)
    return np.asarray(factor)


def cholesky_inverse(lower: Array, threads: int = 1) -> Array:
    """Return (LL')⁻¹ (k, k), lower triangle."""
    inverse, _ = dpotri(np.tril(lower), lower=1)
    return np.asarray(np.tril(inverse))


def column_moments(x: Array, threads: int = 1) -> tuple[Array, NDArray[np.bool_], Array]:
    """Return the means of the columns of x (n, r), which are constant, and (x − mean)'(x − mean), flat r²."""
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, (x == x[0]).all(axis=0), np.asarray(centred.T @ centred).ravel()


def gram(
    x: Array, y: Array, weights: Array | None, centre: Array, scale: Array, beta: Array, threads: int = 1
) -> Array:
    """Return [Xs ys]'W[Xs ys], flat (r + 1)², with Xs = (x − centre)·scale and ys = y − Xs beta."""
    xs = (x - centre) * scale
    dense = np.column_stack([xs, y - xs @ beta])
    weighted = dense if weights is None else dense * weights[:, None]
    return np.asarray(dense.T @ weighted).ravel()


def response_products(
    x: Array, y: Array, weights: Array | None, centre: Array, scale: Array, beta: Array, threads: int = 1
) -> Array:
    """Return [Xs ys]'Wys, (r + 1,): the last row of `gram`."""
    return gram(x, y, weights, centre, scale, beta)[-(x.shape[1] + 1) :]


def scale_triangle(matrix: Array, weights: Array, out: Array) -> None:
    """Put w_i·m_ij·w_j of the leading rows and columns of `matrix` into the lower triangle of `out` (k, k)."""
    k = len(weights)
    lower = np.tril_indices(k)
    out[lower] = (weights[:, None] * matrix[:k, :k] * weights)[lower]


def scale_triangle_in_place(m: Array, weights: Array) -> None:
    """Replace m_ij by w_i·m_ij·w_j in the lower triangle of m (k, k)."""
    scale_triangle(m.copy(), weights, m)


def solve_triangular(lower: Array, b: Array, transposed: bool) -> Array:
    """Return L⁻¹b, or L⁻ᵀb, for b (k, c)."""
    triangle = np.tril(lower)
    return np.asarray(np.linalg.solve(triangle.T if transposed else triangle, b))


def symmetric_product(lower: Array, b: Array) -> Array:
    """Return H b for b (size, c), H the leading rows and columns of a larger lower triangle."""
    size = len(b)
    h = np.tril(lower[:size, :size])
    return np.asarray((h + np.tril(h, -1).T) @ b)
