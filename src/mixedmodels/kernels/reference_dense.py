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


def column_sums(x: Array, threads: int = 1) -> tuple[Array, NDArray[np.bool_]]:
    """Return the sums of the columns of x (n, r), and which columns are constant, each (r,)."""
    return x.sum(axis=0), (x == x[0]).all(axis=0)


def column_squares(x: Array, centre: Array, threads: int = 1) -> Array:
    """Return Σ_i (x_ij − centre_j)², (r,)."""
    return np.asarray(np.square(x - centre).sum(axis=0))


def gram(
    x: Array, y: Array, weights: Array | None, centre: Array, scale: Array, beta: Array, threads: int = 1
) -> Array:
    """Return [Xs ys]'W[Xs ys], flat (r + 1)², with Xs = (x − centre)·scale and ys = y − Xs beta."""
    xs = (x - centre) * scale
    dense = np.column_stack([xs, y - xs @ beta])
    weighted = dense if weights is None else dense * weights[:, None]
    return np.asarray(dense.T @ weighted).ravel()
