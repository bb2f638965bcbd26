"""Correlation by distance over a range, `exp gau sph lin_sp rq`, or per unit distance, `pow car1`.

All take a stack of coordinates (..., m, d) as well as (m, d) and then return stacks of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, final
from weakref import ReferenceType, ref

import numpy as np

from ..errors import SpecError
from ..typing import Array
from .base import SIGNIFICANT, Natural, Positions, Structure
from .correlation import Correlation, is_diagonal, nearest
from .scales import OneVariance
from .transforms import POSITIVE, Transform

Slope = Callable[[Array, Array], Array]
"""(h, C) or (h, ∂C/∂log r) ↦ the next derivative in log r."""


@dataclass(frozen=True, slots=True)
class Profile:
    """f(h) of a correlation function at h = distance/range, which may be complex, and how it moves with log r.

    `slope` is ∂f/∂log r = −hf' as a function of h and f, `bend` ∂²f/∂(log r)² of h and that slope, so that one
    evaluation of f serves all three.
    """

    value: Callable[[Array], Array]
    slope: Slope
    bend: Slope


EXPONENTIAL = Profile(lambda h: np.exp(-h), lambda h, f: h * f, lambda h, s: (h - 1.0) * s)
"""exp(−h)."""
GAUSSIAN = Profile(
    lambda h: np.exp(-h * h), lambda h, f: 2.0 * h * h * f, lambda h, s: (2.0 * h * h - 2.0) * s
)
"""exp(−h²)."""
RATIONAL_QUADRATIC = Profile(
    lambda h: 1.0 / (1.0 + h * h),
    lambda h, f: 2.0 * h * h * f * f,
    lambda h, s: (2.0 - 4.0 / (1.0 + h * h)) * s,
)
"""1/(1 + h²)."""


def _near(h: Array, inside: Array) -> Array:
    """Return `inside` where h < 1, else 0; the derivatives there are those from within."""
    return np.where(h.real < 1.0, inside, 0.0)


SPHERICAL = Profile(
    lambda h: _near(h, 1.0 - 1.5 * h + 0.5 * h**3),
    lambda h, f: _near(h, 1.5 * h - 1.5 * h**3),
    lambda h, s: _near(h, 4.5 * h**3 - 1.5 * h),
)
"""1 − 1.5h + 0.5h³ for h < 1, else 0."""
TRIANGULAR = Profile(lambda h: _near(h, 1.0 - h), lambda h, f: _near(h, h), lambda h, s: -s)
"""1 − h for h < 1, else 0."""

SHORTEST, LONGEST = 1e-4, 1e6
"""Ranges over the smallest and the largest distance beyond which correlations are zero and one, to rounding."""
WORTH_KEEPING = 20_000
"""Coordinates times positions from which on distances are kept."""


@dataclass(slots=True)
class _Kept:
    """The distances between the positions last asked about, and f of them at the last range."""

    owner: ReferenceType[Array]
    distances: Array
    values: tuple[Profile, complex, Array] | None = None


_KEPT: _Kept | None = None
MOST_PACKED = 60_000_000
"""Numbers at most in f of distances of pairs that are kept."""
_PACKED: dict[int, _Kept] = {}
"""f of distances of pairs by the number of the array of distances, as long as that is there."""


def _forget(owner: ReferenceType[Array]) -> None:
    global _KEPT
    if _KEPT is not None and _KEPT.owner is owner:
        _KEPT = None


def distances(at: Positions) -> Array:
    """Return Euclidean distances between positions, (..., m, m); those of many are kept with the coordinates."""
    global _KEPT
    coordinates = coordinates_of(at)
    if at.packed:
        return _packed_distances(at)
    if coordinates.size * coordinates.shape[-2] < WORTH_KEEPING:
        return _distances(coordinates)
    kept = _KEPT
    if kept is None or kept.owner() is not coordinates:
        kept = _Kept(ref(coordinates, _forget), _distances(coordinates))
        kept.distances.flags.writeable = False
        _KEPT = kept
    return kept.distances


def _packed_distances(at: Positions) -> Array:
    """Return the distances of pairs, (..., m(m + 1)/2)."""
    if at.distances is not None:
        return at.distances
    i, j = np.tril_indices(at.size)
    points = coordinates_of(at)
    return np.asarray(np.sqrt(((points[..., i, :] - points[..., j, :]) ** 2).sum(axis=-1)))


def _packed_values(profile: Profile, r: complex, d: Array) -> Array:
    """Return f(d/r) of pairs, kept until another range is asked for, as long as the distances are there."""
    number = id(d)
    kept = _PACKED.get(number)
    if kept is not None and kept.owner() is d and kept.values is not None:
        if kept.values[0] is profile and kept.values[1] == r:
            return kept.values[2]
    else:
        kept = None
    found = profile.value(np.asarray(d / r))
    found.flags.writeable = False
    if kept is None and (len(_PACKED) + 1) * d.size <= MOST_PACKED:
        # the distances themselves are not held on to
        kept = _PACKED[number] = _Kept(ref(d, lambda _: _PACKED.pop(number, None)), np.empty(0))
    if kept is not None:
        kept.values = (profile, r, found)
    return found


def _distances(coordinates: Array) -> Array:
    line = coordinates[..., 0]
    first = np.abs(line[..., :, None] - line[..., None, :])
    if coordinates.shape[-1] == 1:
        return first
    value = first * first
    for k in range(1, coordinates.shape[-1]):
        line = coordinates[..., k]
        gap = line[..., :, None] - line[..., None, :]
        value += gap * gap
    out: Array = np.sqrt(value, out=value)
    return out


def _values(profile: Profile, r: complex, d: Array) -> Array:
    """Return f(d/r), kept with distances that are kept."""
    kept = _KEPT
    if kept is None or kept.distances is not d:
        return profile.value(np.asarray(d / r))
    values = kept.values
    if values is None or values[0] is not profile or values[1] != r:
        values = (profile, r, profile.value(np.asarray(d / r)))
        values[2].flags.writeable = False
        kept.values = values
    return values[2]


def coordinates_of(at: Positions) -> Array:
    """Return the coordinates as numbers, (..., m, d); SpecError when there are none."""
    if at.coordinates is None:
        raise SpecError(
            "a spatial structure needs coordinates; write them left of the bar: exp(x, y | group)."
        )
    return np.asarray(at.coordinates, dtype=np.float64)


def usual_distances(at: Positions) -> Array:
    """Return the positive distances (k,), or (1,) a one when there are none."""
    d = distances(at)
    positive: Array = d[d > 0.0]
    return positive if len(positive) else np.ones(1)


@final
@dataclass(frozen=True, slots=True)
class RangeCorrelation(Correlation):
    """C_ij = f(d_ij/r), r > 0, reported as the range r, as exp(−1/r), or as the rate 1/r.

    A `compact` f is zero from h = 1 on, so that C is flat in r below the smallest distance.
    """

    profile: Profile
    reported: Literal["range", "correlation", "rate"] = "range"
    compact: bool = False

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (POSITIVE,)

    def of(self, u: Array, at: Positions) -> Array:
        return self._at(u, at)[1]

    def d_of(self, u: Array, at: Positions) -> Array:
        return np.asarray(self._slope(u, at)[1][None] / u[0])

    def d2_of(self, u: Array, at: Positions) -> Array:
        h, slope = self._slope(u, at)
        value: Array = ((self.profile.bend(h, slope) - slope) / u[0] ** 2)[None, None]
        return value

    def d_of_along(self, u: Array, gamma: Array, at: Positions) -> Array:
        return np.asarray([np.vdot(self._slope(u, at)[1], gamma) / u[0]])

    def d2_of_along(self, u: Array, gamma: Array, at: Positions) -> Array:
        h, slope = self._slope(u, at)
        bend = np.vdot(self.profile.bend(h, slope), gamma) - np.vdot(slope, gamma)
        return np.asarray([[bend / u[0] ** 2]])

    def _slope(self, u: Array, at: Positions) -> tuple[Array, Array]:
        """Return h and ∂C/∂log r."""
        d, values = self._at(u, at)
        h = d / u[0]
        return h, self.profile.slope(h, values)

    def _at(self, u: Array, at: Positions) -> tuple[Array, Array]:
        """Return distances and C."""
        d = distances(at)
        return d, (_packed_values if at.packed else _values)(self.profile, u[0], d)

    def start_values(self, target: Array, at: Positions) -> Array:
        if is_diagonal(target):
            # Far below the distances at hand C is flat in r, so the range must not start at its limit 0.
            return np.array([np.median(usual_distances(at)) / (1.0 if self.compact else 3.0)])
        return nearest(self, self.trial_values(at), target, at)

    def trial_values(self, at: Positions) -> Iterable[Array]:
        d = usual_distances(at)
        # up to the smallest distance a compact C is the identity, which nothing leads out of
        return np.geomspace((1.05 if self.compact else 0.5) * np.min(d), 3.0 * np.max(d), 25)[:, None]

    def ladder(self, at: Positions) -> list[Array]:
        # −2l has kinks in the range of a compact f wherever it passes a distance
        return list(self.trial_values(at))[:: 1 if self.compact else 3]

    def limits(self, at: Positions) -> Array:
        d = usual_distances(at)
        return np.array([[(0.5 if self.compact else SHORTEST) * np.min(d), LONGEST * np.max(d)]])

    def report(self, u: Array, at: Positions) -> Natural:
        r = u[0]
        if self.reported == "range":
            return Natural(("range",), u, np.eye(1), ("range",))
        if self.reported == "rate":
            return Natural(("rate",), 1.0 / u, np.array([[-1.0 / r**2]]), ("other",))
        rho = np.exp(-1.0 / u)
        return Natural(("correlation",), rho, (rho / r**2)[None], ("correlation",))

    def from_report(self, values: Array, at: Positions) -> Array:
        if self.reported == "range":
            return values
        if self.reported == "rate":
            return 1.0 / np.where(values > 0.0, values, np.nan)
        if not 0.0 < values[0] < 1.0:
            raise ValueError(f"correlation {values[0]:.6g} per unit distance must be in (0, 1)")
        return -1.0 / np.log(values)

    def escape_flat(self, u: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return a larger r where C = I is flat in r and correlating the nearest positions lowers −2l."""
        if not self.compact or np.any(self.d_of(u, at)):
            return None
        smallest = np.min(usual_distances(at))
        here = self.of(u, at)
        best, best_change = None, -SIGNIFICANT
        for trial in smallest * np.geomspace(1.02, 20.0, 20):
            change = self.of(np.array([trial]), at) - here
            if best is not None and np.max(np.abs(change)) > step:
                break
            slope = float(np.sum(gamma * change))
            if slope < best_change:
                best, best_change = np.array([trial]), slope
        return best


@final
@dataclass(frozen=True, slots=True)
class Exponential(OneVariance, Structure):
    """Σ_ij = σ² exp(−d_ij/r), d_ij the distance between positions and r > 0 the `range`.

    *Same as* SAS TYPE=SP(EXP), nlme corExp.

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0, 0.0], [3.0, 4.0]]))
    >>> exp = Exponential()
    >>> exp.matrix(exp.from_natural(np.array([1.0, 5.0 / np.log(2.0)]), at), at).round(12)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """

    names: ClassVar[tuple[str, ...]] = ("exp", "sp(exp)", "corexp", "exponential")
    needs_coordinates = True
    on_pairs = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return RangeCorrelation(EXPONENTIAL)

    def smallest(self) -> int:
        return 2


@final
@dataclass(frozen=True, slots=True)
class Gaussian(OneVariance, Structure):
    """Σ_ij = σ² exp(−d_ij²/r²), d_ij the distance between positions and r > 0 the `range`.

    *Same as* SAS TYPE=SP(GAU), nlme corGaus (d²/r², not d²/2r²).

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0], [2.0]]))
    >>> gau = Gaussian()
    >>> bool(np.isclose(gau.matrix(gau.from_natural(np.array([1.0, 2.0]), at), at)[0, 1], np.exp(-1)))
    True
    """

    names: ClassVar[tuple[str, ...]] = ("gau", "sp(gau)", "corgaus", "gaussian")
    needs_coordinates = True
    on_pairs = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return RangeCorrelation(GAUSSIAN)

    def smallest(self) -> int:
        return 2


@final
@dataclass(frozen=True, slots=True)
class RationalQuadratic(OneVariance, Structure):
    """Σ_ij = σ²/(1 + d_ij²/r²), d_ij the distance between positions and r > 0 the `range`.

    *Same as* nlme corRatio.

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0], [2.0]]))
    >>> rq = RationalQuadratic()
    >>> rq.matrix(rq.from_natural(np.array([1.0, 2.0]), at), at).round(12)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """

    names: ClassVar[tuple[str, ...]] = ("rq", "corratio")
    needs_coordinates = True
    on_pairs = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return RangeCorrelation(RATIONAL_QUADRATIC)

    def smallest(self) -> int:
        return 2


@final
@dataclass(frozen=True, slots=True)
class Spherical(OneVariance, Structure):
    """Σ_ij = σ²(1 − 1.5h + 0.5h³) for h = d_ij/r < 1, else 0, in up to three dimensions; `range` r > 0.

    Σ has one continuous derivative in r; second derivatives are those from within the range.

    *Same as* SAS TYPE=SP(SPH), nlme corSpher.

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0], [1.0]]))
    >>> sph = Spherical()
    >>> sph.matrix(sph.from_natural(np.array([1.0, 2.0]), at), at).round(12)
    array([[1.    , 0.3125],
           [0.3125, 1.    ]])
    """

    names: ClassVar[tuple[str, ...]] = ("sph", "sp(sph)", "corspher", "spherical")
    needs_coordinates = True
    on_pairs = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return RangeCorrelation(SPHERICAL, compact=True)

    def smallest(self) -> int:
        return 2


@final
@dataclass(frozen=True, slots=True)
class LinearSpatial(OneVariance, Structure):
    """Σ_ij = σ²(1 − ρd_ij) for ρd_ij < 1, else 0, on a line; in the plane Σ ⪰ 0 is not assured.

    The natural parameter is SAS's `rate` ρ, the reciprocal of nlme's range. Σ has kinks in ρ, where
    derivatives are those from within the range.

    *Same as* SAS TYPE=SP(LIN), nlme corLin.

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0], [1.0]]))
    >>> lin_sp = LinearSpatial()
    >>> lin_sp.matrix(lin_sp.from_natural(np.array([1.0, 0.25]), at), at).round(12)
    array([[1.  , 0.75],
           [0.75, 1.  ]])
    """

    names: ClassVar[tuple[str, ...]] = ("lin_sp", "sp(lin)", "corlin")
    needs_coordinates = True
    on_pairs = True
    kinked = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return RangeCorrelation(TRIANGULAR, reported="rate", compact=True)

    def smallest(self) -> int:
        return 2


@final
@dataclass(frozen=True, slots=True)
class Power(OneVariance, Structure):
    """Σ_ij = σ²ρ^d_ij, d_ij the distance between positions and 0 < ρ < 1; the `exp` family by another name.

    *Same as* SAS TYPE=SP(POW).

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0], [2.0]]))
    >>> power = Power()
    >>> power.matrix(power.from_natural(np.array([1.0, 0.5]), at), at).round(12)
    array([[1.  , 0.25],
           [0.25, 1.  ]])
    """

    names: ClassVar[tuple[str, ...]] = ("pow", "sp(pow)", "power")
    needs_coordinates = True
    on_pairs = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return RangeCorrelation(EXPONENTIAL, reported="correlation")

    def smallest(self) -> int:
        return 2


@final
@dataclass(frozen=True, slots=True)
class ContinuousAutoregressive(OneVariance, Structure):
    """Σ_ij = σ²ρ^|t_i − t_j| at times t, 0 < ρ < 1 the `correlation` one unit of time apart.

    *Same as* nlme corCAR1, glmmTMB ou, SAS TYPE=SP(POW)(time).

    Examples
    --------
    >>> at = Positions(3, ("a", "b", "c"), np.array([[0.0], [1.0], [3.0]]))
    >>> car1 = ContinuousAutoregressive()
    >>> car1.matrix(car1.from_natural(np.array([8.0, 0.5]), at), at).round(12)
    array([[8., 4., 1.],
           [4., 8., 2.],
           [1., 2., 8.]])
    """

    names: ClassVar[tuple[str, ...]] = ("car1", "corcar1", "ou")
    needs_coordinates = True
    on_pairs = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return RangeCorrelation(EXPONENTIAL, reported="correlation")

    def smallest(self) -> int:
        return 2

    def check(self, at: Positions) -> None:
        """Raise `SpecError` unless there is one finite time per position."""
        Structure.check(self, at)
        if coordinates_of(at).shape[-1] != 1:
            raise SpecError(
                "structure 'car1' takes one time, as in car1(time | group); use 'exp' in the plane."
            )
