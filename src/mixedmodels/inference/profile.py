"""The likelihood along one parameter, all others re-estimated, followed from the optimum outwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, isfinite, isnan, nan, sqrt

import numpy as np
from scipy import optimize

from ..criterion.base import LinearCriterion
from ..engines import choose_engine
from ..errors import FitError
from ..fit import Fit
from ..optimise.newton import optimise
from ..terms.design import FixedTerms
from ..typing import Array
from ..workings import build_criterion, own_columns
from .reported import LARGEST_ANGLE, Reported

_BETTER = 1e-4
"""A point on a profile with −2l lower than the optimum's by more than this is a better optimum."""
FARTHEST = 20.0
"""Logarithm, or logit, beyond which a range or ratio counts as 0 or infinite and a correlation as 0 or 1."""
_POINTS = 60
_OUTSIDE = 1e8


class BetterOptimum(Exception):
    """The profile found a lower −2l than the optimum it started from.

    `theta` are joint parameters where `joint`, else those of the model's own criterion.
    """

    def __init__(self, theta: Array, value: float, joint: bool) -> None:
        super().__init__(f"a lower criterion, {value:.6f}")
        self.theta, self.value, self.joint = theta, value, joint


class Path(ABC):
    """−2l along one parameter: `estimate` where it is least, its standard error `scale`, and its range."""

    estimate: float
    scale: float
    lower: float = -inf
    upper: float = inf

    @abstractmethod
    def rise(self, value: float, near: float) -> float:
        """Return the increase of −2l at `value`, starting from what was found at `near`."""


class CovariancePath(Path):
    """−2l along one covariance parameter.

    Notes
    -----
    The other parameters minimise −2l in the joint working parameters under the constraint c(θ) = value, by
    sequential quadratic programming with exact gradients of both. The factors of covariance matrices remain
    the unknowns, so that singular matrices on the way are nothing special.
    """

    def __init__(self, criterion: LinearCriterion, theta: Array, parameter: Reported, best: float) -> None:
        self.criterion, self.parameter, self.best = criterion, parameter, best
        self.free = np.flatnonzero(criterion.free)
        variance = np.diag(criterion.working_covariance(theta))
        fallback = np.maximum(0.1 * np.abs(theta), 0.1 * np.sqrt(criterion.sigma2(theta)))
        self.unit = np.where(variance > 0, np.sqrt(np.maximum(variance, 0.0)), fallback)
        self.estimate, slope = parameter.locate(criterion.natural(theta))
        spread = float(slope @ criterion.working_covariance(theta) @ slope)
        floor = 1e-4 * sqrt(criterion.sigma2(theta))
        self.scale = sqrt(spread) if isfinite(spread) and spread > 0 else 0.1 * sqrt(criterion.sigma2(theta))
        if parameter.kind == "sd":
            # the likelihood is even in a standard deviation: this close to zero it is flat
            self.lower = min(floor, 1e-3 * self.scale)
            if self.estimate < self.lower:
                self.estimate = 0.0
        elif parameter.kind == "angle":
            self.lower, self.upper = -LARGEST_ANGLE, LARGEST_ANGLE
            # where the correlation is one its standard error is not defined
            self.scale = min(max(self.scale, 0.05), 0.5)
        elif parameter.kind == "log":
            self.lower, self.upper = self.estimate - FARTHEST, self.estimate + FARTHEST
        elif parameter.kind == "unit":
            self.lower, self.upper = -FARTHEST, FARTHEST
        self.found = {self.estimate: theta}

    def rise(self, value: float, near: float) -> float:
        starts = [self._start(value, near), self.found[near], self._nudged(self.found[self.estimate])]
        for start in starts:
            theta = self._minimise(value, start)
            if theta is not None:
                break
        else:
            return nan
        criterion = self.criterion.value(theta)
        if criterion < self.best - _BETTER:
            raise BetterOptimum(theta, criterion, joint=True)
        self.found[value] = theta
        return criterion - self.best

    def _start(self, value: float, near: float) -> Array:
        """Return θ at `near`, moved on by the slope between the two points found nearest to it."""
        before = sorted((point for point in self.found if point != near), key=lambda point: abs(point - near))
        if not before:
            return self._nudged(self.found[near])
        slope = (self.found[near] - self.found[before[0]]) / (near - before[0])
        return np.asarray(self.found[near] + (value - near) * slope)

    def _nudged(self, theta: Array) -> Array:
        """Return θ with exact zeros moved off them, where the constraint has no direction."""
        return np.where(theta == 0, 0.1 * self.unit, theta)

    def _minimise(self, value: float, start: Array) -> Array | None:
        criterion, free, unit = self.criterion, self.free, self.unit[self.free]

        def place(x: Array) -> Array:
            theta = start.copy()
            theta[free] = x * unit
            return theta

        def function(x: Array) -> tuple[float, Array]:
            theta = place(x)
            found = criterion.value(theta)
            if not isfinite(found):
                return _OUTSIDE, np.zeros(len(x))
            return found - self.best, criterion.gradient(theta)[free] * unit

        def gap(x: Array) -> float:
            return (self.parameter.locate(criterion.natural(place(x)))[0] - value) / self.scale

        def slope(x: Array) -> Array:
            natural = criterion.natural(place(x))
            return self.parameter.locate(natural)[1][free] * unit / self.scale

        if len(free) == 1:
            # the constraint alone says where the one parameter is
            root = optimize.root(gap, start[free] / unit, jac=slope, tol=1e-12)
            return place(root.x) if abs(gap(root.x)) < 1e-8 else None
        with np.errstate(all="ignore"):
            result = optimize.minimize(
                function, start[free] / unit, jac=True, method="SLSQP",
                constraints={"type": "eq", "fun": gap, "jac": slope},
                options={"ftol": 1e-11, "maxiter": 200},
            )  # fmt: skip
            ok = np.all(np.isfinite(result.x)) and abs(gap(result.x)) < 1e-5 and result.fun < _OUTSIDE / 2
            # mode 8: no step lowers the criterion, which at an optimum means rounding
            return place(result.x) if ok and result.status in (0, 8) else None


class FixedPath(Path):
    """−2l of maximum likelihood along one fixed effect, whose column becomes an offset."""

    def __init__(self, fit: Fit, column: int) -> None:
        design, kept = fit.design, list(fit.design.fixed.estimable)
        at = kept.index(column)
        self.fit, self.best = fit, fit.criterion
        self.estimate = float(fit.solution.beta[at])
        self.scale = sqrt(fit.solution.vcov[at, at])
        self.column = design.x[:, at]
        rest = np.delete(design.x, at, axis=1)
        names = tuple(name for i, name in enumerate(design.fixed.columns) if i in kept and i != column)
        count = rest.shape[1]
        fixed = FixedTerms(rest, names, names, tuple(range(count)), tuple(range(count)), np.zeros((count, 0)))
        self.design = replace(design, fixed=fixed)
        control = replace(fit.control, engine="auto")
        self.design = own_columns(fit.spec, self.design, control)
        self.equations = choose_engine(self.design, control).equations(self.design, control)
        self.found = {self.estimate: fit.optimum.theta}

    def rise(self, value: float, near: float) -> float:
        y = self.fit.design.y - value * self.column
        design = replace(self.design, y=y)
        criterion = build_criterion(self.fit.spec, design, self.equations.with_response(design))
        optimum = optimise(criterion, self.fit.control, np.array(self.found[near]))
        if optimum.value < self.best - _BETTER:
            raise BetterOptimum(optimum.theta, optimum.value, joint=False)
        self.found[value] = optimum.theta
        return optimum.value - self.best


@dataclass(frozen=True, slots=True)
class Profile:
    """Points of one profile in order (value, ζ), the interval, and what is to be said of it."""

    values: Array
    zeta: Array
    low: float
    high: float
    note: str = ""


def follow(path: Path, cutoff: float) -> Profile:
    """Return the profile of one parameter out to |ζ| = cutoff, with the values where it is reached.

    Notes
    -----
    ζ = sign(ψ − ψ̂)√(−2l(ψ) + 2l(ψ̂)). Steps aim at quarters of the cutoff; the crossing is found by Brent's
    method on the profile itself, not on an interpolation of it.
    """
    points = {path.estimate: 0.0}
    ends, notes = [], []
    for sign in (-1.0, 1.0):
        end, note = _side(path, sign, cutoff, points)
        ends.append(end)
        notes.append(note)
    values = np.array(sorted(points))
    zeta = np.array([points[value] for value in values])
    return Profile(values, zeta, ends[0], ends[1], "; ".join(filter(None, notes)))


def _side(path: Path, sign: float, cutoff: float, points: dict[float, float]) -> tuple[float, str]:
    bound = path.lower if sign < 0 else path.upper
    here, zeta, step = path.estimate, 0.0, 0.25 * cutoff * path.scale
    if sign * (bound - here) <= 0:
        return bound, f"{'lower' if sign < 0 else 'upper'} limit at the boundary"
    for _ in range(_POINTS):
        there = here + sign * step
        at_bound = sign * (bound - there) <= 0
        there = bound if at_bound else there
        found = _zeta(path, there, here)
        if isnan(found):
            return nan, "the profile could not be followed to its limit"
        points[there] = sign * found
        if found >= cutoff:
            return _crossing(path, here, there, cutoff), ""
        if at_bound:
            return bound, f"{'lower' if sign < 0 else 'upper'} limit at the boundary"
        gained = max(found - zeta, 1e-3)
        step *= min(max(0.25 * cutoff / gained, 0.3), 2.0)
        here, zeta = there, found
    return sign * inf, f"{'lower' if sign < 0 else 'upper'} limit not reached: unbounded as far as followed"


def _zeta(path: Path, value: float, near: float) -> float:
    rise = path.rise(value, near)
    return rise if isnan(rise) else sqrt(max(rise, 0.0))


def _crossing(path: Path, inside: float, outside: float, cutoff: float) -> float:
    gap: Callable[[float], float] = lambda value: _crossing_gap(path, value, inside, cutoff)  # noqa: E731
    try:
        root = optimize.brentq(gap, inside, outside, xtol=1e-7 * path.scale, rtol=1e-12, maxiter=60)
    except FitError:
        return nan
    return float(root)


def _crossing_gap(path: Path, value: float, inside: float, cutoff: float) -> float:
    if value == path.estimate:
        return -cutoff
    found = _zeta(path, value, inside)
    if isnan(found):
        raise FitError("the profile could not be followed between two of its points")
    return found - cutoff
