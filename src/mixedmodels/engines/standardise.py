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
from ..terms.design import Design
from ..typing import Array

ROWS_AT_ONCE = 16384
SMALL_PROBLEM = 20_000
"""Rows below which one thread is faster than handing work over."""


@dataclass(frozen=True, slots=True)
class Standardised:
    """X and y as given, with the transformation applied on the fly.

    `centre`, `scale` (r,) act on columns of X; `beta` (r,) are the least-squares coefficients in standardised columns;
    `gram` (r+1, r+1) is [Xs ys]'W[Xs ys] with ys = y − Xs·beta; `constant` is the index of the constant column and
    `level` its value.
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

    @property
    def logdet_shift(self) -> float:
        """−2 log|det A|."""
        return -2.0 * float(np.log(self.scale).sum())

    def threads(self, control: Control) -> int:
        """Threads worth using: the control's number, or 1 for a small problem when it is left open."""
        if control.threads:
            return control.threads
        if len(self.y) < SMALL_PROBLEM:
            return 1
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)

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


def standardise(design: Design, y: Array | None = None) -> Standardised:
    """Return the transformation and the cross-products of the standardised dense columns, in two passes over rows."""
    x, y, w = design.x, design.y if y is None else y, design.weights
    n, r = x.shape
    centre, scale, constant, level = _columns(x)
    beta = np.zeros(r)
    gram = _gram(x, y, w, centre, scale, beta)
    if r:
        try:
            beta = linalg.cho_solve(linalg.cho_factor(gram[:r, :r]), gram[:r, r])
        except linalg.LinAlgError as error:
            raise FitError("X is numerically rank deficient after aliased columns were removed.") from error
        gram = _gram(x, y, w, centre, scale, beta)
    log_weights = 0.0 if w is None else -float(np.log(w).sum())
    return Standardised(x, y, centre, scale, beta, gram, constant, level, log_weights)


def _gram(x: Array, y: Array, w: Array | None, centre: Array, scale: Array, beta: Array) -> Array:
    """Cross-products of [Xs, y − Xs·beta], accumulated over blocks of rows."""
    n, r = x.shape
    gram = np.zeros((r + 1, r + 1))
    part = np.empty((min(ROWS_AT_ONCE, n), r + 1))
    for i in range(0, n, ROWS_AT_ONCE):
        stop = min(i + ROWS_AT_ONCE, n)
        block = part[: stop - i]
        np.subtract(x[i:stop], centre, out=block[:, :r])
        block[:, :r] *= scale
        block[:, r] = y[i:stop] - block[:, :r] @ beta
        gram += block.T @ (block if w is None else block * w[i:stop, None])
    return gram


def _columns(x: Array) -> tuple[Array, Array, int | None, float]:
    n, r = x.shape
    if r == 0:
        return np.zeros(0), np.zeros(0), None, 1.0
    mean = x.mean(axis=0)
    first = x[0]
    constant: int | None = None
    for j in np.flatnonzero((np.abs(mean - first) <= 1e-14 * np.abs(first)) & (first != 0)):
        if np.all(x[:, j] == first[j]):
            constant = int(j)
            break
    centre = mean if constant is not None else np.zeros(r)
    square = np.zeros(r)
    for i in range(0, n, ROWS_AT_ONCE):
        part = x[i : i + ROWS_AT_ONCE] - centre
        square += np.einsum("ij,ij->j", part, part)
    spread = np.sqrt(square / n)
    level = 1.0
    if constant is not None:
        centre = centre.copy()
        level = float(first[constant])
        centre[constant], spread[constant] = 0.0, 1.0
    spread[spread == 0] = 1.0
    return centre, 1.0 / spread, constant, level
