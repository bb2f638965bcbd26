"""Several searches at once: all go a few steps, those that meet go on as one, and the best are finished."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from ..control import Control
from ..criterion.base import Criterion
from ..errors import FitError
from ..typing import Array
from .optimum import Tried
from .search import Arrival, Search

LAPS = range(7)
"""Iterations after which searches are compared."""
LATER = range(7, 21)
"""Iterations after which those that go on to their ends are."""
SORTED, BESIDE = 3, 6
"""Iteration after which searches from beside a known optimum are sorted, and how many of them go on."""
FINISHED = 3
"""Searches that go on to their ends after that."""
FEW = 120
"""Rows up to which twice as many do: what is lowest after a few steps says little of where they end."""
MEETING, CLOSER = 0.05, 0.005
"""Two searches have met where −2l differs by less than this, and their squared distance in units of information is
less too; in few rows, where optima may be as near as that, closer."""
OUT_OF_REACH = 0.1
"""−2l by which what a search is about to end at must be above the best for it to be given up."""
SETTLING = 0.5
"""A decrement below which it tells how far −2l is going to fall."""


def race(
    criterion: Criterion,
    control: Control,
    points: Sequence[Array],
    rival: float = inf,
    *,
    passing: bool = False,
) -> tuple[list[Arrival], tuple[Tried, ...]]:
    """Return the ends of the searches that were finished, the lowest first, and what became of all.

    Parameters
    ----------
    criterion, control
        The criterion, tolerances and limits.
    points
        θ to start from. Where −2l is finite at some, the others are left out; where at none, `FitError`.
    rival
        −2l of an optimum known already: of searches from near it all go on to their ends but those that are about to
        end above it.
    passing
        Whether the criterion itself is going to change, so that optima next to each other are one.
    """
    meeting = MEETING if passing or criterion.design.n > FEW else CLOSER
    searches, begun = _begin(criterion, control, points)
    places = [search.theta for search in searches]
    ends: dict[int, Arrival] = {}
    fates: dict[int, str] = {}
    running = list(range(len(searches)))
    if len(running) > 1 or rival < inf:
        for lap in LAPS:
            for i in running:
                ends[i] = searches[i].run(lap)
            running = _within_reach(_apart(running, ends, fates, meeting), ends, fates, rival)
            if rival < inf and lap == SORTED:
                running = _lowest(running, ends, fates, BESIDE)
        finished = FINISHED if rival == inf and criterion.design.n > FEW else BESIDE
        running = _lowest(running, ends, fates, finished)
        for lap in LATER:
            if len(running) < 2:
                break
            for i in running:
                ends[i] = searches[i].run(lap)
            running = _apart(running, ends, fates, meeting)
    for i in running:
        ends[i] = searches[i].run()
        fates[i] = "optimum" if ends[i].converged else "stalled"
    running.sort(key=lambda i: (round(ends[i].value, 6), not ends[i].converged))
    starts = tuple(Tried(places[i], begun[i], ends[i].value, fates[i]) for i in range(len(searches)))
    return [ends[i] for i in running], starts


def _begin(
    criterion: Criterion, control: Control, points: Sequence[Array]
) -> tuple[list[Search], list[float]]:
    """Return searches that stand at the points, and −2l there."""
    if len(points) == 1:
        search = Search(criterion, control, points[0])
        return [search], [search.evaluation.value]
    searches, reason = [], None
    for point in points:
        try:
            searches.append(Search(criterion, control, point))
        except FitError as error:
            reason = reason or error
    if reason is not None and not searches:
        raise reason
    return searches, [search.evaluation.value for search in searches]


def _apart(running: list[int], ends: dict[int, Arrival], fates: dict[int, str], meeting: float) -> list[int]:
    """Return the searches less those that have met a lower one."""
    kept: list[int] = []
    for i in sorted(running, key=lambda i: ends[i].value):
        if any(_met(ends[j], ends[i], meeting) for j in kept):
            fates[i] = "joined"
        else:
            kept.append(i)
    return kept


def _met(one: Arrival, other: Arrival, meeting: float) -> bool:
    """Return whether two searches are about to be at the same place, by the steps they are going to take."""
    if abs(one.ahead - other.ahead) > meeting:
        return False
    gap = other.theta + other.step - one.theta - one.step
    return all(float(gap @ at.evaluation.information @ gap) < meeting for at in (one, other))


def _within_reach(
    running: list[int], ends: dict[int, Arrival], fates: dict[int, str], rival: float
) -> list[int]:
    """Return the searches that may yet end lowest."""
    best = min([rival, *(ends[i].value for i in running)])
    kept: list[int] = []
    for i in running:
        end = ends[i]
        settled = end.ended or (end.definite and end.decrement < SETTLING)
        if settled and end.value - end.decrement > best + OUT_OF_REACH:
            fates[i] = "optimum" if end.converged else "left"
        else:
            kept.append(i)
    return kept


def _lowest(running: list[int], ends: dict[int, Arrival], fates: dict[int, str], count: int) -> list[int]:
    """Return the lowest searches, so many."""
    order = sorted(running, key=lambda i: ends[i].value)
    fates |= {i: "optimum" if ends[i].converged else "left" for i in order[count:]}
    return order[:count]
