"""Factors whose known covariance K = LL' has no inverse, in the basis of its directions: b = (L⊗I)a, var(a) = I⊗Σ.

Equations then are those of a, whose products are L'(Z'WZ)L, and every answer about b is one about La. A direction
in which K has no variance is a column of zeros in L: it stays as a column of a that no row says anything about, with
1 on the diagonal of M, so that levels and directions are as many. L⊗I and I⊗Λ commute, for L goes between levels of
one parameter set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...lazy import LazyModule
from ...typing import Array
from .pattern import Analysis, Coupling, assemble, couple

if TYPE_CHECKING:
    from scipy import sparse
    from scipy.sparse import csgraph
else:
    sparse, csgraph = LazyModule("scipy.sparse"), LazyModule("scipy.sparse.csgraph")


@dataclass(frozen=True, slots=True)
class Turn:
    """The way between levels and directions: L of every factor, None for those that stay as they are.

    `analysis` is that of a, without products; `matrix` (order, order) is b = `matrix`·a.
    """

    roots: tuple[Array | None, ...]
    analysis: Analysis
    matrix: sparse.csr_array

    @classmethod
    def of(cls, written: Analysis) -> Turn | None:
        """Return the turn of an analysis of levels, None where every known covariance has an inverse."""
        if all(root is None for root in written.roots):
            return None
        blocks = [
            sparse.eye_array(x.q * x.p) if root is None else sparse.csr_array(np.kron(root, np.eye(x.p)))
            for x, root in zip(written.factors, written.roots, strict=True)
        ]
        matrix = sparse.csr_array(sparse.block_diag(blocks))
        return cls(written.roots, _pattern(written), matrix)

    def out(self, a: Array) -> Array:
        """Return b = La, (order, c)."""
        return np.asarray(self.matrix @ a)

    def into(self, g: Array) -> Array:
        """Return L'g, (order, c), for products with columns of Z."""
        return np.asarray(self.matrix.T @ g)

    def rows(self, z: sparse.csr_array) -> sparse.csr_array:
        """Return rows over a of rows over b, (n, order)."""
        return sparse.csr_array(z @ self.matrix)

    def products(self, written: Analysis) -> Analysis:
        """Return the analysis of a with L'(Z'WZ)L in the place of the products of levels."""
        values = np.zeros(len(self.analysis.indices))
        own = {(c.first, c.second): c for c in written.couplings}
        for c in self.analysis.couplings:
            found = own[c.first, c.second]
            values[c.place] = _carried(written, found, found.values, self.roots, c)
        return self.analysis.with_products(values)

    def entries(self, values: Array, written: Analysis) -> Array:
        """Return the entries of LCL' on the pattern of levels, C given on that of directions."""
        out = np.zeros(len(written.indices))
        own = {(c.first, c.second): c for c in self.analysis.couplings}
        back = tuple(None if root is None else root.T for root in self.roots)
        for c in written.couplings:
            found = own[c.first, c.second]
            out[c.place] = _carried(written, found, values[found.place], back, c)
        return out


def _carried(
    written: Analysis, source: Coupling, values: Array, roots: Sequence[Array | None], target: Coupling
) -> Array:
    """Return the blocks of A'BA' at the pairs of `target`, B given by blocks at those of `source`, A by factor."""
    f, g = source.first, source.second
    a, b = written.factors[f], written.factors[g]
    block = _matrix(source, values, (a.q, a.p, b.q, b.p))
    left, right = _wide(roots[f], a.p), _wide(roots[g], b.p)
    moved = block if right is None else np.asarray(block @ right)
    if left is not None:
        moved = np.asarray((moved.T @ left).T)
    if not isinstance(moved, np.ndarray):
        return _picked(sparse.csr_array(moved), target, (a.p, b.p))
    return np.asarray(moved.reshape(a.q, a.p, b.q, b.p)[target.rows, :, target.columns, :])


def _wide(root: Array | None, p: int) -> Array | None:
    """Return L⊗I for p columns, None where levels stay as they are."""
    return root if root is None or p == 1 else np.asarray(np.kron(root, np.eye(p)), dtype=np.float64)


def _matrix(c: Coupling, values: Array, shape: tuple[int, int, int, int]) -> sparse.csr_array:
    """Return blocks (k, p_a, p_b) at pairs of levels as a matrix (q_a·p_a, q_b·p_b), whole where a is b."""
    qa, pa, qb, pb = shape
    i = (c.rows[:, None, None] * pa + np.arange(pa)[:, None]) + np.zeros((1, 1, pb), dtype=np.int64)
    j = (c.columns[:, None, None] * pb + np.arange(pb)) + np.zeros((1, pa, 1), dtype=np.int64)
    found = sparse.csr_array(
        sparse.coo_array((values.ravel(), (i.ravel(), j.ravel())), shape=(qa * pa, qb * pb))
    )
    if c.first != c.second:
        return found
    off = np.repeat(c.rows != c.columns, pa * pb)
    below = sparse.coo_array((values.ravel()[off], (j.ravel()[off], i.ravel()[off])), shape=found.shape)
    return sparse.csr_array(found + sparse.csr_array(below))


def _picked(block: sparse.csr_array, target: Coupling, widths: tuple[int, int]) -> Array:
    """Return the entries of a sparse matrix at pairs of levels, (k, p_a, p_b)."""
    pa, pb = widths
    out = np.empty((len(target.rows), pa, pb))
    for i in range(pa):
        for j in range(pb):
            out[:, i, j] = np.asarray(block[target.rows * pa + i, target.columns * pb + j]).ravel()
    return out


def _pattern(written: Analysis) -> Analysis:
    """Return the analysis of a without products: directions are coupled where parts of K that they are of meet."""
    factors = written.factors
    first = np.cumsum([0, *(x.q for x in factors)])
    rows = np.concatenate([first[c.first] + c.rows for c in written.couplings])
    columns = np.concatenate([first[c.second] + c.columns for c in written.couplings])
    n = int(first[-1])
    met = sparse.csr_array(sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n)))
    parts = [_parts(x.q, root) for x, root in zip(factors, written.roots, strict=True)]
    count = np.cumsum([0, *(int(part.max(initial=-1)) + 1 for part in parts)])
    part = np.concatenate([own + start for own, start in zip(parts, count[:-1], strict=True)])
    belongs = sparse.csr_array((np.ones(n), part, np.arange(n + 1)), shape=(n, int(count[-1])))
    between = sparse.csr_array(belongs.T @ (met + met.T) @ belongs)
    directions = sparse.coo_array(sparse.tril(belongs @ between @ belongs.T, -1))
    raw = couple(factors, written.offsets, written.priors, directions.row, directions.col)
    return assemble(factors, written.offsets, written.priors, raw)


def _parts(q: int, root: Array | None) -> NDArray[np.integer]:
    """Return the part of K that each level is of, (q,): levels themselves where they stay as they are."""
    if root is None:
        return np.arange(q)
    found: NDArray[np.integer] = csgraph.connected_components(sparse.csr_array(root), directed=False)[1]
    return found
