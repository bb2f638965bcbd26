"""Ranges at which −2l has kinks: covariances that are linear in the distance up to the range, and zero from there.

Σ_ij = σ² max(0, 1 − d_ij/r) has a kink in r at every distance d_ij, where −2l may have local minima with slopes of
either sign. Newton's steps do not find these; here −2l is minimised over everything else at the distances around
the best range found, and between two of them where its slopes ask for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf, log
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Structure
from ..criterion.base import Criterion
from ..errors import FitError
from ..lazy import LazyModule
from ..typing import Array
from .search import Arrival

if TYPE_CHECKING:
    from scipy import optimize
else:
    optimize = LazyModule("scipy.optimize")

Run = Callable[[Array, NDArray[np.intp], bool], Arrival]
"""A search from θ in which only the parameters given may move, a brief one if asked."""

REACH = 1.3
"""Ranges within this factor of the best one found are looked at."""
WORK = 1e5
"""Rows times distances looked at: about half a second."""
FEWEST, MOST = 6, 60
BESIDE = 1e-9
"""Relative step off a distance at which the slope on its other side is taken."""
ROUNDS = 4
"""Times a parameter may be moved to where another distance is better."""


def kinked_places(criterion: Criterion) -> list[tuple[int, Array]]:
    """Return for each free range with kinks its place in θ and the logarithms of the distances, sorted."""
    out = []
    for block in criterion.model.random_blocks:
        if _kinked(block.structure) and criterion.free[block.place.start + 1]:
            assert block.positions.coordinates is not None
            out.append((block.place.start + 1, _logs(_distances(block.positions.coordinates[None]))))
    for residual in criterion.model.residual_blocks:
        if _kinked(residual.structure) and criterion.free[residual.place.start + 1]:
            out.append((residual.place.start + 1, _logs(_observed(criterion, residual.set))))
    return [(place, logs) for place, logs in out if len(logs)]


def settle_kinks(criterion: Criterion, best: Arrival, run: Run) -> Arrival:
    """Return the lowest of an optimum and what is found at and between the distances around it."""
    free = np.flatnonzero(criterion.free)
    places = kinked_places(criterion)
    at_kink: list[int] = []
    for _ in range(ROUNDS):
        before = best.value
        at_kink = []
        for place, logs in places:
            profile = _Profile(criterion, run, place, np.setdiff1d(free, [place]), best)
            best = profile.settle(logs)
            if profile.kink:
                at_kink.append(place)
        if len(places) == 1 or best.value > before - 1e-6:
            break
    return replace(best, kinks=tuple(at_kink))


@dataclass(slots=True)
class _Profile:
    """−2l along one range, everything else at its minimum."""

    criterion: Criterion
    run: Run
    place: int
    others: NDArray[np.intp]
    best: Arrival
    kink: bool = False
    known: dict[float, Array] = field(default_factory=dict)

    def settle(self, logs: Array) -> Arrival:
        """Return the best optimum at the distances near, or between two neighbours of them."""
        near = self._near(logs)
        found = [self._at(phi) for phi in near]
        intervals = [
            (a, b)
            for (a, left), (b, right) in zip(
                zip(near, found, strict=True), zip(near[1:], found[1:], strict=True), strict=False
            )
            if left is not None and right is not None and self._dips(left, right)
        ]
        for phi, optimum in zip(near, found, strict=True):
            self._take(optimum, kink=True, phi=phi)
        self._take(self._beyond(float(logs[-1])), kink=False, phi=float(logs[-1]))
        for a, b in intervals:
            self._take(self._between(a, b), kink=False, phi=a)
        return self.best

    def _near(self, logs: Array) -> Array:
        here = self.best.theta[self.place]
        count = int(np.clip(WORK / self.criterion.design.n, FEWEST, MOST))
        if len(logs) <= count:
            return logs
        inside = logs[np.abs(logs - here) <= log(REACH)]
        order = np.argsort(np.abs((inside if len(inside) else logs) - here), kind="stable")
        return np.sort((inside if len(inside) else logs)[order[:count]])

    def _at(self, phi: float) -> Arrival | None:
        """Return the minimum over everything else at one range, searched from the nearest one known."""
        near = min(self.known, key=lambda other: abs(other - phi), default=None)
        theta = (self.best.theta if near is None else self.known[near]).copy()
        theta[self.place] = phi
        try:
            found = self.run(theta, self.others, False)
        except FitError:
            return None
        if found.converged:
            self.known[phi] = found.theta
        return found

    def _dips(self, left: Arrival, right: Arrival) -> bool:
        """Return whether −2l falls into the interval between two distances from both of its ends."""
        inwards = left.theta.copy()
        inwards[self.place] += BESIDE
        # derivatives are those from shorter ranges
        falls = self.criterion.gradient(inwards)[self.place] < 0.0
        return bool(falls and self.criterion.gradient(right.theta)[self.place] > 0.0)

    def _between(self, low: float, high: float) -> Arrival | None:
        def value(phi: float) -> float:
            found = self._at(phi)
            return inf if found is None else found.value

        result = optimize.minimize_scalar(
            value, bounds=(low, high), method="bounded", options={"xatol": 1e-3 * (high - low), "maxiter": 12}
        )
        start = self._at(float(result.x))
        if start is None:
            return None
        free = np.sort(np.append(self.others, self.place))
        smooth = self.run(start.theta, free, True)
        return smooth if smooth.converged and smooth.value <= start.value + 1e-9 else start

    def _beyond(self, last: float) -> Arrival | None:
        """Return what is found from a range of twice the largest distance, where −2l is smooth."""
        start = self._at(last + log(2.0))
        return (
            None
            if start is None
            else self.run(start.theta, np.sort(np.append(self.others, self.place)), True)
        )

    def _take(self, optimum: Arrival | None, *, kink: bool, phi: float) -> None:
        if optimum is None or not optimum.converged:
            return
        if optimum.value < self.best.value - 1e-9 or (
            not self.best.converged and optimum.value < self.best.value + 1e-9
        ):
            self.best, self.kink = optimum, kink


def _kinked(structure: Structure | None) -> bool:
    return structure is not None and structure.kinked


def _logs(distances: Array) -> Array:
    distinct = np.unique(distances[distances > 0.0])
    return np.asarray(np.log(distinct))


def _distances(coordinates: Array) -> Array:
    gaps = coordinates[:, :, None, :] - coordinates[:, None, :, :]
    return np.asarray(np.sqrt(np.einsum("...k,...k->...", gaps, gaps)).ravel())


def _observed(criterion: Criterion, which: int) -> Array:
    """Return the distances within the residual clusters of one set."""
    residual = criterion.design.residual
    errors = None if residual is None else criterion.equations.rows.residual
    assert residual is not None
    assert errors is not None
    assert errors.coordinates is not None
    order = np.argsort(errors.clusters, kind="stable")
    splits = np.flatnonzero(np.diff(errors.clusters[order])) + 1
    chosen = [
        _distances(errors.coordinates[rows][None])
        for rows in np.split(order, splits)
        if residual.sets[errors.clusters[rows[0]]] == which
    ]
    return np.concatenate(chosen) if chosen else np.zeros(0)
