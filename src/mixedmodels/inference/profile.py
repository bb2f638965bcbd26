"""The profile of the likelihood along one parameter: where it has risen by a given amount, and points on the way."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan, sqrt

import numpy as np

from ..typing import Array
from .paths import Path

_STEPS = 60
_CLOSE = 1e-7
"""Distance of ζ from the cutoff at which a limit is found: −2l has risen by χ² to within 4e-7."""
_TIGHT = 1e-10
"""Width of a bracket, in standard errors, that cannot be narrowed further."""
_RETREATS = 10
_POINTS = 4
"""Points between the estimate and each limit of a profile that is to be seen."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Points of one profile in order (value, ζ), the interval, and what is to be said of it."""

    values: Array
    zeta: Array
    low: float
    high: float
    note: str = ""


def follow(path: Path, cutoff: float, *, points: bool = False) -> Profile:
    """Return the values of one parameter where |ζ| = cutoff, and the points of its profile found on the way.

    Parameters
    ----------
    path, cutoff
        −2l along the parameter, and √χ² at the confidence level.
    points
        Whether to add points between, evenly spaced, for the profile to be seen.

    Notes
    -----
    ζ = sign(ψ − ψ̂)√(−2l(ψ) + 2l(ψ̂)), a straight line where −2l is quadratic. The first trial is the Wald limit, the
    next ones the inverse interpolation of ψ in ζ through the points found, inside the bracket that they make; the last
    is a limit where ζ is the cutoff to 1e-7.
    """
    known = {path.estimate: 0.0}
    ends, notes = [], []
    for sign in (-1.0, 1.0):
        end, note = _Side(path, sign, cutoff, known).limit()
        ends.append(end)
        notes.append(note)
        if points:
            _between(path, sign, end, known)
    values = np.array(sorted(known))
    zeta = np.array([known[value] for value in values])
    return Profile(values, zeta, ends[0], ends[1], "; ".join(filter(None, notes)))


def _between(path: Path, sign: float, end: float, known: dict[float, float]) -> None:
    """Add evenly spaced points between the estimate and a limit, or the farthest point known."""
    there = [value for value in known if sign * (value - path.estimate) > 0]
    if not there:
        return
    far = end if np.isfinite(end) else max(there, key=lambda value: sign * value)
    for k in range(1, _POINTS):
        value = path.estimate + k / _POINTS * (far - path.estimate)
        zeta = _zeta(path, value)
        if not isnan(zeta):
            known[value] = sign * zeta


class _Side:
    """The search for the limit on one side of the estimate, in distances from it."""

    def __init__(self, path: Path, sign: float, cutoff: float, known: dict[float, float]) -> None:
        self.path, self.sign, self.cutoff, self.known = path, sign, cutoff, known
        self.name = "lower" if sign < 0 else "upper"
        self.bound = sign * ((path.lower if sign < 0 else path.upper) - path.estimate)
        self.points: list[tuple[float, float]] = [(0.0, 0.0)]
        """(distance, |ζ|) of what was found."""
        self.blocked = inf
        """Distance from which on the profile could not be followed."""

    def limit(self) -> tuple[float, str]:
        """Return where |ζ| reaches the cutoff, and what is to be said of that."""
        at_bound = f"{self.name} limit at the boundary"
        if self.bound <= 0:
            return self._value(self.bound), at_bound
        inside, outside = 0.0, inf
        for _ in range(_STEPS):
            found = self._find(inside, self._trial(inside, outside))
            if found is None:
                return nan, "the profile could not be followed to its limit"
            trial, zeta = found
            if abs(zeta - self.cutoff) <= _CLOSE:
                return self._value(trial), ""
            if zeta >= self.cutoff:
                outside = trial
            elif trial >= self.bound:
                return self._value(self.bound), at_bound
            else:
                inside = trial
            if outside - inside <= _TIGHT * self.path.scale:
                return nan, f"−2l jumps over the {self.name} limit: the profile is not continuous there"
        if outside < inf:
            return nan, "the profile could not be followed between two of its points"
        return self.sign * inf, f"{self.name} limit not reached: unbounded as far as followed"

    def _value(self, distance: float) -> float:
        bound = self.path.lower if self.sign < 0 else self.path.upper
        return bound if distance >= self.bound else self.path.estimate + self.sign * distance

    def _find(self, inside: float, trial: float) -> tuple[float, float] | None:
        """Return a trial and its |ζ|, a nearer one where the profile cannot be followed so far; or None."""
        for _ in range(_RETREATS):
            value = self._value(trial)
            zeta = _zeta(self.path, value)
            if not isnan(zeta):
                self.known[value] = self.sign * zeta
                self.points.append((trial, zeta))
                return trial, zeta
            self.blocked = min(self.blocked, trial)
            trial = inside + 0.4 * (trial - inside)
        return None

    def _trial(self, inside: float, outside: float) -> float:
        if outside < inf:
            trial = self._interpolated()
            margin = 1e-3 * (outside - inside)
            near = inside + margin <= trial <= outside - margin
            return trial if near or self._converging(trial, inside, outside) else 0.5 * (inside + outside)
        first = self.cutoff * self.path.scale
        trial = first if inside == 0 else self._interpolated()
        trial = min(max(trial, inside + 0.05 * first), max(2.5 * inside, 1.01 * first))
        if trial >= self.blocked:
            return 0.5 * (inside + self.blocked)
        if trial < self.bound:
            return trial
        # the edge itself only from nearby
        halfway = 0.6 * self.bound
        return halfway if inside < 0.5 * self.bound and len(self.points) < _STEPS // 2 else self.bound

    def _converging(self, trial: float, inside: float, outside: float) -> bool:
        """Return whether a trial close to one end is where that end's ζ is close to the cutoff."""
        zeta = dict(self.points)
        close = min(abs(zeta[inside] - self.cutoff), abs(zeta[outside] - self.cutoff)) < 0.02 * self.cutoff
        return close and inside < trial < outside

    def _interpolated(self) -> float:
        """Return the distance at which |ζ| is the cutoff, by the polynomial in ζ through the three nearest points."""
        nearest = sorted(self.points, key=lambda point: abs(point[1] - self.cutoff))[:3]
        distance, zeta = np.array(nearest).T
        if len(set(zeta.tolist())) < len(zeta):
            return inf
        total = 0.0
        for i in range(len(zeta)):
            others = np.delete(zeta, i)
            total += distance[i] * float(np.prod((self.cutoff - others) / (zeta[i] - others)))
        return total if np.isfinite(total) else inf


def _zeta(path: Path, value: float) -> float:
    rise = path.rise(value)
    return rise if isnan(rise) else sqrt(max(rise, 0.0))
