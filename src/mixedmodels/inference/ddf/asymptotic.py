"""Infinite degrees of freedom: normal and χ² tests."""

from __future__ import annotations

import numpy as np

from ...fit import Fit
from ...typing import Array
from .base import DegreesOfFreedom


class Asymptotic(DegreesOfFreedom):
    """z and χ² in place of t and F.

    Notes
    -----
    *Same as* SAS `DDFM=NONE` and the Wald tests of glmmTMB and MixedModels.jl.
    """

    name = "asymptotic"
    note = "asymptotic (normal and χ²)"

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        return np.full(len(functions), np.inf)

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        return 1.0, np.inf
