"""What a fit by Laplace's approximation or by quadrature says of itself: how far more points are from it."""

from __future__ import annotations

from math import isfinite, sqrt

import numpy as np

from ..criterion.laplace_check import LARGEST, Difference, differences
from ..errors import Severity, Status
from ..fit import Fit
from ..typing import Array

LARGE = 0.5
"""Difference of −2 log-likelihoods from which there is a warning, where no step can be told."""
BY_ROOT = 0.5
"""The same for one factor among several, times the root of its number of levels.

Differences add up over levels and information does too, so that what an estimate moves by in standard errors goes with
the difference over √levels: .19, .74 and 1.5 standard errors of a variance for 100, 1,600 and 6,400 levels of ten
binary rows are .23, .83 and 1.75 of it.
"""
UNTRUSTED = 1.0
"""Difference over √levels from which estimates are not to be trusted: one moves by about a standard error or more."""
FAR = 0.25
"""Standard errors by which one step moves an estimate from which there is a warning."""
SHOWN = 0.01
"""Difference of −2 log-likelihoods by more points from which a fit by quadrature says so."""


def integration_statuses(fit: Fit) -> tuple[Status, ...]:
    """Return what is to be said of how well random effects are integrated out; one evaluation at θ̂."""
    known = fit.distribution
    if known is None or not (fit.design.random and fit.converged) or fit.rows is None:
        return ()
    if known.approximation == "laplace" and fit.spec.method == "ml":
        return _of_laplace(fit)
    return _of_quadrature(fit) if known.approximation == "quadrature" else ()


def _of_quadrature(fit: Fit) -> tuple[Status, ...]:
    """Return what about half as many points again change, where that is much."""
    assert fit.spec.likelihood is not None
    more = fit._work.likelihood().raised()
    if more is None or more.points is None or fit.spec.likelihood.points == "auto":
        return ()
    dimensions = sum(term.n_columns for term in fit.design.random)
    if fit.design.n * more.points**dimensions > LARGEST:
        return ()
    moved = more.value(fit.optimum.theta) - fit.optimum.value
    if not (isfinite(moved) and abs(moved) > SHOWN):
        return ()
    message = f"at these estimates {more.points} points change −2 log-likelihood by {_signed(moved)}"
    severity = Severity.WARNING if abs(moved) > LARGE else Severity.NOTE
    return (Status(severity, message, "Use points='auto', which raises them until it settles"),)


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def _of_laplace(fit: Fit) -> tuple[Status, ...]:
    """Return what quadrature says of Laplace's approximation.

    Where several factors have effects each is integrated with the others at their modes, and only a large difference
    is told.
    """
    theta, criterion = fit.optimum.theta, fit._work.likelihood()
    found = differences(criterion, theta, fit.optimum.value, fit._work.covariance())
    return tuple(status for one in found if (status := _status(fit, one)) is not None)


def _status(fit: Fit, found: Difference) -> Status | None:
    points = f"quadrature with {found.points} points"
    change = f"{points} changes −2 log-likelihood by {_signed(found.value)}"
    if found.step is None:
        levels = next(term.n_levels for term in fit.design.random if term.group == found.group)
        by_root = abs(found.value) / sqrt(levels)
        if abs(found.value) <= LARGE or by_root <= BY_ROOT:
            return None
        far = by_root > UNTRUSTED
        return Status(
            Severity.WARNING,
            f"Laplace's approximation is {'far off' if far else 'rough'} for the effects of {found.group}: {change}, "
            "the effects of other factors at their modes",
            ("Estimates are not to be trusted; compare" if far else "Compare")
            + f" with the model of {found.group} alone by method='quadrature'",
        )
    name, size = _furthest(fit, found.step)
    moved = f", and one step towards its optimum moves {name} by {size:.2g} standard errors" if name else ""
    if size <= FAR and (name or abs(found.value) <= LARGE):
        return Status(Severity.NOTE, f"at these estimates {change}{moved}")
    return Status(
        Severity.WARNING,
        f"Laplace's approximation is rough here: at these estimates {change}{moved}",
        "Use method='quadrature'",
    )


def _furthest(fit: Fit, step: Array) -> tuple[str, float]:
    """Return the estimate that a step moves most, and by how many standard errors; none where none has one."""
    criterion, theta = fit._work.likelihood(), fit.optimum.theta
    natural = criterion.natural(theta)
    columns = [fit.design.fixed.columns[k] for k in fit.design.fixed.estimable]
    names = [*natural.names, *columns]
    moved = np.concatenate(
        [natural.jacobian @ step, fit.solution.basis.coefficients(step[criterion.of_beta])]
    )
    errors = np.sqrt(
        np.concatenate([fit._work.natural_covariance().diagonal(), fit.solution.vcov.diagonal()])
    )
    known = np.flatnonzero((errors > 0.0) & np.isfinite(errors) & np.isfinite(moved))
    if not len(known):
        return "", 0.0
    sizes = np.abs(moved[known]) / errors[known]
    most = int(np.argmax(sizes))
    return names[known[most]], float(sizes[most])
