"""Thin plate regression splines in any number of variables: `tp`, and `ts` with shrinkage."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth, checked_size, numbers
from .piecewise import PiecewiseBasis
from .places import knot_places, leading, stacked
from .polynomials import monomials, powers
from .radial import RadialBasis, bending_energy, between_knots, radial_basis, thin_plate_order, usual_size
from .shrinkage import shrunk


def learn_thin_plate(x: tuple[Array | Codes, ...], given: Given, *, shrink: bool = False) -> Basis:
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
    origin, unit = points.mean(axis=0), float(np.ptp(places, axis=0).max())
    knots = (places - origin) / unit
    energy = bending_energy(d, m, unit)
    values, vectors = leading(between_knots(energy, knots, k), k)
    within = _free_of(monomials(knots, exponents).T @ vectors)
    inner: Array = within.T @ (values[:, None] * within)
    labels, scale = numbers(given.label, k), unit ** (d - 2 * m)
    basis = radial_basis(inner, 0, scale, labels, origin, unit, knots, vectors @ within, energy, exponents)
    return _scaled(basis, tuple(points.T), k - count, free=free, shrink=shrink)


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
    basis: PiecewiseBasis | RadialBasis, x: tuple[Array, ...], r: int, *, free: bool, shrink: bool
) -> Basis:
    """Return the basis with columns of mean square 1 over the rows, and its penalty over all of them."""
    size = np.sqrt(np.diag(basis.cross_products(x)) / len(x[0]))
    kept = basis.size if free else r
    shift = np.zeros(kept) if free else (basis.means(x) / size)[:r]
    inner = basis.penalties[0] / np.outer(size[:r], size[:r])
    penalty: Array = np.zeros((kept, kept))
    penalty[:r, :r] = (inner + inner.T) / 2
    null = kept - r
    if shrink and null:
        penalty, null = shrunk(penalty, null), 0
    labels = basis.labels[:kept]
    if isinstance(basis, RadialBasis):
        return replace(
            basis, penalties=(penalty,), null_dimension=null, labels=labels, centred=free, shift=shift,
            weights=basis.weights / size[:r], sizes=size[r:kept], exponents=basis.exponents if free else (),
        )  # fmt: skip
    pieces = basis.pieces[..., :kept] / size[:kept]
    pieces[0] -= shift
    return replace(
        basis, penalties=(penalty,), null_dimension=null, labels=labels, centred=free, pieces=pieces
    )


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
