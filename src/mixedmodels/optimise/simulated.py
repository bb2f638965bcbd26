"""The optimum of a criterion whose traces are estimated by random probes: more of them until it is known well enough.

The probes are the same at every θ, so that the score they estimate is smooth and its root found as any other. With C
the covariance of the mean of the scores of single probes, θ̂ has the Monte Carlo covariance H⁻¹CH⁻¹ about the root
of the exact score, beside its sampling covariance 2H⁻¹; β̂ moves with it by −ΦX'V⁻¹V̇Py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from ..criterion.base import Criterion, linear_part
from ..errors import Severity, Status
from ..typing import Array
from .optimum import Optimum
from .start import Start

ENOUGH = 0.01
"""Monte Carlo error of an estimate, in its standard errors, up to which it is good enough."""
SPARE = 1.3
"""How many more probes are taken than the error found asks for, which is itself known to a few per cent."""
MOST = 1024
"""Probes at most."""
UNDETERMINED = 1e-7
"""Eigenvalue of the scaled Hessian, relative to the largest, below which a direction of θ is not determined."""


def optimise_simulated(criterion: Criterion, search: Callable[[Start], Optimum], start: Start) -> Optimum:
    """Return the optimum with Monte Carlo errors of at most 0.01 standard errors, and what they are as a status."""
    equations, found, count = criterion.equations, search(start), criterion.equations.simulated
    while equations.simulated:
        error = float(np.max(_errors(criterion, found.theta)[0], initial=0.0))
        if error <= ENOUGH or equations.simulated >= MOST or not found.converged:
            status = _status(criterion, found, error)
            return replace(found, statuses=(*found.statuses, status), probes=count, noise=equations.noise)
        wanted = ceil(SPARE * equations.simulated * (error / ENOUGH) ** 2)
        count = min(MOST, max(2 * count, wanted))
        equations.enlarge(count)
        again = search(found.theta)
        found = replace(
            again,
            iterations=found.iterations + again.iterations,
            evaluations=found.evaluations + again.evaluations,
            trace=(*found.trace, *again.trace),
        )
    # as many probes as the tail has columns are unit vectors, and all is exact
    return replace(found, probes=count)


def _errors(criterion: Criterion, theta: Array) -> tuple[Array, Array]:
    """Return the Monte Carlo errors of θ̂ in its standard errors, (k,), and the Monte Carlo covariance of θ̂, (k, k)."""
    linear = linear_part(criterion)
    here = linear.evaluate(theta)
    unit = 1.0 if linear.joint else linear.sigma2(theta)
    draws = []
    for scores in linear.settle(theta).score_draws(linear.reml, errors=linear.joint):
        gammas = tuple(unit * (score.trace - score.quadratic) for score in scores.random)
        draws.append(linear.model.gradient(theta, gammas, scores))
    inverse = _inverse(here.information + here.curvature, np.flatnonzero(linear.free))
    sampled = np.array(draws)
    spread = np.atleast_2d(np.cov(sampled.T)) / len(sampled)
    covariance = inverse @ spread @ inverse
    own, theirs = np.maximum(covariance.diagonal(), 0.0), 2.0 * inverse.diagonal()
    return np.sqrt(np.divide(own, theirs, out=np.zeros_like(own), where=theirs > 0)), covariance


def _inverse(hessian: Array, free: NDArray[np.intp]) -> Array:
    """Return H⁻ of the free parameters, zero for others and for directions that are not determined."""
    part = hessian[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.abs(part.diagonal()), 1e-300))
    values, vectors = np.linalg.eigh(part / np.outer(scale, scale))
    kept = values > UNDETERMINED * max(float(values[-1]), 0.0) if len(values) else values > 0
    root = (vectors[:, kept] / np.sqrt(values[kept])) / scale[:, None]
    out = np.zeros_like(hessian)
    out[np.ix_(free, free)] = root @ root.T
    return out


def _error_of_fixed(criterion: Criterion, theta: Array, covariance: Array) -> float:
    """Return the largest Monte Carlo error of a coefficient of X in its standard errors."""
    linear = linear_part(criterion)
    equations = linear.settle(theta)
    solution, rows = equations.solution(), equations.rows
    if not len(solution.own_beta):
        return 0.0
    left = rows.y - equations.linear_predictor(solution.own_beta, solution.random)
    unit = 1.0 if linear.joint else linear.sigma2(theta)
    directions = linear.model.directions(theta, unit)
    py = left * (1.0 if rows.weights is None else rows.weights) / linear.sigma2(theta)
    slopes = equations.cross_fixed(directions, py) @ solution.own_vcov
    moved = np.einsum("ar,ab,br->r", slopes, covariance, slopes)
    return float(np.sqrt(np.max(np.maximum(moved, 0.0) / solution.own_vcov.diagonal())))


def _status(criterion: Criterion, found: Optimum, error: float) -> Status:
    theta = found.theta
    _, covariance = _errors(criterion, theta)
    fixed = _error_of_fixed(criterion, theta, covariance)
    criterion.value(theta)
    equations = criterion.equations
    text = (
        f"estimated by simulation with {equations.simulated:,} random probes: the Monte Carlo error is "
        f"{_rounded(error)} standard errors of a covariance parameter at most, and {_rounded(fixed)} of a coefficient; "
        f"-2 log L, AIC and BIC are known to ±{_rounded(equations.noise)}"
    )
    if error > ENOUGH:
        return Status(
            Severity.WARNING,
            f"{text}. That is more than {ENOUGH} standard errors, with as many probes as are taken",
            "Where its tail fits in memory, control=mm.Control(engine='blocked') is exact",
        )
    return Status(
        Severity.NOTE,
        f"{text}. Standard errors of random effects and of predictions are simulated too, to some per cent",
    )


def _rounded(value: float) -> str:
    return f"{value:.1g}" if value >= 1e-6 else "less than 1e-6"
