"""Sums over the clusters of one size, kept as product tensors by class: nothing then depends on the number of
clusters.

T_c[i, j, a, b] = Σ_{clusters of class c} [X y]_ia [X y]_jb is formed once; all that `RowGroup` answers is a
contraction of it with V⁻¹ of the class, β̂ and Φ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ...kernels import row_products
from ...typing import Array
from ..base import SizeGroup
from .rows import pairs


@dataclass(slots=True)
class TensorGroup:
    """The product tensors (C, t·t, d·d) of the clusters of one size, with their V factored."""

    layout: SizeGroup
    raw: Array
    tensors: Array = field(init=False)
    inverse: Array = field(init=False)
    beta: Array = field(init=False)
    root: Array = field(init=False)
    _squares: Array | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        m, t, d = self.raw.shape
        flat = self.raw.reshape(m, t * d)
        stops = np.append(self.layout.starts[1:], m)
        self.tensors = np.empty((len(stops), t * t, d * d))
        for c, (start, stop) in enumerate(zip(self.layout.starts, stops, strict=True)):
            own = flat[start:stop]
            tensor = (own.T @ own).reshape(t, d, t, d).transpose(0, 2, 1, 3)
            self.tensors[c] = tensor.reshape(t * t, d * d)

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
        total = self.inverse.reshape(1, -1) @ self.tensors.reshape(-1, d * d)
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
            sums = self.tensors @ np.stack([np.outer(c, c).ravel(), phi.ravel()], axis=1)
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
        return np.asarray(self.tensors[:, :, -1].reshape(-1, t, t))

    def average_information(self, directions: Iterable[Array], extra: Iterable[Array]) -> tuple[Array, Array]:
        """Return Σ_i f_a'V⁻¹f_b (k, k) and Σ_i U_i'f_a (k, r), f_a = V̇_aα."""
        moved = np.stack([*directions, *extra])
        k, (t, d) = len(moved), self._shape
        gram = pairs(moved, self.inverse, self.squares())
        products = self.tensors.reshape(-1, t * t, d, d)[:, :, :-1, :] @ self._contrast()
        inner = products.reshape(len(products), t, t, d - 1)
        cross = np.einsum("cij,cjkx,ckl->cilx", self.inverse, inner, self.inverse, optimize=True)
        return gram, row_products(moved.reshape(k, -1), cross.reshape(moved[0].size, d - 1).T)

    def expected_information(
        self, directions: Iterable[Array], extra: Iterable[Array], reml: bool
    ) -> tuple[Array, Array]:
        """Return Σ_i tr(V⁻¹V̇_aV⁻¹V̇_b) [− 2 tr(V̇_aV⁻¹V̇_bU_iΦU_i')] (k, k), and P_a = −Σ_i U_i'V̇_aU_i
        (k, r, r)."""
        moved = np.stack([*directions, *extra])
        weight = self.layout.counts[:, None, None] * self.inverse
        gram = pairs(moved, self.inverse, weight - 2.0 * self.fixed_squares() if reml else weight)
        return 0.5 * (gram + gram.T), -self._solved_products(moved)

    def _solved_products(self, middles: Array) -> Array:
        """Return Σ_i U_i'BU_i, (k, r, r), for matrices B by class (k, C, t, t)."""
        _, d = self._shape
        inner = (self.inverse @ middles @ self.inverse).reshape(len(middles), -1)
        sums = (inner @ self.tensors.reshape(-1, d * d)).reshape(-1, d, d)
        return np.ascontiguousarray(sums[:, :-1, :-1])

    def fixed_information(
        self, directions: Iterable[Array], extra: Iterable[Array], weights: Array
    ) -> tuple[Array, Array]:
        """Return P_a (k, r, r) and Σ_ab w_ab Q_ab (r, r), Q_ab = Σ_i U_i'V̇_aV⁻¹V̇_bU_i.

        Notes
        -----
        Σ_ab w_ab V̇_aV⁻¹V̇_b is one t×t matrix per class, so that no Q_ab is ever formed.
        """
        moved = np.stack([*directions, *extra])
        k, c, t, _ = moved.shape
        left = (moved @ self.inverse).transpose(1, 2, 0, 3).reshape(c, t, k * t)
        right = np.tensordot(weights, moved, 1).transpose(1, 0, 2, 3).reshape(c, k * t, t)
        found = self._solved_products(np.concatenate([moved, (left @ right)[None]]))
        return -found[:-1], found[-1]
