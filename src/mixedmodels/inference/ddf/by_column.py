"""Degrees of freedom that belong to columns of X: a function takes the smallest of those it involves."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ...fit import Fit
from ...typing import Array
from .base import DegreesOfFreedom

INVOLVED = 1e-4
"""Coefficients below this fraction of the largest do not count (emmeans' tolerance)."""


class ByColumn(DegreesOfFreedom):
    """A method that gives each estimable column of X its own degrees of freedom."""

    @property
    def variant(self) -> str:
        """What tells the method from others that a fit remembers."""
        return self.name

    @abstractmethod
    def of_columns(self, fit: Fit) -> Array:
        """Return the degrees of freedom of the estimable columns of X, (rank,)."""

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        df = fit._work.keep(f"ddf {self.variant}", lambda: self.of_columns(fit))
        size = np.abs(functions)
        involved = size > INVOLVED * size.max(axis=1, keepdims=True, initial=0.0)
        return np.asarray(np.where(involved, df, np.inf).min(axis=1, initial=np.inf))

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        df = self.single(fit, functions)
        return 1.0, float(df.min()) if len(df) else float("nan")


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
