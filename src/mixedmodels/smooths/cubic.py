"""Cubic regression splines in their values at knots: `cr`, its shrinkage version `cs`, and the cyclic `cc`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import linalg

from ..errors import SpecError
from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth, checked_size, distinct_values, numbers, one_order
from .shrinkage import shrunk


@dataclass(frozen=True, slots=True, eq=False)
class CubicBasis(Basis):
    """Columns whose coefficients are the values of a cubic spline at its knots.

    Attributes
    ----------
    origin, unit
        Knots and x are measured as (x − origin)/unit, so that they run from 0 to 1.
    knots
        (K,), increasing, in that measure.
    bends
        (K, k): the second derivatives at the knots are `bends @ coefficients`.
    cyclic
        Whether the last knot is the first one again.
    """

    origin: float
    unit: float
    knots: Array
    bends: Array
    cyclic: bool

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, k); beyond the knots a line, or the next round of a cycle."""
        u = (x[0] - self.origin) / self.unit
        if self.cyclic:
            u = u - np.floor(u)
        left, weights = _weights(self.knots, u, derivative, self.cyclic)
        n, size = len(u), self.bends.shape[1]
        at = np.arange(n)
        bent: Array = np.zeros((n, len(self.knots)))
        bent[at, left] = weights[2]
        bent[at, left + 1] = weights[3]
        out: Array = bent @ self.bends
        out[at, left] += weights[0]
        out[at, (left + 1) % size] += weights[1]
        if derivative:
            out /= self.unit**derivative
        return out


def _weights(
    knots: Array, u: Array, derivative: int, cyclic: bool
) -> tuple[Codes, tuple[Array, Array, Array, Array]]:
    """Return the interval of each u and the weights of both values and both second derivatives at its ends.

    Notes
    -----
    With h the length of the interval and a, b the distances to its right and left end: f = (aβ_j + bβ_{j+1})/h +
    (a³/h − ah)γ_j/6 + (b³/h − bh)γ_{j+1}/6 (Wood 2017, table 5.1).
    """
    steps = np.diff(knots)
    left = np.clip(np.searchsorted(knots, u, side="right") - 1, 0, len(steps) - 1).astype(np.int32)
    h = steps[left]
    low, high = (u < knots[0], u > knots[-1]) if not cyclic else (None, None)
    b = u - knots[left]
    a = h - b
    one = np.ones_like(u)
    match derivative:
        case 0:
            weights = (a / h, b / h, (a**3 / h - a * h) / 6, (b**3 / h - b * h) / 6)
        case 1:
            weights = (-one / h, one / h, (h - 3 * a**2 / h) / 6, (3 * b**2 / h - h) / 6)
        case 2:
            weights = (0 * one, 0 * one, a / h, b / h)
        case _:
            weights = (0 * one, 0 * one, -one / h, one / h)
    if low is not None and high is not None and (low.any() or high.any()):
        slope = (-one / h, one / h, np.where(low, -h / 3, h / 6), np.where(low, -h / 6, h / 3))
        line: tuple[Array, ...]
        if derivative == 0:
            t = np.where(low, b, -a)
            line = (low + slope[0] * t, high + slope[1] * t, slope[2] * t, slope[3] * t)
        elif derivative == 1:
            line = slope
        else:
            line = tuple(0 * one for _ in range(4))
        outside = low | high
        weights = tuple(np.where(outside, new, old) for new, old in zip(line, weights, strict=True))  # type: ignore[assignment]
    return left, weights


def _natural(knots: Array) -> tuple[Array, Array]:
    """Return the map to second derivatives (K, K) and ∫f''² (K, K) of a natural spline: Wood (2017), 5.3.1."""
    h, size = np.diff(knots), len(knots)
    d: Array = np.zeros((size - 2, size))
    i = np.arange(size - 2)
    d[i, i], d[i, i + 1], d[i, i + 2] = 1 / h[:-1], -1 / h[:-1] - 1 / h[1:], 1 / h[1:]
    bands = np.zeros((3, size - 2))
    bands[1] = (h[:-1] + h[1:]) / 3
    bands[0, 1:] = bands[2, :-1] = h[1:-1] / 6
    inner = linalg.solve_banded((1, 1), bands, d)
    bends: Array = np.zeros((size, size))
    bends[1:-1] = inner
    return bends, _even(d.T @ inner)


def _cyclic(knots: Array) -> tuple[Array, Array]:
    """Return the map to second derivatives (K, K − 1) and ∫f''² (K − 1, K − 1) of a cyclic spline: 5.3.2."""
    h = np.diff(knots)
    before, size = np.roll(h, 1), len(h)
    d: Array = np.zeros((size, size))
    b: Array = np.zeros((size, size))
    i = np.arange(size)
    for matrix, centre, last, following in (
        (d, -1 / before - 1 / h, 1 / before, 1 / h),
        (b, (before + h) / 3, before / 6, h / 6),
    ):
        matrix[i, i] += centre
        matrix[i, (i - 1) % size] += last
        matrix[i, (i + 1) % size] += following
    inner = np.linalg.solve(b, d)
    return np.vstack((inner, inner[:1])), _even(d.T @ inner)


def _even(s: Array) -> Array:
    out: Array = (s + s.T) / 2
    return out


def _knots(x: Array, given: Given, k: int, least: int, period: bool) -> Array:
    """Return knots at quantiles of the distinct values, or those given."""
    if given.knots is None:
        distinct = distinct_values(x, given, k)
        out: Array = np.quantile(distinct, np.linspace(0, 1, k))
        return out
    distinct_values(x, given, k, 2)
    knots = np.unique(np.asarray(given.knots, dtype=np.float64))
    if period and len(knots) == 2 and k > 2:
        knots = np.linspace(knots[0], knots[1], k)
    if len(knots) < least:
        raise SpecError(
            f"{given.label}: knots= has {len(knots)} distinct values; this basis needs {least} or more."
        )
    if given.k is not None and len(knots) != given.k:
        raise SpecError(
            f"{given.label}: knots= has {len(knots)} distinct values and k={given.k}; leave k= out."
        )
    return knots


def _learn(x: Array, given: Given, *, cyclic: bool, shrink: bool = False) -> CubicBasis:
    least = 4 if cyclic else 3
    one_order(given, 2, (2,))
    k = checked_size(given, 10, least)
    knots = _knots(x, given, k, least, cyclic)
    origin, unit = float(knots[0]), float(knots[-1] - knots[0])
    inside = (knots - origin) / unit
    bends, penalty = _cyclic(inside) if cyclic else _natural(inside)
    null = 1 if cyclic else 2
    if shrink:
        penalty, null = shrunk(penalty, null), 0
    return CubicBasis(
        (penalty,),
        null,
        (unit**-3,),
        numbers(given.label, penalty.shape[0]),
        origin,
        unit,
        inside,
        bends,
        cyclic,
    )


class Cubic(Smooth):
    """`cr`: a natural cubic spline in its values at k knots, with the penalty ∫f''². Linear beyond the knots.

    Notes
    -----
    Knots stand at quantiles of the distinct values (type 7). *Same as* mgcv's `bs = "cr"`.
    """

    names: ClassVar[Labels] = ("cr",)
    by_values: ClassVar[bool] = True
    derivatives: ClassVar[int] = 3

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        return _learn(np.asarray(x[0], dtype=np.float64), given, cyclic=False)


class ShrinkageCubic(Smooth):
    """`cs`: `cr` with a small penalty on the line and the constant, so that the term can vanish."""

    names: ClassVar[Labels] = ("cs",)
    by_values: ClassVar[bool] = True
    derivatives: ClassVar[int] = 3

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        return _learn(np.asarray(x[0], dtype=np.float64), given, cyclic=False, shrink=True)


class CyclicCubic(Smooth):
    """`cc`: a cubic spline whose ends meet, with k knots and k − 1 columns.

    Notes
    -----
    Without `knots=` the cycle runs from the smallest to the largest value, which is seldom meant: give its two ends,
    `knots=[0, 24]` for hours. *Same as* mgcv's `bs = "cc"`.
    """

    names: ClassVar[Labels] = ("cc",)
    by_values: ClassVar[bool] = True
    derivatives: ClassVar[int] = 3

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        return _learn(np.asarray(x[0], dtype=np.float64), given, cyclic=True)
