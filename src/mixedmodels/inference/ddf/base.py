"""The protocol of a method for denominator degrees of freedom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ...fit import Fit
from ...typing import Array
from ..sensitivity import Information
from ..vcov import model_vcov


class DegreesOfFreedom(ABC):
    """How the t and F statistics of a fit are referred to their distributions.

    Functions L'β are given on the estimable columns of X, (k, rank), by which some methods go; covariances are those of
    the equations' own coordinates, to which `fit.solution.basis.rows` takes functions.
    """

    name: ClassVar[str]
    note: str
    """One clause for the notes of a table: what the degrees of freedom are."""
    from_variances: ClassVar[bool] = False
    """Whether degrees of freedom come from how well variances are known, and so exist for any variance."""
    adjusts: ClassVar[bool] = False
    """Whether variances are adjusted for the estimation of the covariance parameters."""
    information: Information = "observed"
    """What the uncertainty of the covariance parameters is computed from."""

    def describe(self, fit: Fit) -> str:
        """Return `note`, and what happened to the method with this fit."""
        return self.note

    def for_term(self, term: str) -> DegreesOfFreedom:
        """Return the method of the test of one term of the fixed part: itself, where terms are not told apart."""
        return self

    def single(self, fit: Fit, functions: Array) -> Array:
        """Return the degrees of freedom of each row of `functions` (k, rank), (k,); NaN where none are left."""
        df = self.df_of_rows(fit, functions)
        return np.where(df > 0, df, np.nan)

    def joint(self, fit: Fit, functions: Array) -> tuple[float, float]:
        """Return the factor on F and the denominator degrees of freedom of all rows together, NaN for none."""
        factor, df = self.df_of_test(fit, functions)
        return factor, df if df > 0 else float("nan")

    @abstractmethod
    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        """Return the degrees of freedom of each row by the method's formula, (k,), which may give none or fewer."""

    @abstractmethod
    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        """Return the factor and the degrees of freedom of all rows together by the method's formula."""

    def vcov(self, fit: Fit) -> Array:
        """Return the covariance of β̂ used with this method, (rank, rank), in own coordinates."""
        return model_vcov(fit)
