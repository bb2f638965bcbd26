"""The quadratic model of −2l at one θ and the step that minimises it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..criterion.differences import Evaluation
from ..typing import Array

_SMALLEST_PIVOT = 1e-4
"""Cholesky pivots of the scaled Hessian below this count as indefinite: the parameter is undetermined."""
_RIDGE = 1e-6
_FLAT = 1e-12
"""Curvature of −2l over the size of a parameter, or one, below which the parameter rests: all of it is rounding."""


@dataclass(frozen=True, slots=True)
class NewtonStep:
    """A descent step, its decrement g'H⁻¹g, and whether H was positive definite as it came."""

    step: Array
    decrement: float
    definite: bool


def newton_step(
    evaluation: Evaluation,
    free: NDArray[np.intp] | None = None,
    damping: float = 0.0,
    caps: Array | None = None,
    theta: Array | None = None,
) -> NewtonStep:
    """Return −H⁻¹g with H = average information + curvature where that is positive definite.

    Parameters
    ----------
    evaluation
        Derivatives at the current θ, k parameters.
    free
        Indices of the parameters that may move; None for all. The others get a zero step.
    damping
        Multiple of the unit diagonal added to H in the scale where its diagonal is one; large values turn
        the step into a scaled steepest descent.
    caps
        Largest step of every parameter, (k,); the others go where −2l is then smallest.
    theta
        The current θ; with it parameters in which −2l is flat, |H_aa| max(1, θ_a²) < 1e-12, get a zero step.

    Notes
    -----
    Where H is indefinite (a variance near zero whose increase lowers −2l) the curvature C is replaced by
    |C|, the matrix with its eigenvalues made positive, taken in the scale of the average information. The
    step is then of the size of the parameter itself along the directions of negative curvature, so that
    the model is never trusted beyond the point where Σ = LL' is dominated by its quadratic term.
    """
    gradient, information, curvature = evaluation.gradient, evaluation.information, evaluation.curvature
    if theta is not None:
        free = _not_flat(evaluation, theta, free)
    if free is not None:
        inside = np.ix_(free, free)
        gradient, information, curvature = gradient[free], information[inside], curvature[inside]
    size = information.diagonal() + np.abs(curvature.diagonal())
    scale = np.where((size > 0) & np.isfinite(size), size, 1.0) ** -0.5
    both = scale[:, None] * scale
    hessian = (information + curvature) * both
    definite = _is_definite(hessian)
    if not definite and not np.isfinite(hessian).all():
        # second derivatives of a structure may overflow where its matrix does not
        curvature, hessian = np.zeros_like(curvature), information * both
    if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()):
        return NewtonStep(np.zeros(len(evaluation.gradient)), np.inf, False)
    if not definite:
        values, vectors = np.linalg.eigh(curvature * both)
        hessian = information * both + (vectors * np.abs(values)) @ vectors.T
        damping += _RIDGE
    if damping:
        hessian[np.diag_indices_from(hessian)] += damping
    scaled = gradient * scale
    step: Array = np.asarray(-np.linalg.solve(hessian, scaled), dtype=np.float64)
    decrement = -float(scaled @ step)
    if caps is not None:
        step = _capped(hessian, scaled, step, (caps if free is None else caps[free]) / scale)
    step *= scale
    if free is not None:
        full = np.zeros(len(evaluation.gradient))
        full[free] = step
        step = full
    return NewtonStep(step, decrement, definite)


def _not_flat(
    evaluation: Evaluation, theta: Array, free: NDArray[np.intp] | None
) -> NDArray[np.intp] | None:
    """Return those of the free parameters in which −2l is not flat; None for all."""
    size = evaluation.information.diagonal() + np.abs(evaluation.curvature.diagonal())
    moving = ~(size * np.maximum(1.0, theta**2) < _FLAT)
    if free is None:
        return None if moving.all() else np.flatnonzero(moving)
    return free[moving[free]]


def _capped(hessian: Array, gradient: Array, step: Array, caps: Array) -> Array:
    """Return the step with parameters that go beyond their caps held there and the others at their minimum."""
    over = np.abs(step) > caps
    if not over.any():
        return step
    out = np.where(over, np.sign(step) * caps, 0.0)
    rest = np.flatnonzero(~over)
    if len(rest):
        right = -gradient[rest] - hessian[np.ix_(rest, np.flatnonzero(over))] @ out[over]
        out[rest] = np.linalg.solve(hessian[np.ix_(rest, rest)], right)
    return out


def _is_definite(matrix: Array) -> bool:
    try:
        return bool(np.linalg.cholesky(matrix).diagonal().min() > _SMALLEST_PIVOT)
    except np.linalg.LinAlgError:
        return False
