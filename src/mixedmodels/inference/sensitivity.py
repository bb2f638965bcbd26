"""Φ, its slopes in the covariance parameters, and their uncertainty: computed once per fit and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..criterion.fixed_information import fixed_information, second_order
from ..errors import SpecError
from ..fit import Fit
from ..typing import Array
from .vcov import model_vcov

Information = Literal["observed", "expected"]
KNOWN = 1e-12
"""Share of the largest below which an eigenvalue of W is none."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What the small-sample methods need of a fit, r = rank X, k covariance parameters; X in own coordinates.

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
    """

    phi: Array
    p: Array
    w: Array
    squared: Array


def sensitivity(fit: Fit, information: Information = "observed") -> Sensitivity:
    """Return the sensitivity of a fit, with W from the observed (SAS, lmerTest) or expected information (pbkrtest)."""
    if information not in get_args(Information):
        raise SpecError(f"information={information!r} is not known; use 'observed' or 'expected'.")
    return fit._work.keep(f"sensitivity {information}", lambda: _compute(fit, information))


def require_linear(fit: Fit, name: str) -> None:
    """Raise `SpecError` for a generalised model whose random effects are integrated out: no response has a V there."""
    if fit._work.integrated:
        raise SpecError(
            f"ddf={name!r} is defined for linear mixed models; fit this one with method='rspl', whose working response "
            "has one, or use 'between-within' or 'asymptotic'."
        )


def _compute(fit: Fit, information: Information) -> Sensitivity:
    criterion, theta = fit._work.criterion(), fit.optimum.theta
    w = criterion.working_covariance(theta, expected=information == "expected")
    p, squared = fixed_information(criterion, theta, w)
    return Sensitivity(model_vcov(fit), p, w, squared)


def bent(fit: Fit, information: Information) -> Array:
    """Return Σ_ab W_ab X'V⁻¹V̈_abV⁻¹X in SAS's parameters, (r, r), X in own coordinates: zero for linear structures."""
    weights = curved_weights(fit, sensitivity(fit, information).w)
    if not weights.any():
        return np.zeros_like(model_vcov(fit))
    return second_order(fit._work.criterion(), fit.optimum.theta, weights)


def curved_weights(fit: Fit, w: Array) -> Array:
    """Return the covariance of the natural parameters, zero for those in which V is linear on SAS's scale, (k, k).

    Second derivatives of V need no more: natural parameters are not always SAS's (ratios of standard deviations for
    variances per group, loadings for those of an unstructured matrix), but where V is linear in SAS's it does not bend.
    """
    criterion, theta = fit._work.criterion(), fit.optimum.theta
    residual, terms = fit.design.residual, fit.design.random
    bends = residual is not None and not residual.linear
    if not bends and all(term.linear for term in terms):
        return np.zeros_like(w)
    jacobian = criterion.natural(theta).jacobian
    weights, joint = jacobian @ w @ jacobian.T, criterion.absolute(theta)
    curved, first = np.full(len(weights), bends), 0
    for block in criterion.model.random_blocks:
        size = len(block.structure.natural(joint[block.place], block.positions).values)
        curved[first : first + size] = not terms[block.term].linear
        first += size
    weights[~curved, :] = 0.0
    weights[:, ~curved] = 0.0
    return np.asarray(weights)


def roots(w: Array) -> Array:
    """Return columns whose products add up to W, (k, rank)."""
    size = np.sqrt(np.maximum(np.diag(w), 0.0))
    unit = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(w / np.outer(unit, unit))
    kept = values > KNOWN * max(float(values[-1]), 0.0) if len(values) else values > 0
    return np.asarray(unit[:, None] * vectors[:, kept] * np.sqrt(values[kept]))
