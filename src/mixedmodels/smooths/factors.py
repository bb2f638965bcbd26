"""Smooths with factors: `re`, `fs`, `sz` and `mrf`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np
from scipy.sparse import csgraph

from ..errors import DataError, SpecError
from ..typing import Array, Codes, Labels
from .base import Basis, Given, Smooth, numbers


def split_arguments(x: tuple[Array | Codes, ...], given: Given) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the places of numbers and of factors among the arguments; `given.levels` tells which is which."""
    levels = given.levels or (None,) * len(x)
    return (
        tuple(p for p, names in enumerate(levels) if names is None),
        tuple(p for p, names in enumerate(levels) if names is not None),
    )


@dataclass(frozen=True, slots=True, eq=False)
class ProductBasis(Basis):
    """One column: the product of the numbers, or 1 where there are none."""

    places: tuple[int, ...]

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the column at x, (n, 1)."""
        if derivative:
            raise SpecError("a random effect has no derivative.")
        out: Array = np.ones((len(x[0]), 1))
        for place in self.places:
            out[:, 0] *= x[place]
        return out


class RandomEffect(Smooth):
    """`re`: iid effects for the levels of factors, times the numbers beside them; an ordinary random effect.

    Notes
    -----
    `s(g, bs="re")` is `(1 | g)` and `s(x, g, bs="re")` is `(0 + x | g)`: never a column for each level. *Same as*
    mgcv's `bs = "re"`.
    """

    names: ClassVar[Labels] = ("re",)
    variables: ClassVar[tuple[int, int]] = (0, 8)
    factors: ClassVar[tuple[int, int]] = (0, 8)
    tensor: ClassVar[bool] = False

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        numeric, factors = split_arguments(x, given)
        return ProductBasis((np.eye(1),), 0, (1.0,), (given.label,), numeric, grouping=factors, centred=False)


@dataclass(frozen=True, slots=True, eq=False)
class NaturalBasis(Basis):
    """The columns of a smooth turned: `margin` at some of the variables, times `turn` (k, k)."""

    margin: Basis
    places: tuple[int, ...]
    turn: Array

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, k)."""
        out: Array = self.margin.rows(tuple(x[p] for p in self.places), derivative) @ self.turn
        return out


def natural(basis: Basis, x: tuple[Array | Codes, ...]) -> tuple[Array, Array]:
    """Return the map to natural columns [penalised | free] over rows x, and the penalties of the former in them.

    Notes
    -----
    With B'B/n = G and Sv = μGv: the penalised columns are v/√μ, iid under the penalty, and the free ones are orthogonal
    over the rows with mean square 1, the constant first (Wood 2017, section 5.4.2). The result does not depend on the
    coefficients that the basis happens to have.
    """
    n, null = len(x[0]), basis.null_dimension
    gram = basis.cross_products(x) / n
    lower = np.linalg.cholesky(gram)
    inner = np.linalg.solve(lower, np.linalg.solve(lower, basis.penalties[0]).T)
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    turned = np.linalg.solve(lower.T, vectors)
    free = turned[:, :null]
    if null:
        means = basis.means(x) @ free  # the constant's coordinates, where it is among the free functions
        rest = np.linalg.qr(np.column_stack((means, np.eye(null))))[0][:, :null]
        free = free @ (rest * np.where(np.arange(null) == 0, np.sign(means @ rest[:, 0]) or 1.0, 1.0))
    return np.hstack((turned[:, null:] / np.sqrt(values[null:]), free)), values[null:]


class FactorSmooth(Smooth):
    """`fs`: a curve for each level of a factor, all with the same smoothing parameters, as random effects.

    Notes
    -----
    A vector random effect: the penalised columns are iid over levels, and the constant and each further free column
    have variances of their own (Wood 2017, section 7.7.4; Pedersen et al. 2019, PeerJ 7:e6876). The marginal basis is
    `tp` unless another is asked for. *Same as* mgcv's `bs = "fs"`, whose free columns are an arbitrary rotation; here
    they are the constant and the line.
    """

    names: ClassVar[Labels] = ("fs",)
    variables: ClassVar[tuple[int, int]] = (1, 7)
    factors: ClassVar[tuple[int, int]] = (1, 1)
    tensor: ClassVar[bool] = False
    derivatives: ClassVar[int] = 2

    def usual_size(self, d: int) -> int:
        """Return k where it is not given, for d numeric variables."""
        return marginal("tp").usual_size(d)

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        numeric, factors = split_arguments(x, given)
        own = tuple(x[p] for p in numeric)
        margin = marginal(given.margin).learn(own, _inner(given))
        if len(margin.penalties) != 1:
            raise SpecError(
                f"{given.label}: the basis inside fs has one penalty; {given.margin!r} has more here."
            )
        turn, _ = natural(margin, own)
        k, null = margin.size, margin.null_dimension
        first = np.diag((np.arange(k) < k - null).astype(np.float64))
        rest = tuple(np.diag((np.arange(k) == c).astype(np.float64)) for c in range(k - null, k))
        penalties = (first, *rest)
        return NaturalBasis(
            penalties, 0, (1.0,) * len(penalties), numbers(given.label, k), margin, numeric, turn,
            grouping=factors, centred=False,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class DeviationBasis(Basis):
    """The columns of a smooth times contrasts of factors that sum to zero over the levels.

    Attributes
    ----------
    margin, places
        The smooth, and which variables it takes.
    factors
        Which variables are factors.
    contrasts
        (L, L − 1) for each.
    """

    margin: Basis
    places: tuple[int, ...]
    factors: tuple[int, ...]
    contrasts: tuple[Array, ...]

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at x, (n, k∏(L − 1)); 0 at a level that was not seen, where the mean curve stands."""
        out: Array = np.ones((len(x[0]), 1))
        for place, contrast in zip(self.factors, self.contrasts, strict=True):
            codes = x[place].astype(np.int64)
            coded = np.where((codes >= 0)[:, None], contrast[codes], 0.0)
            out = (out[:, :, None] * coded[:, None, :]).reshape(len(out), -1)
        columns = self.margin.rows(tuple(x[p] for p in self.places), derivative)
        whole: Array = out[:, :, None] * columns[:, None, :]
        return whole.reshape(len(out), -1)


class Deviations(Smooth):
    """`sz`: curves for the levels of factors that sum to zero over the levels at every x: deviations from a mean curve.

    Notes
    -----
    Used beside `s(x)`, as main effect and interaction are. Every combination of levels has a smoothing parameter of its
    own, or all share one (`Given.shared`, the formula's `id=`). *Same as* mgcv's `bs = "sz"`.
    """

    names: ClassVar[Labels] = ("sz",)
    variables: ClassVar[tuple[int, int]] = (1, 7)
    factors: ClassVar[tuple[int, int]] = (1, 7)
    tensor: ClassVar[bool] = False
    derivatives: ClassVar[int] = 2

    def usual_size(self, d: int) -> int:
        """Return k where it is not given, for d numeric variables."""
        return marginal("tp").usual_size(d)

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        numeric, factors = split_arguments(x, given)
        own = tuple(x[p] for p in numeric)
        margin = marginal(given.margin).learn(own, _inner(given))
        contrasts = tuple(_sum_to_zero(len(given.levels[p] or ()), given) for p in factors)
        rows: Array = np.ones((1, 1))
        for contrast in contrasts:
            rows = np.asarray(np.kron(rows, contrast), dtype=np.float64)
        penalties: list[Array] = []
        scales: list[float] = []
        for penalty, scale in zip(margin.penalties, margin.scales, strict=True):
            if given.shared:
                penalties.append(np.asarray(np.kron(rows.T @ rows, penalty), dtype=np.float64))
            else:
                penalties.extend(np.asarray(np.kron(np.outer(row, row), penalty)) for row in rows)
            scales.extend([scale] * (1 if given.shared else len(rows)))
        count = rows.shape[1]
        return DeviationBasis(
            tuple(penalties), margin.null_dimension * count, tuple(scales), numbers(given.label, margin.size * count),
            margin, numeric, factors, contrasts, centred=False,
        )  # fmt: skip


def _sum_to_zero(count: int, given: Given) -> Array:
    """Return orthonormal contrasts (L, L − 1) that sum to zero: Helmert's."""
    if count < 2:
        raise DataError(
            f"{given.label}: the factor has {count} level; curves that sum to zero over levels need two."
        )
    out: Array = np.zeros((count, count - 1))
    for c in range(1, count):
        out[:c, c - 1], out[c, c - 1] = 1.0, -float(c)
    out /= np.linalg.norm(out, axis=0)
    return out


def _inner(given: Given) -> Given:
    return replace(given, levels=())


def marginal(name: str) -> Smooth:
    """Return the kind of basis inside another."""
    from . import SMOOTHS, find_smooth

    smooth = find_smooth(name)
    if not smooth.tensor or smooth.factors[1]:
        possible = ", ".join(n for n, s in SMOOTHS.items() if s.tensor and not s.factors[1])
        raise SpecError(f"basis {name!r} cannot stand inside another. Available: {possible}.")
    return smooth


@dataclass(frozen=True, slots=True, eq=False)
class RegionBasis(Basis):
    """One row of a matrix (L, k) for each level of a factor; 0 at a level that was not seen."""

    values: Array

    def rows(self, x: tuple[Array, ...], derivative: int) -> Array:
        """Return the columns at levels x, (n, k)."""
        if derivative:
            raise SpecError("mrf has no derivative: its variable is a factor.")
        codes = x[0].astype(np.int64)
        return np.where((codes >= 0)[:, None], self.values[codes], 0.0)


class MarkovField(Smooth):
    """`mrf`: an effect for each region of a map, like those of its neighbours.

    Notes
    -----
    `known=` is a symmetric matrix over the regions: weights w_ij of neighbourhood with 0 on the diagonal, whose penalty
    is Σ_{i<j} w_ij(β_i − β_j)², or the penalty itself. Those of the data come first; others take the smoothest values.
    With k below the number of regions the k patterns that are smoothest over the data are kept (Wood 2017, section
    5.4.2). *Same as* mgcv's `bs = "mrf"` with `xt = list(nb = …)` or `xt = list(penalty = …)`.
    """

    names: ClassVar[Labels] = ("mrf",)
    variables: ClassVar[tuple[int, int]] = (0, 0)
    factors: ClassVar[tuple[int, int]] = (1, 1)
    tensor: ClassVar[bool] = False

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        levels = given.levels[0] if given.levels and given.levels[0] is not None else ()
        count = len(levels)
        penalty = _laplacian(given, count)
        linked = np.abs(penalty) > 1e-10 * np.abs(penalty).max()
        pieces = int(csgraph.connected_components(linked, directed=False)[0])
        null = pieces if np.abs(penalty.sum(axis=1)).max() <= 1e-10 * np.abs(penalty).max() else 0
        k = count if given.k is None else given.k
        if not null < k <= count:
            raise SpecError(
                f"{given.label}: k={k} is not possible for {count} regions; give {null + 1} to {count}."
            )
        values: Array = np.eye(count)
        if k < count:
            values, penalty = _smoothest(penalty, np.asarray(x[0], dtype=np.int64), count, k)
        labels = (
            tuple(f"{given.label}[{level}]" for level in levels) if k == count else numbers(given.label, k)
        )
        return RegionBasis((penalty,), null, (1.0,), labels, values, centred=null > 0)


def _laplacian(given: Given, count: int) -> Array:
    """Return the penalty over the regions from weights of neighbourhood, or the matrix itself."""
    known = given.known
    if known is None:
        raise SpecError(
            f"{given.label}: mrf needs known= with a matrix over the {count} regions: who is whose neighbour."
        )
    matrix: Array = np.asarray(known, dtype=np.float64)
    size = len(matrix)
    if size < count or matrix.shape != (size, size) or not np.allclose(matrix, matrix.T):
        raise DataError(
            f"{given.label}: known= is {matrix.shape}; a symmetric matrix over the {count} regions is needed."
        )
    if not np.diag(matrix).any():
        if (matrix < 0).any():
            raise DataError(f"{given.label}: known= has negative weights of neighbourhood.")
        matrix = np.diag(matrix.sum(axis=1)) - matrix
    if np.linalg.eigvalsh(matrix)[0] < -1e-10 * np.abs(matrix).max():
        raise DataError(f"{given.label}: known= is no penalty: it has a negative eigenvalue.")
    if size > count:
        # Regions without data take the values that are smoothest, given the others: what is left is a Schur complement.
        across, among = matrix[:count, count:], matrix[count:, count:]
        matrix = matrix[:count, :count] - across @ np.linalg.pinv(among, hermitian=True) @ across.T
    return (matrix + matrix.T) / 2


def _smoothest(penalty: Array, codes: Codes, count: int, k: int) -> tuple[Array, Array]:
    """Return the k patterns over the regions that are smoothest for their size over the rows, and their penalty."""
    held = np.bincount(codes[codes >= 0], minlength=count).astype(np.float64)
    if (held == 0).any():
        held = np.maximum(held, 1e-7 * held.max())
    root = 1.0 / np.sqrt(held / len(codes))
    values, vectors = np.linalg.eigh(root[:, None] * penalty * root)
    patterns = root[:, None] * vectors[:, :k]
    return patterns, np.diag(np.maximum(values[:k], 0.0))


def combinations(levels: tuple[Labels, ...]) -> Labels:
    """Return the names of all combinations of levels, the last factor's changing fastest.

    Examples
    --------
    >>> combinations((("a", "b"), ("u", "v")))
    ('a:u', 'a:v', 'b:u', 'b:v')
    """
    return tuple(":".join(at) for at in product(*levels))
