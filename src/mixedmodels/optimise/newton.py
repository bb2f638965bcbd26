"""Safeguarded average-information Newton steps to the minimum of −2l."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite, log

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..criterion.base import Criterion
from ..criterion.differences import Evaluation
from ..errors import FitError
from ..typing import Array
from .boundary import escape_boundary, rises, rounding, snap_to_boundary
from .convergence import (
    error_statuses,
    indefinite_statuses,
    not_finite_message,
    ranks,
    singular_statuses,
    stalled_status,
)
from .kinks import kinked_places, settle_kinks
from .moments import wide_start
from .optimum import Optimum, Step
from .start import Start, starting_points
from .step import NewtonStep, newton_step

_HALVINGS = 2
"""Step halvings before the direction itself is turned towards steepest descent."""
_RETREATS = 8
"""Halvings of a step to where V is not positive definite, where only that bounds the parameters."""
_TRIALS = 25
_KINKED = 8
"""Iterations of a first search where −2l has kinks."""
_POLISHED = 1e-11
"""A last step is taken without new derivatives when the decrement is above this (2e-6 standard errors)."""
_SMALL = (1000, 8)
"""Rows and parameters up to which the last step is by the exact Hessian (under a millisecond), and a singular optimum
is searched for twice."""
_SETTLED = 1e-13
"""A decrement (3e-7 standard errors) below which it is not worth that."""
_PATIENCE = 8
"""Iterations after which a decrement that has not fallen to a tenth calls for the exact Hessian."""
_USELESS, _REST = 2, 5
"""Hessians by differences that did not halve the decrement before a search rests from them, and iterations it rests:
slowness has another reason."""
_LINEAR = 5
"""Iterations still to go at the present rate beyond which the exact Hessian is worth its differences."""
_NEAR = 1.0
"""A decrement below which the exact Hessian, where it costs no more, should converge at once."""
_ESCAPES = 10
"""Times a fit may leave false boundaries, so that rounding cannot make it cycle."""


def optimise(criterion: Criterion, control: Control | None = None, start: Start = None) -> Optimum:
    """Return the minimiser of a criterion by average-information Newton steps with exact curvature.

    Parameters
    ----------
    criterion
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
    optimum is taken; where the optimum of a small problem is singular in several columns there is a second,
    from large variances. Steps that fail to shrink the decrement, or shrink it by one slow ratio, give way to the
    exact Hessian; searches of small problems end with a step by it, so that variances are good to about eight digits.
    Ranges at which −2l has kinks are settled among the distances (see `kinks`).
    """
    before = criterion.evaluations
    control = control or Control()
    kinked = bool(kinked_places(criterion))
    # at a kink Newton's steps get nowhere
    first = replace(control, max_iterations=min(control.max_iterations, _KINKED)) if kinked else control
    found = [_Search(criterion, first).run(theta) for theta in starting_points(criterion, start)]
    if start is None and _may_be_local(criterion, found):
        found.append(_Search(criterion, control).run(wide_start(criterion, found[0].theta)))
    best = min(found, key=lambda optimum: (round(optimum.value, 6), not optimum.converged))
    if kinked:

        def run(theta: Array, moving: NDArray[np.intp], brief: bool) -> Optimum:
            return _Search(criterion, first if brief else control, moving).run(theta)

        best = settle_kinks(criterion, best, run)
    many = kinked or len(found) > 1
    return replace(best, evaluations=criterion.evaluations - before) if many else best


def _may_be_local(criterion: Criterion, found: list[Optimum]) -> bool:
    """Return whether the one optimum found is singular in several columns, and a second search is cheap.

    Where few levels bear on many columns about one singular optimum in a hundred is local.
    """
    if len(found) > 1 or criterion.joint or not _is_small(criterion):
        return False
    ranks_by_term = zip(criterion.design.random, found[0].singular, strict=True)
    return any(
        term.n_columns > 1 and rank < term.n_columns for term, by_set in ranks_by_term for rank in by_set
    )


def _is_small(criterion: Criterion) -> bool:
    return criterion.design.n <= _SMALL[0] and criterion.n_theta <= _SMALL[1]


class _Search:
    """The state of one optimisation."""

    def __init__(self, criterion: Criterion, control: Control, free: NDArray[np.intp] | None = None) -> None:
        self.criterion = criterion
        self.control = control
        self.free = None if criterion.free.all() else np.flatnonzero(criterion.free)
        self.trace: list[Step] = []
        self.escapes = 0
        if free is not None:
            # leaving a boundary may move what is held for this search
            self.free, self.escapes = free, _ESCAPES
        self.retreats = 0 if criterion.design.bounded else _RETREATS
        self.exact = False
        self.gap: Array | None = None
        self.fresh = False
        self.useless = 0
        self.resting = 0

    def run(self, theta: Array) -> Optimum:
        criterion, control = self.criterion, self.control
        before = criterion.evaluations
        if not isfinite(criterion.value(theta)):
            raise FitError(not_finite_message(criterion, theta))
        reason = f"max_iterations = {control.max_iterations} reached"
        converged, iterations, decrement = False, 0, 0.0
        evaluation = criterion.evaluate(theta)
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
            evaluation = criterion.evaluate(theta)
        stalled = (
            ()
            if converged
            else (stalled_status(criterion, theta, evaluation, decrement, iterations, reason),)
        )
        value, unit = criterion.value(theta), criterion.unit(theta)
        singular = ranks(criterion, theta, unit)
        return Optimum(
            theta=theta,
            value=value,
            decrement=decrement,
            converged=converged,
            iterations=iterations,
            evaluations=criterion.evaluations - before,
            trace=tuple(self.trace),
            singular=singular,
            statuses=stalled
            + singular_statuses(criterion, theta, unit, singular)
            + indefinite_statuses(criterion, theta)
            + error_statuses(criterion, theta, evaluation),
        )

    def _choose_model(self, theta: Array, evaluation: Evaluation) -> tuple[Evaluation, NewtonStep]:
        """Return the derivatives to step by: average information, the exact Hessian where that is slow."""
        self.fresh = False
        if not self.exact:
            model = self._model(evaluation)
            self.exact = self._is_slow(model.decrement)
            if not self.exact:
                return evaluation, model
        if self.gap is not None:
            corrected = _with_hessian(evaluation, evaluation.information + evaluation.curvature + self.gap)
            model = self._model(corrected)
            if model.definite and model.decrement < 0.1 * self.trace[-1].decrement:
                return corrected, model
        try:
            hessian = self.criterion.observed_information(theta)
        except FitError:
            # the criterion is not finite on one side of θ: the edge of the domain of a structure
            self.exact = False
            return evaluation, self._model(evaluation)
        if not self.criterion.cheap_hessian:
            self._judge_hessians()
            # what average information lacks changes little from here on
            self.gap = hessian - evaluation.information - evaluation.curvature
        self.fresh = True
        evaluation = _with_hessian(evaluation, hessian)
        return evaluation, self._model(evaluation)

    def _judge_hessians(self) -> None:
        """Go back to average information for a while where Hessians by differences did not help."""
        if self.gap is not None and len(self.trace) > 1:
            self.useless += self.trace[-1].decrement > 0.5 * self.trace[-2].decrement
        if self.useless >= _USELESS:
            self.exact, self.useless, self.resting = False, 0, _REST

    def _is_slow(self, decrement: float) -> bool:
        """Return whether the decrement falls too slowly for average information to be the Hessian."""
        if decrement <= self.control.decrement or not self.trace:
            return False
        if self.criterion.cheap_hessian and decrement < _NEAR:
            return decrement > 0.01 * self.trace[-1].decrement
        if self.resting:
            self.resting -= 1
            return False
        if decrement < _NEAR and len(self.trace) > 1 and self._is_linear(decrement):
            return True
        return len(self.trace) > _PATIENCE and decrement > 0.1 * self.trace[-_PATIENCE].decrement

    def _is_linear(self, decrement: float) -> bool:
        """Return whether the decrement falls by one ratio, and will for longer than differences would take."""
        last, before = self.trace[-1].decrement, self.trace[-2].decrement
        if not (last > 0.0 and before > 0.0):
            return False
        ratio, earlier = decrement / last, last / before
        if not (ratio < 0.98 and abs(ratio - earlier) < 0.2 * max(ratio, earlier)):
            return False
        left = log(decrement / self.control.decrement) / -log(ratio)
        return left > max(_LINEAR, self.criterion.n_theta)

    def _model(self, evaluation: Evaluation) -> NewtonStep:
        if len(evaluation.gradient) == 0 or (self.free is not None and len(self.free) == 0):
            return NewtonStep(np.zeros(len(evaluation.gradient)), 0.0, True)
        return newton_step(evaluation, self.free)

    def _advance(self, theta: Array, evaluation: Evaluation, model: NewtonStep) -> Array | None:
        """Return a θ with a lower criterion along the step, or along a damped one, or None."""
        criterion, value = self.criterion, evaluation.value
        if not model.definite:
            # a part of Σ at exact zero has no gradient however much its increase would lower −2l
            escaped = self._escape(theta, evaluation)
            if escaped is not None:
                return escaped
        slack = rounding(value, criterion.nu)
        length, damping = 1.0, 0.0
        for trial in range(_TRIALS):
            moved = theta + length * model.step
            found = criterion.value(moved)
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
        moved = escape_boundary(self.criterion, theta, evaluation)
        self.escapes += moved is not None
        return moved

    def _finish(self, theta: Array, evaluation: Evaluation, model: NewtonStep) -> Array:
        """Return θ after the last step, numerically zero variances at exact zero, if −2l does not rise."""
        criterion = self.criterion
        cheap = self._is_cheap() and model.decrement > _SETTLED
        if cheap:
            model = self._exact_model(theta, evaluation, model)
        polish = cheap or model.decrement > _POLISHED or self.control.decrement < _POLISHED
        last = theta + model.step if polish else theta
        snapped = snap_to_boundary(criterion, last, evaluation)
        for candidate in (snapped, last):
            if candidate is None:
                continue
            if not rises(criterion.value(candidate), evaluation.value, criterion.nu):
                return candidate
        return theta

    def _is_cheap(self) -> bool:
        """Return whether differences of the gradient cost a fraction of what the search has cost."""
        return _is_small(self.criterion) and not self.fresh and not self.criterion.cheap_hessian

    def _exact_model(self, theta: Array, evaluation: Evaluation, model: NewtonStep) -> NewtonStep:
        """Return the last step by the exact Hessian, whose error is of the order of the decrement squared."""
        try:
            exact = self._model(_with_hessian(evaluation, self.criterion.observed_information(theta)))
        except FitError:
            return model
        return exact if exact.definite and exact.decrement < 100.0 * self.control.decrement else model

    def _record(self, theta: Array, evaluation: Evaluation, decrement: float) -> None:
        self.trace.append(Step(evaluation.value, decrement, theta))
        if self.control.verbose:
            shown = np.array2string(theta[:8], precision=5, suppress_small=False, max_line_width=200)
            count = len(self.trace) - 1
            print(f"{count:3d}  -2l {evaluation.value:.8f}  decrement {decrement:.2e}  theta {shown}")


def _with_hessian(evaluation: Evaluation, hessian: Array) -> Evaluation:
    return replace(evaluation, information=np.zeros_like(hessian), curvature=hessian)
