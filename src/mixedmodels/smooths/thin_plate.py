"""Thin plate regression splines in any number of variables: `tp`, and `ts` with shrinkage."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, gamma, log, pi
from typing import ClassVar

import numpy as np

from ..errors import SpecError
from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth, blocks, checked_size, numbers
from .places import distances, knot_places, leading, stacked
from .polynomials import Powers, monomial_slopes, monomials, powers
from .shrinkage import shrunk


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

    def slope(self, signed: Array, derivative: int) -> Array:
        """Return the derivative by x of η(|x − κ|) in one variable, from the signed distance."""
        factor = float(np.prod(np.arange(self.power, self.power - derivative, -1)))
        out: Array = self.constant * factor * np.abs(signed) ** (self.power - derivative)
        return out * np.sign(signed) if derivative % 2 else out


def radial(d: int, m: int, unit: float) -> Radial:
    """Return η for d variables and derivatives of order m: Wood (2003), JRSS B 65:95, equation 6."""
    half = d / 2
    if d % 2:
        constant = gamma(half - m) / (2 ** (2 * m) * pi**half * factorial(m - 1))
        return Radial(constant, 2 * m - d, False, 0.0)
    sign = (-1) ** (m + 1 + d // 2)
    constant = sign / (2 ** (2 * m - 1) * pi**half * factorial(m - 1) * factorial(m - d // 2))
    return Radial(constant, 2 * m - d, True, log(unit))


@dataclass(frozen=True, slots=True, eq=False)
class ThinPlateBasis(Basis):
    """Columns η(‖x − κ‖)'W beside polynomials.

    Attributes
    ----------
    origin, unit
        Places and knots are measured as (x − origin)/unit: an origin (d,) for each variable, one unit for all.
    knots
        (K, d).
    weights
        (K, k − M).
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

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, k)."""
        u = (np.column_stack(x) - self.origin) / self.unit
        if derivative == 0:
            bent, flat = self.energy.at(distances(u, self.knots)), monomials(u, self.exponents)
        else:
            bent = self.energy.slope(np.subtract.outer(u[:, 0], self.knots[:, 0]), derivative)
            flat = monomial_slopes(u, self.exponents, derivative)
        out: Array = np.hstack((bent @ self.weights, flat / self.sizes))
        if derivative:
            out /= self.unit**derivative
        else:
            out -= self.shift
        return out


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


def learn_thin_plate(x: tuple[Array | Codes, ...], given: Given, *, shrink: bool = False) -> ThinPlateBasis:
    """Return the basis for rows x.

    Notes
    -----
    E_ij = η(‖κ_i − κ_j‖) = UDU'; the k eigenvectors of largest |D_ii| give the optimal basis of rank k, of which the
    part with T'U_kδ = 0 is penalised by δ'D_kδ (Wood 2003, section 4). Columns have mean square 1 over the rows.
    """
    points = stacked(x, given)
    d = points.shape[1]
    m, free = thin_plate_order(given, d)
    exponents = powers(d, m - 1)
    count = len(exponents)
    k = checked_size(given, usual_size(d, count), count + 1)
    places = knot_places(points, given, k)
    origin = points.mean(axis=0)
    unit = float(np.ptp(places, axis=0).max())
    knots = (places - origin) / unit
    energy = radial(d, m, unit)
    values, vectors = leading(energy.at(distances(knots, knots)), k)
    polynomial = monomials(knots, exponents)
    within = _free_of(polynomial.T @ vectors)
    penalty: Array = within.T @ (values[:, None] * within)
    basis = ThinPlateBasis(
        (penalty,),
        0,
        (1.0,),
        numbers(given.label, k),
        origin,
        unit,
        knots,
        vectors @ within,
        energy,
        exponents,
        np.ones(count),
        np.zeros(k),
    )
    return _scaled(basis, points, unit ** (d - 2 * m), free=free, shrink=shrink)


def _free_of(rows: Array) -> Array:
    """Return an orthonormal basis (k, k − M) of the vectors that rows (M, k) annihilate.

    Notes
    -----
    Householder reflections that push each row into its last column. Any basis gives the same smooth; its scaling column
    by column, which the shrinkage of `ts` refers to, is that of this one.
    """
    rows = rows.copy()
    m, k = rows.shape
    out: Array = np.eye(k)
    for i in range(m):
        v = np.zeros(k)
        v[: k - i] = rows[i, : k - i]
        v[k - i - 1] += np.copysign(np.linalg.norm(v), v[k - i - 1])
        v /= np.linalg.norm(v)
        rows -= 2 * np.outer(rows @ v, v)
        out -= 2 * np.outer(out @ v, v)
    return out[:, : k - m]


def _scaled(
    basis: ThinPlateBasis, points: Array, scale: float, *, free: bool, shrink: bool
) -> ThinPlateBasis:
    """Return the basis with columns of mean square 1 over the rows, and its penalty over all of them."""
    squares, sums = np.zeros(basis.size), np.zeros(basis.size)
    for block in blocks(len(points)):
        columns = basis.rows(tuple(points[block].T), 0)
        squares += (columns**2).sum(axis=0)
        sums += columns.sum(axis=0)
    size = np.sqrt(squares / len(points))
    r = basis.weights.shape[1]
    shift = np.zeros(basis.size) if free else (sums / len(points) / size)[:r]
    inner = basis.penalties[0] / np.outer(size[:r], size[:r])
    exponents, sizes = (basis.exponents, size[r:]) if free else ((), np.ones(0))
    k = r + len(exponents)
    penalty: Array = np.zeros((k, k))
    penalty[:r, :r] = (inner + inner.T) / 2
    null = len(exponents)
    if shrink and null:
        penalty, null = shrunk(penalty, null), 0
    return ThinPlateBasis(
        (penalty,), null, (scale,), basis.labels[:k], basis.origin, basis.unit, basis.knots,
        basis.weights / size[:r], basis.energy, exponents, sizes, shift, centred=free,
    )  # fmt: skip


class ThinPlate(Smooth):
    """`tp`: the thin plate regression spline in one or more variables of one unit; the usual basis of `s()`.

    Notes
    -----
    The penalty is the integral of squared derivatives of order m. `m=(m, 0)` leaves the polynomials out. *Same as*
    mgcv's `bs = "tp"`; with more than 2,000 distinct places the choice of those used differs.
    """

    names: ClassVar[Labels] = ("tp",)
    variables: ClassVar[tuple[int, int]] = (1, 8)
    derivatives: ClassVar[int] = 2

    def usual_size(self, d: int) -> int:
        """Return k where it is not given, for d variables."""
        m, _ = thin_plate_order(Given(), d)
        return usual_size(d, len(powers(d, m - 1)))

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        return learn_thin_plate(x, given)


class ShrinkageThinPlate(Smooth):
    """`ts`: `tp` with a small penalty on the polynomials too, so that the term can vanish."""

    names: ClassVar[Labels] = ("ts",)
    variables: ClassVar[tuple[int, int]] = (1, 8)
    derivatives: ClassVar[int] = 2

    def usual_size(self, d: int) -> int:
        """Return k where it is not given, for d variables."""
        return ThinPlate().usual_size(d)

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        return learn_thin_plate(x, given, shrink=True)
