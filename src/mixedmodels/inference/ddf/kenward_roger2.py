"""Kenward and Roger's method of 2009, free of the choice of covariance parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...criterion.fixed_information import bend_traces
from ...fit import Fit
from ...typing import Array
from ..sensitivity import Information, curved_weights, sensitivity
from .base import DegreesOfFreedom
from .kenward_roger import KenwardRoger, described, positive_or_first_order, require_restricted


@dataclass(frozen=True, slots=True)
class KenwardRoger2(DegreesOfFreedom):
    """Kenward–Roger's covariance of β̂ plus Φ(Σ b_iP_i)Φ, b the bias of θ̂; the same F and degrees of freedom.

    Notes
    -----
    Kenward and Roger (2009): in the expansion of E Φ(θ̂) the bias of θ̂, which their method of 1997 leaves out, is
    for REML

        b_i = −¼ Σ_j E⁻_ij Σ_kl W_kl tr(PV_klPV_j),   E_ij = ½tr(PV_iPV_j),

    zero where V is linear in θ, so that linear structures (variances, `us`, `cs`, `toep`) have the same numbers as
    `"kenward-roger"`. Otherwise the sum of the second-order terms is −½ΦX'V⁻¹NV⁻¹XΦ with N the part of ΣW_klV_kl
    that is orthogonal, in the inner product tr(PAPB), to all V_i: it does not depend on the scale of the
    parameters. W is the covariance of θ̂ from the observed information, or the expected with
    `information="expected"`, which gives the formula of the paper; the E⁻ of b, an expectation, is that of
    the expected information in both cases, without which the result would not be invariant. *Same as* SAS
    `DDFM=KENWARDROGER2`, of which no printed result for a nonlinear structure was found to compare with.
    """

    name: ClassVar[str] = "kenward-roger2"
    from_variances: ClassVar[bool] = True
    adjusts: ClassVar[bool] = True
    information: Information = "observed"

    @property
    def note(self) -> str:  # type: ignore[override]
        kind = "Kenward–Roger (2009)"
        return kind if self.information == "observed" else f"{kind}, expected information"

    def describe(self, fit: Fit) -> str:
        self.vcov(fit)
        return described(self, fit)

    def vcov(self, fit: Fit) -> Array:
        require_restricted(fit, self.name)
        return positive_or_first_order(fit, self)

    def adjusted(self, fit: Fit) -> Array:
        """Return the adjusted covariance of β̂ by its formula, (rank, rank) in own coordinates."""
        return fit._work.keep(f"kenward-roger2 {self.information}", lambda: self._adjusted(fit))

    def _adjusted(self, fit: Fit) -> Array:
        s = sensitivity(fit, self.information)
        moved = np.einsum("i,ijk->jk", bias(fit, self.information), s.p)
        return np.asarray(self._first().adjusted(fit) + s.phi @ (0.5 * (moved + moved.T)) @ s.phi)

    def _first(self) -> KenwardRoger:
        return KenwardRoger(information=self.information)

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        self.vcov(fit)
        return self._first().single(fit, functions)

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        self.vcov(fit)
        return self._first().joint(fit, functions)


def bias(fit: Fit, information: Information) -> Array:
    """Return the bias of the natural parameters to second order as a change of the working ones, (k,)."""
    criterion, theta = fit._work.criterion(), fit.optimum.theta
    weights = curved_weights(fit, sensitivity(fit, information).w)
    if not weights.any():
        return np.zeros(criterion.absolute(theta).shape)
    traces = bend_traces(criterion, theta, weights)
    if not traces.any():
        return traces
    return np.asarray(-0.25 * criterion.working_covariance(theta, expected=True) @ traces)
