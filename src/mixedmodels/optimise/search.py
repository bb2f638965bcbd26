"""One search: safeguarded average-information Newton steps from one θ, which may be interrupted and go on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, log

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..criterion.base import Criterion
from ..criterion.differences import Evaluation
from ..criterion.parameters import Block, ResidualBlock
from ..errors import FitError
from ..typing import Array
from .boundary import escape_boundary, rises, rounding, snap_to_boundary
from .convergence import not_finite_message
from .optimum import Step
from .step import Fences, NewtonStep, newton_step

_HALVINGS = 2
"""Step halvings before the direction itself is turned towards steepest descent."""
_RETREATS = 8
"""Halvings of a step to where V is not positive definite, where only that bounds the parameters."""
_TRIALS = 25
_REJECTED = 100
"""Trial points rejected in all after which a search gives up: the criterion is not what its derivatives say."""
_POLISHED = 1e-11
"""A last step is taken without new derivatives when the decrement is above this (2e-6 standard errors)."""
_SMALL = (1000, 8)
"""Rows and parameters up to which the last step is by the exact Hessian (under a millisecond)."""
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
_SUMMED = 16 * 2.0**-52
"""Rounding error of y'y a row, relative, as it was seen in −2l where σ² had all but vanished."""
_STRIDE = 3.0
"""Change at most of the logarithm of a range in one step: where −2l is flat its curvature says little of how far."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a search is: θ, −2l and its derivatives there, the decrement, and whether and why it has ended.

    `step` is the next one, zero where H is not positive definite or the search has ended.
    `reason` is empty until a search that has not converged cannot go on; `kinks` are the places in θ of ranges that
    ended at a kink of −2l.
    """

    theta: Array
    value: float
    decrement: float
    converged: bool
    iterations: int
    reason: str
    trace: tuple[Step, ...]
    evaluation: Evaluation
    step: Array
    definite: bool
    kinks: tuple[int, ...] = ()

    @property
    def ahead(self) -> float:
        """−2l where the next step leads, as predicted."""
        return self.value - 0.5 * self.decrement if self.definite and not self.converged else self.value

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        return self.converged or bool(self.reason)


class Search:
    """The state of one search from `theta`.

    Parameters
    ----------
    criterion, control
        The criterion, tolerances and limits.
    theta
        Where to start; `FitError` where the criterion is not finite there.
    free
        Indices of the parameters that may move; those of the criterion by default.

    Notes
    -----
    H = AI + ⟨Γ, Σ̈⟩ (Gilmour, Thompson and Cullis 1995 with the curvature of Σ = LL' kept). Trial points need the
    criterion only; after two halvings the step is damped towards scaled steepest descent.
    """

    def __init__(
        self, criterion: Criterion, control: Control, theta: Array, free: NDArray[np.intp] | None = None
    ) -> None:
        self.criterion = criterion
        self.control = control
        self.free = None if criterion.free.all() else np.flatnonzero(criterion.free)
        self.trace: list[Step] = []
        self.escapes = 0
        if free is not None:
            # leaving a boundary may move what is held for this search
            self.free, self.escapes = free, _ESCAPES
        self.retreats = 0 if criterion.design.bounded else _RETREATS
        self.fences = fences_of(criterion)
        self.rejected = 0
        # next to where V is singular steps are cut short again and again on the way to an optimum
        self.patience = _REJECTED if criterion.design.bounded else 10 * _REJECTED
        self.exact = False
        self.gap: Array | None = None
        self.fresh = False
        self.useless = 0
        self.resting = 0
        if not isfinite(criterion.value(theta)):
            raise FitError(not_finite_message(criterion, theta))
        self.theta = theta
        self.evaluation = criterion.evaluate(theta)
        self.model: NewtonStep | None = None
        self.iterations = 0
        self.converged, self.reason = False, ""

    def run(self, until: int | None = None) -> Arrival:
        """Return where the search is after its iteration `until`, or at its end."""
        limit = self.control.max_iterations
        until = limit if until is None else min(until, limit)
        while not (self.converged or self.reason):
            if self.model is None:
                self.evaluation, self.model = self._choose_model(self.theta, self.evaluation)
                self._record(self.model.decrement)
            moved = self._next(self.model, until)
            if moved is None:
                break
            self.iterations += 1
            self.theta, self.evaluation, self.model = moved, self.criterion.evaluate(moved), None
        assert self.model is not None
        return Arrival(
            self.theta,
            self.criterion.value(self.theta) if self.converged else self.evaluation.value,
            self.model.decrement,
            self.converged,
            self.iterations,
            self.reason,
            tuple(self.trace),
            self.evaluation,
            self.model.step if self.model.definite and not self.converged else np.zeros(len(self.theta)),
            self.model.definite,
        )

    def _next(self, model: NewtonStep, until: int) -> Array | None:
        """Return the next θ; None where the search ends, with the reason set, or rests."""
        if model.decrement <= self.control.decrement or self._is_at_rounding(model.decrement):
            moved = self._escape(self.theta, self.evaluation)
            if moved is None:
                self.theta = self._finish(self.theta, self.evaluation, model)
                self.converged = True
            return moved
        if self.iterations >= until:
            if until == self.control.max_iterations:
                self.reason = f"max_iterations = {until} reached"
            return None
        moved = self._advance(self.theta, self.evaluation, model) if self.rejected < self.patience else None
        if moved is None:
            self.reason = "no step lowers the criterion"
        return moved

    def _is_at_rounding(self, decrement: float) -> bool:
        """Return whether −2l is predicted to fall by less than it is known to, and the last step did not lower it."""
        value = self.evaluation.value
        if len(self.trace) < 2 or 0.5 * decrement > rounding(value, self.criterion.nu) + self._lost():
            return False
        last = self.trace[-2]
        return value >= last.value and decrement > 0.1 * last.decrement

    def _lost(self) -> float:
        """Return what −2l loses by being computed relative to σ²: y'P̃y has the rounding error of y'y."""
        linear = self.criterion.linear
        if linear is None or linear.joint:
            return 0.0
        return _SUMMED * self.criterion.equations.response_square() / linear.sigma2(self.theta)

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
        return newton_step(evaluation, self.free, theta=self.theta, fences=self.fences)

    def _advance(self, theta: Array, evaluation: Evaluation, model: NewtonStep) -> Array | None:
        """Return a θ with a lower criterion along the step, or along a damped one, or None."""
        criterion, value = self.criterion, evaluation.value
        if not model.definite:
            # a part of Σ at exact zero has no gradient however much its increase would lower −2l
            escaped = self._escape(theta, evaluation)
            if escaped is not None:
                return escaped
        # simulated values of −2l differ by less than their own errors, the probes being the same
        slack = rounding(value, criterion.nu) + criterion.equations.noise
        leap = None if self.fences is None else self.fences.leap(theta, model.step)
        if leap is not None and criterion.value(leap) < value - 0.5 * model.decrement:
            return leap
        length, damping = criterion.reach(theta, model.step), 0.0
        for trial in range(_TRIALS):
            lowered = value - 1e-4 * length * model.decrement + slack
            for moved in self._paths(theta, length * model.step):
                found = criterion.value(moved)
                if found <= lowered:
                    return moved
            self.rejected += 1
            if trial < (_HALVINGS if isfinite(found) else self.retreats):
                length *= 0.5
            else:
                damping = max(0.01, 10.0 * damping)
                model = newton_step(evaluation, self.free, damping, theta, self.fences)
                length = criterion.reach(theta, model.step)
        return None

    def _paths(self, theta: Array, step: Array) -> tuple[Array, ...]:
        """Return where a step leads along the ridges of variance functions, and along its line where that differs."""
        moved = self._moved(theta, step)
        if self.fences is None or not self.fences.ridges:
            return (moved,)
        straight = replace(self.fences, ridges=()).moved(theta, step)
        return (moved,) if np.array_equal(moved, straight) else (moved, straight)

    def _moved(self, theta: Array, step: Array) -> Array:
        return theta + step if self.fences is None else self.fences.moved(theta, step)

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
        last = self._moved(theta, model.step) if polish else theta
        snapped = snap_to_boundary(criterion, last, evaluation)
        for candidate in (snapped, last):
            if candidate is None:
                continue
            found = criterion.value(candidate)
            if not rises(found - criterion.equations.noise, evaluation.value, criterion.nu):
                return candidate
        return theta

    def _is_cheap(self) -> bool:
        """Return whether differences of the gradient cost a fraction of what the search has cost."""
        linear = self.criterion.linear is not None
        return linear and is_small(self.criterion) and not self.fresh and not self.criterion.cheap_hessian

    def _exact_model(self, theta: Array, evaluation: Evaluation, model: NewtonStep) -> NewtonStep:
        """Return the last step by the exact Hessian, whose error is of the order of the decrement squared."""
        try:
            exact = self._model(_with_hessian(evaluation, self.criterion.observed_information(theta)))
        except FitError:
            return model
        return exact if exact.definite and exact.decrement < 100.0 * self.control.decrement else model

    def _record(self, decrement: float) -> None:
        theta, evaluation = self.theta, self.evaluation
        self.trace.append(Step(evaluation.value, decrement, theta))
        if self.control.verbose:
            shown = np.array2string(theta[:8], precision=5, suppress_small=False, max_line_width=200)
            count = len(self.trace) - 1
            print(f"{count:3d}  -2l {evaluation.value:.8f}  decrement {decrement:.2e}  theta {shown}")


def _with_hessian(evaluation: Evaluation, hessian: Array) -> Evaluation:
    return replace(evaluation, information=np.zeros_like(hessian), curvature=hessian)


def is_small(criterion: Criterion, parameters: int = _SMALL[1]) -> bool:
    """Return whether a problem is so small that derivatives cost next to nothing."""
    return criterion.design.n <= _SMALL[0] and criterion.n_theta <= parameters


def fences_of(criterion: Criterion) -> Fences | None:
    """Return the limits of every parameter and of its steps, None where there are none."""
    blocks: list[Block | ResidualBlock] = [*criterion.model.random_blocks, *criterion.model.residual_blocks]
    ranges = [
        one.moved(b.place.start)
        for b in blocks
        if b.structure is not None
        for one in b.structure.ranges(b.positions)
    ]
    model = criterion.model
    ridges = tuple(
        (b.place.start + constant, b.place.start + power)
        for b in model.variance_blocks
        for constant, power in model.variance[b.index].ridges()
        if criterion.free[b.place].all()
    )
    if not (ranges or ridges):
        return None
    low, high, stride = (np.full(criterion.n_theta, value) for value in (-np.inf, np.inf, np.inf))
    for one in ranges:
        low[one.place], high[one.place], stride[one.place] = one.low, one.high, _STRIDE
    pairs = tuple((one.place, one.deviation) for one in ranges if one.deviation is not None)
    return Fences(low, high, stride, pairs, ridges)
