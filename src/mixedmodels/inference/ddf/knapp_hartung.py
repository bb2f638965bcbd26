"""Knapp and Hartung's tests of meta-analyses with one effect per row."""

from __future__ import annotations

import numpy as np

from ...errors import SpecError
from ...fit import Fit
from ...typing import Array
from ..vcov import model_vcov
from .base import DegreesOfFreedom

ROUNDING = 1e-24
"""s² over that of the responses themselves up to which it is rounding."""
NO_SCALE = "no tests: the estimates agree exactly, which leaves that variance none; use test='z'"


class KnappHartung(DegreesOfFreedom):
    """t and F with n − p df on s²(X'V⁻¹X)⁻¹, s² = (y − Xβ̂)'V⁻¹(y − Xβ̂)/(n − p).

    Notes
    -----
    Knapp and Hartung (2003). V = V̂ is that of the fit, sampling variances and heterogeneity; s² is not kept at 1 or
    above. *Same as* `metafor::rma(test="knha")`.
    """

    name = "knapp-hartung"
    note = "Knapp–Hartung (n − p, covariance scaled by the weighted residual variance)"

    def describe(self, fit: Fit) -> str:
        return f"{self.note}; {NO_SCALE}" if _agree(fit) else self.note

    def vcov(self, fit: Fit) -> Array:
        check_one_effect(fit)
        plain = model_vcov(fit)
        return np.full_like(plain, np.nan) if _agree(fit) else residual_scale(fit) * plain

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        check_one_effect(fit)
        return np.full(len(functions), float(fit.df_resid))

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        check_one_effect(fit)
        return 1.0, float(fit.df_resid)


def _agree(fit: Fit) -> bool:
    """Return whether the estimates are their fitted means but for rounding, so that s² is none."""
    return residual_scale(fit) <= ROUNDING * float(
        np.mean(fit.response**2 * fit._work.rows().root_weights ** 2)
    )


def residual_scale(fit: Fit) -> float:
    """Return (y − Xβ̂)'V̂⁻¹(y − Xβ̂)/(n − p)."""
    criterion = fit._work.criterion()
    return criterion.scale(fit.optimum.theta) * criterion.nu / fit.df_resid


def check_one_effect(fit: Fit) -> None:
    """Raise `SpecError` unless the fit is a meta-analysis with one effect per row."""
    terms = fit.design.random
    if not fit.spec.sampling or len(terms) != 1 or terms[0].n_levels != fit.nobs:
        raise SpecError(
            "ddf='knapp-hartung' is for meta-analyses with one effect per row (mm.meta with random=None); use "
            "'kenward-roger', 'satterthwaite' or 'asymptotic'."
        )
