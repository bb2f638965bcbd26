"""The minimum of −2l from one start or several, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..criterion.base import Criterion
from ..criterion.parameters import Block, ResidualBlock
from ..errors import Status
from ..typing import Array
from .boundary import nuggets
from .convergence import (
    boundary_check,
    error_statuses,
    indefinite_statuses,
    kink_status,
    ranks,
    several_starts_status,
    singular_statuses,
    stalled_status,
)
from .kinks import kinked_places, settle_kinks
from .moments import wide_start
from .optimum import Optimum, Tried
from .race import race
from .search import Arrival, Search, is_small
from .simulated import optimise_simulated
from .start import Start, starting_points

_KINKED = 8
"""Iterations of a first search where −2l has kinks."""
_WIDE = 15
"""Parameters up to which a singular optimum of a small problem is searched for twice (24 ms at most)."""
_FEW = 120
"""Rows up to which −2l has minima where the errors of one position have next to no variance."""
LOWER = 0.01
"""Fall of −2l for which what lies beside an optimum is looked at again."""
WORTH_A_LOOK = 3.0
"""−2l above an optimum up to which a search starts where its nugget is zero."""


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
    A search (`search`) ends where g'H⁻¹g ≤ `control.decrement` and no direction off a singular Σ lowers the criterion,
    takes the step already computed, and sets variances that are zero to within rounding to exact zero. A
    search that cannot go on gives `converged=False` with a warning; it raises only where the criterion
    is not finite at the start. Where −2l may have several minima there are several starting points (`ladder`), whose
    searches race (`race`), and the lowest end is taken; where the optimum of a small problem is singular in several
    columns there is a second, from large variances. Ranges at which −2l has kinks are settled among the distances (see
    `kinks`).
    """
    control = control or Control()
    if criterion.equations.simulated:
        return optimise_simulated(criterion, lambda theta: _optimise(criterion, control, theta), start)
    return _optimise(criterion, control, start)


def _optimise(criterion: Criterion, control: Control, start: Start) -> Optimum:
    before = criterion.evaluations
    arrivals, tried = searches(criterion, control, start)
    return describe(criterion, arrivals[0], criterion.evaluations - before, tried)


def searches(
    criterion: Criterion, control: Control, start: Start, *, passing: bool = False
) -> tuple[list[Arrival], tuple[Tried, ...]]:
    """Return where searches ended, the lowest first, and what became of every start; `passing` as in `race`."""
    points = starting_points(criterion, start, control)
    if kinked_places(criterion):
        best, tried = _among_kinks(criterion, control, points)
        return [best], tried
    arrivals, tried = race(criterion, control, points, passing=passing)
    if start is None and control.starts != 1:
        first = arrivals[0].value
        for others in _second_thoughts(criterion, control, arrivals):
            arrivals, tried = _with_others(criterion, control, arrivals, tried, others)
        if arrivals[0].converged and arrivals[0].value < first - LOWER:
            # what lies beside the first optimum was no better than what may lie beside a lower one
            others = _marked(criterion, arrivals[0].theta)
            if others:
                arrivals, tried = _with_others(criterion, control, arrivals, tried, others)
    return arrivals, tried


def _among_kinks(
    criterion: Criterion, control: Control, points: list[Array]
) -> tuple[Arrival, tuple[Tried, ...]]:
    """Return the lowest arrival where −2l has kinks, at which Newton's steps get nowhere."""
    first = replace(control, max_iterations=min(control.max_iterations, _KINKED))
    arrivals, tried = race(criterion, first, points)

    def run(theta: Array, moving: NDArray[np.intp], brief: bool) -> Arrival:
        return Search(criterion, first if brief else control, theta, moving).run()

    return settle_kinks(criterion, arrivals[0], run), tried


def _with_others(
    criterion: Criterion,
    control: Control,
    arrivals: list[Arrival],
    tried: tuple[Tried, ...],
    points: list[Array],
) -> tuple[list[Arrival], tuple[Tried, ...]]:
    rival = arrivals[0].value if arrivals[0].converged else inf
    found, more = race(criterion, control, points, rival)
    if arrivals[0].converged:
        # where the likelihood has no maximum, lower values are no better: what is returned is said to be next to them
        found = [one for one in found if one.converged]
    both = sorted([*arrivals, *found], key=lambda one: (round(one.value, 6), not one.converged))
    return both, (*tried, *more)


def _second_thoughts(criterion: Criterion, control: Control, found: list[Arrival]) -> Iterator[list[Array]]:
    """Yield sets of θ that what was found suggests to search from besides."""
    if _may_be_local(criterion, found):
        yield [wide_start(criterion, found[0].theta)]
    marked = _marked(criterion, found[0].theta) if found[0].converged else []
    if marked:
        yield marked
    best = found[0]
    for place in nuggets(criterion):
        # −2l can have a minimum at zero beside one near it
        without = best.theta.copy()
        without[place] = 0.0
        if best.theta[place] == 0.0 or not criterion.value(without) < best.value + WORTH_A_LOOK:
            continue
        others = np.setdiff1d(np.flatnonzero(criterion.free), [place])
        end = Search(criterion, control, without, others).run()
        if end.value < best.value:
            yield [end.theta]


def _marked(criterion: Criterion, theta: Array) -> list[Array]:
    """Return θ with next to no variance of its own at one position of the errors, for each, in few data; and with other
    loadings of errors or random effects that have them."""
    if criterion.design.n > _FEW or criterion.held:
        return []
    blocks: list[Block | ResidualBlock] = [*criterion.model.residual_blocks]
    blocks += [b for b in criterion.model.random_blocks if b.structure.vanishing(b.positions)]
    out = []
    for block in blocks:
        if block.structure is not None:
            for own in block.structure.marked(theta[block.place], block.positions):
                point = theta.copy()
                point[block.place] = own
                out.append(point)
    return out


def _may_be_local(criterion: Criterion, found: list[Arrival]) -> bool:
    """Return whether the one optimum found is singular in several columns, and a second search is cheap.

    Where few levels bear on many columns about one singular optimum in a hundred is local.
    """
    if len(found) > 1 or criterion.joint or not is_small(criterion, _WIDE):
        return False
    theta, terms = found[0].theta, criterion.design.random
    if all(term.n_columns == 1 for term in terms):
        return False
    ranks_by_term = zip(terms, ranks(criterion, theta, criterion.unit(theta)), strict=True)
    return any(
        term.n_columns > 1 and rank < term.n_columns for term, by_set in ranks_by_term for rank in by_set
    )


def describe(criterion: Criterion, end: Arrival, evaluations: int, tried: tuple[Tried, ...]) -> Optimum:
    """Return the end of a search with what the user should know of it."""
    theta = end.theta
    stalled: tuple[Status, ...] = ()
    if not end.converged:
        stalled = (
            stalled_status(criterion, theta, end.evaluation, end.decrement, end.iterations, end.reason),
        )
    value, unit = criterion.value(theta), criterion.unit(theta)
    lowest = min((one.value for one in tried if one.fate == "stalled"), default=inf)
    astray = lowest if end.converged and lowest < value - LOWER else None
    checked = boundary_check(end.converged, 1 if astray is not None else len(tried))
    singular = ranks(criterion, theta, unit)
    return Optimum(
        theta=theta,
        value=value,
        decrement=end.decrement,
        converged=end.converged,
        iterations=end.iterations,
        evaluations=evaluations,
        trace=end.trace,
        singular=singular,
        statuses=stalled
        + singular_statuses(criterion, theta, unit, singular, checked)
        + indefinite_statuses(criterion, theta)
        + error_statuses(criterion, theta, end.evaluation, checked)
        + tuple(kink_status(criterion, theta, place) for place in end.kinks)
        + several_starts_status(end.converged, len(tried), astray),
        starts=tried,
    )
