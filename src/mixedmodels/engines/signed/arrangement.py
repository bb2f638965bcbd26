"""Where the random columns of a model stand for the `signed` engine: a leaf of blocks and a dense tail.

The leaf holds every term on the grouping factor with most columns, level by level; the tail all other terms, term by
term, level by level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...lazy import LazyModule
from ...terms.rows import Rows, TermRows
from ...typing import Array
from ..layout import Layout, TermLayout

if TYPE_CHECKING:
    from scipy import linalg, sparse
else:
    linalg = LazyModule("scipy.linalg")
    sparse = LazyModule("scipy.sparse")

Column: TypeAlias = "tuple[sparse.csr_array, Array]"
"""Z of one random column over its levels (n, q), and Z'W[X y] (q, r + 1)."""


@dataclass(frozen=True, slots=True)
class SignedArrangement:
    """Cross-products of the random columns.

    Parameters
    ----------
    terms, rows
        The random terms, and their codes and values.
    leaf_terms, starts
        Terms of the leaf and their first column in a block of p.
    tail_terms, offsets
        Terms of the tail and their first column in it.
    q, p
        Levels of the leaf and columns per level.
    leaf, tail
        Z of the leaf (n, q·p) and of the tail (n, T).
    leaf_gram, coupling, tail_gram
        Z_j'WZ_j by leaf level (q, p, p), Z_l'WZ_t (q·p, T), Z_t'WZ_t (T, T).
    weights
        Precision weights (n,), or None.
    """

    terms: tuple[TermLayout, ...]
    rows: tuple[TermRows, ...]
    leaf_terms: tuple[int, ...]
    starts: tuple[int, ...]
    tail_terms: tuple[int, ...]
    offsets: tuple[int, ...]
    q: int
    p: int
    leaf: sparse.csr_array
    tail: sparse.csr_array
    leaf_gram: Array
    coupling: sparse.csr_array
    tail_gram: Array
    weights: Array | None

    def spread(self, blocks: Array) -> sparse.csr_array:
        """Return the block diagonal matrix of (q, p, p)."""
        if self.p == 1:
            return sparse.csr_array(sparse.diags_array(blocks[:, 0, 0]))
        at = np.arange(self.q + 1)
        shape = (self.q * self.p, self.q * self.p)
        return sparse.bsr_array((np.ascontiguousarray(blocks), at[:-1], at), shape=shape).tocsr()

    def leaf_covariances(self, sigma: Sequence[Array]) -> tuple[Array, NDArray[np.intp]]:
        """Return the distinct Σ̃ of leaf levels, (s, p, p), and which of them each level has, (q,)."""
        sets = np.column_stack([self.terms[k].sets for k in self.leaf_terms])
        distinct, which = np.unique(sets, axis=0, return_inverse=True)
        combined = [
            linalg.block_diag(*(sigma[k][s] for k, s in zip(self.leaf_terms, row, strict=True)))
            for row in distinct
        ]
        return np.array(combined), which.reshape(-1)

    def tail_roots(
        self, sigma: Sequence[Array], roots: Callable[[Array], tuple[Array, Array]]
    ) -> tuple[sparse.csr_array, Array]:
        """Return Λ_t, block diagonal (T, T), and the diagonal of J_t, (T,)."""
        parts, signs = [], []
        for k in self.tail_terms:
            root, sign = roots(sigma[k])
            sets = self.terms[k].sets
            at = np.arange(len(sets) + 1)
            size = len(sets) * root.shape[1]
            blocks = np.ascontiguousarray(root[sets])
            parts.append(sparse.bsr_array((blocks, at[:-1], at), shape=(size, size)))
            signs.append(sign[sets].reshape(-1))
        return sparse.csr_array(sparse.block_diag(parts, format="csr")), np.concatenate(signs)

    def split(self, leaf: Array, tail: Array) -> list[Array]:
        """Return what belongs to every term, (q, p, …), from leaf and tail columns."""
        blocks = leaf.reshape(self.q, self.p, *leaf.shape[1:])
        out: dict[int, Array] = {}
        for k, start in zip(self.leaf_terms, self.starts, strict=True):
            out[k] = blocks[:, start : start + self.terms[k].n_columns]
        for k, offset in zip(self.tail_terms, self.offsets, strict=True):
            q, p = self.terms[k].n_levels, self.terms[k].n_columns
            out[k] = tail[offset : offset + q * p].reshape(q, p, *tail.shape[1:])
        return [out[k] for k in range(len(self.terms))]

    def join(self, parts: Sequence[Array]) -> tuple[Array, Array]:
        """Return leaf and tail columns from what belongs to every term, (q, p, k)."""
        k = parts[0].shape[2]
        leaf = np.concatenate([parts[i] for i in self.leaf_terms], axis=1).reshape(self.q * self.p, k)
        tail = [parts[i].reshape(parts[i].shape[0] * parts[i].shape[1], k) for i in self.tail_terms]
        return leaf, np.concatenate(tail) if tail else np.zeros((0, k))

    def split_blocks(self, leaf: Array, tail: Array) -> list[Array]:
        """Return the diagonal blocks of every level of every term, (q, p, p)."""
        out: dict[int, Array] = {}
        for k, start in zip(self.leaf_terms, self.starts, strict=True):
            own = slice(start, start + self.terms[k].n_columns)
            out[k] = leaf[:, own, own]
        for k, offset in zip(self.tail_terms, self.offsets, strict=True):
            q, p = self.terms[k].n_levels, self.terms[k].n_columns
            at = offset + np.arange(q * p).reshape(q, p)
            out[k] = tail[at[:, :, None], at[:, None, :]]
        return [out[k] for k in range(len(self.terms))]

    # -- single columns, for starting values ------------------------------------------------------------------

    def columns(self, leaf_dense: Array, tail_dense: Array) -> list[Column]:
        """Return every random column, in order of terms."""
        out: list[Column] = []
        parts = self.split(leaf_dense, tail_dense)
        for term, rows, dense in zip(self.terms, self.rows, parts, strict=True):
            z = sparse.csc_array(term_matrix(term, rows))
            for j in range(term.n_columns):
                out.append((sparse.csr_array(z[:, j :: term.n_columns]), np.ascontiguousarray(dense[:, j])))
        return out

    def product(self, a: sparse.csr_array, b: sparse.csr_array) -> sparse.csr_array:
        """Return Z_a'WZ_b."""
        weighted = b if self.weights is None else sparse.csr_array(sparse.diags_array(self.weights) @ b)
        return sparse.csr_array(a.T @ weighted)

    def weighted_trace(self, z: sparse.csr_array) -> float:
        """Return tr(Z'WZ)."""
        squares = np.asarray(z.multiply(z).sum(axis=1)).ravel()
        return float(squares.sum() if self.weights is None else squares @ self.weights)


def term_matrix(term: TermLayout, rows: TermRows) -> sparse.csr_array:
    """Return Z of one term, (n, q·p), level-major."""
    values = rows.dense_values()
    n, p = values.shape
    columns = (rows.codes.astype(np.int64)[:, None] * p + np.arange(p)).ravel()
    return sparse.csr_array(
        (values.ravel(), columns, np.arange(0, n * p + 1, p)), shape=(n, term.n_levels * p)
    )


def arrange_signed(layout: Layout, rows: Rows) -> SignedArrangement:
    """Return the arrangement of a model with random terms: as leaf the grouping factor with most columns."""
    terms, n = layout.terms, layout.n
    groups: list[list[int]] = []
    for k, term in enumerate(terms):
        for group in groups:
            first = rows.random[group[0]].codes
            if terms[group[0]].n_levels == term.n_levels and np.array_equal(first, rows.random[k].codes):
                group.append(k)
                break
        else:
            groups.append([k])
    widths = [terms[g[0]].n_levels * sum(terms[k].n_columns for k in g) for g in groups]
    chosen = groups[int(np.argmax(widths))]
    q = terms[chosen[0]].n_levels
    sizes = [terms[k].n_columns for k in chosen]
    p = sum(sizes)
    rest = [k for k in range(len(terms)) if k not in chosen]
    tails = [term_matrix(terms[k], rows.random[k]) for k in rest]
    tail = sparse.csr_array(sparse.hstack(tails, format="csr")) if tails else sparse.csr_array((n, 0))
    leaf, gram = _leaf(rows, chosen, q, p)
    weighted = tail
    if rows.weights is not None:
        weighted = sparse.csr_array(sparse.diags_array(rows.weights) @ tail)
    return SignedArrangement(
        terms=terms,
        rows=rows.random,
        leaf_terms=tuple(chosen),
        starts=tuple(np.cumsum([0, *sizes])[:-1].tolist()),
        tail_terms=tuple(rest),
        offsets=tuple(np.cumsum([0, *(t.shape[1] for t in tails)])[:-1].tolist()),
        q=q,
        p=p,
        leaf=leaf,
        tail=tail,
        leaf_gram=gram,
        coupling=sparse.csr_array(leaf.T @ weighted),
        tail_gram=np.asarray((tail.T @ weighted).toarray()),
        weights=rows.weights,
    )


def _leaf(rows: Rows, chosen: Sequence[int], q: int, p: int) -> tuple[sparse.csr_array, Array]:
    """Return Z of the leaf (n, q·p) and Z_j'WZ_j, (q, p, p)."""
    n = len(rows)
    codes = rows.random[chosen[0]].codes.astype(np.int64)
    values = np.concatenate([rows.random[k].dense_values() for k in chosen], axis=1)
    columns = (codes[:, None] * p + np.arange(p)).ravel()
    leaf = sparse.csr_array((values.ravel(), columns, np.arange(0, n * p + 1, p)), shape=(n, q * p))
    weighted = values if rows.weights is None else values * rows.weights[:, None]
    gram = np.empty((q, p, p))
    for a in range(p):
        for b in range(a, p):
            sums = np.bincount(codes, weights=values[:, a] * weighted[:, b], minlength=q)
            gram[:, a, b] = gram[:, b, a] = sums
    return leaf, gram
