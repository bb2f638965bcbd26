"""The equations at one Λ: the leaf eliminated, conjugate gradients on what it leaves of the tail.

With D_j = Λ'A_jjΛ + I of every level of the leaf and K = ΛD⁻¹Λ',

    C = B − N'KN = Z_t'V₁⁻¹Z_t,   c = w_t − N'Kw_l,   S = Λ'CΛ + I   (V₁: the leaf integrated out),
    log|Ṽ| = Σ_j log|D_j| + log|S|,   b_t = ΛS⁻¹Λ'c,   b_l = K(w_l − Nb_t)

for w = Z'W·(any right-hand side). S is never formed: its products are sparse ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...typing import Array
from .conjugate import Solved, conjugate_gradients
from .products import SparseProducts

PRECISE = 1e-12
"""Tolerance of solutions, whose error is to be nobody's concern."""
REFINED = 1e-4
"""Tolerance of the correction by the true residual, which conjugate gradients lose sight of."""


def times(blocks: Array, v: Array) -> Array:
    """Return block-diagonal (q, p, p) times v (q·p, c)."""
    q, p = blocks.shape[:2]
    if p == 1:
        return np.asarray(blocks[:, 0] * v)
    return np.asarray((blocks @ v.reshape(q, p, -1)).reshape(v.shape))


def turned(blocks: Array) -> Array:
    """Return the transposes of blocks (q, p, p)."""
    return blocks.transpose(0, 2, 1)


class Point:
    """The equations at Λ, one (sets, p, p) for each factor.

    `k` and `r` are K = ΛD⁻¹Λ' and R = I − AK of the levels of the leaf, (q, p, p); `own` the diagonal blocks of C by
    factor of the tail, (q, p, p); `diagonal` that of S, (T,).
    """

    def __init__(self, products: SparseProducts, roots: Sequence[Array]) -> None:
        self.products = products
        self.roots = list(roots)
        factors = products.factors
        self.by_level = [root[f.sets] for root, f in zip(roots, factors, strict=True)]
        leaf, block = self.by_level[0], products.block[0]
        d = turned(leaf) @ block @ leaf + np.eye(factors[0].p)
        # LinAlgError where weights make it indefinite
        lower = np.linalg.cholesky(d)
        self.logdet_leaf = 2.0 * float(np.log(np.einsum("qaa->qa", lower)).sum())
        self.k = leaf @ np.linalg.solve(d, turned(leaf))
        # I − AK loses digits where Σ is large
        eye = np.eye(factors[0].p)
        moved = eye + block @ (leaf @ turned(leaf))
        self.r = np.asarray(np.linalg.solve(moved, np.broadcast_to(eye, block.shape)), dtype=np.float64)
        self.own = [self._own_block(f) for f in range(1, len(factors))]
        scaled = [
            np.einsum("qba,qbc,qca->qa", root, own, root).ravel() + 1.0
            for root, own in zip(self.by_level[1:], self.own, strict=True)
        ]
        self.diagonal = np.concatenate(scaled)

    def _own_block(self, f: int) -> Array:
        """Return the diagonal blocks of C of a factor of the tail."""
        pairs, block = self.products.pairs[0, f], self.products.block[f]
        out = np.empty_like(block)
        left = pairs.values.transpose(0, 2, 1)
        if left.shape[2] == 1:
            weighted = pairs.values * self.k[pairs.first]
            taken = np.einsum("mka,mkb->mab", pairs.values, weighted)
        else:
            taken = left @ (self.k[pairs.first] @ pairs.values)
        for a in range(block.shape[1]):
            for b in range(block.shape[1]):
                sums = np.bincount(pairs.second, weights=taken[:, a, b], minlength=len(block))
                out[:, a, b] = block[:, a, b] - sums
        return out

    # -- products ----------------------------------------------------------------------------------------------

    def scale(self, v: Array, *, turn: bool = False) -> Array:
        """Return Λv over the tail, (T, c), or Λ'v."""
        parts = [
            times(turned(root) if turn else root, v[self.products.places(f)])
            for f, root in enumerate(self.by_level[1:], 1)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def reduced(self, v: Array) -> Array:
        """Return Cv, (T, c)."""
        p = self.products
        return p.tail.times(v) - p.coupling_turned.times(times(self.k, p.coupling.times(v)))

    def schur(self, v: Array) -> Array:
        """Return Sv, (T, c)."""
        return self.scale(self.reduced(self.scale(v)), turn=True) + v

    def solve_schur(self, right: Array, tolerance: float = PRECISE) -> Solved:
        """Return S⁻¹ of right-hand sides (T, c)."""
        return conjugate_gradients(self.schur, self.diagonal, right, tolerance)

    def solve_precisely(self, right: Array) -> Array:
        """Return S⁻¹ of right-hand sides (T, c) to rounding."""
        return self.corrected(self.solve_schur(right).x, right)

    def corrected(self, x: Array, right: Array) -> Array:
        """Return a solution improved by what it leaves of the right-hand sides."""
        return np.asarray(x + self.solve_schur(right - self.schur(x), REFINED).x)

    # -- right-hand sides over all factors -----------------------------------------------------------------------

    def effects(self, leaf: Array, tail: Array) -> tuple[Array, Array]:
        """Return ΛM⁻¹Λ'w for w by leaf (q·p, c) and tail (T, c): the effects predicted from Z'W·(a response)."""
        p = self.products
        right = self.scale(tail - p.coupling_turned.times(times(self.k, leaf)), turn=True)
        b_tail = self.scale(self.solve_precisely(right))
        return times(self.k, leaf - p.coupling.times(b_tail)), b_tail

    def gram(self, leaf: Array, tail: Array) -> tuple[Array, Array]:
        """Return Z'WZ·b for b by leaf (q·p, c) and tail (T, c)."""
        p = self.products
        return (
            times(p.block[0], leaf) + p.coupling.times(tail),
            p.coupling_turned.times(leaf) + p.tail.times(tail),
        )

    def marginal(self, leaf: Array, tail: Array) -> tuple[Array, Array]:
        """Return Z'Ṽ⁻¹Z·b."""
        w_leaf, w_tail = self.gram(leaf, tail)
        fitted = self.gram(*self.effects(w_leaf, w_tail))
        return w_leaf - fitted[0], w_tail - fitted[1]
