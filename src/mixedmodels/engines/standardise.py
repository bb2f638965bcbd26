"""Centring and scaling of X and y before anything is squared.

Cross-products square the condition of X, so its columns are centred (when the model has a constant column) and scaled
to unit standard deviation, and y is replaced by its weighted least-squares residual. With Xs = XA the fit is the same:
log|X'Ṽ⁻¹X| = log|Xs'Ṽ⁻¹Xs| − 2 log|det A| and β = A(β₀ + βs).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ..control import Control
from ..errors import FitError
from ..kernels import column_squares, column_sums, gram
from ..terms.design import Design
from ..typing import Array

ROWS_AT_ONCE = 16384
NARROW = 12
"""Columns of X up to which the native pass beats BLAS on blocks."""
SMALL_PROBLEM = 20_000
"""Rows below which one thread is faster than handing work over."""


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
    threads = useful_threads(len(y), control)
    centre, scale, constant, level = _columns(x, threads)
    r = x.shape[1]
    beta = np.zeros(r)
    gram = _gram(x, y, w, centre, scale, beta, threads)
    if r:
        try:
            beta = linalg.cho_solve(linalg.cho_factor(gram[:r, :r]), gram[:r, r])
        except linalg.LinAlgError as error:
            raise FitError("X is numerically rank deficient after aliased columns were removed.") from error
        gram = _gram(x, y, w, centre, scale, beta, threads)
    log_weights = 0.0 if w is None else -float(np.log(w).sum())
    return Standardised(x, y, centre, scale, beta, gram, constant, level, log_weights, threads)


def useful_threads(n: int, control: Control) -> int:
    """Return the threads worth using on n rows: the control's number, or 1 for a small problem when left open."""
    if control.threads:
        return control.threads
    if n < SMALL_PROBLEM:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _gram(
    x: Array, y: Array, w: Array | None, centre: Array, scale: Array, beta: Array, threads: int
) -> Array:
    """Cross-products of [Xs, y − Xs·beta] by blocks of rows: natively when X is narrow, by BLAS when it is wide."""
    n, r = x.shape
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
        total += block.T @ (block if w is None else block * w[i:stop, None])
    return total


def _columns(x: Array, threads: int) -> tuple[Array, Array, int | None, float]:
    """Centre, 1/spread, and the constant column with its value."""
    n, r = x.shape
    if r == 0:
        return np.zeros(0), np.zeros(0), None, 1.0
    sums, same = column_sums(x, threads)
    first = x[0]
    candidates = np.flatnonzero(same & (first != 0))
    constant = int(candidates[0]) if len(candidates) else None
    centre = sums / n if constant is not None else np.zeros(r)
    spread = np.sqrt(column_squares(x, centre, threads) / n)
    level = 1.0
    if constant is not None:
        level = float(first[constant])
        centre[constant], spread[constant] = 0.0, 1.0
    spread[spread == 0] = 1.0
    return centre, 1.0 / spread, constant, level
