"""What never changes between evaluations of the `sparse` engine: blocks of Z'WZ, priors, pattern, order.

Columns of Z are numbered factor by factor, level by level, column by column. A *coupling* holds the
blocks of Z'WZ between the levels of two factors that meet in some row (and, within a factor with a known
covariance, between the levels that its precision links); the pattern of M is the union of all couplings. Where
errors are correlated levels meet in a residual cluster rather than in a row, and Z'R⁻¹Z, which changes with the
errors' covariance, stands for Z'WZ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...kernels import NotPositiveDefinite, SparseSymmetric
from ...lazy import LazyModule
from ...terms.known import KnownCovariance, positive_inverse, singular_root
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..arrangement import Factor, merge_terms
from ..layout import Layout

if TYPE_CHECKING:
    from scipy import linalg, sparse
else:
    linalg = LazyModule("scipy.linalg")
    sparse = LazyModule("scipy.sparse")


@dataclass(frozen=True, slots=True)
class Prior:
    """A known covariance of one factor: its precision Q (q, q) and the factorisation for log|K| and K b."""

    precision: sparse.csr_array
    native: SparseSymmetric
    logdet: float

    def covariance_times(self, b: Array) -> Array:
        """Return K b for b (q, c)."""
        return self.native.solve(np.ascontiguousarray(b))


@dataclass(frozen=True, slots=True)
class Coupling:
    """Blocks of Z'WZ: `values` (k, p_first, p_second) at pairs of levels (`rows`, `columns`).

    Within one factor the q diagonal blocks come first, in order of level; where there are others `prior` (k,)
    holds the entries of Q (of I without a known covariance); `place` (k, p_first, p_second) are positions in the
    pattern.
    """

    first: int
    second: int
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: Array
    prior: Array | None
    place: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Analysis:
    """Factors, couplings, the compressed-column pattern of M (lower triangle) and its elimination order.

    `roots` holds L with K = LL' of known covariances that are singular, which have no prior: see `Turn`.
    """

    factors: tuple[Factor, ...]
    offsets: tuple[int, ...]
    order: int
    priors: tuple[Prior | None, ...]
    couplings: tuple[Coupling, ...]
    indptr: NDArray[np.int64]
    indices: Codes
    permutation: Codes
    stored: int
    flops: float
    roots: tuple[Array | None, ...] = ()

    def columns(self, f: int) -> slice:
        """Return the columns of one factor."""
        return slice(self.offsets[f], self.offsets[f] + self.factors[f].q * self.factors[f].p)

    def place(self, term: int) -> tuple[int, int]:
        """Return the factor of a random term and the term's first column in it."""
        for f, factor in enumerate(self.factors):
            if term in factor.terms:
                return f, factor.starts[factor.terms.index(term)]
        raise KeyError(term)

    def position(
        self, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where entries (i, j) of M lie in the pattern, and which of them do; the others get a 0."""
        columns = np.repeat(np.arange(self.order, dtype=np.int64), np.diff(self.indptr))
        keys = columns * self.order + self.indices
        wanted = np.minimum(i, j) * self.order + np.maximum(i, j)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = keys[at] == wanted
        return np.where(found, at, 0), found

    def with_products(self, values: Array) -> Analysis:
        """Return the analysis with these values of Z'R⁻¹Z on the pattern."""
        couplings = tuple(replace(c, values=values[c.place]) for c in self.couplings)
        return replace(self, couplings=couplings)

    def reweighted(self, weights: Array | None) -> Analysis:
        """Return the analysis of the same rows with other weights (n,): pattern and order of elimination stay."""
        couplings = tuple(replace(c, values=self._products(c, weights)) for c in self.couplings)
        return replace(self, couplings=couplings)

    def _products(self, c: Coupling, weights: Array | None) -> Array:
        a, b = self.factors[c.first], self.factors[c.second]
        if c.first == c.second:
            out = np.zeros(c.values.shape)
            out[: a.q] = _sum_blocks(a.codes, a.q, a, a, weights)
            return out
        keys = c.rows * np.int64(b.q) + c.columns
        where = np.searchsorted(keys, a.codes.astype(np.int64) * b.q + b.codes)
        return _sum_blocks(where, len(keys), a, b, weights)

    def native(self, threads: int) -> SparseSymmetric:
        """Return a factorisation of its own, in the order of elimination already found."""
        return SparseSymmetric(
            self.order, self.indptr, self.indices, permutation=self.permutation, threads=threads
        )

    def cross_products(self) -> sparse.csr_array:
        """Return Z'WZ (order, order)."""
        data = np.zeros(len(self.indices))
        for coupling in self.couplings:
            data[coupling.place] = coupling.values
        lower = sparse.csc_array((data, self.indices, self.indptr), shape=(self.order, self.order))
        return sparse.csr_array(lower + sparse.tril(lower, -1).T)

    def design_matrix(self) -> sparse.csr_array:
        """Return Z (n, order)."""
        n = len(self.factors[0].codes) if self.factors else 0
        indices = [
            self.offsets[f] + x.codes[:, None].astype(np.int64) * x.p + np.arange(x.p)
            for f, x in enumerate(self.factors)
        ]
        values = [_values(x) for x in self.factors]
        width = sum(x.p for x in self.factors)
        return sparse.csr_array(
            (np.hstack(values).ravel(), np.hstack(indices).ravel(), np.arange(n + 1) * width),
            shape=(n, self.order),
        )


def analyse(layout: Layout, rows: Rows, clusters: Codes | None = None) -> Analysis:
    """Return the analysis of a model: one pass over the rows for each pair of factors.

    With residual `clusters` (n,) of the rows, levels that meet in a cluster are coupled, and products are left at
    zero: see `Analysis.with_products`.
    """
    factors = merge_terms(layout, rows)
    sizes = [f.q * f.p for f in factors]
    offsets = tuple(int(s) for s in np.concatenate(([0], np.cumsum(sizes)[:-1]))) if sizes else ()
    roots = tuple(_root(layout.terms[f.terms[0]].known, f) for f in factors)
    priors = tuple(
        _prior(layout.terms[f.terms[0]].known, f) if root is None else None
        for f, root in zip(factors, roots, strict=True)
    )
    if clusters is None:
        raw = [
            _coupling(factors, offsets, f, g, rows.weights, priors[f])
            for f in range(len(factors))
            for g in range(f + 1)
        ]
    else:
        raw = _cluster_couplings(factors, offsets, priors, clusters)
    return replace(assemble(factors, offsets, priors, raw), roots=roots)


def assemble(
    factors: tuple[Factor, ...],
    offsets: tuple[int, ...],
    priors: tuple[Prior | None, ...],
    raw: list[Coupling],
) -> Analysis:
    """Return the analysis of couplings with the keys of their entries in place of positions."""
    order = sum(f.q * f.p for f in factors)
    couplings, indptr, indices = _compress(raw, order)
    native = SparseSymmetric(order, indptr, indices)
    return Analysis(
        factors,
        offsets,
        order,
        priors,
        couplings,
        indptr,
        indices,
        native.permutation,
        native.stored,
        native.flops,
    )


def _values(factor: Factor) -> Array:
    return np.ones((len(factor.codes), 1)) if factor.values is None else factor.values


def _coupling(
    factors: Sequence[Factor],
    offsets: Sequence[int],
    f: int,
    g: int,
    weights: Array | None,
    prior: Prior | None,
) -> Coupling:
    """One coupling, with the keys column·order + row of its entries in place of positions."""
    a, b = factors[f], factors[g]
    if f == g:
        rows = columns = np.arange(a.q)
        values = _sum_blocks(a.codes, a.q, a, a, weights)
        entries: Array | None = None
        if prior is not None:
            below = sparse.coo_array(sparse.tril(prior.precision, -1))
            rows, columns = np.concatenate([rows, below.row]), np.concatenate([columns, below.col])
            entries = np.concatenate([prior.precision.diagonal(), below.data])
            values = np.concatenate([values, np.zeros((len(below.row), a.p, a.p))])
    else:
        pairs, where = np.unique(a.codes.astype(np.int64) * b.q + b.codes, return_inverse=True)
        rows, columns = pairs // b.q, pairs % b.q
        values, entries = _sum_blocks(where.reshape(-1), len(pairs), a, b, weights), None
    return Coupling(f, g, rows, columns, values, entries, _keys(factors, offsets, (f, g), rows, columns))


def _keys(
    factors: Sequence[Factor],
    offsets: Sequence[int],
    pair: tuple[int, int],
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
) -> NDArray[np.int64]:
    """column·order + row of the entries of blocks between levels of two factors, (k, p_first, p_second)."""
    (f, g), order = pair, offsets[-1] + factors[-1].q * factors[-1].p
    a, b = factors[f], factors[g]
    i = (offsets[f] + rows[:, None] * a.p + np.arange(a.p))[:, :, None].astype(np.int64)
    j = (offsets[g] + columns[:, None] * b.p + np.arange(b.p))[:, None, :].astype(np.int64)
    return np.asarray(np.minimum(i, j) * order + np.maximum(i, j))


def _cluster_couplings(
    factors: Sequence[Factor], offsets: Sequence[int], priors: Sequence[Prior | None], clusters: Codes
) -> list[Coupling]:
    """Couplings of all levels that meet in a residual cluster, values zero, with keys in place of positions."""
    first = np.cumsum([0, *(f.q for f in factors)])
    levels = np.concatenate([f.codes + start for f, start in zip(factors, first[:-1], strict=True)])
    shape = (int(clusters.max(initial=0)) + 1, int(first[-1]))
    entries = (np.ones(len(levels), dtype=np.int32), (np.tile(clusters, len(factors)), levels))
    incidence = sparse.csr_array(sparse.coo_array(entries, shape=shape))
    incidence.data[:] = 1
    met = sparse.coo_array(sparse.tril(incidence.T @ incidence, -1))
    return couple(factors, offsets, priors, met.row, met.col)


def couple(
    factors: Sequence[Factor],
    offsets: Sequence[int],
    priors: Sequence[Prior | None],
    i: NDArray[np.integer],
    j: NDArray[np.integer],
) -> list[Coupling]:
    """Couplings of pairs of levels i > j of all factors, values zero, with keys in place of positions."""
    first = np.cumsum([0, *(f.q for f in factors)])
    out = []
    for f, a in enumerate(factors):
        own = (i >= first[f]) & (i < first[f + 1])
        for g, b in enumerate(factors[: f + 1]):
            chosen = own & (j >= first[g]) & (j < first[g + 1])
            rows, columns = i[chosen] - first[f], j[chosen] - first[g]
            prior: Array | None = None
            if f == g:
                rows, columns, prior = _own_pairs(a.q, rows, columns, priors[f])
            values = np.zeros((len(rows), a.p, b.p))
            out.append(
                Coupling(f, g, rows, columns, values, prior, _keys(factors, offsets, (f, g), rows, columns))
            )
    return out


def _own_pairs(
    q: int, rows: NDArray[np.integer], columns: NDArray[np.integer], prior: Prior | None
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array | None]:
    """Pairs of levels of one factor, its q levels with themselves first, and the entries of Q (I without prior)."""
    below = rows.astype(np.int64) * q + columns
    every = np.arange(q)
    if prior is None and not len(below):
        return every, every, None
    entries = np.ones(q)
    if prior is not None:
        linked = sparse.coo_array(sparse.tril(prior.precision, -1))
        keys = linked.row.astype(np.int64) * q + linked.col
        below, entries = np.union1d(below, keys), prior.precision.diagonal()
    rest = np.zeros(len(below))
    if prior is not None:
        rest[np.searchsorted(below, keys)] = linked.data
    return (
        np.concatenate([every, below // q]), np.concatenate([every, below % q]), np.concatenate([entries, rest])
    )  # fmt: skip


def _sum_blocks(where: NDArray[np.integer], count: int, a: Factor, b: Factor, weights: Array | None) -> Array:
    """Σ w z_a z_b' over the rows of each of `count` blocks, (count, p_a, p_b)."""
    out = np.empty((count, a.p, b.p))
    for i in range(a.p):
        left = None if a.values is None else a.values[:, i]
        left = weights if left is None else left if weights is None else left * weights
        for j in range(b.p):
            product = left
            if b.values is not None:
                product = b.values[:, j] if left is None else left * b.values[:, j]
            out[:, i, j] = np.bincount(where, weights=product, minlength=count)
    return out


def _compress(raw: list[Coupling], order: int) -> tuple[tuple[Coupling, ...], NDArray[np.int64], Codes]:
    """Compressed-column pattern from the keys, and couplings with positions in it."""
    keys = np.concatenate([c.place.ravel() for c in raw]) if raw else np.zeros(0, dtype=np.int64)
    found, position = np.unique(keys, return_inverse=True)
    position = position.reshape(-1).astype(np.int64)
    if order == 0:
        return (), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32)
    counts = np.bincount(found // order, minlength=order)
    indptr = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    out, start = [], 0
    for c in raw:
        place = position[start : start + c.place.size].reshape(c.place.shape)
        start += c.place.size
        out.append(Coupling(c.first, c.second, c.rows, c.columns, c.values, c.prior, place))
    return tuple(out), indptr, (found % order).astype(np.int32)


def _root(known: KnownCovariance | None, factor: Factor) -> Array | None:
    """L of a singular K = LL', block-diagonal over the parameter sets of the levels, None where K has an inverse."""
    if known is None or known.covariance is None:
        return None
    try:
        return singular_root(known.covariance, factor.sets)
    except linalg.LinAlgError as error:
        raise known.improper() from error


def _prior(known: KnownCovariance | None, factor: Factor) -> Prior | None:
    if known is None:
        return None
    precision = _precision(known, factor)
    lower = sparse.csc_array(sparse.tril(precision))
    lower.sort_indices()
    native = SparseSymmetric(factor.q, lower.indptr.astype(np.int64), lower.indices.astype(np.int32))
    try:
        logdet = -native.factor(np.ascontiguousarray(lower.data, dtype=float))
    except NotPositiveDefinite as error:
        raise known.improper() from error
    return Prior(precision, native, logdet)


def _precision(known: KnownCovariance, factor: Factor) -> sparse.csr_array:
    """Q = K⁻¹, K block-diagonal over the parameter sets of the levels."""
    if known.precision is not None:
        entries = sparse.coo_array(known.precision)
        if np.array_equal(factor.sets[entries.row], factor.sets[entries.col]):
            return sparse.csr_array(known.precision)
    try:
        within = np.where(factor.sets[:, None] == factor.sets, known.dense(), 0.0)
        return sparse.csr_array(positive_inverse(within))
    except linalg.LinAlgError as error:
        raise known.improper() from error
