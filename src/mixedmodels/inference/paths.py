"""−2l along one parameter of a fit, all others re-estimated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import inf, isfinite, nan, sqrt

import numpy as np

from ..criterion.base import Criterion
from ..engines import Layout, choose_engine
from ..fit import Fit
from ..optimise.constrained import Constrained, Constraint
from ..optimise.newton import optimise
from ..terms.design import FixedTerms
from ..terms.rows import FixedRows
from ..typing import Array
from ..workings import build_criterion, own_columns
from .reported import LARGEST_ANGLE, Reported

_BETTER = 1e-4
"""A point on a profile with −2l lower than the optimum's by more than this is a better optimum."""
FARTHEST = 20.0
"""Logarithm, or logit, beyond which a range or ratio counts as 0 or infinite and a correlation as 0 or 1."""


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
    def rise(self, value: float) -> float:
        """Return the increase of −2l at `value`, NaN where it cannot be found; what is known nearby is used."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The optimum that paths of covariance parameters start from: joint criterion and θ, −2l, and how well θ is known.

    `covariance` (n_theta, n_theta) is the asymptotic one of θ̂, zero for held parameters.
    """

    criterion: Criterion
    theta: Array
    best: float
    covariance: Array

    @classmethod
    def of(cls, fit: Fit) -> Surroundings:
        """Return those of a fit."""
        if fit._work.integrated:
            return cls(fit._work.likelihood(), fit.optimum.theta, fit.criterion, fit._work.covariance())
        own, at = fit._work.criterion(), fit.optimum.theta
        criterion, theta = own.jointly(), own.absolute(at)
        return cls(criterion, theta, fit.criterion, criterion.working_covariance(theta))

    def units(self) -> Array:
        """Return the size of every parameter, (n_theta,): its standard error, or a share of it or of σ."""
        variance = np.diag(self.covariance)
        floor = 0.1 * np.sqrt(self.criterion.unit(self.theta))
        fallback = np.maximum(0.1 * np.abs(self.theta), floor)
        return np.where(variance > 0, np.sqrt(np.maximum(variance, 0.0)), fallback)


class CovariancePath(Path):
    """−2l along one covariance parameter.

    Notes
    -----
    The other parameters minimise −2l in the joint working parameters under the constraint c(θ) = value
    (`Constrained`), each search from the tangent of the curve of minima at the nearest point found. Held parameters
    keep their values. The factors of covariance matrices remain the unknowns, so that singular matrices on the way are
    nothing special.
    """

    def __init__(self, around: Surroundings, parameter: Reported) -> None:
        criterion, theta = around.criterion, around.theta
        self.estimate, slope = parameter.locate(criterion.natural(theta))
        sigma = sqrt(criterion.unit(theta))
        spread = float(slope @ around.covariance @ slope)
        self.scale = sqrt(spread) if isfinite(spread) and spread > 0 else 0.1 * sigma
        if parameter.kind == "sd":
            # the likelihood is even in a standard deviation: this close to zero it is flat
            self.lower = min(1e-4 * sigma, 1e-3 * self.scale)
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
        self.ridge = Ridge(
            around, lambda at: parameter.locate(criterion.natural(at)), self.estimate, self.scale
        )

    def rise(self, value: float) -> float:
        return self.ridge.rise(value)


class CoefficientPath(Path):
    """−2l along one coefficient of a generalised model, which is one of its parameters or linear in them."""

    def __init__(self, around: Surroundings, place: slice, row: Array) -> None:
        """Take `place` of the coefficients in θ, and the coefficient as a function of them, (rank,)."""
        slope = np.zeros(around.criterion.n_theta)
        slope[place] = row
        self.estimate = float(slope @ around.theta)
        self.scale = sqrt(max(float(slope @ around.covariance @ slope), 1e-300))
        self.ridge = Ridge(around, lambda at: (float(slope @ at), slope), self.estimate, self.scale)

    def rise(self, value: float) -> float:
        return self.ridge.rise(value)


class Ridge:
    """The minima of −2l along a function c(θ), each searched for from the nearest found before.

    Parameters
    ----------
    around
        The optimum.
    locate
        θ ↦ c(θ) and its slopes, (n_theta,).
    estimate, scale
        c at the optimum, and its size.
    """

    def __init__(self, around: Surroundings, locate: Constraint, estimate: float, scale: float) -> None:
        self.criterion, self.best, self.estimate = around.criterion, around.best, estimate
        self.unit, self.free = around.units(), around.criterion.free
        self.search = Constrained(around.criterion, locate, self.unit, scale)
        self.found: dict[float, tuple[Array, Array | None]] = {
            estimate: (around.theta, self.search.tangent(around.theta))
        }

    def rise(self, value: float) -> float:
        """Return the increase of −2l where c(θ) = value, NaN where it cannot be found."""
        near = min(self.found, key=lambda known: abs(known - value))
        at, tangent = self.found[near]
        starts = [] if tangent is None else [at + (value - near) * tangent]
        starts += [at, self._nudged(at), self._nudged(self.found[self.estimate][0])]
        for start in starts:
            reached = self.search.minimise(value, start)
            if reached is not None:
                break
        else:
            return nan
        found = self.criterion.value(reached[0])
        if found < self.best - _BETTER:
            raise BetterOptimum(reached[0], found, joint=True)
        self.found[value] = reached
        return found - self.best

    def _nudged(self, theta: Array) -> Array:
        """Return θ with free parameters moved off exact zeros, where the constraint has no direction."""
        return np.where((theta == 0) & self.free, 0.1 * self.unit, theta)


class FixedPath(Path):
    """−2l of maximum likelihood along one fixed effect, whose column becomes an offset."""

    def __init__(self, fit: Fit, column: int) -> None:
        design, rows, kept = fit.design, fit._work.rows(), list(fit.design.fixed.estimable)
        at = kept.index(column)
        self.fit, self.best = fit, fit.criterion
        self.estimate = float(fit.solution.beta[at])
        self.scale = sqrt(fit.solution.vcov[at, at])
        x = rows.x if rows.fixed.written is None else rows.x @ np.linalg.inv(rows.fixed.written)
        self.column = x[:, at]
        rest = np.delete(x, at, axis=1)
        names = tuple(name for i, name in enumerate(design.fixed.columns) if i in kept and i != column)
        count = rest.shape[1]
        each = tuple(range(count))
        design = replace(design, fixed=FixedTerms(names, names, each, each, np.zeros((count, 0))))
        rows = replace(rows, fixed=FixedRows(rest, each))
        control = replace(fit.control, engine="auto")
        self.design, rows = own_columns(fit.spec, design, rows, control)
        layout = Layout.of(self.design)
        self.equations = choose_engine(layout, rows, control).equations(layout, rows, control)
        self.found = {self.estimate: fit.optimum.theta}

    def rise(self, value: float) -> float:
        equations = self.equations.new_response(self.fit._work.rows().y - value * self.column)
        criterion = build_criterion(self.fit.spec, self.design, equations)
        optimum = optimise(criterion, self.fit.control, self._start(value))
        if optimum.value < self.best - _BETTER:
            raise BetterOptimum(optimum.theta, optimum.value, joint=False)
        self.found[value] = optimum.theta
        return optimum.value - self.best

    def _start(self, value: float) -> Array:
        """Return θ extrapolated from the nearest point: it is nearly quadratic in the distance from the estimate."""
        near = min(self.found, key=lambda known: abs(known - value))
        best, theta = self.found[self.estimate], self.found[near]
        if near == self.estimate:
            return np.array(best)
        return np.array(
            best + (theta - best) * min(((value - self.estimate) / (near - self.estimate)) ** 2, 4.0)
        )
