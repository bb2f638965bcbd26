"""Bootstrap-t intervals: each replicate measured in its own standard errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..fit import Fit
from ..typing import Array
from .bootstrap import bootstrap
from .reported import Reported, is_regular, reported_parameters


def studentized_limits(
    fit: Fit, level: float, n: int, seed: int | None, kind: str, progress: bool | None
) -> tuple[Array, Array, tuple[str, ...]]:
    """Return limits of every covariance parameter, then of β, as reported, (k,) each, and notes.

    Notes
    -----
    ψ̂ − q(1 − α/2)·s and ψ̂ − q(α/2)·s, q the quantiles of (ψ* − ψ̂)/s* over replicates, s and s* the standard errors
    of ψ in the fit and in the replicate (Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, section 12.5).
    ψ is a variance for a standard deviation, the logarithm of a range or ratio, Fisher's z of a correlation, β itself.
    On the scale of logarithms a replicate near zero would have a standard error without bound, upper limits be too low.
    """
    parameters = reported_parameters(fit._work.parameters(), fit.optimum.theta)
    names = [*(p.name for p in parameters), *fit.design.fixed.columns]
    run = bootstrap(fit, _values_and_errors, n, seed, kind=kind, progress=progress)
    k = len(names)
    drawn, errors = run.usable[:, :k], run.usable[:, k:]
    value, error = run.estimate[:k], run.estimate[k:]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (drawn - value) / errors
    low, high = np.full(k, np.nan), np.full(k, np.nan)
    missing = []
    for j, name in enumerate(names):
        known = t[np.isfinite(t[:, j]), j]
        if len(known) < len(t) and error[j] > 0:
            missing.append(f"{name} ({len(t) - len(known)})")
        if len(known) > 1 and error[j] > 0:
            above, below = np.quantile(known, [(1 + level) / 2, (1 - level) / 2])
            low[j], high[j] = value[j] - above * error[j], value[j] - below * error[j]
    for j, parameter in enumerate(parameters):
        low[j], high[j] = _shown(parameter, low[j]), _shown(parameter, high[j])
    notes = [
        "standard deviations on the scale of variances, ranges and ratios on the log scale, correlations on Fisher's z",
        *run.notes,
    ]
    if missing:
        notes.append(f"without replicates that have no standard error of their own: {', '.join(missing)}")
    return low, high, tuple(notes)


def _values_and_errors(fit: Fit) -> Array:
    """Return every parameter on its scale without bounds, then their standard errors, (2k,)."""
    criterion, theta = fit._work.parameters(), fit.optimum.theta
    natural, covariance = criterion.natural(theta), fit._work.natural_covariance()
    # slopes in the natural parameters themselves: those of their own identity
    itself = replace(natural, jacobian=np.eye(len(natural.values)))
    values: list[float] = []
    errors: list[float] = []
    for parameter in reported_parameters(criterion, theta):
        value, slope = parameter.locate(itself)
        error = float(np.sqrt(max(float(slope @ covariance @ slope), 0.0)))
        regular = error > 0 and is_regular(parameter, natural.values)
        if parameter.kind == "sd":
            value, error = float(value) ** 2, 2.0 * float(value) * error
        elif parameter.kind == "angle":
            # Fisher's z has the slope 1/cos in the angle
            value, error = float(np.arctanh(np.sin(value))), error / float(np.cos(value))
        values.append(value)
        errors.append(error if regular else np.nan)
    own = np.sqrt(np.diagonal(fit.solution.vcov))
    return np.concatenate([values, fit.beta, errors, fit._spread(own)])


def _shown(parameter: Reported, value: float) -> float:
    if parameter.kind == "sd":
        return float(np.sqrt(max(value, 0.0)))
    return float(np.tanh(value)) if parameter.kind == "angle" else parameter.shown(value)
