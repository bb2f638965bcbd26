"""Centring and scaling of X and y before anything is squared.

Cross-products square the condition of X, so its columns are centred (when the model has a constant column) and scaled
to unit standard deviation, and y is replaced by its weighted least-squares residual. With Xs = XA the fit is the same:
log|X'Ṽ⁻¹X| = log|Xs'Ṽ⁻¹Xs| − 2 log|det A| and β = A(β₀ + βs).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..control import Control
from ..errors import FitError
from ..kernels import gram, response_products, solve_lower, solve_upper
from ..terms.design import Design
from ..terms.rank import ColumnMoments
from ..typing import Array

ROWS_AT_ONCE = 16384
NARROW = 12
"""Columns of X up to which the native pass beats BLAS on blocks."""


@dataclass(frozen=True, slots=True)
class Standardised:
    """X and y as given, with the transformation applied on the fly.

    `centre`, `scale` (r,) act on columns of X; `beta` (r,) are the least-squares coefficients in standardised columns;
    `gram` (r+1, r+1) is [Xs ys]'W[Xs ys] with ys = y − Xs·beta; `constant` is the index of the constant column and
    `level` its value; `threads` are the native threads worth using.
    """

    x: Array
    y: Array
    centre: Array
    scale: Array
    beta: Array
    gram: Array
    constant: int | None
    level: float
    log_weights: float
    threads: int

    @property
    def logdet_shift(self) -> float:
        """−2 log|det A|."""
        return -2.0 * float(np.log(self.scale).sum())

    def rows(self, x: Array) -> Array:
        """Return linear functions x (n, r) of β as functions of the standardised coefficients, x A."""
        out = x * self.scale
        if self.constant is not None:
            out -= np.outer(x[:, self.constant] / self.level, self.centre * self.scale)
        return out

    def coefficients(self, beta: Array) -> Array:
        """Return β = A(β₀ + `beta`) in the user's columns."""
        return self.back(self.beta + beta)

    def back(self, b: Array) -> Array:
        """Return A b for b (r,) or (r, k)."""
        out = (b.T * self.scale).T
        if self.constant is not None:
            out[self.constant] -= self.centre @ out / self.level
        return out


def standardise(design: Design, control: Control, y: Array | None = None) -> Standardised:
    """Return the transformation and the cross-products of the standardised dense columns, in two passes over rows."""
    x, y, w = design.x, design.y if y is None else y, design.weights
    n, r = x.shape
    threads = control.threads_for(n)
    moments = _moments(design, x, threads)
    centre, scale, constant, level = _columns(moments, n)
    if w is None:
        inner = _scaled(moments, centre, scale, constant, n)
    else:
        inner = _weighted(x, y, w, (centre, scale, np.zeros(r)), threads)[:r, :r]
    full = np.zeros((r + 1, r + 1))
    full[:r, :r] = inner
    beta = np.zeros(r)
    if r:
        right = response_products(x, y, w, centre, scale, beta, threads)[:r]
        try:
            lower: Array = np.asarray(np.linalg.cholesky(inner), dtype=np.float64)
        except np.linalg.LinAlgError as error:
            raise FitError("X is numerically rank deficient after aliased columns were removed.") from error
        beta = solve_upper(lower, solve_lower(lower, right))
    full[r] = full[:, r] = response_products(x, y, w, centre, scale, beta, threads)
    log_weights = 0.0 if w is None else -float(np.log(np.abs(w)).sum())
    return Standardised(x, y, centre, scale, beta, full, constant, level, log_weights, threads)


def _moments(design: Design, x: Array, threads: int) -> ColumnMoments:
    known = design.fixed.moments
    if known is None:
        return ColumnMoments.of(x, threads)
    return known if len(known.mean) == x.shape[1] else known.take(design.fixed.estimable)


def _scaled(moments: ColumnMoments, centre: Array, scale: Array, constant: int | None, n: int) -> Array:
    """Xs'Xs from the moments of X."""
    shift = moments.mean - centre
    out: Array = (moments.gram + n * np.outer(shift, shift)) * np.outer(scale, scale)
    if constant is not None:
        out[constant] = out[:, constant] = 0.0
        out[constant, constant] = n * (shift[constant] * scale[constant]) ** 2
    return out


def _weighted(x: Array, y: Array, w: Array, transform: tuple[Array, Array, Array], threads: int) -> Array:
    """Cross-products of [Xs, y − Xs·beta] by blocks of rows: natively when X is narrow, by BLAS when it is wide."""
    n, r = x.shape
    centre, scale, beta = transform
    if r <= NARROW:
        return gram(x, y, w, centre, scale, beta, threads).reshape(r + 1, r + 1)
    total = np.zeros((r + 1, r + 1))
    part = np.empty((min(ROWS_AT_ONCE, n), r + 1))
    for i in range(0, n, ROWS_AT_ONCE):
        stop = min(i + ROWS_AT_ONCE, n)
        block = part[: stop - i]
        np.subtract(x[i:stop], centre, out=block[:, :r])
        block[:, :r] *= scale
        block[:, r] = y[i:stop] - block[:, :r] @ beta
        total += block.T @ (block * w[i:stop, None])
    return total


def _columns(moments: ColumnMoments, n: int) -> tuple[Array, Array, int | None, float]:
    """Centre, 1/spread, and the constant column with its value."""
    r = len(moments.mean)
    if r == 0:
        return np.zeros(0), np.zeros(0), None, 1.0
    candidates = np.flatnonzero(moments.constant & (moments.mean != 0))
    constant = int(candidates[0]) if len(candidates) else None
    centre = moments.mean.copy() if constant is not None else np.zeros(r)
    spread = np.sqrt(np.diagonal(moments.gram) / n + (moments.mean - centre) ** 2)
    level = 1.0
    if constant is not None:
        level = float(moments.mean[constant])
        centre[constant], spread[constant] = 0.0, 1.0
    spread[spread == 0] = 1.0
    return centre, 1.0 / spread, constant, level
