"""Linearly independent directions of several functions of β, whatever the units of the columns of X."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..terms.rank import ROUNDING, ColumnMoments
from ..terms.rows import FixedRows
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
        matrix = fit._work.rows().fixed.matrix
        size = np.sqrt(np.einsum("ij,ij->j", matrix, matrix) / max(len(matrix), 1))
        return np.where(size > 0, size, 1.0)

    return fit._work.keep("column sizes", compute)


def estimability_gap(fit: Fit, rows: Array) -> tuple[Array, Array]:
    """Return what functions L (k, p) of β gain along each direction that leaves Xβ unchanged, and their sizes.

    Returns
    -------
    gap
        L'N (k, p − r), the null vectors scaled to at most one, zero where it is no more than rounding error.
    size
        Lengths of the rows of L, (k,), in the same columns.

    Notes
    -----
    Functions and null vectors are written in columns centred, where X has a constant, and scaled to unit standard
    deviation: in calendar years (x, x²) a null vector on (x − 2000)² would else be a millionth in that place.
    """
    null = fit.design.fixed.null_basis
    if null.shape[1] == 0:
        return np.zeros((len(rows), 0)), np.asarray(np.linalg.norm(rows, axis=1))
    functions, noise = standardised(fit, rows)
    _, spread, constant = _column_spreads(fit)
    directions = null * spread[:, None]
    if constant is not None:
        directions[constant] = 0.0
    directions = directions / np.maximum(np.abs(directions).max(axis=0), 1e-300)
    gap = functions @ directions
    gap[np.abs(gap) <= ROUNDING * (noise @ np.abs(directions))] = 0.0
    return gap, np.asarray(np.linalg.norm(functions, axis=1))


def standardised(fit: Fit, rows: Array) -> tuple[Array, Array]:
    """Return functions L (k, p) of β in columns centred, where X has a constant, and of unit standard deviation.

    Beside them the sizes of what each element is the sum of, which its rounding error is relative to.
    """
    level, spread, constant = _column_spreads(fit)
    functions = rows / spread
    noise = np.abs(functions)
    if constant is not None:
        origin = np.outer(rows[:, constant] / level[constant], level / spread)
        noise = noise + np.abs(origin)
        functions = functions - origin
        functions[:, constant] = rows[:, constant] / level[constant]
    return functions, noise


def _column_spreads(fit: Fit) -> tuple[Array, Array, int | None]:
    return fit._work.keep("column spreads", lambda: _spreads(fit._work.rows().fixed))


def _spreads(rows: FixedRows) -> tuple[Array, Array, int | None]:
    """Return the means and standard deviations of the columns of X, and which of them is the constant.

    Without a constant column deviations are from zero; a column without any has its size, or one.
    """
    n = len(rows.matrix)
    moments = ColumnMoments.of(rows.matrix) if rows.moments is None else rows.moments
    level, squares = moments.mean, np.diagonal(moments.gram) / n
    size = np.sqrt(squares + level**2)
    candidates = np.flatnonzero(moments.constant & (level != 0))
    spread = np.sqrt(squares) if len(candidates) else size
    spread = np.where(spread > ROUNDING * size, spread, np.where(size > 0, size, 1.0))
    return level, spread, int(candidates[0]) if len(candidates) else None
