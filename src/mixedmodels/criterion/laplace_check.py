"""What quadrature says of Laplace's approximation at its optimum: one evaluation of each grouping factor's effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import FitError
from ..terms.design import RandomTerm
from ..typing import Array
from .base import LikelihoodCriterion
from .gauss_hermite import DEFAULT, MOST_DIMENSIONS, gauss_hermite
from .laplace import Laplace
from .levels import Levels, by_factor
from .nodes import Nodes
from .quadrature import SETTLED, Quadrature

LARGEST = 4_000_000
"""Rows times nodes at most, about half a second."""
FEWER = 5
"""Points a dimension where the usual number costs too much."""


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Quadrature less Laplace, for the random effects of one grouping factor.

    Parameters
    ----------
    group
        The factor.
    points
        Points a dimension.
    value
        −2 log-likelihood by quadrature less that by Laplace's approximation, at the same parameters.
    step
        Newton's step from there towards the optimum by quadrature, (n_theta,), with the Hessian of Laplace's
        approximation. None where other factors have effects, which stay at their modes then.
    """

    group: str
    points: int
    value: float
    step: Array | None


def differences(
    criterion: LikelihoodCriterion, theta: Array, value: float, covariance: Array
) -> tuple[Difference, ...]:
    """Return what quadrature finds at an optimum of Laplace's approximation; nothing for other criteria.

    Factors with known covariances among levels, with more than three effects a level, and with more rows than is quick
    are left out.

    Parameters
    ----------
    criterion
        The criterion.
    theta, value
        Its minimiser and minimum.
    covariance
        2H⁻¹ there, (n_theta, n_theta).
    """
    if not isinstance(criterion, Laplace):
        return ()
    laplace, random = criterion, criterion.design.random
    factors = by_factor(random, laplace.stack)
    found = []
    for chosen in factors:
        points, group = _points(laplace, [random[k] for k in chosen]), random[chosen[0]].group
        if points is None:
            continue
        one = (
            _whole(laplace, theta, value, covariance, group, points)
            if len(factors) == 1
            else _part(laplace, theta, chosen, group, points)
        )
        if one is not None:
            found.append(one)
    return tuple(found)


def _points(laplace: Laplace, terms: Sequence[RandomTerm]) -> int | None:
    """Return how many points a dimension to take, None for a factor to leave out."""
    dimensions = sum(term.n_columns for term in terms)
    if dimensions > MOST_DIMENSIONS or any(term.known is not None or term.smooth for term in terms):
        return None
    for points in (DEFAULT[dimensions], FEWER):
        if points**dimensions * len(laplace.stack) <= LARGEST:
            return points
    return None


def _whole(
    laplace: Laplace, theta: Array, least: float, covariance: Array, group: str, points: int
) -> Difference | None:
    quadrature = Quadrature(laplace, points)
    try:
        value = quadrature.value(theta) - least
        step = -0.5 * covariance @ quadrature.gradient(theta)
    except FitError:
        return None
    return Difference(group, points, value, step) if np.isfinite(value) else None


def _part(
    laplace: Laplace, theta: Array, chosen: Sequence[int], group: str, points: int
) -> Difference | None:
    """Return the difference with the effects of other factors at their modes.

    Given those, û of this factor is its own mode, and log|M| and h there are parts of both approximations.
    """
    mode = laplace.settled_mode(theta, SETTLED)
    roots = laplace.model.numbers(theta, roots=True).roots
    if mode is None or roots is None:
        return None
    levels = Levels.of(laplace.design.random, laplace.stack, chosen)
    nodes = Nodes(levels, gauss_hermite(points, levels.dimensions), laplace.observed)
    with np.errstate(all="ignore"):
        frame = nodes.frame(mode, [roots[k] for k in chosen], [mode.dual[k] for k in chosen])
        if frame is None:
            return None
        value = -2.0 * float(np.log(nodes.sums(frame, theta[laplace.of_psi]).mass).sum())
    return Difference(group, points, value, None) if np.isfinite(value) else None
