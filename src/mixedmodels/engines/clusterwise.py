"""The `clusterwise` engine's algebra: independent clusters with marginal covariance V_i, small and dense.

Clusters of one size t with one V form a class c of n_c clusters. Everything second-order is a contraction of V̇ with

    A_c = Σ_i α_iα_i' (t, t),   K_c = Σ_i U_iΦU_i' (t, t),   α_i = V⁻¹(y_i − X_iβ̂),   U_i = V⁻¹X_i,   Φ = (X'V⁻¹X)⁻¹:

    ∂(−2l) = Σ_c ⟨Γ_c, V̇_c⟩,   Γ_c = n_cV⁻¹ − K_c − A_c  (K_c absent for ML)
    AI_ab  = Σ_c tr(V̇_aV⁻¹V̇_bA_c) − h_a'Φh_b,   h_a = Σ_i U_i'V̇_aα_i
    P_a = −Σ_i U_i'V̇_aU_i,   Q_ab = Σ_i U_i'V̇_aV⁻¹V̇_bU_i          (Kenward and Roger 1997)

so that directions cost nothing in the number of clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..control import Control
from ..terms.design import Design
from ..typing import Array
from .base import Pieces
from .clusters import SizeGroup, size_groups
from .standardise import Standardised, standardise

Blocks = Sequence[Array]
"""One (C, t, t) array per size group."""


@dataclass(slots=True)
class _Group:
    """Data and, at the current V, V⁻¹ (C, t, t) and V⁻¹[X y] (m, t, d) of one size group."""

    layout: SizeGroup
    data: Array
    inverse: Array
    solved: Array
    factor: Array


class Clusters:
    """The rows of a design by cluster, and the likelihood pieces of given marginal covariances.

    X and y are standardised as for the blocked engine: `beta`, `phi` and the P, Q matrices are returned in the user's
    columns.
    """

    def __init__(self, design: Design, control: Control, standard: Standardised | None = None) -> None:
        self.design = design
        self.standard = standardise(design, control) if standard is None else standard
        s = self.standard
        x = (s.x - s.centre) * s.scale
        y = s.y - x @ s.beta
        full = np.column_stack([x, y])
        self.groups = []
        for layout in size_groups(design):
            c, t = layout.first_rows.shape
            empty = np.zeros((c, t, t))
            self.groups.append(_Group(layout, full[layout.rows], empty, full[layout.rows], empty))
        self.rank = design.fixed.rank
        self.gammas: list[Array] = []

    def factor(self, covariances: Blocks) -> Pieces:
        """Return log|V|, log|X'V⁻¹X| and y'Py for V of every class; LinAlgError where V is not positive definite."""
        r = self.rank
        logdet = 0.0
        total = np.zeros((r + 1, r + 1))
        for group, v in zip(self.groups, covariances, strict=True):
            group.factor = np.linalg.cholesky(v)
            logs = np.log(np.diagonal(group.factor, axis1=1, axis2=2)).sum(axis=1)
            logdet += 2.0 * float(group.layout.counts @ logs)
            group.inverse = _inverse(group.factor)
            group.solved = group.inverse[group.layout.class_of] @ group.data
            total += group.data.reshape(-1, r + 1).T @ group.solved.reshape(-1, r + 1)
        information = 0.5 * (total[:r, :r] + total[:r, :r].T)
        chol = np.linalg.cholesky(information) if r else np.zeros((0, 0))
        half = np.linalg.solve(chol, total[:r, r]) if r else np.zeros(0)
        self._phi = np.linalg.inv(information) if r else information
        self._root = np.linalg.solve(chol, np.eye(r)) if r else information
        self._beta = self._phi @ total[:r, r]
        self.alphas = [g.solved[:, :, r] - g.solved[:, :, :r] @ self._beta for g in self.groups]
        self._quadratic = float(total[r, r] - half @ half)
        return Pieces(logdet, 2.0 * float(np.log(np.diag(chol)).sum()) + self.standard.logdet_shift, self._quadratic)

    @property
    def beta(self) -> Array:
        """β̂ in the user's columns, (rank,)."""
        return self.standard.coefficients(self._beta)

    @property
    def phi(self) -> Array:
        """(X'V⁻¹X)⁻¹ in the user's columns."""
        return self.standard.back(self.standard.back(self._phi).T)

    def scores(self, reml: bool) -> list[tuple[Array, Array]]:
        """Return for every size group the parts of Γ: n_cV⁻¹ [− K_c], and A_c, each (C, t, t)."""
        out = []
        for group, alpha in zip(self.groups, self.alphas, strict=True):
            counts = group.layout.counts[:, None, None]
            trace = counts * group.inverse
            if reml and self.rank:
                # U Φ U' = (U R')(U R')' with Φ = R'R
                half = group.solved[:, :, : self.rank] @ self._root.T
                trace = trace - self._by_class(group, half @ half.transpose(0, 2, 1))
            out.append((trace, self._by_class(group, alpha[:, :, None] * alpha[:, None, :])))
        return out

    def _by_class(self, group: _Group, per_cluster: Array) -> Array:
        return np.asarray(np.add.reduceat(per_cluster, group.layout.starts, axis=0))

    def average_information(self, directions: Sequence[Blocks]) -> Array:
        """Return AI (K, K) for K directions, each V̇ per size group (C, t, t)."""
        k = len(directions)
        gram, h = np.zeros((k, k)), np.zeros((k, self.rank))
        for g, group in enumerate(self.groups):
            alpha, u = self.alphas[g], group.solved[:, :, : self.rank]
            a = self._by_class(group, alpha[:, :, None] * alpha[:, None, :])
            moved = np.stack([d[g] for d in directions])
            left = (group.inverse @ moved).reshape(k, -1)
            right = (moved @ a).reshape(k, -1)
            gram += left @ right.T
            for x in range(self.rank):
                cross = self._by_class(group, u[:, :, x, None] * alpha[:, None, :])
                h[:, x] += moved.reshape(k, -1) @ cross.reshape(-1)
        total = gram - h @ self._phi @ h.T
        return np.asarray(0.5 * (total + total.T))

    def fixed_information(self, directions: Sequence[Blocks]) -> tuple[Array, Array]:
        """Return P (K, r, r) and Q (K, K, r, r) in the user's X."""
        k, r = len(directions), self.rank
        p, q = np.zeros((k, r, r)), np.zeros((k, k, r, r))
        for g, group in enumerate(self.groups):
            u = group.solved[:, :, :r]
            moved = np.stack([d[g] for d in directions])
            c, t = group.layout.first_rows.shape
            outer = np.zeros((c, t, t, r, r))
            for x in range(r):
                for z in range(r):
                    outer[..., x, z] = self._by_class(group, u[:, :, x, None] * u[:, None, :, z])
            flat = outer.reshape(c * t * t, r * r)
            p -= (moved.reshape(k, -1) @ flat).reshape(k, r, r)
            half = group.inverse @ moved
            for a in range(k):
                inner = moved[a][None] @ half
                q[a] += (inner.reshape(k, -1) @ flat).reshape(k, r, r)
        back = np.linalg.inv(self.standard.back(np.eye(r)))
        return back.T @ p @ back, back.T @ q @ back

    def score_rows(self) -> Array:
        """Return V⁻¹(y − Xβ̂) by row, (n,)."""
        out = np.zeros(self.design.n)
        for group, alpha in zip(self.groups, self.alphas, strict=True):
            out[group.layout.rows] = alpha
        return out

    def solved_columns(self) -> Array:
        """Return V⁻¹X by row in the user's columns, (n, r)."""
        out = np.zeros((self.design.n, self.rank))
        for group in self.groups:
            out[group.layout.rows] = group.solved[:, :, : self.rank]
        return np.asarray(out @ np.linalg.inv(self.standard.back(np.eye(self.rank))))


def _inverse(factor: Array) -> Array:
    """(LL')⁻¹ for a stack of Cholesky factors."""
    identity = np.broadcast_to(np.eye(factor.shape[-1]), factor.shape)
    half = np.linalg.solve(factor, identity)
    return np.asarray(half.transpose(0, 2, 1) @ half)
