"""Φ, its slopes in the covariance parameters, and their uncertainty: computed once per fit and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..criterion.sensitivity import fixed_information, second_order
from ..errors import SpecError
from ..fit import Fit
from ..typing import Array

Information = Literal["observed", "expected"]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What the small-sample methods need of a fit, r = rank X, k covariance parameters.

    Parameters
    ----------
    phi
        Φ = (X'V⁻¹X)⁻¹, (r, r).
    p
        ∂(X'V⁻¹X)/∂θ, (k, r, r), in the joint working parameters.
    w
        Asymptotic covariance of θ̂, 2H⁻ restricted to the face a singular fit lies on, (k, k).
    squared
        Σ_ab W_ab X'V⁻¹V̇_aV⁻¹V̇_bV⁻¹X, (r, r).
    bent
        Σ_ab W_ab X'V⁻¹V̈_abV⁻¹X in natural parameters, (r, r): zero for linear structures.
    """

    phi: Array
    p: Array
    w: Array
    squared: Array
    bent: Array


def sensitivity(fit: Fit, information: Information = "observed") -> Sensitivity:
    """Return the sensitivity of a fit, with W from the observed (SAS, lmerTest) or expected information (pbkrtest)."""
    if information not in get_args(Information):
        raise SpecError(f"information={information!r} is not known; use 'observed' or 'expected'.")
    return fit.keep(f"sensitivity {information}", lambda: _compute(fit, information))


def _compute(fit: Fit, information: Information) -> Sensitivity:
    criterion, theta = fit.criterion_function(), fit.optimum.theta
    w = criterion.working_covariance(theta, expected=information == "expected")
    natural = criterion.natural(theta)
    weights = natural.jacobian @ w @ natural.jacobian.T
    p, squared = fixed_information(criterion, theta, w)
    bent = second_order(criterion, theta, weights)
    return Sensitivity(fit.solution.vcov, p, w, squared, bent)
