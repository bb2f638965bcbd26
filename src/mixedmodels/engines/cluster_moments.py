"""Sums over the clusters of one size, kept as moment tensors by class: nothing then depends on the number of
clusters.

T_c[i, j, a, b] = Σ_{clusters of class c} [X y]_ia [X y]_jb is formed once; all that `RowGroup` answers is a
contraction of it with V⁻¹ of the class, β̂ and Φ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..typing import Array
from .cluster_rows import pairs
from .clusters import SizeGroup


@dataclass(slots=True)
class MomentGroup:
    """The moment tensors (C, t·t, d·d) of the clusters of one size, with their V factored."""

    layout: SizeGroup
    raw: Array
    moments: Array = field(init=False)
    inverse: Array = field(init=False)
    beta: Array = field(init=False)
    root: Array = field(init=False)
    _squares: Array | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        m, t, d = self.raw.shape
        flat = self.raw.reshape(m, t * d)
        stops = np.append(self.layout.starts[1:], m)
        self.moments = np.empty((len(stops), t * t, d * d))
        for c, (start, stop) in enumerate(zip(self.layout.starts, stops, strict=True)):
            own = flat[start:stop]
            tensor = (own.T @ own).reshape(t, d, t, d).transpose(0, 2, 1, 3)
            self.moments[c] = tensor.reshape(t * t, d * d)

    @property
    def _shape(self) -> tuple[int, int]:
        return self.raw.shape[1], self.raw.shape[2]

    def set(self, covariances: Array) -> tuple[float, Array]:
        """Factor V (C, t, t) and return Σ_i log|V_i| and `total` (d, d)."""
        t, d = self._shape
        factor = np.linalg.cholesky(covariances)
        logs = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        half = np.linalg.solve(factor, np.broadcast_to(np.eye(t), factor.shape))
        self.inverse = half.transpose(0, 2, 1) @ half
        self._squares = None
        total = self.inverse.reshape(1, -1) @ self.moments.reshape(-1, d * d)
        return 2.0 * float(self.layout.counts @ logs), total.reshape(d, d)

    def estimate(self, beta: Array, root: Array) -> None:
        """Take β̂ (standardised) and R, Φ = R'R."""
        self.beta, self.root = beta, root
        self._squares = None

    def _contrast(self) -> Array:
        """Return c = (−β̂, 1), so that y − Xβ̂ = [X y]c."""
        return np.append(-self.beta, 1.0)

    def _both(self) -> Array:
        """Return A_c and K_c from one pass over the tensors, (C, t, t, 2)."""
        if self._squares is None:
            t, d = self._shape
            c = self._contrast()
            phi = np.zeros((d, d))
            phi[:-1, :-1] = self.root.T @ self.root
            sums = self.moments @ np.stack([np.outer(c, c).ravel(), phi.ravel()], axis=1)
            both = np.moveaxis(sums.reshape(-1, t, t, 2), 3, 0)
            self._squares = np.asarray(self.inverse @ both @ self.inverse)
        return self._squares

    def squares(self) -> Array:
        """Return A_c, (C, t, t)."""
        return np.asarray(self._both()[0])

    def fixed_squares(self) -> Array:
        """Return K_c, (C, t, t)."""
        return np.asarray(self._both()[1])

    def response_squares(self) -> Array:
        """Return Σ_i y_iy_i' of the last column of the data by class, (C, t, t)."""
        t, _ = self._shape
        return np.asarray(self.moments[:, :, -1].reshape(-1, t, t))

    def average_information(self, directions: Iterable[Array], extra: Iterable[Array]) -> tuple[Array, Array]:
        """Return Σ_i f_a'V⁻¹f_b (k, k) and Σ_i U_i'f_a (k, r), f_a = V̇_aα."""
        moved = np.stack([*directions, *extra])
        k, (t, d) = len(moved), self._shape
        gram = pairs(moved, self.inverse, self.squares())
        products = self.moments.reshape(-1, t * t, d, d)[:, :, :-1, :] @ self._contrast()
        inner = products.reshape(len(products), t, t, d - 1)
        cross = np.einsum("cij,cjkx,ckl->cilx", self.inverse, inner, self.inverse, optimize=True)
        return gram, moved.reshape(k, -1) @ cross.reshape(moved[0].size, d - 1)

    def expected_information(
        self, directions: Iterable[Array], extra: Iterable[Array], reml: bool
    ) -> tuple[Array, Array]:
        """Return Σ_i tr(V⁻¹V̇_aV⁻¹V̇_b) [− 2 tr(V̇_aV⁻¹V̇_bU_iΦU_i')] (k, k), and P_a = −Σ_i U_i'V̇_aU_i "
        "(k, r, r)."""
        moved = np.stack([*directions, *extra])
        weight = self.layout.counts[:, None, None] * self.inverse
        gram = pairs(moved, self.inverse, weight - 2.0 * self.fixed_squares() if reml else weight)
        return 0.5 * (gram + gram.T), self._p(moved, self._products())

    def _products(self) -> Array:
        """Return Σ_i U_ix U_iz' by class, (C, t, t, r, r)."""
        t, d = self._shape
        if d == 1:
            return np.zeros((len(self.moments), t, t, 0, 0))
        inner = self.moments.reshape(-1, t, t, d, d)[..., :-1, :-1]
        flat = np.ascontiguousarray(inner).reshape(-1, t, t * (d - 1) ** 2)
        left = (self.inverse @ flat).reshape(-1, t, t, (d - 1) ** 2)
        out = self.inverse[:, None] @ left
        return np.asarray(out.reshape(-1, t, t, d - 1, d - 1))

    def _p(self, moved: Array, products: Array) -> Array:
        r = products.shape[-1]
        k, flat = len(moved), products.reshape(moved[0].size, r * r)
        return np.asarray(-(moved.reshape(k, -1) @ flat).reshape(k, r, r))

    def fixed_information(self, directions: Iterable[Array], extra: Iterable[Array]) -> tuple[Array, Array]:
        """Return P_a (k, r, r) and Q_ab = Σ_i U_i'V̇_aV⁻¹V̇_bU_i (k, k, r, r).

        Notes
        -----
        ∂V in all directions spans at most the symmetric t×t matrices, so Q is formed for pairs of elements of
        a basis of that span and then moved to the directions.
        """
        moved = np.stack([*directions, *extra])
        k, products = len(moved), self._products()
        c, t, _, r, _ = products.shape
        q = np.zeros((k, k, r * r))
        for one in range(c):
            span, loading = _span(moved[:, one].reshape(k, t * t))
            basis = span.reshape(-1, t, t)
            left = basis @ self.inverse[one]
            inner = np.einsum("aij,bjl->abil", left, basis, optimize=True).reshape(-1, t * t)
            own = (inner @ products[one].reshape(t * t, r * r)).reshape(len(basis), len(basis), r * r)
            q += np.einsum("ka,abx,lb->klx", loading, own, loading, optimize=True)
        return self._p(moved, products), q.reshape(k, k, r, r)


def _span(flat: Array) -> tuple[Array, Array]:
    """Return a basis (s, t²) of the rows of `flat` (k, t²) and their coordinates (k, s)."""
    k, width = flat.shape
    if k <= 4:
        return flat, np.eye(k)
    used = np.flatnonzero(flat.any(axis=0))
    t = round(width**0.5)
    upper = used[used // t <= used % t]
    if len(upper) >= k:
        return flat, np.eye(k)
    basis = np.zeros((len(upper), width))
    index = np.arange(len(upper))
    basis[index, upper] = 1.0
    basis[index, (upper % t) * t + upper // t] = 1.0
    return basis, flat[:, upper]
