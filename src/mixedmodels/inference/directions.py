"""Linearly independent directions of several functions of β, whatever the units of the columns of X."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..typing import Array

DEPENDENT = 1e-10
"""Eigenvalues of a covariance below this fraction of the largest belong to redundant functions."""


def independent_directions(covariance: Array) -> tuple[Array, Array]:
    """Return d (q,) and U' (q, k) with U'CU = diag(d) for a covariance C (k, k) of rank q.

    Notes
    -----
    These are the eigenvectors of C, on which the degrees of freedom of Fai and Cornelius rest. Where the
    variances of the functions are of such different size that rank cannot be read off the eigenvalues of C,
    it is read off, and the directions are taken from, the correlation matrix.

    Examples
    --------
    >>> len(independent_directions(np.diag([1e-12, 1.0]))[0])
    2
    """
    values, vectors = np.linalg.eigh(covariance)
    used = values > DEPENDENT * max(float(values.max(initial=0.0)), 0.0)
    size = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    unit = np.divide(1.0, size, out=np.zeros(len(size)), where=size > 0)
    scaled, turned = np.linalg.eigh(covariance * unit[:, None] * unit)
    chosen = scaled > DEPENDENT * max(float(scaled.max(initial=0.0)), 0.0)
    if used.sum() == chosen.sum():
        return values[used], vectors[:, used].T
    return scaled[chosen], turned[:, chosen].T * unit


def column_sizes(fit: Fit) -> Array:
    """Return the root mean square of every column of X, (p,), one for columns of zeros."""

    def compute() -> Array:
        matrix = fit.design.fixed.matrix
        size = np.sqrt(np.einsum("ij,ij->j", matrix, matrix) / max(len(matrix), 1))
        return np.where(size > 0, size, 1.0)

    return fit.keep("column sizes", compute)


def estimability_basis(fit: Fit) -> Array:
    """Return the null space of X in columns brought to one size, each vector at most one in size, (p, p − r)."""
    basis = fit.design.fixed.null_basis * column_sizes(fit)[:, None]
    return np.asarray(basis / np.maximum(np.abs(basis).max(axis=0, initial=0.0), 1e-300))
