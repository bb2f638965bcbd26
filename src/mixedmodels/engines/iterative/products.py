"""Sparse cross-products of crossed random factors: the leaf with everything, and the tail with itself.

    A = Z'WZ = [[A_l, N], [N', B]],   w = Z'W[X y],

A_l block-diagonal over the levels of the leaf, N the columns of the tail that each level of the leaf meets, B those of
the tail that meet one another. Numbers held grow with the pairs of levels that meet, never with the square of a factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import level_products, sparse_product
from ...lazy import LazyModule
from ...terms.rows import Rows
from ...typing import Array
from ..arrangement import Factor
from ..cross_products import PairSums, pairs_by_factor
from ..standardise import Standardised

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = LazyModule("scipy.sparse")


@dataclass(frozen=True, slots=True, eq=False)
class SparseRows:
    """A sparse matrix (n, m) by rows: where each starts (n + 1,), and columns and values of its entries."""

    start: NDArray[np.int64]
    column: NDArray[np.int32]
    values: Array
    width: int
    threads: int

    @classmethod
    def of(cls, matrix: Any, threads: int) -> SparseRows:
        """Return a SciPy matrix by rows."""
        rows = sparse.csr_array(matrix)
        start, column = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
        return cls(start, column, np.asarray(rows.data, dtype=float), rows.shape[1], threads)

    def times(self, dense: Array) -> Array:
        """Return the product with a dense matrix (m, c), (n, c)."""
        return sparse_product(self.start, self.column, self.values, dense, self.threads)


@dataclass(frozen=True, slots=True, eq=False)
class SparseProducts:
    """The cross-products of a model, factors in order: the leaf, then the tail.

    Parameters
    ----------
    factors
        The factors, and `offsets` the first column of each of the tail among `width`.
    block, dense
        Z'WZ of every level (q, p, p) and Z'W[X ys] (q·p, r+1), by factor.
    pairs
        Pairs of levels that meet, by two factors i < j.
    coupling, coupling_turned, tail
        N, N' and B.
    gram
        [X ys]'W[X ys], (r+1, r+1).
    """

    factors: tuple[Factor, ...]
    offsets: tuple[int, ...]
    width: int
    block: tuple[Array, ...]
    dense: tuple[Array, ...]
    pairs: dict[tuple[int, int], PairSums]
    coupling: SparseRows
    coupling_turned: SparseRows
    tail: SparseRows
    gram: Array

    @classmethod
    def of(cls, factors: tuple[Factor, ...], rows: Rows, standard: Standardised) -> SparseProducts:
        """Return the cross-products of rows that are held."""
        block, dense, pairs = [], [], {}
        for f, factor in enumerate(factors):
            own, columns, met = _of_factor(factors[f:], rows, standard)
            block.append(own.reshape(factor.q, factor.p, factor.p))
            dense.append(columns.reshape(factor.q * factor.p, -1))
            pairs.update({(f, f + g): pair for g, pair in met.items()})
        sizes = [factor.q * factor.p for factor in factors[1:]]
        offsets = tuple(int(at) for at in np.cumsum([0, *sizes[:-1]]))
        width, threads = sum(sizes), standard.threads
        entries = [_entries(pairs[0, g + 1], 0, at) for g, at in enumerate(offsets)]
        shape = (factors[0].q * factors[0].p, width)
        coupling = _summed(entries, shape)
        return cls(
            factors, offsets, width, tuple(block), tuple(dense), pairs,
            SparseRows.of(coupling, threads), SparseRows.of(coupling.T, threads),
            SparseRows.of(_tail(block, pairs, offsets, width), threads), standard.gram,
        )  # fmt: skip

    def places(self, f: int) -> slice:
        """Return the columns of a factor of the tail."""
        first = self.offsets[f - 1]
        return slice(first, first + self.factors[f].q * self.factors[f].p)

    @property
    def entries(self) -> int:
        """Entries of N, N' and B."""
        return 2 * len(self.coupling.column) + len(self.tail.column)


def _of_factor(
    factors: tuple[Factor, ...], rows: Rows, s: Standardised
) -> tuple[Array, Array, dict[int, PairSums]]:
    """Return the sums of the first of some factors, and of its pairs with the others."""
    native = [(f.codes, f.values, f.p, f.q) for f in factors]
    block, dense, start, column, values = level_products(
        native[0], native[1:], s.x, s.y, s.centre, s.scale, s.beta, rows.weights, s.threads
    )
    met = pairs_by_factor(start, column, values.reshape(-1, factors[0].p), [(f.p, f.q) for f in factors[1:]])
    return block, dense, dict(enumerate(met, 1))


def _entries(pairs: PairSums, row: int, column: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Return rows, columns and values of the entries of pairs whose first columns are `row` and `column`."""
    _, p, q = pairs.values.shape
    at = row + pairs.first[:, None, None] * p + np.arange(p)[:, None]
    to = column + pairs.second[:, None, None] * q + np.arange(q)
    shape = pairs.values.shape
    return np.broadcast_to(at, shape).ravel(), np.broadcast_to(to, shape).ravel(), pairs.values.ravel()


def _summed(entries: list[Any], shape: tuple[int, int]) -> Any:
    at, to, values = (np.concatenate([one[k] for one in entries]) for k in range(3))
    return sparse.coo_array((values, (at.astype(np.int32), to.astype(np.int32))), shape=shape).tocsr()


def _tail(
    block: list[Array], pairs: dict[tuple[int, int], PairSums], offsets: tuple[int, ...], width: int
) -> Any:
    """Return B, (width, width)."""
    entries = []
    for f, at in enumerate(offsets, 1):
        levels = np.arange(len(block[f]))
        entries.append(_entries(PairSums(levels, levels, block[f]), at, at))
        for g in range(f + 1, len(offsets) + 1):
            row, column, values = _entries(pairs[f, g], at, offsets[g - 1])
            entries += [(row, column, values), (column, row, values)]
    return _summed(entries, (width, width))
