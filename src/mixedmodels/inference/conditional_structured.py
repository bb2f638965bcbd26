"""What the conditional AIC needs of a model with structured or unequal errors."""

from __future__ import annotations

import numpy as np

from ..criterion.base import LinearCriterion
from ..criterion.errors import FittedErrors
from ..fit import Fit, conditional_mean
from ..typing import Array


def conditional_deviance(fit: Fit, criterion: LinearCriterion) -> float:
    """Return −2 log f(y | b̂) = n log 2π + log|R̂| + (y − ŷ)'R̂⁻¹(y − ŷ)."""
    theta = fit.optimum.theta
    errors = FittedErrors(fit.design, criterion.model, theta)
    logdet = 2.0 * float(np.log(errors.sd).sum())
    for part, r in zip(criterion.model.parts, criterion.model.residuals(theta), strict=True):
        logdet += float(part.layout.counts @ np.linalg.slogdet(r)[1])
    return fit.nobs * float(np.log(2 * np.pi)) + logdet + float(np.sum(errors.whitened(fit._resid) ** 2))


def error_parameters(fit: Fit, criterion: LinearCriterion) -> int:
    """Return the number of estimated parameters of the errors."""
    free = criterion.free.copy()
    for block in criterion.model.random_blocks:
        free[block.place] = False
    return int(free.sum())


def structured_estimation_df(fit: Fit, criterion: LinearCriterion) -> float:
    """Return Σ_ab W_ab (PV_bPy)'(∂ŷ/∂θ_a), what estimating the covariance parameters adds.

    Notes
    -----
    PV_bPy = −∂(Py)/∂θ_b with Py = R⁻¹(y − ŷ): central differences in steps of a thousandth of a standard error
    of ŷ at fixed covariance parameters, whose relative error is about 1e-6.
    """
    theta = fit.optimum.theta
    w = criterion.working_covariance(theta)
    moving = np.flatnonzero(np.diag(w) > 0)
    steps = np.minimum(1e-3 * np.sqrt(np.diag(w)[moving]), 1e-3 * np.maximum(np.abs(theta[moving]), 1.0))
    sides = []
    for a, step in zip(moving, steps, strict=True):
        pair = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[a] += sign * step
            pair.append((moved, conditional_mean(criterion.design, criterion.solve(moved)[0])))
        sides.append(pair)
    slopes = np.array([(up[1] - down[1]) / (2 * h) for (up, down), h in zip(sides, steps, strict=True)])
    products = np.array(
        [
            (_against(fit, criterion, *up, slopes) - _against(fit, criterion, *down, slopes)) / (2 * h)
            for (up, down), h in zip(sides, steps, strict=True)
        ]
    )
    return -float(np.sum(w[np.ix_(moving, moving)] * products))


def _against(fit: Fit, criterion: LinearCriterion, theta: Array, mean: Array, vectors: Array) -> Array:
    """Return (Py)'v for each of several vectors (k, n), Py = R⁻¹(y − ŷ) at these parameters."""
    errors = FittedErrors(fit.design, criterion.model, theta)
    left = errors.whitened(fit.response - mean)
    return np.array([left @ errors.whitened(v) for v in vectors])
