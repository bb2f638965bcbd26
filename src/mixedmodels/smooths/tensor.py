"""Tensor products of smooths in variables of different units: `te`, `ti` and `t2`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from ..errors import SpecError
from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth
from .mixed import centring

UNSTABLE = float(np.finfo(np.float64).eps) ** 0.66
"""Least ratio of singular values at which a margin is written in values of its function: mgcv's."""
MOST_COLUMNS = 2_000
POLYNOMIAL = 1e-6
"""First coefficient of the free functions below which their coefficients are those of polynomials."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorBasis(Basis):
    """Products of the columns of every margin, those of the last changing fastest.

    Attributes
    ----------
    margins
        The bases.
    places
        Which of the variables each of them takes.
    maps
        What the columns of each are multiplied by, (k_j, p_j).
    """

    margins: tuple[Basis, ...]
    places: tuple[tuple[int, ...], ...]
    maps: tuple[Array, ...]

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, ∏p_j)."""
        if derivative:
            raise SpecError(
                "a tensor product has no derivative by one variable; take differences of its values."
            )
        out: Array = np.ones((len(x[0]), 1))
        for basis, places, turn in zip(self.margins, self.places, self.maps, strict=True):
            columns = basis.rows(tuple(x[p] for p in places), 0) @ turn
            out = (out[:, :, None] * columns[:, None, :]).reshape(len(out), -1)
        return out


@dataclass(frozen=True, slots=True)
class Margin:
    """One margin of a tensor product: its kind, what it is told, and how many variables it takes."""

    smooth: Smooth
    given: Given
    variables: int = 1


def learn_tensor(
    kind: str, x: tuple[Array | Codes, ...], margins: tuple[Margin, ...], label: str
) -> TensorBasis:
    """Return the basis of `te`, `ti` or `t2` for rows x.

    Notes
    -----
    te (Wood 2006, Biometrics 62:1025): margins are written in values of their functions at equally spaced points, and
    every penalty of a margin, divided by its largest eigenvalue, acts along its own direction: I ⊗ S_j ⊗ I. ti: the
    same with margins that sum to zero first, so that main effects are left out. t2 (Wood, Scheipl and Faraway 2013,
    Statistics and Computing 23:341): margins split into a penalised part with a ridge and a free part; a ridge for
    each kind of product but that of the free parts. "t2 full" takes each free column as a part of its own.
    """
    places, at = [], 0
    for margin in margins:
        if not margin.smooth.tensor:
            raise SpecError(
                f"{label}: basis {margin.smooth.names[0]!r} cannot be a margin of a tensor product."
            )
        places.append(tuple(range(at, at + margin.variables)))
        at += margin.variables
    own = [tuple(x[p] for p in where) for where in places]
    bases = tuple(m.smooth.learn(v, m.given) for m, v in zip(margins, own, strict=True))
    columns = int(np.prod([basis.size for basis in bases]))
    if columns > MOST_COLUMNS:
        sizes = " × ".join(str(basis.size) for basis in bases)
        raise SpecError(
            f"{label}: k gives {sizes} = {columns} columns, more than {MOST_COLUMNS}; give smaller k=."
        )
    learn = _LEARN.get(kind)
    if learn is None:
        raise SpecError(f"{label}: tensor product {kind!r} is not known. Available: {', '.join(_LEARN)}.")
    return learn(bases, margins, tuple(own), tuple(places), label)


Learned = tuple[tuple[Array | Codes, ...], ...]
Places = tuple[tuple[int, ...], ...]


def _te(
    bases: tuple[Basis, ...], margins: tuple[Margin, ...], x: Learned, places: Places, label: str
) -> TensorBasis:
    maps = tuple(_in_values(b, m, v, np.eye(b.size)) for b, m, v in zip(bases, margins, x, strict=True))
    null = int(np.prod([basis.null_dimension for basis in bases]))
    return _product(bases, maps, places, null, label, centred=True)


def _ti(
    bases: tuple[Basis, ...], margins: tuple[Margin, ...], x: Learned, places: Places, label: str
) -> TensorBasis:
    maps, null = [], 1
    for basis, margin, values in zip(bases, margins, x, strict=True):
        z = centring(basis.means(values)) if basis.centred else np.eye(basis.size)
        maps.append(_in_values(basis, margin, values, z))
        null *= max(basis.null_dimension - (z.shape[0] - z.shape[1]), 0)
    return _product(bases, tuple(maps), places, null, label, centred=False)


def _in_values(basis: Basis, margin: Margin, x: tuple[Array | Codes, ...], z: Array) -> Array:
    """Return the map to coefficients that are values at equally spaced points, of a margin restricted to z."""
    if margin.smooth.by_values or margin.variables > 1:
        return z
    points = np.linspace(float(np.min(x[0])), float(np.max(x[0])), z.shape[1])
    values = basis.design((points,)) @ z
    left, sizes, right = np.linalg.svd(values)
    if sizes[-1] < UNSTABLE * sizes[0]:
        return z
    out: Array = z @ (right.T @ (left / sizes).T)
    return out


def _product(
    bases: tuple[Basis, ...], maps: tuple[Array, ...], places: Places, null: int, label: str, *, centred: bool
) -> TensorBasis:
    """Return the product with every penalty of every margin along its own direction."""
    widths = [turn.shape[1] for turn in maps]
    penalties = []
    for j, (basis, turn) in enumerate(zip(bases, maps, strict=True)):
        for penalty in basis.penalties:
            inner = turn.T @ penalty @ turn
            inner = (inner + inner.T) / 2
            penalties.append(_along(inner / np.linalg.eigvalsh(inner)[-1], j, widths))
    labels = _labels(label, [range(1, width + 1) for width in widths])
    ones = (1.0,) * len(penalties)
    return TensorBasis(tuple(penalties), null, ones, labels, bases, places, maps, centred=centred)


def _along(penalty: Array, j: int, widths: list[int]) -> Array:
    """Return I ⊗ penalty ⊗ I with the penalty at margin j."""
    before, after = int(np.prod(widths[:j])), int(np.prod(widths[j + 1 :]))
    out: Array = np.kron(np.kron(np.eye(before), penalty), np.eye(after))
    return out


def _t2(
    bases: tuple[Basis, ...],
    margins: tuple[Margin, ...],
    x: Learned,
    places: Places,
    label: str,
    *,
    full: bool = False,
) -> TensorBasis:
    """Return the product of penalised and free parts; `full` takes each free column as a part of its own.

    The penalised columns of a margin have mean square 1 together, its free ones each.
    """
    maps, parts = [], []
    for basis, values in zip(bases, x, strict=True):
        if len(basis.penalties) != 1:
            raise SpecError(f"{label}: a margin of t2 has one penalty; this one has {len(basis.penalties)}.")
        turn, null = _split(basis, values)
        maps.append(turn)
        # part 0 is penalised, the free ones count from 1
        own = np.maximum(np.arange(basis.size) - (basis.size - null) + 1, 0)
        parts.append(own if full else np.minimum(own, 1))
    widths = [turn.shape[1] for turn in maps]
    kinds = np.array(list(product(*parts)))  # row: which part each factor of a column is of
    penalties = []
    for kind in product(*(range(int(own.max()) + 1) for own in parts)):
        inside = (kinds == np.array(kind)).all(axis=1)
        if not all(kind) and inside.any():
            penalties.append(np.diag(inside.astype(np.float64)))
    unpenalised = np.asarray((kinds > 0).all(axis=1), dtype=np.bool_)
    labels = _labels(label, [range(1, width + 1) for width in widths])
    return TensorBasis(
        tuple(penalties),
        int(unpenalised.sum()),
        (1.0,) * len(penalties),
        labels,
        bases,
        places,
        tuple(maps),
        centred=bool(unpenalised.any()),
        constrained=unpenalised,
    )


def _split(basis: Basis, x: tuple[Array | Codes, ...]) -> tuple[Array, int]:
    """Return the map to [penalised | free] columns of mean square 1, and the number of free ones.

    The constant comes first among the free ones where they hold it.
    """
    values, vectors = np.linalg.eigh(basis.penalties[0])
    null = basis.null_dimension
    ranged = (vectors[:, null:] / np.sqrt(values[null:]))[:, ::-1]
    squares = basis.cross_products(x) / len(x[0])
    ranged = ranged / np.sqrt(np.trace(ranged.T @ squares @ ranged) / ranged.shape[1])
    free = _apart(vectors[:, :null], squares)
    if null > 1:
        free = free @ _constant_first(free, squares, basis.means(x))
    return np.hstack((ranged, free)), null


def _apart(free: Array, squares: Array) -> Array:
    """Return the free functions (k, M) as ones of mean square 1 that a rotation leaves as one group, B'B/n = `squares`.

    Notes
    -----
    One variance for the products with all of them needs to know what their unit ball is, and nothing in the data says
    it. Of two, one has no first coefficient and the other is at right angles to it in the coefficients: the pair that a
    tridiagonal eigenvector routine returns, and so that of mgcv. Bases with polynomials as columns, and others, are
    orthogonal over the rows.
    """
    if not free.shape[1]:
        return free
    first = free[0]
    if free.shape[1] == 2 and np.linalg.norm(first) > POLYNOMIAL:
        along = first / np.linalg.norm(first)
        turned = free @ np.column_stack((along, (-along[1], along[0])))
        sizes = np.sqrt(np.einsum("ij,ik,kj->j", turned, squares, turned))
        return np.asarray(turned / sizes)
    root = np.linalg.cholesky(free.T @ squares @ free)
    return np.asarray(np.linalg.solve(root, free.T).T)


def _constant_first(free: Array, squares: Array, means: Array) -> Array:
    """Return the rotation (M, M) whose first column gives the constant, of free functions of any scale."""
    inner = free.T @ squares @ free
    constant = np.linalg.solve(inner, free.T @ means)
    rest = np.linalg.qr(np.column_stack((constant, np.eye(len(inner)))))[0][:, : len(inner)]
    return np.asarray(rest, dtype=np.float64)


def _labels(label: str, counts: list[range]) -> Labels:
    return tuple(f"{label}[{','.join(map(str, at))}]" for at in product(*counts))


_LEARN: dict[str, Callable[[tuple[Basis, ...], tuple[Margin, ...], Learned, Places, str], TensorBasis]] = {
    "te": _te,
    "ti": _ti,
    "t2": _t2,
    "t2 full": partial(_t2, full=True),
}
