"""Bases whose columns are polynomials between knots: most of one variable are, and read in one way."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, factorial

import numpy as np

from ..typing import Array, Codes
from .base import Basis, Reader, blocks

FEW = 250
"""Pieces up to which rows are sorted by piece, and those of one piece are one matrix product."""


@dataclass(frozen=True, slots=True, eq=False)
class PiecewiseBasis(Basis):
    """Columns that are polynomials of t = u − knot on each piece, where u = (x − origin)/unit.

    Attributes
    ----------
    origin, unit
        Of x, so that knots are of size 1.
    knots
        (K,), rising.
    pieces
        (degree + 1, K + 1, k): coefficients of t^j left of the first knot, right of it, … right of the last.
    cyclic
        Whether one round runs from the first knot to the last.
    """

    origin: float
    unit: float
    knots: Array
    pieces: Array
    cyclic: bool = False

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, k)."""
        return self.reader(derivative, None)(x)

    def reader(self, derivative: int, transform: Array | None) -> Reader:
        """Return what gives columns, or their product with a transform, at a block of rows: Horner's scheme."""
        table = _differentiated(self.pieces, derivative) / self.unit**derivative
        if transform is not None:
            table = table @ transform

        def read(x: tuple[Array, ...]) -> Array:
            piece, t = self.place(x[0])
            return _sorted(table, piece, t) if table.shape[1] <= FEW else _gathered(table, piece, t)

        return read

    def place(self, x: Array) -> tuple[Codes, Array]:
        """Return the piece of each row and its distance from the knot that the piece is about."""
        u = (x - self.origin) / self.unit
        if self.cyclic:
            u = self.knots[0] + (u - self.knots[0]) % (self.knots[-1] - self.knots[0])
        piece = np.searchsorted(self.knots, u, side="right").astype(np.int32)
        # The last knot belongs to the piece before it: derivatives at the end of the data are those within.
        piece -= u == self.knots[-1]
        return piece, u - self.knots[np.maximum(piece, 1) - 1]

    def means(self, x: tuple[Array | Codes, ...]) -> Array:
        """Return the means of the columns over rows x, (k,), from moments of t on each piece."""
        moments = self._moments(x, self.pieces.shape[0] - 1)
        out: Array = np.einsum("jl,jlc->c", moments, self.pieces)
        return out / max(len(x[0]), 1)

    def cross_products(self, x: tuple[Array | Codes, ...]) -> Array:
        """Return B'B over rows x, (k, k), from moments of t on each piece."""
        degree = self.pieces.shape[0] - 1
        moments = self._moments(x, 2 * degree)
        total: Array = np.zeros((self.size, self.size))
        for i in range(degree + 1):
            for j in range(degree + 1):
                total += self.pieces[i].T @ (moments[i + j][:, None] * self.pieces[j])
        return (total + total.T) / 2

    def _moments(self, x: tuple[Array | Codes, ...], most: int) -> Array:
        """Return the sums of t^j over the rows of each piece, (most + 1, K + 1)."""
        values = np.ascontiguousarray(x[0], dtype=np.float64)
        count = self.pieces.shape[1]
        out: Array = np.zeros((most + 1, count))
        for block in blocks(len(values), self.block):
            piece, t = self.place(values[block])
            power = np.ones_like(t)
            for j in range(most + 1):
                out[j] += np.bincount(piece, weights=power, minlength=count)
                power *= t
        return out


def _differentiated(pieces: Array, derivative: int) -> Array:
    """Return the coefficients of a derivative."""
    degree = pieces.shape[0] - 1
    if derivative > degree:
        return np.zeros_like(pieces[:1])
    factors = [factorial(j + derivative) / factorial(j) for j in range(degree - derivative + 1)]
    out: Array = pieces[derivative:] * np.array(factors)[:, None, None]
    return out


def _sorted(table: Array, piece: Codes, t: Array) -> Array:
    """Return the values, (n, p), one matrix product for each piece."""
    small = piece.astype(np.uint8)  # sorted by radix
    order = np.argsort(small, kind="stable")
    powers: Array = np.empty((len(t), len(table)))
    powers[:, 0] = 1.0
    for j in range(1, len(table)):
        np.multiply(powers[:, j - 1], t[order] if j == 1 else powers[:, 1], out=powers[:, j])
    ends = np.concatenate(([0], np.cumsum(np.bincount(small, minlength=table.shape[1]))))
    values: Array = np.empty((len(t), table.shape[2]))
    for p in np.flatnonzero(np.diff(ends)):
        rows = slice(ends[p], ends[p + 1])
        np.matmul(powers[rows], table[:, p], out=values[rows])
    out: Array = np.empty_like(values)
    out[order] = values
    return out


def _gathered(table: Array, piece: Codes, t: Array) -> Array:
    """Return the values, (n, p), with the coefficients of every row gathered."""
    out: Array = table[-1][piece]
    for coefficients in table[-2::-1]:
        out *= t[:, None]
        out += coefficients[piece]
    return out


def radial_pieces(knots: Array, weights: Array, power: int, constant: float) -> Array:
    """Return the pieces (power + 1, K + 1, r) of Σ_i c|u − κ_i|^power w_i for an odd power.

    Notes
    -----
    At the knots the derivatives of order j over j! are c(power over j) Σ_i ±(κ_l − κ_i)^{power − j} w_i, sums by
    `signed_sums`. |r|^power has one jump, in the derivative of order `power` at the knot: it is taken
    from the right, and from the left for the piece before the first knot.
    """
    out: Array = np.empty((power + 1, len(knots) + 1, weights.shape[1]))
    for j in range(power + 1):
        out[j, 1:] = constant * comb(power, j) * signed_sums(knots, weights, power - j)
    out[:, 0] = out[:, 1]
    out[power, 0] = -constant * weights.sum(axis=0)
    return out


def signed_sums(knots: Array, weights: Array, power: int) -> Array:
    """Return Σ_i ±(κ_l − κ_i)^power w_i, (K, r), the sign + for i ≤ l: by running moments, without K² terms."""
    out: Array = np.zeros_like(weights)
    for q in range(power + 1):
        moments = np.cumsum(knots[:, None] ** q * weights, axis=0)
        factor = (-1) ** q * comb(power, q) * knots ** (power - q)
        out += factor[:, None] * (2 * moments - moments[-1])
    return out


def polynomial_pieces(knots: Array, powers: tuple[int, ...], degree: int) -> Array:
    """Return the pieces (degree + 1, K + 1, M) of u^power, expanded about the knots."""
    about = np.concatenate((knots[:1], knots))
    out: Array = np.zeros((degree + 1, len(about), len(powers)))
    for c, power in enumerate(powers):
        for j in range(power + 1):
            out[j, :, c] = comb(power, j) * about ** (power - j)
    return out
