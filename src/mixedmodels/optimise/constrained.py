"""The minimum of a criterion among the parameters that give one function of them a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from ..criterion.base import Criterion
from ..typing import Array
from .boundary import rounding

Constraint = Callable[[Array], tuple[float, Array]]
"""θ ↦ c(θ) and ∂c/∂θ, (n_theta,)."""
SETTLED = 1e-9
"""Decrement at which a search ends, after the step that belongs to it."""
_ITERATIONS, _HALVINGS, _CORRECTIONS, _SADDLES = 60, 12, 30, 4
_AVERAGE = 6
"""Iterations with the average information, which is far from the Hessian where −2l bends unlike at its optimum: steps
would be halved for ever there."""
_ON_IT = 1e-11
"""Distance from the constraint, in units of its scale, that counts as none."""
_FARTHEST = 4.0
"""Longest step, in standard errors of the parameters."""
_FLAT = 1e-6
"""Eigenvalues of the scaled Hessian are taken for at least this share of the largest."""
_DOWN = -1e-4
"""Eigenvalue, as a share of the largest, below which a stationary point is a saddle."""
_DIFFERENCE = 1e-5
"""Step, in standard errors, of the differences of ∂c/∂θ."""


@dataclass(frozen=True, slots=True)
class _Local:
    """Derivatives at one θ on the constraint, in free parameters divided by their units.

    `slope` (k,) of c; `along` (k, k − 1) an orthonormal basis of the directions that leave c alone; `gradient` (k,) of
    −2l; `hessian` (k, k) of the Lagrangian, whose `values` and `vectors` are those of its part `along`.
    """

    value: float
    slope: Array
    along: Array
    gradient: Array
    hessian: Array
    values: Array
    vectors: Array


class Constrained:
    """Newton's method on {θ : c(θ) = v}.

    Parameters
    ----------
    criterion, constraint
        −2l in joint parameters, and c.
    unit
        Sizes of the parameters, (n_theta,), for instance their standard errors.
    scale
        Size of c.

    Notes
    -----
    With a = ∂c/∂θ and the multiplier λ = a'g/a'a a step is p = −Z|Z'WZ|⁻¹Z'g, W = H − λ∂²c, Z a basis of {p : a'p = 0}
    and |·| with eigenvalues made positive; ∂²c by differences of a. Every trial is brought back onto the constraint
    along a, so that −2l falls from step to step. A stationary point with a direction of negative curvature is left
    along it: at a singular Σ = LL' the gradient in L vanishes whatever the data say.
    """

    def __init__(self, criterion: Criterion, constraint: Constraint, unit: Array, scale: float) -> None:
        self.criterion, self.constraint, self.scale = criterion, constraint, scale
        self.free = np.flatnonzero(criterion.free)
        self.unit = unit[self.free]

    def minimise(self, value: float, start: Array) -> tuple[Array, Array] | None:
        """Return the θ of least −2l with c(θ) = value that a search from `start` finds, and ∂θ/∂value of these minima.

        Both (n_theta,); None where the search cannot go on.
        """
        theta = self._onto(start, value)
        if theta is None or not isfinite(self.criterion.value(theta)):
            return None
        saddles = 0
        for iteration in range(_ITERATIONS):
            here = self._local(theta, exact=iteration >= _AVERAGE)
            if here is None:
                return None
            step, decrement = self._step(here)
            settled = decrement <= SETTLED
            if settled and self._is_saddle(here) and saddles < _SADDLES:
                saddles += 1
                moved = self._leave(theta, here, value)
                if moved is not None:
                    theta = moved
                    continue
            moved = self._advance(theta, here, step, decrement, value)
            if moved is None or settled:
                return theta if moved is None else moved, self._tangent(here)
            theta = moved
        return None

    def tangent(self, theta: Array) -> Array | None:
        """Return ∂θ/∂value of the minimum at a minimum θ, (n_theta,), None where c has no slope."""
        here = self._local(theta)
        return None if here is None else self._tangent(here)

    def _tangent(self, here: _Local) -> Array:
        across = here.slope / float(here.slope @ here.slope)
        out = np.zeros(self.criterion.n_theta)
        pulled = self._solve(here, here.along.T @ (here.hessian @ across))
        out[self.free] = (across - here.along @ pulled) * self.unit / self.scale
        return out

    def _local(self, theta: Array, *, exact: bool = False) -> _Local | None:
        evaluation = self.criterion.evaluate(theta)
        inside, both = np.ix_(self.free, self.free), self.unit[:, None] * self.unit
        slope = self._slope(theta)
        if not (np.isfinite(slope).all() and slope.any()):
            return None
        if exact or self.criterion.cheap_hessian:
            hessian = self.criterion.observed_information(theta)
        else:
            hessian = evaluation.information + evaluation.curvature
        hessian, gradient = hessian[inside] * both, evaluation.gradient[self.free] * self.unit
        if len(slope) > 1:
            hessian = hessian - float(slope @ gradient) / float(slope @ slope) * self._bend(theta, slope)
        along = np.linalg.qr(slope[:, None], mode="complete")[0][:, 1:]
        reduced = along.T @ hessian @ along
        if not np.isfinite(reduced).all():
            return None
        values, vectors = np.linalg.eigh(0.5 * (reduced + reduced.T))
        return _Local(evaluation.value, slope, along, gradient, hessian, values, vectors)

    def _slope(self, theta: Array) -> Array:
        """Return ∂(c/scale)/∂θ of the free parameters in their units, (k,)."""
        return np.asarray(self.constraint(theta)[1][self.free] * self.unit / self.scale)

    def _bend(self, theta: Array, slope: Array) -> Array:
        """Return the second derivatives of c/scale, (k, k)."""
        out = np.empty((len(slope), len(slope)))
        for i, (place, unit) in enumerate(zip(self.free, self.unit, strict=True)):
            moved = theta.copy()
            moved[place] += _DIFFERENCE * unit
            out[i] = (self._slope(moved) - slope) / _DIFFERENCE
        return np.asarray(0.5 * (out + out.T))

    def _solve(self, here: _Local, reduced: Array) -> Array:
        """Return |Z'WZ|⁻¹ of a reduced vector."""
        if not len(reduced):
            return reduced
        sizes = np.abs(here.values)
        sizes = np.maximum(sizes, _FLAT * max(float(sizes.max()), 1e-300))
        return np.asarray(here.vectors @ ((here.vectors.T @ reduced) / sizes))

    def _step(self, here: _Local) -> tuple[Array, float]:
        downhill = -(here.along.T @ here.gradient)
        step = self._solve(here, downhill)
        decrement, length = float(downhill @ step), float(np.linalg.norm(step))
        if length > _FARTHEST:
            step = step * (_FARTHEST / length)
        return here.along @ step, decrement

    def _is_saddle(self, here: _Local) -> bool:
        return len(here.values) > 0 and bool(
            here.values[0] < _DOWN * max(float(np.abs(here.values).max()), 1e-300)
        )

    def _leave(self, theta: Array, here: _Local, value: float) -> Array | None:
        direction = here.along @ here.vectors[:, 0]
        for size in (1.0, 0.25, 0.05):
            for sign in (1.0, -1.0):
                moved = self._moved(theta, sign * size * direction, value)
                if moved is not None and self.criterion.value(moved) < here.value - SETTLED:
                    return moved
        return None

    def _advance(
        self, theta: Array, here: _Local, step: Array, decrement: float, value: float
    ) -> Array | None:
        """Return a θ on the constraint with a lower −2l, None where no length of the step has one."""
        length, slack = 1.0, rounding(here.value, self.criterion.nu)
        for _ in range(_HALVINGS):
            moved = self._moved(theta, length * step, value)
            if moved is not None:
                found = self.criterion.value(moved)
                if found <= here.value - 1e-4 * length * decrement + slack:
                    return moved
            length *= 0.5
        return None

    def _moved(self, theta: Array, step: Array, value: float) -> Array | None:
        trial = theta.copy()
        trial[self.free] += step * self.unit
        return self._onto(trial, value)

    def _onto(self, theta: Array, value: float) -> Array | None:
        """Return θ moved along the slopes of c until c(θ) = value, None where that does not succeed."""
        theta, before = theta.copy(), np.inf
        for _ in range(_CORRECTIONS):
            try:
                found, slope = self.constraint(theta)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                return None
            gap, slope = (value - found) / self.scale, slope[self.free] * self.unit / self.scale
            squared = float(slope @ slope)
            if abs(gap) <= _ON_IT or (abs(gap) <= 1e-8 and abs(gap) >= 0.5 * before):
                return theta
            if not (isfinite(gap) and isfinite(squared) and squared > 0):
                return None
            before = abs(gap)
            theta[self.free] += gap / squared * slope * self.unit
        return None
