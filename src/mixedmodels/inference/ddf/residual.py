"""Residual degrees of freedom: n − rank X for everything."""

from __future__ import annotations

import numpy as np

from ...fit import Fit
from ...typing import Array
from .base import DegreesOfFreedom


class Residual(DegreesOfFreedom):
    """n − rank X, exact for ordinary least squares.

    Notes
    -----
    *Same as* SAS `DDFM=RESIDUAL` and `nlme::gls`.
    """

    name = "residual"
    note = "residual (n − rank X)"

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        return np.full(len(functions), float(fit.df_resid))

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        return 1.0, float(fit.df_resid)
