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
_FLOOR = 1e-4
LARGEST_GROWTH = 3.0
"""Logarithm of the factor by which a deviation grows in one step at most."""
LEAP = 6.0
"""Change of the logarithm of a range that is tried where −2l falls like 1/r."""
_FLAT = 1e-12
"""Curvature of −2l in the logarithm of a range below which it rests: all of it is rounding."""


@dataclass(frozen=True, slots=True)
class NewtonStep:
    """A descent step, its decrement g'H⁻¹g, and whether H was positive definite as it came."""

    step: Array
    decrement: float
    definite: bool


@dataclass(frozen=True, slots=True)
class Fences:
    """The lowest and highest values of parameters and the largest change in one step, (k,) each.

    `pairs` has the places of ranges with those of standard deviations that grow with them, `ridges` those of log c
    with those of δ that go with 1 + c.
    """

    low: Array
    high: Array
    stride: Array
    pairs: tuple[tuple[int, int], ...] = ()
    ridges: tuple[tuple[int, int], ...] = ()

    def steps(self, theta: Array) -> tuple[Array, Array]:
        """Return the lowest and the highest step from θ."""
        lowest = np.minimum(np.maximum(self.low - theta, -self.stride), 0.0)
        return lowest, np.maximum(np.minimum(self.high - theta, self.stride), 0.0)

    def moved(self, theta: Array, step: Array) -> Array:
        """Return θ after a step, along which deviations that grow with a range grow by a factor.

        Where σ and r go to infinity and only σ²/r is determined, −2l is lowest along σ ∝ √r, not on a line. Where rows
        tell little but δ/(1 + c) it is lowest along δ ∝ 1 + c, and it is that ratio which moves in a line.
        """
        out = theta + step
        for constant, power in self.ridges:
            if abs(step[constant]) < LARGEST_GROWTH:
                before, after = 1.0 + np.exp(theta[constant]), 1.0 + np.exp(out[constant])
                share = 1.0 - 1.0 / before
                out[power] = (
                    (theta[power] + step[power] - theta[power] * share * step[constant]) * after / before
                )
        for place, deviation in self.pairs:
            growth = step[deviation] / theta[deviation] if theta[deviation] else 0.0
            if step[place] > 0.0 and 0.0 < growth < LARGEST_GROWTH:
                out[deviation] = theta[deviation] * np.exp(growth)
        return np.clip(out, self.low, self.high)

    def leap(self, theta: Array, step: Array) -> Array | None:
        """Return θ with a far larger range where −2l falls like 1/r, whose steps in log r are one; else None."""
        for place, deviation in self.pairs:
            if 0.8 < step[place] < 1.25 and theta[place] + LEAP < self.high[place]:
                out = self.moved(theta, step)
                out[place] += LEAP
                out[deviation] *= np.exp(0.5 * LEAP)
                return out
        return None


def newton_step(
    evaluation: Evaluation,
    free: NDArray[np.intp] | None = None,
    damping: float = 0.0,
    theta: Array | None = None,
    fences: Fences | None = None,
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
    theta
        The current θ.
    fences
        Limits of parameters and of their steps. Parameters with a largest step (logarithms of ranges) get a zero one
        where −2l is flat in them, |H_aa| < 1e-12; those at a limit that −2l falls beyond get a zero step, and the
        others go where −2l is smallest beside steps cut short.

    Notes
    -----
    Where H is indefinite (a variance near zero whose increase lowers −2l) the curvature C is replaced by
    |C|, the matrix with its eigenvalues made positive, taken in the scale of the average information. The
    step is then of the size of the parameter itself along the directions of negative curvature, so that
    the model is never trusted beyond the point where Σ = LL' is dominated by its quadratic term. An information that
    is no matrix of squares (that of a likelihood whose rows are not log-concave) may be indefinite too: the eigenvalues
    of H are then made positive, and not smaller than 1e-4 of the largest.
    """
    gradient, information, curvature = evaluation.gradient, evaluation.information, evaluation.curvature
    if theta is not None:
        free = _moving(evaluation, theta, free, fences)
    if free is not None:
        if not len(free):
            return NewtonStep(np.zeros(len(evaluation.gradient)), 0.0, True)
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
    if not definite and not _is_definite(hessian):
        values, vectors = np.linalg.eigh(hessian)
        values = np.maximum(np.abs(values), _FLOOR * np.abs(values).max())
        hessian = (vectors * values) @ vectors.T
    scaled = gradient * scale
    step: Array = np.asarray(-np.linalg.solve(hessian, scaled), dtype=np.float64)
    decrement = -float(scaled @ step)
    if fences is not None and theta is not None:
        low, high = fences.steps(theta)
        inside_low, inside_high = (low, high) if free is None else (low[free], high[free])
        step = _capped(hessian, scaled, step, inside_low / scale, inside_high / scale)
    step *= scale
    if free is not None:
        full = np.zeros(len(evaluation.gradient))
        full[free] = step
        step = full
    return NewtonStep(step, decrement, definite)


def _moving(
    evaluation: Evaluation, theta: Array, free: NDArray[np.intp] | None, fences: Fences | None
) -> NDArray[np.intp] | None:
    """Return those of the free parameters that have somewhere to go; None for all."""
    if fences is None:
        return free
    # other parameters have units, in which a curvature may be of any size
    size = evaluation.information.diagonal() + np.abs(evaluation.curvature.diagonal())
    rests = np.isfinite(fences.stride) & (size < _FLAT)
    downhill = -evaluation.gradient
    rests |= (theta >= fences.high) & (downhill > 0) | (theta <= fences.low) & (downhill < 0)
    if not rests.any():
        return free
    return np.flatnonzero(~rests) if free is None else free[~rests[free]]


def _capped(hessian: Array, gradient: Array, step: Array, low: Array, high: Array) -> Array:
    """Return the step with parameters that would go too far held there and the others at their minimum."""
    over = (step < low) | (step > high)
    if not over.any():
        return step
    out = np.where(over, np.clip(step, low, high), 0.0)
    rest = np.flatnonzero(~over)
    if len(rest):
        right = -gradient[rest] - hessian[np.ix_(rest, np.flatnonzero(over))] @ out[over]
        out[rest] = np.clip(np.linalg.solve(hessian[np.ix_(rest, rest)], right), low[rest], high[rest])
    return out


def _is_definite(matrix: Array) -> bool:
    try:
        return bool(np.linalg.cholesky(matrix).diagonal().min() > _SMALLEST_PIVOT)
    except np.linalg.LinAlgError:
        return False
