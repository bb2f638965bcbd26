"""Criteria that take something as known which their own optimum changes: fitted means inside variance functions, the
predictors at which a generalised model is made linear.

One loop for all such models: criterion → optimum → what is taken as known → criterion. Every distinct optimum of the
first criterion is carried to where it settles, and what they settle at is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..control import Control
from ..criterion.base import Criterion
from ..errors import FitError, Status
from ..typing import Array
from .kinks import kinked_places
from .newton import describe, searches
from .optimum import Optimum, Tried
from .search import Arrival, Search
from .start import Start

RENEWALS = 50
"""Times that what is taken as known is renewed, for each optimum."""
SETTLED = 1e-8
"""Change of −2l in a whole renewal below which it has settled."""
HALVINGS = 6
"""Times a renewal is halved before it is given up."""
CONTRACTS = 0.8
"""Share of the distance to what θ says that a renewal must not exceed for the next to be as long."""
SHORTEST = 0.0625
"""Smallest part of the way that a renewal goes."""
DEPTH = 3
"""Renewals that are extrapolated from."""
PLAIN = 5
"""Renewals before the last few are extrapolated."""
EVALUATIONS = 3000
"""Evaluations of criteria after which no further optimum is carried on."""
FEW = 500
"""Evaluations up to which own starting values are tried again where renewals did not settle."""
WORTH = 1e-6
"""Fall of −2l for which a range at a kink moves."""
ROUNDS = 3
"""Times ranges at kinks are looked at again after the rest has settled."""


class Renewal(Protocol):
    """What a criterion takes as known, by row, and the criterion that takes other values as known.

    `comparable` says whether −2l of criteria that take different values as known are of the same data; `unsettled` what
    is said where they do not settle.
    """

    @property
    def comparable(self) -> bool: ...
    @property
    def unsettled(self) -> Status: ...

    def read(self, criterion: Criterion, theta: Array) -> Array:
        """Return what θ says of what is taken as known, (n,)."""
        ...

    def at(self, known: Array) -> Criterion:
        """Return the criterion that takes these values as known; `FitError` where there is none."""
        ...

    def arrived(self, known: Array, left: Array) -> bool:
        """Return whether what θ says, `known` + `left`, is what was taken as known."""
        ...


@dataclass(slots=True)
class _State:
    """One optimum on its way: the criterion, what it takes as known, where its search is."""

    criterion: Criterion
    known: Array
    end: Arrival
    evaluations: int = 0
    iterations: int = 0
    settled: bool = False


def alternate(
    criterion: Criterion, known: Array, renewal: Renewal, control: Control, start: Start = None
) -> tuple[Criterion, Optimum]:
    """Return the criterion that takes as known what its own optimum says, and that optimum.

    Parameters
    ----------
    criterion, known
        The first criterion, and what it takes as known, (n,).
    renewal
        How that is renewed.
    control, start
        As in `optimise`.

    Notes
    -----
    A renewal at which −2l is not finite, or from which no search converges, is halved; from the sixth on the last
    renewals are extrapolated (Anderson 1965), so that slow or oscillating sequences settle too. The lowest of the
    settled optima is returned, or, where none settled, the lowest with a warning; where −2l is not comparable the one
    that the lowest optimum of the first criterion leads to.
    """
    before = criterion.evaluations
    arrivals, tried = searches(criterion, control, start, passing=True)
    spent = criterion.evaluations - before
    reached: list[_State] = []
    for end in sorted(arrivals, key=lambda end: not end.converged):
        if reached and (spent > EVALUATIONS or not end.converged or not renewal.comparable):
            break
        state = _State(criterion, known, end, iterations=end.iterations)
        _settle(state, renewal, control)
        spent += state.evaluations
        reached.append(state)
    best = min(reached, key=lambda state: (not state.settled, state.end.value))
    if not best.settled and renewal.comparable and start is None and spent < FEW:
        best, more = _afresh(best, renewal, control)
        spent, tried = spent + best.evaluations, (*tried, *more)
    found = describe(best.criterion, best.end, spent, tried)
    found = replace(found, iterations=best.iterations)
    if not best.settled:
        found = replace(found, converged=False, statuses=(*found.statuses, renewal.unsettled))
    return best.criterion, found


def _afresh(state: _State, renewal: Renewal, control: Control) -> tuple[_State, tuple[Tried, ...]]:
    """Return what own starting values lead to where renewals of an optimum did not settle, and what was tried; the
    state itself where that does not settle either."""
    before = state.criterion.evaluations
    try:
        arrivals, tried = searches(state.criterion, control, None, passing=True)
    except FitError:
        return state, ()
    other = _State(state.criterion, state.known, arrivals[0], iterations=state.iterations)
    other.evaluations = state.criterion.evaluations - before
    _settle(other, renewal, control)
    return (other if other.settled else state), tried


def alternate_near(
    criterion: Criterion, known: Array, renewal: Renewal, control: Control, near: Array
) -> tuple[Criterion, Optimum]:
    """Return what `alternate` does from θ of a neighbour, or from own starting values where that does not settle."""
    try:
        found = alternate(criterion, known, renewal, control, near)
    except FitError:
        # the neighbour's θ is outside the domain of this criterion
        return alternate(criterion, known, renewal, control)
    if found[1].converged:
        return found
    afresh = alternate(criterion, known, renewal, control)
    return min(found, afresh, key=lambda one: (not one[1].converged, one[1].value))


def _settle(state: _State, renewal: Renewal, control: Control) -> None:
    """Renew until −2l does not change any more; ranges at kinks move between the rounds of it."""
    for _ in range(ROUNDS):
        _renew(state, renewal, control)
        if not state.settled or not kinked_places(state.criterion):
            return
        before = state.criterion.evaluations
        moved = searches(state.criterion, control, state.end.theta)[0][0]
        state.evaluations += state.criterion.evaluations - before
        if not moved.value < state.end.value - WORTH:
            return
        state.end, state.settled = moved, False


def _renew(state: _State, renewal: Renewal, control: Control) -> None:
    """Renew what is taken as known until −2l changes by no more than rounding, or no renewal can be made.

    Where the distance to what θ says does not shrink the next renewals go part of the way: a sequence that overshoots
    settles when it is damped.
    """
    length, gap = 1.0, np.inf
    past: list[tuple[Array, Array]] = []
    for count in range(RENEWALS):
        known = state.known
        left = renewal.read(state.criterion, state.end.theta) - known
        distance = float(np.linalg.norm(left))
        if renewal.arrived(known, left):
            state.settled = True
            return
        if count > 1 and distance > CONTRACTS * gap:
            length, past = max(0.5 * length, SHORTEST) if distance > gap or not past else length, []
        gap = distance
        change = None
        if count >= PLAIN and past:
            change = _move(state, _extrapolated(past, (known, left), length), renewal, control)
        for k in range(HALVINGS):
            if change is not None:
                break
            change = _move(state, known + 0.5**k * length * left, renewal, control)
        if change is None:
            return
        if renewal.comparable and abs(change) <= SETTLED * length:
            state.settled = True
            return
        past = [*past[1 - DEPTH :], (known, left)]


def _move(state: _State, known: Array, renewal: Renewal, control: Control) -> float | None:
    """Take this as known and go to the optimum near; return the change of −2l, None where there is none."""
    try:
        criterion = renewal.at(known)
    except FitError:
        return None
    places = [place for place, _ in kinked_places(criterion)]
    moving = np.setdiff1d(np.flatnonzero(criterion.free), places) if places else None
    try:
        end = Search(criterion, control, state.end.theta, moving).run()
    except FitError:
        return None
    finally:
        state.evaluations += criterion.evaluations
    if not end.converged:
        return None
    change = end.value - state.end.value
    state.criterion, state.known, state.end = criterion, known, end
    # a renewal that moves no parameter is a step of the loop itself where the data are other ones
    state.iterations += end.iterations if renewal.comparable else max(end.iterations, 1)
    return change


def _extrapolated(past: list[tuple[Array, Array]], now: tuple[Array, Array], length: float) -> Array:
    """Return where a linear sequence leads to whose last (known, distance to go) are these (Anderson 1965)."""
    known, left = now
    moves = np.column_stack([left - before for _, before in past])
    weights = np.linalg.lstsq(moves, left, rcond=1e-8)[0]
    steps = np.column_stack([known - before for before, _ in past])
    return np.asarray(known - steps @ weights + length * (left - moves @ weights))
