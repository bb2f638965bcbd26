"""Degrees of freedom that belong to columns of X: a function takes the smallest of those it involves."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from ...fit import Fit
from ...typing import Array
from ..model_terms import model_terms
from .base import DegreesOfFreedom

INVOLVED = 1e-4
"""Coefficients below this fraction of the largest do not count (emmeans' tolerance)."""
CONSTANT = 1e-12
"""Spread of a column, relative to its mean, below which it is a constant up to rounding."""
DEPENDENT = 1e-10
"""Eigenvalue of the correlations of columns below which they add up to a constant."""


class ByColumn(DegreesOfFreedom):
    """A method that gives each estimable column of X its own degrees of freedom."""

    @property
    def variant(self) -> str:
        """What tells the method from others that a fit remembers."""
        return self.name

    @abstractmethod
    def of_columns(self, fit: Fit) -> Array:
        """Return the degrees of freedom of the estimable columns of X, (rank,)."""

    def for_term(self, term: str) -> DegreesOfFreedom:
        """Return the method of the test of one term, which has the degrees of freedom of its own columns."""
        return OfTerm(self, term)

    def columns(self, fit: Fit) -> Array:
        """Return what `of_columns` does, computed once per fit."""
        return fit._work.keep(f"ddf {self.variant}", lambda: self.of_columns(fit))

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        df = self.columns(fit)
        return np.asarray(np.where(involved(fit, functions), df, np.inf).min(axis=1, initial=np.inf))

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        df = self.single(fit, functions)
        return 1.0, float(df.min()) if len(df) else float("nan")


class OfTerm(DegreesOfFreedom):
    """The method for the test of one term, whose functions may have coefficients on others, as those of type 1 have."""

    def __init__(self, method: ByColumn, term: str) -> None:
        self.method, self.term = method, term
        self.name, self.note = method.name, method.note  # type: ignore[misc]

    def describe(self, fit: Fit) -> str:
        return self.method.describe(fit)

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        if fit.rows is None or fit.rows.parts:
            return self.method.df_of_rows(fit, functions)
        own = [term for term in model_terms(fit) if term.name == self.term]
        places = set(own[0].place) if own else set()
        inside = [j in places for j in fit.design.fixed.estimable]
        if not any(inside):
            return self.method.df_of_rows(fit, functions)
        return np.full(len(functions), self.method.columns(fit)[inside].min())

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        df = self.single(fit, functions)
        return 1.0, float(df.min()) if len(df) else float("nan")

    def vcov(self, fit: Fit) -> Array:
        return self.method.vcov(fit)


def involved(fit: Fit, functions: Array) -> NDArray[np.bool_]:
    """Return which columns of X functions (k, rank) involve, (k, rank), whatever the units and origins of columns.

    A coefficient, which is in the unit of its column, counts in spreads of it, against the largest of these about the
    mean of the rows: the mean of a response in 2019 is not all year.
    """
    if fit.rows is None:
        size = np.abs(functions)
        return np.asarray(size > INVOLVED * size.max(axis=1, keepdims=True, initial=0.0))
    mean, spread, constant = fit._work.keep("spread of columns", lambda: _spread(fit))
    share = functions @ constant
    about = np.abs(functions - share[:, None] * mean) / spread
    largest = np.maximum(about.max(axis=1, initial=0.0), np.abs(share))
    return np.asarray(np.abs(functions) / spread > INVOLVED * largest[:, None])


def _spread(fit: Fit) -> tuple[Array, Array, Array]:
    """Return the mean and spread of columns, (r,) each, and the coefficients (r,) with which they add up to 1.

    A constant column has its own size as its spread, and one of zeros, whose rows are read elsewhere, one; coefficients
    are zero where columns add up to no constant. Thresholds are the constants of ordered categories, with the sign
    of τ − η.
    """
    x, fixed = fit._work.rows().x, fit.design.fixed
    mean, spread = x.mean(axis=0), x.std(axis=0)
    flat = spread <= CONSTANT * np.abs(mean)
    size = np.where(flat, np.abs(mean), spread)
    size = np.where(size > 0, size, 1.0)
    constant = np.zeros(x.shape[1])
    thresholds = [
        k
        for k, j in enumerate(fixed.estimable)
        if fixed.components[j : j + 1] == ("threshold",) and not fixed.assign[j]
    ]
    if thresholds:
        constant[thresholds] = -1.0
        return mean, size, constant
    intercepts = np.flatnonzero(flat & (mean != 0))
    if len(intercepts):
        constant[intercepts[0]] = 1.0 / mean[intercepts[0]]
        return mean, size, constant
    used = np.flatnonzero(~flat)
    if len(used):
        scaled = (x[:, used] - mean[used]) / size[used]
        values, vectors = np.linalg.eigh(scaled.T @ scaled / len(x))
        direction = vectors[:, 0] / size[used]
        total = float(direction @ mean[used])
        if values[0] <= DEPENDENT and total != 0.0:
            constant[used] = direction / total
    return mean, size, constant


def constant_within(
    x: Array, codes: np.ndarray[tuple[int], np.dtype[np.int32]]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each column of X (n, p) whether it has one value within every group, (p,).

    Examples
    --------
    >>> constant_within(np.array([[1.0, 0.0], [1.0, 1.0], [2.0, 1.0]]), np.array([0, 0, 1], dtype=np.int32))
    array([ True, False])
    """
    first = np.zeros((int(codes.max(initial=-1)) + 1, x.shape[1]))
    first[codes] = x
    scale = np.abs(x).max(axis=0, initial=0.0)
    return np.asarray(np.abs(x - first[codes]).max(axis=0, initial=0.0) <= 1e-10 * scale)
