"""Kriging as a smooth, `gp`: a stationary process in its leading eigenvectors, beside a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import SpecError
from ..typing import Array, Codes, Labels
from .base import BLOCK, ENTRIES, Basis, Given, Smooth, checked_size, numbers
from .places import distances, knot_places, leading, stacked
from .polynomials import Powers, monomials, powers

KERNELS = ("spherical", "power exponential", "Matérn 3/2", "Matérn 5/2", "Matérn 7/2")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A correlation of distance r: its kind (1 … 5 of `KERNELS`), range and power."""

    kind: int
    range: float
    power: float

    def at(self, r: Array) -> Array:
        """Return the correlations at distances r."""
        e = r / self.range
        match self.kind:
            case 1:
                return np.where(e < 1.0, 1.0 - 1.5 * e + 0.5 * e**3, 0.0)
            case 2:
                return np.asarray(np.exp(-(e**self.power)))
            case 3:
                return np.asarray((1.0 + e) * np.exp(-e))
            case 4:
                return np.asarray((1.0 + e + e**2 / 3.0) * np.exp(-e))
            case _:
                return np.asarray((1.0 + e + 2.0 * e**2 / 5.0 + e**3 / 15.0) * np.exp(-e))


@dataclass(frozen=True, slots=True, eq=False)
class ProcessBasis(Basis):
    """Columns c(‖x − κ‖)'U of a process, beside a constant and a plane.

    Attributes
    ----------
    origin, unit
        Places and knots are measured as (x − origin)/unit.
    knots
        (K, d).
    vectors
        (K, k − M), eigenvectors of the correlations between knots.
    """

    origin: Array
    unit: float
    knots: Array
    vectors: Array
    kernel: Kernel
    exponents: Powers

    @property
    def block(self) -> int:
        """How many rows are worked on at once."""
        return max(min(BLOCK, ENTRIES // len(self.knots)), 1)

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, k)."""
        if derivative:
            raise SpecError("gp has no derivatives; take differences of its values.")
        u = (np.column_stack(x) - self.origin) / self.unit
        return np.hstack(
            (self.kernel.at(distances(u, self.knots)) @ self.vectors, monomials(u, self.exponents))
        )


class GaussianProcess(Smooth):
    """`gp`: a Gaussian process of x with a given correlation function.

    Notes
    -----
    `m=(kind, range, power)`: 1 spherical, 2 power exponential, 3 Matérn 3/2 (the default), 4 Matérn 5/2, 5 Matérn 7/2;
    a negative kind leaves the plane out (a stationary process about a mean). The range is in the units of x; without
    one it is the largest distance between knots. E = UDU' is cut to its leading eigenvectors, penalty D: Kammann and
    Wand (2003), Applied Statistics 52:1. *Same as* mgcv's `bs = "gp"`.
    """

    names: ClassVar[Labels] = ("gp",)
    variables: ClassVar[tuple[int, int]] = (1, 8)

    def usual_size(self, d: int) -> int:
        """Return mgcv's k where none is given: 10, 30, 100 beyond the plane for 1, 2, 3 variables and more."""
        return d + 1 + (10, 30, 100)[min(d, 3) - 1]

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        points = stacked(x, given)
        d = points.shape[1]
        kind, reach, power = _settings(given)
        exponents = powers(d, 1 if kind > 0 else 0)
        count = len(exponents)
        k = checked_size(given, self.usual_size(d), count + 1)
        places = knot_places(points, given, k)
        origin, unit = points.mean(axis=0), float(np.ptp(places, axis=0).max())
        knots = (places - origin) / unit
        between = distances(knots, knots)
        kernel = Kernel(abs(kind), float(between.max()) if reach is None else reach / unit, power)
        values, vectors = leading(kernel.at(between), k - count)
        penalty: Array = np.zeros((k, k))
        penalty[: k - count, : k - count] = np.diag(values)
        if np.any(values <= 0):
            raise SpecError(
                f"{given.label}: m={given.m!r} gives correlations between places that are not positive definite to "
                f"rounding for k={k}; give a smaller k or a shorter range."
            )
        return ProcessBasis(
            (penalty,),
            count,
            (1.0,),
            numbers(given.label, k),
            origin,
            unit,
            knots,
            vectors,
            kernel,
            exponents,
        )


def _settings(given: Given) -> tuple[int, float | None, float]:
    """Return kind, range and power of `m=`."""
    m = () if given.m is None else given.m if isinstance(given.m, tuple) else (given.m,)
    kind = int(m[0]) if m else 3
    reach = float(m[1]) if len(m) > 1 and m[1] > 0 else None
    power = float(m[2]) if len(m) > 2 else 1.0
    if len(m) > 3 or not 1 <= abs(kind) <= 5 or not 0 < power <= 2:
        raise SpecError(
            f"{given.label}: m={given.m!r} is not possible for gp; give (kind, range, power) with a kind from 1 to 5 "
            "or −1 to −5 and a power in (0, 2]."
        )
    return kind, reach, power
