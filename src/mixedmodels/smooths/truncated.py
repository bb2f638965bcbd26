"""Truncated powers with iid coefficients, `spline`: the penalised spline of textbooks on mixed models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import DataError
from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth, checked_size, distinct_values, numbers, one_order


@dataclass(frozen=True, slots=True, eq=False)
class TruncatedBasis(Basis):
    """Columns max(u − κ, 0)^degree, then 1, u … u^degree, with u = (x − origin)/unit."""

    origin: float
    unit: float
    knots: Array
    degree: int

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, k)."""
        u = (x[0] - self.origin) / self.unit
        above = np.maximum(np.subtract.outer(u, self.knots), 0.0)
        left = self.degree - derivative
        factor = float(np.prod(np.arange(self.degree, left, -1))) if derivative else 1.0
        if left < 0:
            factor, left = 0.0, 0
        bent = factor * (above**left if left else (above > 0).astype(np.float64))
        flat = np.zeros((len(u), self.degree + 1))
        for power in range(derivative, self.degree + 1):
            flat[:, power] = np.prod(np.arange(power, power - derivative, -1)) * u ** (power - derivative)
        out: Array = np.hstack((bent, flat))
        if derivative:
            out /= self.unit**derivative
        return out


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
        return TruncatedBasis(
            (penalty,),
            degree + 1,
            (scale,),
            numbers(given.label, k),
            origin,
            unit,
            (knots - origin) / unit,
            degree,
        )
