"""Functions of distance to knots beside polynomials: what thin plates and radial smoothers share."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, gamma, log, pi

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ..errors import SpecError
from ..typing import Array, Labels
from .base import BLOCK, ENTRIES, Basis, Given
from .piecewise import PiecewiseBasis, polynomial_pieces, radial_pieces, signed_sums
from .places import DENSE, distances
from .polynomials import Powers, monomials


@dataclass(frozen=True, slots=True)
class Radial:
    """The function η of distance r whose bending energy is that of a thin plate: c r^p, or c r^p log r for even d.

    `log_unit` is the logarithm of the unit that r is measured in: in an even number of variables r^p log r is not the
    same up to a factor in another unit, and the basis that is cut off after k columns is mgcv's only in x's own.
    """

    constant: float
    power: int
    logarithm: bool
    log_unit: float

    def at(self, r: Array) -> Array:
        """Return η(r), 0 at r = 0."""
        if not self.logarithm:
            out: Array = r**self.power
            out *= self.constant
            return out
        with np.errstate(divide="ignore", invalid="ignore"):
            out = self.constant * r**self.power * (np.log(r) + self.log_unit)
        out[r == 0] = 0.0
        return out


def bending_energy(d: int, m: int, unit: float) -> Radial:
    """Return η for d variables and derivatives of order m: Wood (2003), JRSS B 65:95, equation 6."""
    half = d / 2
    if d % 2:
        constant = gamma(half - m) / (2 ** (2 * m) * pi**half * factorial(m - 1))
        return Radial(constant, 2 * m - d, False, 0.0)
    sign = (-1) ** (m + 1 + d // 2)
    constant = sign / (2 ** (2 * m - 1) * pi**half * factorial(m - 1) * factorial(m - d // 2))
    return Radial(constant, 2 * m - d, True, log(unit))


@dataclass(frozen=True, slots=True, eq=False)
class RadialBasis(Basis):
    """Columns η(‖x − κ‖)'W beside polynomials, in several variables.

    Attributes
    ----------
    origin, unit
        Places and knots are measured as (x − origin)/unit: an origin (d,) for each variable, one unit for all.
    knots
        (K, d).
    weights
        (K, r).
    exponents, sizes
        The polynomials and what each is divided by.
    shift
        (k,), taken off the columns: their means where the polynomials are left out.
    """

    origin: Array
    unit: float
    knots: Array
    weights: Array
    energy: Radial
    exponents: Powers
    sizes: Array
    shift: Array

    @property
    def block(self) -> int:
        """How many rows are worked on at once."""
        return max(min(BLOCK, ENTRIES // len(self.knots)), 1)

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, k)."""
        if derivative:
            raise SpecError(
                "a smooth of several variables has no derivative by one; take differences of its values."
            )
        u = (np.column_stack(x) - self.origin) / self.unit
        bent = self.energy.at(distances(u, self.knots)) @ self.weights
        out: Array = np.hstack((bent, monomials(u, self.exponents) / self.sizes))
        out -= self.shift
        return out


def between_knots(energy: Radial, knots: Array, count: int) -> Array | LinearOperator:
    """Return the matrix η(‖κ_i − κ_j‖), (K, K), or for many knots on a line what multiplies by it in K operations."""
    size = len(knots)
    if knots.shape[1] > 1 or size <= DENSE or count > size // 4:
        return energy.at(distances(knots, knots))
    line = np.sort(knots[:, 0])  # places are distinct and sorted

    def times(v: Array) -> Array:
        return energy.constant * signed_sums(line, v.reshape(size, -1), energy.power).reshape(v.shape)

    return LinearOperator((size, size), matvec=times, matmat=times, dtype=np.float64)


def radial_basis(
    penalty: Array,
    null: int,
    scale: float,
    labels: Labels,
    origin: Array,
    unit: float,
    knots: Array,
    weights: Array,
    energy: Radial,
    exponents: Powers,
) -> PiecewiseBasis | RadialBasis:
    """Return the basis η(‖u − κ‖)'W beside the polynomials of u; in one variable in polynomial pieces."""
    if knots.shape[1] > 1:
        ones, zeros = np.ones(len(exponents)), np.zeros(len(labels))
        return RadialBasis(
            (penalty,), null, (scale,), labels, origin, unit, knots, weights, energy, exponents, ones, zeros
        )  # fmt: skip
    order = np.argsort(knots[:, 0])
    line, power = knots[order, 0], energy.power
    bent = radial_pieces(line, weights[order], power, energy.constant)
    flat = polynomial_pieces(line, tuple(q for (q,) in exponents), power)
    pieces = np.concatenate((bent, flat), axis=2)
    return PiecewiseBasis((penalty,), null, (scale,), labels, float(origin[0]), unit, line, pieces)


def thin_plate_order(given: Given, d: int) -> tuple[int, bool]:
    """Return the order of derivatives and whether polynomials are left in."""
    usual = d // 2 + 1 if (2 * (d // 2 + 1)) > d + 1 else d // 2 + 2
    m, free = usual, True
    match given.m:
        case None:
            pass
        case int(order):
            m = order or usual
        case (int(order),):
            m = order or usual
        case (int(order), 0):
            m, free = order or usual, False
        case _:
            raise SpecError(
                f"{given.label}: m={given.m!r} is not possible for tp; give an order, or (order, 0)."
            )
    if 2 * m <= d or m < 1:
        raise SpecError(f"{given.label}: m={m} is too small for {d} variables; give m={d // 2 + 1} or more.")
    return m, free


def usual_size(d: int, free: int) -> int:
    """Return mgcv's k where none is given: 8, 27, 100 beyond the polynomials for 1, 2, 3 variables and more."""
    return free + (8, 27, 100)[min(d, 3) - 1]
