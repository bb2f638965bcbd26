"""Starting values from cross-products: MIVQUE0, one variance for each random column."""

from __future__ import annotations

import numpy as np

from ..criterion.base import Criterion
from ..terms.design import RandomTerm
from ..typing import Array

_SMALL, _LARGE = 1e-3, 1e4
"""Limits of a starting variance's share, relative to the residual variance of ordinary least squares."""
_WIDE = 10.0
"""Residual variances that each column adds to the data at a wide start."""
_FEW_LEVELS = 4
"""A term with fewer levels than this starts from one variance for all its columns."""


def moment_start(criterion: Criterion) -> Array:
    """Return θ at the MIVQUE0 estimate of one variance per random column, covariances zero.

    Notes
    -----
    MIVQUE0 (Hartley, Rao and LaMotte 1978; SAS PROC VARCOMP's default) equates the quadratic forms
    y'MZ_aZ_a'My to their expectations at V = σ²I. It is unbiased and needs cross-products only, but not
    positive: estimates below a thousandth of their column's share of the residual variance are raised to
    it.
    """
    terms = criterion.design.random
    moments, forms = criterion.equations.start_moments()
    pooling = _pooling(terms)
    moments, forms = pooling @ moments @ pooling.T, pooling @ forms
    ordinary = forms[-1] / moments[-1, -1]
    shares = moments[:-1, -1] / moments[-1, -1]
    # what X leaves of a column counts against its own size, whatever the units of the columns
    whole = pooling[:-1, :-1] @ np.concatenate([*criterion.equations.column_squares(), np.empty(0)])
    shares = np.where(shares > 1e-10 * whole / moments[-1, -1], shares, whole / moments[-1, -1])
    shares = np.where(shares > 0, shares, 1.0)
    estimate = _solve_moments(moments, forms)
    residual = min(max(float(estimate[-1]), 0.05 * ordinary), ordinary) if ordinary > 0 else 1.0
    unit = (ordinary if ordinary > 0 else 1.0) / shares
    variances = np.clip(estimate[:-1], _SMALL * unit, _LARGE * unit)
    return _theta(criterion, pooling[:-1, :-1].T @ variances, residual)


def wide_start(criterion: Criterion, theta: Array) -> Array:
    """Return relative θ with large variances, and no covariances, for every term of several columns."""
    out = np.array(theta)
    for block in criterion.model.random_blocks:
        term = criterion.design.random[block.term]
        if term.n_columns > 1:
            total = criterion.equations.column_squares()[block.term]
            unit = term.n_levels / np.where(total > 0, total, 1.0)
            out[block.place] = block.structure.start(np.diag(_WIDE * unit), block.positions)
    return out


def _pooling(terms: tuple[RandomTerm, ...]) -> Array:
    """Return the 0/1 matrix that sums the equations of columns which share a starting variance."""
    rows: list[list[int]] = []
    first = 0
    for term in terms:
        columns = list(range(first, first + term.n_columns))
        rows += [columns] if term.n_levels < _FEW_LEVELS * term.n_sets else [[c] for c in columns]
        first += term.n_columns
    pooling = np.zeros((len(rows) + 1, first + 1))
    for i, columns in enumerate([*rows, [first]]):
        pooling[i, columns] = 1.0
    return pooling


def _solve_moments(moments: Array, forms: Array) -> Array:
    """Return v with S v = q; of the solutions the smallest where columns cannot be told apart."""
    scale = np.sqrt(np.maximum(np.diag(moments), 1e-300))
    solution: Array = np.linalg.lstsq(moments / np.outer(scale, scale), forms / scale, rcond=1e-10)[0]
    return solution / scale


def _theta(criterion: Criterion, variances: Array, residual: float) -> Array:
    """Return θ whose covariances are diagonal with the given variances per column."""
    theta = np.zeros(criterion.n_theta)
    unit = 1.0 if criterion.joint else residual
    offsets = np.cumsum([0, *(term.n_columns for term in criterion.design.random)])
    for block in criterion.model.random_blocks:
        target = variances[offsets[block.term] : offsets[block.term + 1]] / unit
        theta[block.place] = block.structure.start(np.diag(target), block.positions)
    if criterion.joint:
        theta[-1] = np.log(residual)
    return theta
