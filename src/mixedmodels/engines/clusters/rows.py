"""Sums over the clusters of one size, kept as rows: for clusters that differ in V, and for variance
functions.

With V = LL' of each class, α_i = V⁻¹(y_i − X_iβ̂), U_i = V⁻¹X_i and Φ = R'R = (X'V⁻¹X)⁻¹, a group answers with

    total   = Σ_i [X y]_i'V⁻¹[X y]_i,    K_c = Σ_i U_iΦU_i',    A_c = Σ_i α_iα_i'    by class,

and with what the directions V̇_a of V add to average and expected information.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np

from ...kernels import cholesky, cholesky_inverse, row_products, solve_lower, solve_upper
from ...typing import Array
from ..base import SizeGroup

CHUNK = 4_000_000
"""Numbers at most in a stack of direction matrices."""
LARGE = 64
"""Rows of a cluster beyond which its V is factored natively, and inverted only where the inverse is asked for."""
PROPORTIONAL = 4e-16
"""Difference, relative to the largest covariance, up to which a direction is a multiple of V: two roundings."""
SMALL = 200_000
"""Numbers in such a stack below which calls cost more than arithmetic."""


@dataclass(slots=True)
class RowGroup:
    """Data [X y] (m, t, d) of the clusters of one size, with their V factored."""

    layout: SizeGroup
    raw: Array
    data: Array = field(init=False)
    _factors: Array | None = field(init=False, default=None)
    _inverse: Array | None = field(init=False, default=None)
    _covariances: Array = field(init=False)
    solved: Array = field(init=False)
    alpha: Array = field(init=False)
    _root: Array = field(init=False)

    def __post_init__(self) -> None:
        self.data = self.raw

    def scale(self, sd: Array) -> None:
        """Divide the rows by their standard deviations, `sd` (n,)."""
        self.data = self.raw / sd[self.layout.rows][:, :, None]

    def set(self, covariances: Array) -> tuple[float, Array]:
        """Factor V (C, t, t) and return Σ_i log|V_i| and `total` (d, d)."""
        if covariances.shape[-1] > LARGE:
            return self._set_large(covariances)
        factor = np.asarray(np.linalg.cholesky(covariances))
        logs = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        identity = np.broadcast_to(np.eye(factor.shape[-1]), factor.shape)
        half_inverse: Array = np.asarray(np.linalg.solve(factor, identity))
        self._inverse = np.asarray(half_inverse.transpose(0, 2, 1) @ half_inverse)
        half = self._spread(half_inverse) @ self.data
        self.solved = self._spread(half_inverse).transpose(0, 2, 1) @ half
        flat = half.reshape(-1, half.shape[2])
        return 2.0 * float(self.layout.counts @ logs), flat.T @ flat

    def _set_large(self, covariances: Array) -> tuple[float, Array]:
        """Factor V class by class, which costs a third of its inverse; that waits until it is asked for."""
        m, t, d = self.data.shape
        self._covariances, self._inverse = covariances, None
        self._factors = np.array(covariances)
        self.solved, logdet, total = np.empty((m, t, d)), 0.0, np.zeros((d, d))
        for c, (first, stop) in enumerate(self._spans()):
            lower = cholesky(self._factors[c])
            logdet += 2.0 * (stop - first) * float(np.log(np.diagonal(lower)).sum())
            flat = np.ascontiguousarray(self.data[first:stop].transpose(1, 0, 2).reshape(t, -1))
            half = solve_lower(lower, flat)
            solved = solve_upper(lower, half).reshape(t, stop - first, d)
            self.solved[first:stop] = solved.transpose(1, 0, 2)
            columns = half.reshape(-1, d)
            total += columns.T @ columns
        return logdet, total

    def _spans(self) -> Iterable[tuple[int, int]]:
        """Return the first cluster of every class and the one after its last."""
        starts = self.layout.starts
        return zip(starts, np.append(starts[1:], len(self.raw)), strict=True)

    @property
    def inverse(self) -> Array:
        """V⁻¹ of every class, (C, t, t)."""
        if self._inverse is None:
            assert self._factors is not None
            self._inverse = np.empty(self._factors.shape)
            for out, lower in zip(self._inverse, self._factors, strict=True):
                half = np.tril(cholesky_inverse(lower))
                np.add(half, half.T, out=out)
                np.fill_diagonal(out, np.diagonal(half))
        return self._inverse

    @property
    def _rank(self) -> int:
        return int(self.raw.shape[2]) - 1

    def _spread(self, by_class: Array) -> Array:
        """Return class matrices for every cluster, (m, …)."""
        return by_class if self.layout.distinct else by_class[self.layout.class_of]

    def _by_class(self, per_cluster: Array) -> Array:
        if self.layout.distinct:
            return per_cluster
        return np.asarray(np.add.reduceat(per_cluster, self.layout.starts, axis=0))

    def estimate(self, beta: Array, root: Array) -> None:
        """Take β̂ (standardised) and R, Φ = R'R."""
        self.alpha = self.solved[:, :, -1] - self.solved[:, :, :-1] @ beta
        self._root = root

    def squares(self) -> Array:
        """Return A_c, (C, t, t)."""
        return self._by_class(self.alpha[:, :, None] * self.alpha[:, None, :])

    def fixed_squares(self) -> Array:
        """Return K_c, (C, t, t)."""
        half = self.solved[:, :, :-1] @ self._root.T
        return self._by_class(half @ half.transpose(0, 2, 1))

    def gamma_by_cluster(self, reml: bool) -> Array:
        """Return Γ_i = V⁻¹ [− U_iΦU_i'] − α_iα_i' of every cluster, (m, t, t)."""
        gamma = self._spread(self.inverse) - self.alpha[:, :, None] * self.alpha[:, None, :]
        if reml and self._root.size:
            half = self.solved[:, :, :-1] @ self._root.T
            gamma -= half @ half.transpose(0, 2, 1)
        return np.asarray(gamma)

    def average_information(self, directions: Iterable[Array], extra: Iterable[Array]) -> tuple[Array, Array]:
        """Return Σ_i f_a'V⁻¹f_b (k, k) and Σ_i U_i'f_a (k, r), f_a = V̇_aα.

        `directions` are V̇ by class (C, t, t); `extra` further ones by cluster (m, t, t).
        """
        by_class, by_cluster = list(directions), list(extra)
        if by_class and not by_cluster and self._worth_summing(len(by_class)):
            moved_by_class = np.stack(by_class)
            gram = pairs(moved_by_class, self.inverse, self.squares())
            k, r = len(by_class), self._rank
            cross = self._cross_squares().reshape(moved_by_class[0].size, r)
            return gram, row_products(moved_by_class.reshape(k, -1), cross.T)
        moved = [(self._spread(d) @ self.alpha[:, :, None])[:, :, 0] for d in by_class]
        moved += [(d @ self.alpha[:, :, None])[:, :, 0] for d in by_cluster]
        inverse, size = self._spread(self.inverse), self.alpha.size
        f = np.array(moved).reshape(len(moved), size)
        solved = [(inverse @ one[:, :, None]).reshape(size) for one in moved]
        gram = f @ np.array(solved).reshape(len(moved), size).T
        return gram, f @ self.solved[:, :, :-1].reshape(size, -1)

    def _worth_summing(self, k: int) -> bool:
        """Return whether k directions of matrices by class are less work than of vectors by cluster."""
        (m, t), c = self.alpha.shape, len(self.layout.starts)
        return bool(k * c * t * t <= CHUNK and (c * t <= m or k * c * t * t <= SMALL))

    def _cross_squares(self) -> Array:
        """Return Σ_i α_iU_i' by class, (C, t, t, r)."""
        u, (c, t), r = self.solved[:, :, :-1], (len(self.layout.starts), self.alpha.shape[1]), self._rank
        if self.layout.distinct:
            return np.asarray(self.alpha[:, :, None, None] * u[:, None, :, :])
        out = np.empty((c, t, t, r))
        flat = u.reshape(len(u), t * r)
        for one, (first, count) in enumerate(zip(self.layout.starts, self.layout.counts, strict=True)):
            part = slice(first, first + count)
            np.matmul(self.alpha[part].T, flat[part], out=out[one].reshape(t, t * r))
        return out

    def expected_information(
        self, directions: Iterable[Array], extra: Iterable[Array], reml: bool
    ) -> tuple[Array, Array]:
        """Return Σ_i tr(V⁻¹V̇_aV⁻¹V̇_b) [− 2 tr(V̇_aV⁻¹V̇_bU_iΦU_i')] (k, k), and P_a = −Σ_i U_i'V̇_aU_i
        (k, r, r)."""
        by_class, by_cluster = list(directions), list(extra)
        k, r = len(by_class) + len(by_cluster), self.solved.shape[2] - 1
        m, t = self.alpha.shape
        if t > LARGE and not by_cluster:
            return self._expected_large(by_class, reml)
        gram, p = np.zeros((k, k)), np.zeros((k, r, r))
        step = max(1, CHUNK // max(k * t * t, 1))
        classes = self.layout.class_of
        for first in range(0, m, step):
            part = slice(first, min(first + step, m))
            moved = np.stack([d[classes[part]] for d in by_class] + [d[part] for d in by_cluster])
            u, inverse = self.solved[part, :, :-1], self.inverse[classes[part]]
            half = inverse @ moved
            gram += half.reshape(k, -1) @ half.swapaxes(-1, -2).reshape(k, -1).T
            p -= np.einsum("ctx,kctz->kxz", u, moved @ u, optimize=True)
            if reml and r:
                root = u @ self._root.T
                fixed = root @ root.transpose(0, 2, 1)
                cross = moved.swapaxes(-1, -2).reshape(k, -1) @ (half @ fixed).reshape(k, -1).T
                gram -= cross + cross.T
        return gram, p

    def _expected_large(self, directions: Sequence[Array], reml: bool) -> tuple[Array, Array]:
        """Return the same class by class: no product V⁻¹V̇ where V̇ ∝ V, and K never formed."""
        k, r = len(directions), self._rank
        gram, p = np.zeros((k, k)), np.zeros((k, r, r))
        for c, (first, stop) in enumerate(self._spans()):
            moved, inverse = [d[c] for d in directions], self.inverse[c]
            solved = [_Solved.of(one, self._covariances[c], inverse) for one in moved]
            for a, b in combinations_with_replacement(range(k), 2):
                gram[a, b] += (stop - first) * solved[a].trace_product(solved[b])
            u = self.solved[first:stop, :, :-1]
            n = np.stack([one @ u for one in moved])
            p -= np.einsum("ctx,kctz->kxz", u, n, optimize=True)
            if reml and r:
                half = n @ self._root.T
                gram -= 2.0 * np.triu(half.reshape(k, -1) @ (inverse @ half).reshape(k, -1).T)
        return np.triu(gram) + np.triu(gram, 1).T, p

    def fixed_information(
        self, directions: Iterable[Array], extra: Iterable[Array], weights: Array
    ) -> tuple[Array, Array]:
        """Return P_a (k, r, r) and Σ_ab w_ab Q_ab (r, r), Q_ab = Σ_i U_i'V̇_aV⁻¹V̇_bU_i."""
        by_class, by_cluster = list(directions), list(extra)
        k, r = len(by_class) + len(by_cluster), self.solved.shape[2] - 1
        m, t = self.alpha.shape
        p, q = np.zeros((k, r, r)), np.zeros((r, r))
        if not r:
            return p, q
        step = max(1, CHUNK // max(k * t * max(t, r), 1))
        classes = self.layout.class_of
        for first in range(0, m, step):
            part = slice(first, min(first + step, m))
            moved = np.stack([d[classes[part]] for d in by_class] + [d[part] for d in by_cluster])
            u = self.solved[part, :, :-1]
            n = moved @ u
            p -= np.einsum("ctx,kctz->kxz", u, n, optimize=True)
            mixed = self.inverse[classes[part]] @ np.tensordot(weights, n, 1)
            q += n.reshape(-1, r).T @ mixed.reshape(-1, r)
        return p, q

    def response_squares(self) -> Array:
        """Return Σ_i y_iy_i' of the last column of the data by class, (C, t, t)."""
        y = self.raw[:, :, -1]
        return self._by_class(y[:, :, None] * y[:, None, :])

    def rows(self) -> tuple[Array, Array]:
        """Return α (m, t) and U (m, t, r)."""
        return self.alpha, self.solved[:, :, :-1]


def pairs(moved: Array, inverse: Array, weight: Array) -> Array:
    """Return Σ_c tr(V̇_aV⁻¹V̇_bW_c), (k, k), for directions (k, C, t, t)."""
    k = len(moved)
    return row_products((inverse @ moved).reshape(k, -1), (moved @ weight).reshape(k, -1))


@dataclass(frozen=True, slots=True)
class _Solved:
    """V⁻¹V̇ (t, t) of one direction: `ratio` times the identity where `product` is None."""

    moved: Array
    inverse: Array
    ratio: float
    product: Array | None

    @classmethod
    def of(cls, moved: Array, v: Array, inverse: Array) -> _Solved:
        ratio = float(moved[0, 0] / v[0, 0])
        same = np.abs(moved - ratio * v).max() <= PROPORTIONAL * abs(ratio) * np.abs(v).max()
        return cls(moved, inverse, ratio, None if same else inverse @ moved)

    def trace(self) -> float:
        """Return tr(V⁻¹V̇)."""
        return self.ratio * len(self.moved) if self.product is None else float(np.trace(self.product))

    def trace_product(self, other: _Solved) -> float:
        """Return tr(V⁻¹V̇_aV⁻¹V̇_b)."""
        if self.product is None:
            return self.ratio * other.trace()
        if other.product is None:
            return other.ratio * self.trace()
        return float(np.vdot(self.product, other.product.T))
