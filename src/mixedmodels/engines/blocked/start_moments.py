"""MIVQUE0 moment equations from cross-products alone.

With M = W − WX(X'WX)⁻¹X'W, V_a = Z_aZ_a' for each random column a (Z_aK Z_a' under a known covariance K = LL') and
V_e = W⁻¹ for the errors, the quadratic forms q_a = y'MV_aMy have expectation Σ_b tr(MV_aMV_b) v_b. Every trace is a
sum of squares of B_ab = Z_a'MZ_b = A_ab − x_aCx_b', A_ab = Z_a'WZ_b, x_a = Z_a'WX, C = (X'WX)⁻¹:

    tr(MV_aMV_b) = Σ A² − 2 Σ A∘(x_aCx_b') + tr(C x_a'x_a C x_b'x_b),   tr(MV_aMV_e) = tr(MV_a),   tr(MV_eMV_e) = n − r.

Rao (1971); Goodnight (1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...kernels import inverse_of, row_products
from ...lazy import LazyModule
from ...typing import Array

if TYPE_CHECKING:
    from scipy import sparse

    from ...kernels import Blocked
    from ..arrangement import Arrangement
    from ..layout import Layout
    from .tail import TailBlock
else:
    sparse = LazyModule("scipy.sparse")

FEW = 4
"""Columns of X up to which products over the levels are taken column by column."""


@dataclass(frozen=True, slots=True)
class _Column:
    """One random column over its levels: factor, column within it, x (q, r), Z'y (q,), and the factor of its K."""

    factor: int
    column: int
    x: Array
    y: Array
    known_factor: Array | None

    def rotate(self, values: Array) -> Array:
        return values if self.known_factor is None else self.known_factor.T @ values


def mivque0(
    native: Blocked, arranged: Arrangement, blocks: tuple[TailBlock, ...], gram: Array, layout: Layout
) -> tuple[Array, Array]:
    """Return S (K+1, K+1) and q (K+1,), columns in order of random terms, the residual last."""
    r = len(gram) - 1
    c = inverse_of(gram[:r, :r])
    parts = _Parts(native, arranged, blocks, len(gram))
    columns = [parts.column(k, j) for k, term in enumerate(layout.terms) for j in range(term.n_columns)]
    size = len(columns) + 1
    s, q = np.zeros((size, size)), np.zeros(size)
    s[-1, -1] = layout.n - r
    q[-1] = gram[r, r]
    rotated = [a.rotate(a.x) for a in columns]
    squares = [_products(x, x) for x in rotated]
    for i, a in enumerate(columns):
        y = a.rotate(a.y)
        q[i] = _sum(y, y)
        for j in range(i, len(columns)):
            b = columns[j]
            block = parts.products(a, b)
            if a.known_factor is not None or b.known_factor is not None:
                block = _rotate(block, a, b)
            total, inner = _sums(block, rotated[i], rotated[j])
            cross = float(np.sum(c * inner))
            s[i, j] = s[j, i] = total - 2 * cross + np.trace(c @ squares[i] @ c @ squares[j])
            if i == j:
                s[i, -1] = s[-1, i] = _trace(block) - np.sum(c * squares[i])
    return s, q


def _rotate(block: Any, a: _Column, b: _Column) -> Array:
    dense: Array
    if sparse.issparse(block):
        dense = _from_sparse(block)
    else:
        dense = np.diag(block) if block.ndim == 1 else np.asarray(block)
    dense = a.rotate(dense)
    return dense if b.known_factor is None else dense @ b.known_factor


def _from_sparse(block: Any) -> Array:
    return np.asarray(block.toarray())


def _sums(block: Any, left: Array, right: Array) -> tuple[float, Array]:
    """Σ A² and left'A right for A diagonal (1-d), sparse, or dense."""
    if not isinstance(block, np.ndarray):
        return _sum(block.data, block.data), _products(left, block @ right)
    if block.ndim == 1:
        return _sum(block, block), _products(left * block[:, None], right)
    if right.shape[1] > FEW:
        return _sum(block, block), _products(left, block @ right)
    moved = [np.einsum("ij,j->i", block, column) for column in np.ascontiguousarray(right.T)]
    return _sum(block, block), _products(left, np.array(moved).T.reshape(len(left), -1))


def _products(left: Array, right: Array) -> Array:
    """left'right (r, r) for (q, r): few columns without BLAS, whose threads take longer to start and stop."""
    if left.shape[1] > FEW:
        return row_products(left.T, right.T)
    pairs = [[_sum(a, b) for b in right.T] for a in left.T]
    return np.array(pairs).reshape(left.shape[1], right.shape[1])


def _sum(a: Array, b: Array) -> float:
    """Σ ab over all entries."""
    flat = "ij,ij->" if a.ndim == 2 else "i,i->"
    return float(np.einsum(flat, a, b))


def _trace(block: Any) -> float:
    return float(block.sum()) if isinstance(block, np.ndarray) and block.ndim == 1 else float(block.trace())


class _Parts:
    """Cross-products of random columns, read from the native chain and tail."""

    def __init__(
        self, native: Blocked, arranged: Arrangement, blocks: tuple[TailBlock, ...], dense: int
    ) -> None:
        self.arranged = arranged
        self.blocks = blocks
        self.d = dense
        width = self.arranged.tail_width
        tail, tail_dense = native.tail_products()
        self.tail = tail.reshape(width, width)
        self.tail_dense = tail_dense.reshape(width, self.d)
        self.chain = [native.chain_products(c) for c in range(len(self.arranged.chain))]
        self.ancestors = [native.ancestors(c) for c in range(len(self.arranged.chain))]

    def column(self, term: int, j: int) -> _Column:
        f, start = self.arranged.place(term)
        factor = self.arranged.factors[f]
        if f in self.arranged.chain:
            dense = self.chain[self.arranged.chain.index(f)][2].reshape(factor.q, factor.p, self.d)[
                :, start + j
            ]
            return _Column(f, start + j, np.ascontiguousarray(dense[:, :-1]), dense[:, -1], None)
        block = self.blocks[self.arranged.tail.index(f)]
        dense = self.tail_dense[block.columns].reshape(factor.q, factor.p, self.d)[:, start + j]
        return _Column(f, start + j, np.ascontiguousarray(dense[:, :-1]), dense[:, -1], block.known_factor)

    def products(self, a: _Column, b: _Column) -> Any:
        """Z_a'WZ_b (q_a, q_b): a vector when diagonal, sparse, or dense."""
        in_chain = [f in self.arranged.chain for f in (a.factor, b.factor)]
        if all(in_chain):
            return self._chain_chain(a, b)
        if not any(in_chain):
            return self._tail_tail(a, b)
        return self._chain_tail(a, b) if in_chain[0] else self._chain_tail(b, a).T

    def _chain_chain(self, a: _Column, b: _Column) -> Any:
        ca, cb = (self.arranged.chain.index(x.factor) for x in (a, b))
        if ca == cb:
            p = self.arranged.factors[a.factor].p
            return self.chain[ca][0].reshape(-1, p, p)[:, a.column, b.column]
        if ca > cb:
            return self._chain_chain(b, a).T
        low, high = self.arranged.factors[a.factor], self.arranged.factors[b.factor]
        above = [self.arranged.factors[f].p for f in self.arranged.chain[ca + 1 :]]
        first = sum(above[: cb - ca - 1])
        values = self.chain[ca][1].reshape(low.q, low.p, sum(above))[:, a.column, first + b.column]
        parent = self.ancestors[ca][cb - ca - 1].astype(np.int32)
        return sparse.csr_array((values, parent, np.arange(low.q + 1)), shape=(low.q, high.q))

    def _tail_tail(self, a: _Column, b: _Column) -> Any:
        fa, fb = (self.blocks[self.arranged.tail.index(x.factor)] for x in (a, b))
        if a.factor == b.factor:
            at = fa.first + np.arange(fa.data.q) * fa.data.p
            high, low = max(a.column, b.column), min(a.column, b.column)
            return self.tail[at + high, at + low]
        if fa.first < fb.first:
            return self._tail_tail(b, a).T
        rows = slice(fa.first + a.column, fa.columns.stop, fa.data.p)
        return self.tail[rows, fb.first + b.column : fb.columns.stop : fb.data.p]

    def _chain_tail(self, a: _Column, b: _Column) -> Any:
        low = self.arranged.factors[a.factor]
        block = self.blocks[self.arranged.tail.index(b.factor)]
        _, _, _, start, column, values = self.chain[self.arranged.chain.index(a.factor)]
        shape = (low.q, self.arranged.tail_width)
        data = np.ascontiguousarray(values.reshape(-1, low.p)[:, a.column])
        every = sparse.csr_array((data, column.astype(np.int32), start.astype(np.int32)), shape=shape)
        if self.arranged.tail_width == block.data.q and block.data.p == 1:
            return every
        return every[:, block.first + b.column : block.columns.stop : block.data.p]
