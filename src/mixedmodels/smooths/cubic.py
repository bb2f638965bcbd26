"""Cubic regression splines in their values at knots: `cr`, its shrinkage version `cs`, and the cyclic `cc`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import linalg

from ..errors import SpecError
from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth, checked_size, distinct_values, numbers, one_order
from .piecewise import PiecewiseBasis
from .shrinkage import shrunk


def _pieces(knots: Array, bends: Array) -> Array:
    """Return the pieces (4, K + 1, k) of the spline with values β and second derivatives `bends @ β` at the knots.

    Notes
    -----
    On a piece of length h the slope at its left end is (β_{j+1} − β_j)/h − h(2γ_j + γ_{j+1})/6 (Wood 2017, table 5.1);
    beyond the ends, a line.
    """
    h = np.diff(knots)[:, None]
    # The last knot of a cycle is the first one again.
    values = np.eye(bends.shape[1])[np.arange(len(knots)) % bends.shape[1]]
    rise = np.diff(values, axis=0) / h
    out: Array = np.zeros((4, len(knots) + 1, bends.shape[1]))
    out[0, 1:] = values
    out[1, 1:-1] = rise - h * (2 * bends[:-1] + bends[1:]) / 6
    out[2, 1:-1] = bends[:-1] / 2
    out[3, 1:-1] = np.diff(bends, axis=0) / h / 6
    out[:2, 0] = out[:2, 1]
    out[1, -1] = rise[-1] + h[-1] * (bends[-2] + 2 * bends[-1]) / 6
    return out


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


def _learn(x: Array, given: Given, *, cyclic: bool, shrink: bool = False) -> Basis:
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
    labels = numbers(given.label, penalty.shape[0])
    pieces = _pieces(inside, bends)
    return PiecewiseBasis((penalty,), null, (unit**-3,), labels, origin, unit, inside, pieces, cyclic)


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
