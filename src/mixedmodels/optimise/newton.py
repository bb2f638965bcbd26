"""Safeguarded average-information Newton steps to the minimum of −2l."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import numpy as np

from ..control import Control
from ..engines.criterion import Criterion
from ..engines.objective import Evaluation
from ..errors import FitError
from ..typing import Array
from .boundary import escape_boundary, rises, rounding, snap_to_boundary
from .convergence import error_statuses, indefinite_statuses, ranks, singular_statuses, stalled_status
from .optimum import Optimum, Step
from .start import Start, starting_points
from .step import NewtonStep, newton_step

_HALVINGS = 2
"""Step halvings before the direction itself is turned towards steepest descent."""
_RETREATS = 8
"""Halvings of a step to where V is not positive definite, where only that bounds the parameters."""
_TRIALS = 25
_POLISHED = 1e-11
"""A last step is taken without new derivatives when the decrement is above this (2e-6 standard errors)."""
_PATIENCE = 8
"""Iterations after which a decrement that has not fallen to a tenth calls for the exact Hessian."""
_NEAR = 1.0
"""A decrement below which the exact Hessian, where it costs no more, should converge at once."""
_NOT_FINITE = (
    "the criterion is not finite at the starting values: the covariance of the data is not positive definite "
    "there, or the fixed effects fit the response perfectly; check the response and start=."
)
_ESCAPES = 10
"""Times a fit may leave false boundaries, so that rounding cannot make it cycle."""


def optimise(objective: Criterion, control: Control | None = None, start: Start = None) -> Optimum:
    """Return the minimiser of a criterion by average-information Newton steps with exact curvature.

    Parameters
    ----------
    objective
        The criterion.
    control
        Tolerances and limits.
    start
        θ to start from, or natural values by parameter name (others from moments), or several such sets,
        of which the best is taken; moments by default.

    Notes
    -----
    H = AI + ⟨Γ, Σ̈⟩ (Gilmour, Thompson and Cullis 1995 with the curvature of Σ = LL' kept). Trial points
    need the criterion only; after two halvings the step is damped towards scaled steepest descent. The
    search ends where g'H⁻¹g ≤ `control.decrement` and no direction off a singular Σ lowers the criterion,
    takes the step already computed, and sets variances that are zero to within rounding to exact zero. A
    search that cannot go on returns `converged=False` with a warning; it raises only where the criterion
    is not finite at the start. Where structures have ranges there are several starting points, and the best
    optimum is taken. Steps that fail to shrink the decrement give way to the exact Hessian.
    """
    before = objective.evaluations
    control = control or Control()
    found = [_Search(objective, control).run(theta) for theta in starting_points(objective, start)]
    if not found:
        raise FitError(_NOT_FINITE)
    best = min(found, key=lambda optimum: (round(optimum.value, 6), not optimum.converged))
    return replace(best, evaluations=objective.evaluations - before) if len(found) > 1 else best


class _Search:
    """The state of one optimisation."""

    def __init__(self, objective: Criterion, control: Control) -> None:
        self.objective = objective
        self.control = control
        self.free = None if objective.free.all() else np.flatnonzero(objective.free)
        self.trace: list[Step] = []
        self.escapes = 0
        self.retreats = 0 if objective.design.bounded else _RETREATS
        self.exact = False

    def run(self, theta: Array) -> Optimum:
        objective, control = self.objective, self.control
        before = objective.evaluations
        if not isfinite(objective.value(theta)):
            raise FitError(_NOT_FINITE)
        reason = f"max_iterations = {control.max_iterations} reached"
        converged, iterations, decrement = False, 0, 0.0
        evaluation = objective.evaluate(theta)
        while True:
            evaluation, model = self._choose_model(theta, evaluation)
            decrement = model.decrement
            self._record(theta, evaluation, decrement)
            if decrement <= control.decrement:
                moved = self._escape(theta, evaluation)
                converged = moved is None
                if moved is None:
                    theta = self._finish(theta, evaluation, model)
                    break
            elif iterations == control.max_iterations:
                break
            else:
                moved = self._advance(theta, evaluation, model)
                if moved is None:
                    reason = "no step lowers the criterion"
                    break
            iterations += 1
            theta = moved
            evaluation = objective.evaluate(theta)
        statuses = (
            () if converged else (stalled_status(objective, evaluation, decrement, iterations, reason),)
        )
        value, sigma2 = objective.value(theta), objective.sigma2(theta)
        singular = ranks(objective, theta, sigma2)
        return Optimum(
            theta=theta,
            value=value,
            decrement=decrement,
            converged=converged,
            iterations=iterations,
            evaluations=objective.evaluations - before,
            trace=tuple(self.trace),
            singular=singular,
            statuses=statuses
            + singular_statuses(objective, theta, sigma2, singular)
            + indefinite_statuses(objective, theta)
            + error_statuses(objective, theta, evaluation),
        )

    def _choose_model(self, theta: Array, evaluation: Evaluation) -> tuple[Evaluation, NewtonStep]:
        """Return the derivatives to step by: average information, the exact Hessian where that is slow."""
        if not self.exact:
            model = self._model(evaluation)
            self.exact = self._is_slow(model.decrement)
            if not self.exact:
                return evaluation, model
        try:
            hessian = self.objective.observed_information(theta)
        except FitError:
            # the criterion is not finite on one side of θ: the edge of the domain of a structure
            self.exact = False
            return evaluation, self._model(evaluation)
        evaluation = replace(evaluation, information=np.zeros_like(hessian), curvature=hessian)
        return evaluation, self._model(evaluation)

    def _is_slow(self, decrement: float) -> bool:
        """Return whether the decrement falls too slowly for average information to be the Hessian."""
        if decrement <= self.control.decrement or not self.trace:
            return False
        if self.objective.cheap_hessian and decrement < _NEAR:
            return decrement > 0.01 * self.trace[-1].decrement
        return len(self.trace) > _PATIENCE and decrement > 0.1 * self.trace[-_PATIENCE].decrement

    def _model(self, evaluation: Evaluation) -> NewtonStep:
        if len(evaluation.gradient) == 0 or (self.free is not None and len(self.free) == 0):
            return NewtonStep(np.zeros(len(evaluation.gradient)), 0.0, True)
        return newton_step(evaluation, self.free)

    def _advance(self, theta: Array, evaluation: Evaluation, model: NewtonStep) -> Array | None:
        """Return a θ with a lower criterion along the step, or along a damped one, or None."""
        objective, value = self.objective, evaluation.value
        if not model.definite:
            # a part of Σ at exact zero has no gradient however much its increase would lower −2l
            escaped = self._escape(theta, evaluation)
            if escaped is not None:
                return escaped
        slack = rounding(value, objective.nu)
        length, damping = 1.0, 0.0
        for trial in range(_TRIALS):
            moved = theta + length * model.step
            found = objective.value(moved)
            if found <= value - 1e-4 * length * model.decrement + slack:
                return moved
            if trial < (_HALVINGS if isfinite(found) else self.retreats):
                length *= 0.5
            else:
                length, damping = 1.0, max(0.01, 10.0 * damping)
                model = newton_step(evaluation, self.free, damping)
        return None

    def _escape(self, theta: Array, evaluation: Evaluation) -> Array | None:
        if self.escapes >= _ESCAPES:
            return None
        moved = escape_boundary(self.objective, theta, evaluation)
        self.escapes += moved is not None
        return moved

    def _finish(self, theta: Array, evaluation: Evaluation, model: NewtonStep) -> Array:
        """Return θ after the last step, numerically zero variances at exact zero, if −2l does not rise."""
        objective = self.objective
        polish = model.decrement > _POLISHED or self.control.decrement < _POLISHED
        last = theta + model.step if polish else theta
        snapped = snap_to_boundary(objective, last, evaluation)
        for candidate in (snapped, last):
            if candidate is None:
                continue
            if not rises(objective.value(candidate), evaluation.value, objective.nu):
                return candidate
        return theta

    def _record(self, theta: Array, evaluation: Evaluation, decrement: float) -> None:
        self.trace.append(Step(evaluation.value, decrement, theta))
        if self.control.verbose:
            shown = np.array2string(theta[:8], precision=5, suppress_small=False, max_line_width=200)
            count = len(self.trace) - 1
            print(f"{count:3d}  -2l {evaluation.value:.8f}  decrement {decrement:.2e}  theta {shown}")
