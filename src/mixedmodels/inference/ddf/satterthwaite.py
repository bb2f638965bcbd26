"""Satterthwaite degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...fit import Fit
from ...typing import Array
from ..directions import independent_directions
from ..sensitivity import Information, Sensitivity, require_linear, sensitivity
from .base import DegreesOfFreedom


@dataclass(frozen=True, slots=True)
class Satterthwaite(DegreesOfFreedom):
    """t with ν = 2v²/(g'Wg), v = l'Φl, g_a = ∂v/∂θ_a = −l'ΦP_aΦl; F by Fai and Cornelius (1996).

    Notes
    -----
    For several rows LΦL' = UDU', each row of U'L has its ν_m, E = Σ ν_m/(ν_m − 2) and ν = 2E/(E − q); equal ν_m are
    their common value and any ν_m ≤ 2 gives 2, as in lmerTest. *Same as* SAS `DDFM=SATTERTHWAITE`, lmerTest.
    """

    name: ClassVar[str] = "satterthwaite"
    from_variances: ClassVar[bool] = True
    information: Information = "observed"

    @property
    def note(self) -> str:  # type: ignore[override]
        return "Satterthwaite" if self.information == "observed" else "Satterthwaite, expected information"

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        require_linear(fit, self.name)
        return single_df(sensitivity(fit, self.information), fit.solution.basis.rows(functions))

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        require_linear(fit, self.name)
        s = sensitivity(fit, self.information)
        own = fit.solution.basis.rows(functions)
        _, directions = independent_directions(own @ s.phi @ own.T)
        return 1.0, fai_cornelius(single_df(s, directions @ own))


def single_df(s: Sensitivity, functions: Array) -> Array:
    """Return ν of functions (m, r) in own coordinates; infinite where the variance does not depend on θ̂."""
    pushed = functions @ s.phi
    variance = np.einsum("mi,mi->m", pushed, functions)
    # matrix by matrix: the three factors at once would be multiplied without BLAS
    slopes = (
        -np.array([np.einsum("mi,mi->m", pushed @ p, pushed) for p in s.p]).reshape(len(s.p), len(pushed)).T
    )
    spread = np.einsum("ma,ab,mb->m", slopes, s.w, slopes)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, 2 * variance**2 / spread, np.inf)


def fai_cornelius(nu: Array) -> float:
    """Return the denominator degrees of freedom of an F test from those of its orthogonal rows.

    Examples
    --------
    >>> round(fai_cornelius(np.array([10.0, 20.0])), 4)
    13.0769
    """
    q = len(nu)
    if q == 0:
        return float("nan")
    if q == 1:
        return float(nu[0])
    if np.isinf(nu).all():
        return float("inf")
    if np.all(np.isfinite(nu)) and np.ptp(nu) < 1e-8 * nu.mean():
        return float(nu.mean())
    if np.any(nu <= 2):
        return 2.0
    expectation = float(np.sum(np.where(np.isinf(nu), 1.0, nu / (nu - 2.0))))
    # very large ν leave nothing over q
    return 2 * expectation / (expectation - q) if expectation > q else float("inf")
