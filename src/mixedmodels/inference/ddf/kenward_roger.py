"""Kenward–Roger covariance of β̂ and scaled F tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from ...errors import FitError, SpecError
from ...fit import Fit
from ...typing import Array
from ..directions import independent_directions
from ..sensitivity import Information, Sensitivity, bent, require_linear, sensitivity
from ..vcov import model_vcov
from .base import DegreesOfFreedom
from .satterthwaite import single_df

COLLAPSED = 1e-8
"""An adjusted variance below this share of the unadjusted one is zero up to the rounding of the second-order terms."""
SMALL = 0.8
"""An adjusted variance below this share of the unadjusted one is worth a note: adjustments are meant to enlarge."""
LOST = 1e6
"""An adjusted variance above this share is that of rounding: a second derivative at a parameter that has vanished."""


def require_restricted(fit: Fit, name: str) -> None:
    """Raise `SpecError` for a fit that is not by restricted likelihood."""
    require_linear(fit, name)
    if not fit.design.reml:
        raise SpecError(
            f"ddf={name!r} is defined for REML fits; refit with method='reml' or use 'satterthwaite'."
        )


@dataclass(frozen=True, slots=True)
class KenwardRoger(DegreesOfFreedom):
    """Φ_A = Φ + 2Φ{Σ W_ab(Q_ab − P_aΦP_b) − ¼ΣW_abR_ab}Φ and λF on (q, m) degrees of freedom.

    Notes
    -----
    Kenward and Roger (1997), in SAS's parameters: R_ab, the second derivatives of V, vanishes for structures linear in
    them (variances, covariances, compound symmetry, Toeplitz, a variance per group) and is kept otherwise; `linear`
    drops it, as SAS's `DDFM=KENWARDROGER(FIRSTORDER)` does. Without R_ab Φ_A ≥ Φ; with it Φ_A need not be positive
    definite, and the whole matrix is then that without, which tables say. With Θ = L'(LΦL')⁻¹L,
    A₁ = ΣW_ab tr(ΘΦP_aΦ)tr(ΘΦP_bΦ) and A₂ = ΣW_ab tr(ΘΦP_aΦΘΦP_bΦ) the scale λ and m follow; for one row λ = 1 and m
    is Satterthwaite's. W comes from the observed information as in SAS, or the expected as in pbkrtest. Only for REML.
    """

    from_variances: ClassVar[bool] = True
    adjusts: ClassVar[bool] = True
    linear: bool = False
    information: Information = "observed"

    @property
    def name(self) -> str:  # type: ignore[override]
        return "kenward-roger-linear" if self.linear else "kenward-roger"

    @property
    def note(self) -> str:  # type: ignore[override]
        kind = "Kenward–Roger, first order" if self.linear else "Kenward–Roger"
        return kind if self.information == "observed" else f"{kind}, expected information"

    def describe(self, fit: Fit) -> str:
        # asked first for what it refuses
        self.vcov(fit)
        return self.note if self.linear else described(self, fit)

    def vcov(self, fit: Fit) -> Array:
        require_restricted(fit, self.name)
        key = f"kenward-roger vcov {self.linear} {self.information}"
        return fit._work.keep(key, lambda: self._vcov(fit))

    def _vcov(self, fit: Fit) -> Array:
        return first_order(fit, self.information) if self.linear else positive_or_first_order(fit, self)

    def adjusted(self, fit: Fit) -> Array:
        """Return Φ_A by its formula, (rank, rank) in own coordinates, positive definite or not."""
        return fit._work.keep(f"kenward-roger {self.linear} {self.information}", lambda: self._adjusted(fit))

    def _adjusted(self, fit: Fit) -> Array:
        s = sensitivity(fit, self.information)
        return adjusted_covariance(s, None if self.linear else bent(fit, self.information))

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        self.vcov(fit)
        return single_df(sensitivity(fit, self.information), fit.solution.basis.rows(functions))

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        self.vcov(fit)
        s = sensitivity(fit, self.information)
        own = fit.solution.basis.rows(functions)
        values, directions = independent_directions(own @ s.phi @ own.T)
        # F and its df do not depend on the basis: one of equal variances keeps what follows well scaled
        rows = (directions / np.sqrt(values)[:, None]) @ own
        if len(rows) == 1:
            return 1.0, float(single_df(s, rows)[0])
        return scaled_f(s, rows)


def adjusted_covariance(s: Sensitivity, bend: Array | None = None) -> Array:
    """Return Φ_A by its formula, (rank, rank) in own coordinates; `bend` is ΣW_abR_ab, None for zero."""
    mixed = np.tensordot(s.w, s.phi @ s.p, 1)
    middle = s.squared - np.tensordot(s.p, mixed, ((0, 2), (0, 1)))
    if bend is not None:
        middle = middle - 0.25 * bend
    adjusted = s.phi + 2 * s.phi @ middle @ s.phi
    return np.asarray(0.5 * (adjusted + adjusted.T))


def usable_first_order(s: Sensitivity) -> Array | None:
    """Return Φ_A without second derivatives of V, None where it is lost to rounding."""
    adjusted = adjusted_covariance(s)
    smallest, largest = _shares(s.phi, adjusted)
    return adjusted if SMALL <= smallest <= largest < LOST else None


class SecondOrder(Protocol):
    """A method of Kenward and Roger's with second derivatives of V."""

    @property
    def name(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def information(self) -> Information: ...

    def adjusted(self, fit: Fit) -> Array:
        """Return the adjusted covariance of β̂ by its formula, (rank, rank), positive definite or not."""
        ...


def positive_or_first_order(fit: Fit, method: SecondOrder) -> Array:
    """Return the adjusted covariance of β̂, that of the first order where it is not positive definite or is lost."""
    smallest, largest = shares(fit, method)
    if smallest > COLLAPSED and largest < LOST:
        return method.adjusted(fit)
    return first_order(fit, method.information)


def first_order(fit: Fit, information: Information) -> Array:
    """Return the adjusted covariance without second derivatives of V, which in exact arithmetic exceeds the unadjusted
    one; `FitError` where it is lost to rounding."""
    method = KenwardRoger(linear=True, information=information)
    smallest, largest = shares(fit, method)
    if not SMALL <= smallest <= largest < LOST:
        raise FitError(
            "Kenward–Roger's adjustment of the variances of the fixed effects is lost to rounding: it shrinks some, or "
            "blows some up, where it can only raise them, as where the data hardly "
            "determine some covariance parameter or columns of X are nearly dependent. Use ddf='satterthwaite' or "
            "'between-within', which leave them as they are, or simplify the model."
        )
    return method.adjusted(fit)


def described(method: SecondOrder, fit: Fit) -> str:
    """Return the note of a method with what became of its adjusted covariance."""
    note, (share, largest) = method.note, shares(fit, method)
    if not largest < LOST:
        return f"{note}, whose covariance is lost to rounding here: first order instead"
    if share <= COLLAPSED:
        return f"{note}, whose covariance is not positive definite here: first order instead"
    if share < SMALL:
        return (
            f"{note}; it makes a variance {share:.2g} times the unadjusted one: consider kenward-roger-linear"
        )
    return note


def shares(fit: Fit, method: SecondOrder) -> tuple[float, float]:
    """Return the least and largest ratio of adjusted and unadjusted variance over all functions of β, 1 without any and
    infinite where the adjusted covariance is not finite."""
    key = f"shares {method.name} {method.information}"
    return fit._work.keep(key, lambda: _shares(model_vcov(fit), method.adjusted(fit)))


def _shares(phi: Array, adjusted: Array) -> tuple[float, float]:
    if not len(adjusted):
        return 1.0, 1.0
    if not np.isfinite(adjusted).all():
        return np.inf, np.inf
    # own coordinates are of one size, but a column may vary between clusters alone
    unit = 1.0 / np.sqrt(np.diagonal(phi))
    half = np.linalg.cholesky(phi * unit[:, None] * unit)
    inner = np.linalg.solve(half, np.linalg.solve(half, adjusted * unit[:, None] * unit).T)
    ratios = np.linalg.eigvalsh(0.5 * (inner + inner.T))
    return float(ratios[0]), float(ratios[-1])


def scaled_f(s: Sensitivity, rows: Array) -> tuple[float, float]:
    """Return λ and m of Kenward and Roger's F for linearly independent rows (q, r), q ≥ 2; NaN where the approximate
    moments of the statistic are those of no F distribution."""
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
    # no F distribution has such moments: there is no test, rather than a negative F or negative df
    return (scale, m) if scale > 0 and m > 0 else (float("nan"), float("nan"))
