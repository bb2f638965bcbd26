"""Truncated powers with iid coefficients, `spline`: the penalised spline of textbooks on mixed models."""

from __future__ import annotations

from math import comb
from typing import ClassVar

import numpy as np

from ..errors import DataError
from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth, checked_size, distinct_values, numbers, one_order
from .piecewise import PiecewiseBasis, polynomial_pieces


def _pieces(knots: Array, degree: int) -> Array:
    """Return the pieces (degree + 1, K + 1, K + degree + 1) of the truncated powers, then 1, u … u^degree."""
    about = np.concatenate((knots[:1], knots))
    reached = np.arange(len(about))[:, None] > np.arange(len(knots))
    distance = np.where(reached, np.subtract.outer(about, knots), 0.0)
    bent = [reached * comb(degree, j) * distance ** (degree - j) for j in range(degree + 1)]
    return np.concatenate(
        (np.array(bent), polynomial_pieces(knots, tuple(range(degree + 1)), degree)), axis=2
    )


class TruncatedPowers(Smooth):
    """`spline`: a polynomial of degree m and its changes at k − m − 1 knots, iid with mean zero.

    Notes
    -----
    y = β₀ + … + β_m x^m + Σ_c u_c (x − κ_c)₊^m: Ruppert, Wand and Carroll (2003), section 4.9. Knots stand at quantiles
    of the distinct values at probabilities c/(K + 1). `s(x, bs="spline", m=2)` holds the polynomial that
    `spline(x, degree=2)` leaves to the formula.
    """

    names: ClassVar[Labels] = ("spline", "tpower")
    derivatives: ClassVar[int] = 2

    def usual_size(self, d: int) -> int:
        """Return k where it is not given: 20 knots of degree 2."""
        return 23

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        degree = one_order(given, 2, (1, 2, 3))
        values = np.asarray(x[0], dtype=np.float64)
        if given.knots is None:
            k = checked_size(given, 21 + degree, degree + 2)
            distinct = distinct_values(values, given, k, degree + 2)
            count = k - degree - 1
            knots = np.unique(np.quantile(distinct, np.arange(1, count + 1) / (count + 1)))
        else:
            distinct = distinct_values(values, given, len(given.knots) + degree + 1, degree + 2)
            knots = np.unique(np.asarray(given.knots, dtype=np.float64))
            outside = knots[(knots <= distinct[0]) | (knots >= distinct[-1])]
            if len(outside):
                raise DataError(
                    f"{given.label}: knots {outside.tolist()} lie outside the data, which run from {distinct[0]:.6g} "
                    f"to {distinct[-1]:.6g}; leave them out."
                )
        origin, unit = float(distinct[0]), float(distinct[-1] - distinct[0])
        k = len(knots) + degree + 1
        penalty = np.diag(np.repeat((1.0, 0.0), (len(knots), degree + 1)))
        scale = unit ** (2 * degree)
        inside, labels = (knots - origin) / unit, numbers(given.label, k)
        return PiecewiseBasis(
            (penalty,), degree + 1, (scale,), labels, origin, unit, inside, _pieces(inside, degree)
        )
