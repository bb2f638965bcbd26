"""The `blocked` engine on cross-products alone: the equations' own coordinates are one linear map of the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...control import Control
from ...errors import DataError, FitError
from ...kernels import Blocked, blocked_from_products
from ...terms.rank import ColumnMoments
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..arrangement import Arrangement, Factor, arrange_factors, factor_of
from ..coordinates import FixedBasis
from ..cross_products import CrossProducts, Labels, LevelSums, PairSums, ordered_labels
from ..homogeneous import HomogeneousEquations
from ..layout import Layout
from ..standardise import Standardised, own_columns, well_conditioned
from .system import BlockedSystem

TOO_DEPENDENT = 1e-10
"""Share 1 − R² of a column of X, given those before it, below which sums do not give its SE to five digits."""
SPANNED = 1e-9
"""Share of a constant that columns of X leave unexplained below which they span it."""
NOTHING = 1e-13
"""Eigenvalues of correlations that are rounding: combinations of columns that are 0 in every row."""
CANCELLED = 1e-9
"""Rounding error of the residual sum of squares, relative to it, above which rows are needed."""


def equations_from_products(
    products: CrossProducts,
    layout: Layout,
    labels: Sequence[Labels],
    control: Control,
    *,
    maps: Sequence[Array | None] = (),
    written: Array | None = None,
) -> HomogeneousEquations:
    """Return the equations of the rows that were summed.

    Parameters
    ----------
    products
        Cross-products of all rows.
    layout
        The model.
    labels
        For every factor the labels of its levels in the layout's order, (q,).
    control
        Threads and memory.
    maps
        By term A of Z* = ZA, the coordinates in which the criterion works, (p, p); None for columns as written.
    written
        The way from β of the columns kept to β of them as written, as `FixedRows.written`.

    Raises
    ------
    DataError
        Where the layout is not that of the cross-products, or they have levels that it has not.
    FitError
        Where columns of X are so nearly dependent, or residuals so small, that they are lost in the sums.
    """
    _check_layout(products, layout)
    source = SummedSource(products, layout, labels, control, maps, written)
    return HomogeneousEquations(BlockedSystem(layout, source, control, source.arrange()))


def _check_layout(products: CrossProducts, layout: Layout) -> None:
    form = products.form
    if layout.errors is not None or not layout.bounded:
        raise DataError(
            "cross-products give models with independent errors and positive semidefinite covariances."
        )
    same = form.rank == layout.rank and [t.width for t in form.terms] == [t.n_columns for t in layout.terms]
    if not same or products.n != layout.n:
        raise DataError(
            f"cross-products of {products.n} rows, {form.rank} columns of X and {len(form.terms)} random terms do not "
            f"belong to a model of {layout.n} rows, {layout.rank} columns and {len(layout.terms)} terms."
        )


class SummedSource:
    """Cross-products summed elsewhere, in the equations' own coordinates, by chain and tail as asked for."""

    rows: Rows | None = None

    def __init__(
        self,
        products: CrossProducts,
        layout: Layout,
        labels: Sequence[Labels],
        control: Control,
        maps: Sequence[Array | None],
        written: Array | None,
    ) -> None:
        self.layout, form = layout, products.form
        self._mean_weight = float(products.gram[0, 0]) / products.n
        self.standard, own = _standardised(products, control.threads_for(products.n), written)
        turns = [_term_map(products, f, maps) for f in range(form.n_factors)]
        empty = np.empty(0, dtype=np.int32)
        shapes = [factor_of(layout, form.members(f), empty, None) for f in range(form.n_factors)]
        # factors in order of first appearance, as those of rows
        self.factors: tuple[Factor, ...] = tuple(shapes)
        places = [_places(f, sums.labels, labels[f], shapes[f].q) for f, sums in enumerate(products.factors)]
        self.sums = [
            _placed(sums, turn, own, place, shape.q)
            for sums, turn, place, shape in zip(products.factors, turns, places, shapes, strict=True)
        ]
        self.pairs: dict[tuple[int, int], PairSums] = {}
        for (i, j), pair in products.pairs.items():
            values = turns[i].T @ pair.values @ turns[j]
            first, second = places[i][pair.first], places[j][pair.second]
            self.pairs[i, j] = PairSums(first, second, values)
            self.pairs[j, i] = PairSums(second, first, np.ascontiguousarray(values.transpose(0, 2, 1)))

    def arrange(self) -> Arrangement:
        """Return chain and tail, chosen as for rows."""
        return arrange_factors(
            self.layout, self.factors, lambda child, parent: self._nested(child, parent) is not None
        )

    def column_squares(self) -> tuple[Array, ...]:
        found: dict[int, Array] = {}
        for factor, own in zip(self.factors, self.sums, strict=True):
            squares = np.diagonal(own.block.sum(axis=0)) / self._mean_weight
            for k, start in zip(factor.terms, factor.starts, strict=True):
                found[k] = squares[start : start + self.layout.terms[k].n_columns]
        return tuple(found[k] for k in range(len(self.layout.terms)))

    def _nested(self, child: int, parent: int) -> Codes | None:
        """Return the parent level of every level of a factor, None where one has none or several."""
        pair, q = self.pairs[child, parent], self.factors[child].q
        if len(pair.first) != q or len(np.unique(pair.first)) != q:
            return None
        out = np.empty(q, dtype=np.int32)
        out[pair.first] = pair.second
        return out

    def products(self, arranged: Arrangement) -> Blocked:
        d = len(self.standard.gram)
        chain = [self._chain_factor(arranged, c) for c in range(len(arranged.chain))]
        sets = [arranged.factors[f].sets for f in arranged.chain]
        tail, dense = self._tail(arranged)
        return blocked_from_products(
            chain, sets, arranged.tail_width, d, tail.reshape(-1), dense.reshape(-1), self.standard.threads
        )

    def _chain_factor(
        self, arranged: Arrangement, c: int
    ) -> tuple[int, int, list[Codes], Array, Array, Array, NDArray[np.int64], Codes, Array]:
        f, above = arranged.chain[c], arranged.chain[c + 1 :]
        factor, own = self.factors[f], self.sums[f]
        parents, couplings = [], [np.empty((factor.q, factor.p, 0))]
        for g in above:
            pair, parent = self.pairs[f, g], self._nested(f, g)
            if parent is None:
                raise RuntimeError("a chain factor is not nested in the one above it")
            parents.append(parent)
            values = np.empty((factor.q, factor.p, self.factors[g].p))
            values[pair.first] = pair.values
            couplings.append(values)
        start, column, met = self._tail_entries(arranged, f)
        ancestor = np.concatenate(couplings, axis=2)
        return (
            factor.p, factor.q, parents, own.block.reshape(-1), ancestor.reshape(-1), own.dense.reshape(-1),
            start, column, met.reshape(-1),
        )  # fmt: skip

    def _tail_entries(self, arranged: Arrangement, f: int) -> tuple[NDArray[np.int64], Codes, Array]:
        """Return starts by level, tail columns met, and the products with each, (entries, p)."""
        factor = self.factors[f]
        level, column = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        values = [np.empty((0, factor.p))]
        for t, offset in zip(arranged.tail, arranged.offsets, strict=True):
            pair, p = self.pairs[f, t], self.factors[t].p
            level.append(np.repeat(pair.first, p))
            column.append((offset + pair.second[:, None] * p + np.arange(p)).reshape(-1))
            values.append(pair.values.transpose(0, 2, 1).reshape(-1, factor.p))
        levels, columns = np.concatenate(level), np.concatenate(column)
        order = np.lexsort((columns, levels))
        start = np.concatenate(([0], np.cumsum(np.bincount(levels, minlength=factor.q)))).astype(np.int64)
        return start, columns[order].astype(np.int32), np.concatenate(values)[order]

    def _tail(self, arranged: Arrangement) -> tuple[Array, Array]:
        """Return the products of tail columns, (T, T), and with the dense columns, (T, d)."""
        width = arranged.tail_width
        tail, dense = np.zeros((width, width)), np.zeros((width, len(self.standard.gram)))
        at = {
            f: offset + np.arange(self.factors[f].q * self.factors[f].p).reshape(-1, self.factors[f].p)
            for f, offset in zip(arranged.tail, arranged.offsets, strict=True)
        }
        for f, own in at.items():
            dense[own] = self.sums[f].dense
            tail[own[:, :, None], own[:, None, :]] = self.sums[f].block
            for g, other in at.items():
                if g != f:
                    pair = self.pairs[f, g]
                    tail[own[pair.first][:, :, None], other[pair.second][:, None, :]] = pair.values
        return tail, dense


def _places(f: int, known: Labels, labels: Labels, q: int) -> NDArray[np.int64]:
    """Return where every label of the cross-products stands in the layout."""
    given = ordered_labels(labels)
    if len(given) != q or given.dtype.kind != known.dtype.kind:
        raise DataError(
            f"factor {f} has {q} levels in the model; {len(given)} labels of type {given.dtype} are given."
        )
    order = np.argsort(given, kind="stable")
    found = np.searchsorted(given, known, sorter=order)
    place = order[np.minimum(found, q - 1)]
    missing = given[place] != known
    if missing.any():
        raise DataError(
            f"the cross-products have level {known[missing][0]!r} of factor {f}, which the model has not."
        )
    return np.asarray(place, dtype=np.int64)


def _placed(sums: LevelSums, turn: Array, own: Array, place: NDArray[np.int64], q: int) -> LevelSums:
    """Return sums by level of the layout in own coordinates; levels without rows have none."""
    p, d = turn.shape[1], own.shape[1]
    block, dense = np.zeros((q, p, p)), np.zeros((q, p, d))
    block[place] = turn.T @ sums.block @ turn
    dense[place] = turn.T @ sums.dense @ own
    return LevelSums(sums.labels, block, dense)


def _term_map(products: CrossProducts, f: int, maps: Sequence[Array | None]) -> Array:
    """Return S with Z* = [1, z − c_z]S of a factor, columns of its terms side by side."""
    form, centre = products.form, products.frame.random[f]
    parts = []
    for k, place in form.places(f).items():
        part = np.zeros((len(centre), len(place)))
        for j, at in enumerate(place):
            part[at, j] = 1.0
            part[0, j] += centre[at]
        map_ = maps[k] if k < len(maps) else None
        parts.append(part if map_ is None else part @ map_)
    return np.hstack(parts)


def _standardised(products: CrossProducts, threads: int, written: Array | None) -> tuple[Standardised, Array]:
    """Return the dense columns, and the map (r+2, r+1) from [1, x − c, y − m − (x − c)b] to [X_own, y − X_own β]."""
    frame, gram = products.frame, products.gram
    r, total = len(frame.centre), float(gram[0, 0])
    inner = gram[1:-1, 1:-1]
    basis = own_columns(ColumnMoments(frame.centre, inner, np.diagonal(inner) == 0.0), total)
    basis = replace(basis, written=written)
    sums = _Sums.of(gram)
    b = np.zeros((r + 2, r))
    b[1:-1] = np.diag(basis.scale)
    b[0] = (frame.centre - basis.centre) * basis.scale
    if well_conditioned(b.T @ gram @ b) is None:
        basis, b = _orthonormal(basis, b, sums, total)
    line = np.r_[frame.level, frame.line, 0.0]
    beta, residual = _least_squares(basis, b, sums, line)
    own = np.column_stack([sums.seen(b), residual])
    full = own.T @ gram @ own
    lost = float(np.abs(residual) @ np.abs(gram) @ np.abs(residual)) * np.finfo(float).eps
    if lost > CANCELLED * full[r, r]:
        raise FitError(
            "the residuals of the response are lost in the cross-products: they are too small beside the response. "
            "Add an intercept, or fit the model to the data."
        )
    none = np.empty((0, r)), np.empty(0), np.zeros(r), np.ones(r)
    return Standardised(*none, basis, beta, full, products.log_weights, products.n, threads), own


@dataclass(frozen=True, slots=True)
class _Sums:
    """A root of the sums G of the columns of a frame: R with R'R = G, (k, r+2), combinations that are 0 left out.

    A least-squares problem on R does not square its condition again. `vectors` (r+2, k) span what rows hold of
    columns of unit size, `size` (r+2,).
    """

    size: Array
    vectors: Array
    root: Array

    @classmethod
    def of(cls, gram: Array) -> _Sums:
        """Return the root of the sums."""
        size = np.sqrt(np.diagonal(gram))
        size = np.where(size > 0, size, 1.0)
        values, vectors = np.linalg.eigh(gram / np.outer(size, size))
        kept = values > NOTHING
        root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T * size
        return cls(size, vectors[:, kept], root)

    def seen(self, columns: Array) -> Array:
        """Return coefficients (r+2, ...) of the same columns without combinations that are 0 in every row."""
        inner = self.vectors @ (self.vectors.T @ (columns.T * self.size).T)
        return np.asarray((inner.T / self.size).T)

    def solve(self, columns: Array, right: Array) -> Array:
        """Return the least-squares coefficients of `right` (r+2,) on columns (r+2, r) of full rank."""
        q, upper = np.linalg.qr(self.root @ columns)
        return np.asarray(np.linalg.solve(upper, q.T @ (self.root @ right)))


def _orthonormal(basis: FixedBasis, b: Array, sums: _Sums, total: float) -> tuple[FixedBasis, Array]:
    """Return the basis in which columns are orthonormal, by the sums alone, and the map to it."""
    about = np.diagonal(sums.root.T @ sums.root)[1:-1] * basis.scale**2
    smallest = TOO_DEPENDENT * np.where(about > 0, about, total)
    triangle = np.eye(b.shape[1])
    for again in range(2):
        upper = np.linalg.qr(sums.root @ (b @ triangle), mode="r")
        pivots = np.diagonal(upper)
        if len(upper) < len(b.T) or (again == 0 and (pivots**2 < smallest).any()):
            raise FitError(
                "columns of X are so nearly dependent that cross-products do not tell them apart, such as powers of a "
                "variable far from zero. Centre the variable, or fit the model to the data."
            )
        triangle = np.triu(triangle @ np.linalg.solve(upper, np.diag(np.sqrt(total) * np.sign(pivots))))
    return replace(basis, triangle=triangle), b @ triangle


def _least_squares(basis: FixedBasis, b: Array, sums: _Sums, line: Array) -> tuple[Array, Array]:
    """Return β in own coordinates and y − X_own β in the columns of the frame, whose y is already less the line."""
    r = b.shape[1]
    y, one = np.eye(r + 2)[-1], np.eye(r + 2)[0]
    if not r:
        return np.zeros(0), y + line
    if basis.constant is not None:
        standard = line[1:-1] / basis.scale
        standard[basis.constant] = line[0] / basis.level
        beta, rest = standard if basis.triangle is None else np.linalg.solve(basis.triangle, standard), y
    else:
        beta = sums.solve(b, line)
        left = sums.root @ (one - b @ sums.solve(b, one))
        # where X spans the constant it spans the line, and what is left of it is rounding
        spanned = left @ left <= SPANNED * (sums.root[:, 0] @ sums.root[:, 0])
        rest = y if spanned else y + line - b @ beta
    more = sums.solve(b, rest)
    return beta + more, sums.seen(rest - b @ more)
