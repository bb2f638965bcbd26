"""B-splines on equal knots: `ps` with difference penalties, `bs` with derivative penalties, `cp` cyclic."""

from __future__ import annotations

from math import factorial
from typing import ClassVar

import numpy as np

from ..errors import SpecError
from ..typing import Array, Codes, Labels
from .b_spline import b_spline, roughness
from .base import Basis, Given, Smooth, checked_size, distinct_values, numbers
from .piecewise import PiecewiseBasis

WIDER = 0.001
"""Share of the range that the outermost inner knots stand beyond the data on either side, as in mgcv."""


def spline_basis(
    penalties: tuple[Array, ...],
    null: int,
    scales: tuple[float, ...],
    labels: Labels,
    measure: tuple[float, float, Array],
    degree: int,
    *,
    cyclic: bool = False,
) -> Basis:
    """Return the basis of B-splines on knots in a measure (origin, unit, knots): a line beyond the inner knots.

    With `cyclic` the inner knots are one round, and the last `degree` columns are the first ones again.
    """
    origin, unit, knots = measure
    inner = knots[degree : len(knots) - degree]
    count = len(knots) - degree - 1
    pieces: Array = np.zeros((degree + 1, len(inner) + 1, count))
    for j in range(degree + 1):
        pieces[j, 1:-1] = b_spline(knots, degree, inner[:-1], j) / factorial(j)
    for j in range(min(degree, 1) + 1):
        pieces[j, [0, -1]] = b_spline(knots, degree, inner[[0, -1]], j)
    if cyclic:
        pieces[..., :degree] += pieces[..., count - degree :]
        pieces = pieces[..., : count - degree]
    return PiecewiseBasis(penalties, null, scales, labels, origin, unit, inner, pieces, cyclic)


def _pair(given: Given, usual: tuple[int, ...]) -> tuple[int, ...]:
    m = usual if given.m is None else (given.m,) if isinstance(given.m, int) else tuple(given.m)
    if not m or any(v < 0 or v != int(v) for v in m):
        raise SpecError(
            f"{given.label}: m={given.m!r} is not possible for this basis; give whole numbers from 0 on."
        )
    return tuple(map(int, m))


def equal_knots(x: Array, given: Given, k: int, degree: int) -> tuple[float, float, Array]:
    """Return origin, unit and k + degree + 1 equal knots: the inner ones span the data, a little widened.

    With two knots given these are the ends; with k + degree + 1 of them, all.
    """
    least = degree + 2
    if k < least:
        raise SpecError(f"{given.label}: k={k} is too small for degree {degree}; give k={least} or more.")
    distinct = distinct_values(x, given, k, 2 if given.knots is not None else None)
    low, high = float(distinct[0]), float(distinct[-1])
    if given.knots is None:
        low, high = low - WIDER * (high - low), high + WIDER * (high - low)
    else:
        ends = np.sort(np.asarray(given.knots, dtype=np.float64))
        if len(ends) == k + degree + 1:
            origin, unit = float(ends[degree]), float(ends[-degree - 1] - ends[degree])
            if not unit > 0 or np.any(ends[degree + 1 :] - ends[: -degree - 1] <= 0):
                raise SpecError(f"{given.label}: knots= must increase; too many of them are equal.")
            return origin, unit, (ends - origin) / unit
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise SpecError(
                f"{given.label}: knots= has {len(ends)} values; give the two ends of the range, or all "
                f"{k + degree + 1} knots of k={k} splines of degree {degree}."
            )
        low, high = float(ends[0]), float(ends[1])
    intervals = k - degree
    return low, high - low, np.arange(-degree, intervals + degree + 1) / intervals


class PSpline(Smooth):
    """`ps`: B-splines of degree m[0] + 1 on equal knots, with the sum of squared differences of order m[1].

    Notes
    -----
    Eilers and Marx (1996), Statistical Science 11:89. `m=2`, the default, is `m=(2, 2)`: cubic, second differences.
    *Same as* mgcv's `bs = "ps"`; GLIMMIX's `type=pspline` has the same penalty.
    """

    names: ClassVar[Labels] = ("ps", "pspline")
    derivatives: ClassVar[int] = 3

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        m = _pair(given, (2, 2))
        degree, order = m[0] + 1, m[-1]
        if len(m) > 2:
            raise SpecError(f"{given.label}: m={given.m!r} has more than two numbers: degree − 1 and order.")
        k = checked_size(given, max(10, m[0] + 1), order + 1)
        measure = equal_knots(np.asarray(x[0], dtype=np.float64), given, k, degree)
        d = np.diff(np.eye(k), order, axis=0)
        return spline_basis((d.T @ d,), order, (1.0,), numbers(given.label, k), measure, degree)


class BSpline(Smooth):
    """`bs`: B-splines of degree m[0] on equal knots, with ∫(f^{(m[1])})², and one more penalty for each further m.

    Notes
    -----
    Wood (2017), Statistics and Computing 27:985. The default is `m=(3, 2)`: cubic, second derivatives. *Same as* mgcv's
    `bs = "bs"`.
    """

    names: ClassVar[Labels] = ("bs",)
    derivatives: ClassVar[int] = 3

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        m = _pair(given, (3, 2))
        degree, orders = m[0], m[1:] if len(m) > 1 else (max(m[0] - 1, 0),)
        if degree < 1 or any(order > degree for order in orders) or len(set(orders)) < len(orders):
            raise SpecError(
                f"{given.label}: m={given.m!r} is not possible: the degree, then different orders up to it."
            )
        k = checked_size(given, max(10, degree + 1), degree + 1)
        measure = equal_knots(np.asarray(x[0], dtype=np.float64), given, k, degree)
        penalties = tuple(roughness(measure[2], degree, order) for order in orders)
        scales = tuple(measure[1] ** (1 - 2 * order) for order in orders)
        return spline_basis(penalties, min(orders), scales, numbers(given.label, k), measure, degree)


class CyclicPSpline(Smooth):
    """`cp`: P-splines whose ends meet, with differences round the cycle.

    Notes
    -----
    Without `knots=` one round runs from the smallest to the largest value: give its two ends, `knots=[0, 24]`.
    *Same as* mgcv's `bs = "cp"`.
    """

    names: ClassVar[Labels] = ("cp",)
    by_values: ClassVar[bool] = True
    derivatives: ClassVar[int] = 3

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        m = _pair(given, (2, 2))
        degree, order = m[0] + 1, m[-1]
        if len(m) > 2:
            raise SpecError(f"{given.label}: m={given.m!r} has more than two numbers: degree − 1 and order.")
        k = checked_size(given, 10, max(degree, order) + 1)
        values = np.asarray(x[0], dtype=np.float64)
        ends = distinct_values(values, given, k, 2 if given.knots is not None else None)[[0, -1]]
        if given.knots is not None:
            ends = np.unique(np.asarray(given.knots, dtype=np.float64))
            if len(ends) != 2:
                raise SpecError(
                    f"{given.label}: knots= has {len(ends)} distinct values; give the two ends of the cycle."
                )
        origin, unit = float(ends[0]), float(ends[1] - ends[0])
        knots = np.arange(-degree, k + degree + 1) / k
        d = np.eye(k)
        for _ in range(order):
            d = np.roll(d, -1, axis=0) - d
        null = min(order, 1)
        measure = (origin, unit, knots)
        return spline_basis((d.T @ d,), null, (1.0,), numbers(given.label, k), measure, degree, cyclic=True)
