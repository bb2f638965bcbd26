"""Kenward–Roger covariance of β̂ and scaled F tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import SpecError
from ...fit import Fit
from ...typing import Array
from ..directions import independent_directions
from ..sensitivity import Information, Sensitivity, sensitivity
from .base import DegreesOfFreedom
from .satterthwaite import single_df


@dataclass(frozen=True, slots=True)
class KenwardRoger(DegreesOfFreedom):
    """Φ_A = Φ + 2Φ{Σ W_ab(Q_ab − P_aΦP_b) − ¼ΣW_abR_ab}Φ and λF on (q, m) degrees of freedom.

    Notes
    -----
    Kenward and Roger (1997), in SAS's parameters: R_ab, the second derivatives of V, vanishes for structures linear in
    them (variances, covariances, compound symmetry, Toeplitz) and is kept otherwise; `linear` drops it, as SAS's
    `DDFM=KENWARDROGER(FIRSTORDER)` does. With Θ = L'(LΦL')⁻¹L, A₁ = ΣW_ab tr(ΘΦP_aΦ)tr(ΘΦP_bΦ) and
    A₂ = ΣW_ab tr(ΘΦP_aΦΘΦP_bΦ) the scale λ and m follow; for one row λ = 1 and m is Satterthwaite's. W comes from
    the observed information as in SAS, or the expected as in pbkrtest. Only for REML.
    """

    name: ClassVar[str] = "kenward-roger"
    linear: bool = False
    information: Information = "observed"

    @property
    def note(self) -> str:  # type: ignore[override]
        kind = "Kenward–Roger, first order" if self.linear else "Kenward–Roger"
        return kind if self.information == "observed" else f"{kind}, expected information"

    def vcov(self, fit: Fit) -> Array:
        if not fit.design.reml:
            raise SpecError(
                "ddf='kenward-roger' is defined for REML fits; refit with method='reml' or use 'satterthwaite'."
            )
        return fit.keep(f"kenward-roger {self.linear} {self.information}", lambda: self._adjusted(fit))

    def _adjusted(self, fit: Fit) -> Array:
        s = sensitivity(fit, self.information)
        mixed = np.tensordot(s.w, s.phi @ s.p, 1)
        middle = s.squared - np.einsum("aij,ajl->il", s.p, mixed, optimize=True)
        if not self.linear:
            middle = middle - 0.25 * s.bent
        adjusted = s.phi + 2 * s.phi @ middle @ s.phi
        return np.asarray(0.5 * (adjusted + adjusted.T))

    def single(self, fit: Fit, functions: Array) -> Array:
        self.vcov(fit)
        return single_df(sensitivity(fit, self.information), functions)

    def joint(self, fit: Fit, functions: Array) -> tuple[float, float]:
        self.vcov(fit)
        s = sensitivity(fit, self.information)
        values, directions = independent_directions(functions @ s.phi @ functions.T)
        # F and its df do not depend on the basis: one of equal variances keeps what follows well scaled
        rows = (directions / np.sqrt(values)[:, None]) @ functions
        if len(rows) == 1:
            return 1.0, float(single_df(s, rows)[0])
        return scaled_f(s, rows)


def scaled_f(s: Sensitivity, rows: Array) -> tuple[float, float]:
    """Return λ and m of Kenward and Roger's F for linearly independent rows (q, r), q ≥ 2."""
    q = len(rows)
    theta = rows.T @ np.linalg.solve(rows @ s.phi @ rows.T, rows)
    moved = np.einsum("ij,jk,akl,lm->aim", theta, s.phi, s.p, s.phi, optimize=True)
    traces = np.einsum("aii->a", moved)
    a1 = float(traces @ s.w @ traces)
    a2 = float(np.einsum("ab,aij,bji->", s.w, moved, moved, optimize=True))
    if a2 <= 1e-14:
        return 1.0, float("inf")
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
    below = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
    mean = 1 / (1 - a2 / q)
    v0, v1, v2 = 1 + c1 * b, 1 - c2 * b, 1 - c3 * b
    # where both are lost to rounding the ratio is that of their limits (balanced one-way layouts)
    v0 = 0.0 if abs(v0) < 1e-10 else v0
    # 1/ρ rather than ρ: it passes through zero where the reference distribution is that of Hotelling's T² (m = 4)
    inverse_rho = q * mean**2 * v1**2 * v2 / v0 if v0 != 0 else np.inf
    if inverse_rho >= q * (1 - 1e-12):
        return 1.0, float("inf")
    m = 4 + (q + 2) * inverse_rho / (q - inverse_rho)
    scale = m / (mean * (m - 2)) if abs(m - 2) >= 1e-2 else 1.0
    return scale, m
