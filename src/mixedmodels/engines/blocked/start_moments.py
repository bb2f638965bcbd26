"""MIVQUE0 moment equations from cross-products alone.

With M = W − WX(X'WX)⁻¹X'W, V_a = Z_aZ_a' for each random column a (Z_aK Z_a' under a known covariance K = LL') and
V_e = W⁻¹ for the errors, the quadratic forms q_a = y'MV_aMy have expectation Σ_b tr(MV_aMV_b) v_b. Every trace is a
sum of squares of B_ab = Z_a'MZ_b = A_ab − x_ax_b', A_ab = Z_a'WZ_b, x_a = Z_a'WXR, RR' = (X'WX)⁻¹:

    tr(MV_aMV_b) = Σ A² − 2 Σ A∘(x_ax_b') + tr(x_a'x_a x_b'x_b),   tr(MV_aMV_e) = tr(MV_a),   tr(MV_eMV_e) = n − r.

Rao (1971); Goodnight (1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import row_products, solve_lower, thin_product
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

MANY = 16
"""Columns of one factor from which their products are taken together."""
FEW = 4
"""Columns of X up to which products with a dense block are taken column by column."""


@dataclass(frozen=True, slots=True)
class _Column:
    """One random column over its levels: factor, column within it, x (q, r), Z'y (q,), and the factor of its K.

    `order` is that of the products: the chain from its leaf, then the tail from its end.
    """

    order: int
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
    root = solve_lower(np.asarray(np.linalg.cholesky(gram[:r, :r]), dtype=float), np.eye(r)).T
    parts = _Parts(native, arranged, blocks, root)
    columns = [parts.column(k, j) for k, term in enumerate(layout.terms) for j in range(term.n_columns)]
    size = len(columns)
    s, q = np.zeros((size + 1, size + 1)), np.zeros(size + 1)
    s[-1, -1] = layout.n - r
    q[-1] = gram[r, r]
    rotated = [a.rotate(a.x) for a in columns]
    squares = np.array([row_products(x.T, x.T) for x in rotated]).reshape(size, r * r)
    s[:-1, :-1] = squares @ squares.T
    together = set()
    for f, at, among, with_errors in _many_columns(arranged, columns, parts):
        s[np.ix_(at, at)] += among
        s[at, -1] = s[-1, at] = with_errors - squares[at, :: r + 1].sum(axis=1)
        together.add((f, f))
    for i, a in enumerate(columns):
        y = a.rotate(a.y)
        q[i] = _dot(y, y)
        for j in range(i, size):
            if (a.factor, columns[j].factor) in together:
                continue
            low, high = (i, j) if a.order <= columns[j].order else (j, i)
            block = parts.products(columns[low], columns[high])
            if columns[low].known_factor is not None or columns[high].known_factor is not None:
                block = _rotate(block, columns[low], columns[high])
            if i == j:
                s[i, -1] = s[-1, i] = _trace(block) - squares[i, :: r + 1].sum()
            s[i, j] += _less_projection(block, rotated[low], rotated[high])
            s[j, i] = s[i, j]
    return s, q


def _many_columns(
    arranged: Arrangement, columns: list[_Column], parts: _Parts
) -> list[tuple[int, NDArray[np.intp], Array, Array]]:
    """Return for chain factors of many columns: factor, columns (k,), Σ A² − 2 Σ A∘x_ax_b' (k, k) and tr A_aa (k,)."""
    found = []
    for place, f in enumerate(arranged.chain):
        at = np.array([i for i, column in enumerate(columns) if column.factor == f], dtype=np.intp)
        if len(at) < MANY:
            continue
        own, p = [columns[i].column for i in at], arranged.factors[f].p
        z = parts.chain[place][0].reshape(-1, p, p)[:, own][:, :, own]
        x = np.stack([columns[i].x for i in at], axis=1)
        among = np.einsum("qkl,qkl->kl", z, z) - 2 * np.einsum("qkl,qkl->kl", z, x @ x.transpose(0, 2, 1))
        found.append((f, at, among, np.einsum("qkk->k", z)))
    return found


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


def _less_projection(block: Any, left: Array, right: Array) -> float:
    """Return Σ A² − 2 Σ A∘(left·right') for A diagonal (1-d), (values, parents) of nested levels, sparse or dense."""
    if isinstance(block, tuple):
        values, parent = block
        return _dot(values, values) - 2.0 * float(np.einsum("q,qr,qr->", values, left, right[parent]))
    if not isinstance(block, np.ndarray):
        return _dot(block.data, block.data) - 2.0 * _sum(left, block @ right)
    if block.ndim == 1:
        return _dot(block, block) - 2.0 * float(np.einsum("q,qr,qr->", block, left, right))
    if right.shape[1] > FEW:
        return _sum(block, block) - 2.0 * _sum(left, block @ right)
    moved = [float(np.einsum("ij,i,j->", block, a, b)) for a, b in zip(left.T, right.T, strict=True)]
    return _sum(block, block) - 2.0 * sum(moved)


def _dot(a: Array, b: Array) -> float:
    """Return a'b without BLAS, whose threads take longer to start and stop."""
    return float(np.einsum("i,i->", a, b))


def _sum(a: Array, b: Array) -> float:
    """Σ ab over all entries."""
    return float(np.einsum("ij,ij->", a, b))


def _trace(block: Any) -> float:
    return float(block.sum()) if isinstance(block, np.ndarray) and block.ndim == 1 else float(block.trace())


class _Parts:
    """Cross-products of random columns, read from the native chain and tail."""

    def __init__(
        self, native: Blocked, arranged: Arrangement, blocks: tuple[TailBlock, ...], root: Array
    ) -> None:
        self.arranged = arranged
        self.blocks = blocks
        width, dense = self.arranged.tail_width, len(root) + 1
        tail, tail_dense = native.tail_products()
        self.tail = tail.reshape(width, width)
        self.chain = [native.chain_products(c) for c in range(len(self.arranged.chain))]
        self.ancestors = [native.ancestors(c) for c in range(len(self.arranged.chain))]
        self._dense: dict[int, tuple[Array, Array]] = {}
        for c, f in enumerate(self.arranged.chain):
            self._keep(f, self.chain[c][2].reshape(-1, dense), root)
        for block in blocks:
            self._keep(block.factor, tail_dense.reshape(width, dense)[block.columns], root)

    def _keep(self, f: int, dense: Array, root: Array) -> None:
        shape = (self.arranged.factors[f].q, self.arranged.factors[f].p)
        x = thin_product(dense[:, :-1], root).reshape(*shape, len(root))
        self._dense[f] = (x, dense[:, -1].reshape(shape))

    def column(self, term: int, j: int) -> _Column:
        f, start = self.arranged.place(term)
        (x, y), at = self._dense[f], start + j
        if f in self.arranged.chain:
            order, known = self.arranged.chain.index(f), None
        else:
            place = self.arranged.tail.index(f)
            order, known = len(self.arranged.factors) - place, self.blocks[place].known_factor
        return _Column(order, f, at, np.ascontiguousarray(x[:, at]), np.ascontiguousarray(y[:, at]), known)

    def products(self, a: _Column, b: _Column) -> Any:
        """Z_a'WZ_b (q_a, q_b) of columns in order: a vector when diagonal, values by level with their parents when
        nested, sparse, or dense."""
        if b.factor in self.arranged.chain:
            return self._chain_chain(a, b)
        return self._chain_tail(a, b) if a.factor in self.arranged.chain else self._tail_tail(a, b)

    def _chain_chain(self, a: _Column, b: _Column) -> Any:
        ca, cb = (self.arranged.chain.index(x.factor) for x in (a, b))
        if ca == cb:
            p = self.arranged.factors[a.factor].p
            return self.chain[ca][0].reshape(-1, p, p)[:, a.column, b.column]
        low = self.arranged.factors[a.factor]
        above = [self.arranged.factors[f].p for f in self.arranged.chain[ca + 1 :]]
        first = sum(above[: cb - ca - 1])
        values = self.chain[ca][1].reshape(low.q, low.p, sum(above))[:, a.column, first + b.column]
        return values, self.ancestors[ca][cb - ca - 1]

    def _tail_tail(self, a: _Column, b: _Column) -> Any:
        fa, fb = (self.blocks[self.arranged.tail.index(x.factor)] for x in (a, b))
        if a.factor == b.factor:
            at = fa.first + np.arange(fa.data.q) * fa.data.p
            high, low = max(a.column, b.column), min(a.column, b.column)
            return self.tail[at + high, at + low]
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
