"""The algebra of independent clusters with marginal covariances V_i, small and dense.

Everything second-order is a contraction of the directions V̇ with

    A_c = Σ_i α_iα_i' (t, t),   K_c = Σ_i U_iΦU_i' (t, t),
    α_i = V⁻¹(y_i − X_iβ̂),   U_i = V⁻¹X_i,   Φ = (X'V⁻¹X)⁻¹:

    ∂(−2l) = Σ_c ⟨Γ_c, V̇_c⟩,   Γ_c = n_cV⁻¹ − K_c − A_c  (K_c absent for ML)
    AI_ab  = Σ_c tr(V̇_aV⁻¹V̇_bA_c) − h_a'Φh_b,   h_a = Σ_i U_i'V̇_aα_i
    E_ab   = Σ_c tr(V̇_aV⁻¹V̇_b(n_cV⁻¹ − 2K_c)) + tr(ΦP_aΦP_b)  (n_cV⁻¹ alone for ML)
    P_a = −Σ_i U_i'V̇_aU_i,   Q_ab = Σ_i U_i'V̇_aV⁻¹V̇_bU_i          (Kenward and Roger 1997)

over classes c of n_c clusters with one V. The observed information is 2AI − E + ⟨Γ, V̈⟩.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from ...control import Control
from ...terms.rows import Rows
from ...typing import Array
from ..base import Pieces, SizeGroup
from ..layout import Layout
from ..standardise import Standardised, standardise
from .arrange import size_groups
from .rows import RowGroup
from .tensors import TensorGroup

Blocks: TypeAlias = Sequence[Array]
"""One (C, t, t) array per size group."""
Directions: TypeAlias = Callable[[int], tuple[Iterable[Array], Iterable[Array]]]
"""Size group ↦ its V̇ by class (C, t, t), then further ones by cluster (m, t, t)."""

LARGEST_TENSOR = 5e7
"""Numbers at most in the product tensors of one model."""


class Clusters:
    """The rows of a model by cluster, and the likelihood pieces of given marginal covariances.

    X and y are standardised as for the blocked engine, and rows divided by their standard deviations: `beta`,
    `phi` and the P, Q matrices are returned in the user's columns.

    Parameters
    ----------
    layout, rows, control
        Sizes and levels of the model, its numbers; tolerances.
    by_row
        Whether quantities of single clusters are asked for, so that the clusters of a class must be kept
        apart.
    layouts
        The clusters, when they are known already.
    """

    def __init__(
        self,
        layout: Layout,
        rows: Rows,
        control: Control,
        *,
        by_row: bool = False,
        layouts: tuple[SizeGroup, ...] | None = None,
        standard: Standardised | None = None,
    ) -> None:
        self.n = layout.n
        self.standard = standardise(rows, control) if standard is None else standard
        s = self.standard
        full = np.empty((layout.n, layout.rank + 1))
        np.multiply(s.x - s.centre, s.scale, out=full[:, :-1])
        full[:, -1] = s.y - full[:, :-1] @ s.beta
        self.weights = rows.weights
        if rows.weights is not None:
            full *= np.sqrt(rows.weights)[:, None]
        self.layouts = size_groups(layout, rows) if layouts is None else layouts
        self.groups: list[RowGroup | TensorGroup] = []
        for group in self.layouts:
            raw = full[group.rows]
            by_tensors = not by_row and _worth_tensors(group, raw.shape[2])
            self.groups.append(TensorGroup(group, raw) if by_tensors else RowGroup(group, raw))
        self.rank = layout.rank
        self._relative_sd = np.ones(0)

    def scale(self, relative_sd: Array) -> None:
        """Divide the rows by standard deviations (n,) besides those that the weights imply."""
        self._relative_sd = relative_sd
        for group in self.groups:
            assert isinstance(group, RowGroup)
            group.scale(relative_sd)

    def factor(self, covariances: Blocks) -> Pieces:
        """Return log|V|, log|X'V⁻¹X| and y'Py for V of every class; LinAlgError where V is not positive
        definite.

        V is that of the rows divided by their standard deviations, whose logarithms the caller counts.
        """
        r = self.rank
        logdet, total = 0.0, np.zeros((r + 1, r + 1))
        for group, v in zip(self.groups, covariances, strict=True):
            own, sums = group.set(v)
            logdet += own
            total += sums
        total = 0.5 * (total + total.T)
        chol = np.asarray(np.linalg.cholesky(total[:r, :r])) if r else np.zeros((0, 0))
        self._root: Array = np.asarray(np.linalg.solve(chol, np.eye(r))) if r else chol
        self._phi: Array = np.asarray(self._root.T @ self._root)
        half = self._root @ total[:r, r]
        self._beta: Array = np.asarray(self._root.T @ half)
        for group in self.groups:
            group.estimate(self._beta, self._root)
        logdet_x = 2.0 * float(np.log(np.diag(chol)).sum()) + self.standard.logdet_shift
        return Pieces(logdet + self.standard.log_weights, logdet_x, float(total[r, r] - half @ half))

    @property
    def beta(self) -> Array:
        """β̂ in own coordinates, (rank,)."""
        return self.standard.beta + self._beta

    @property
    def phi(self) -> Array:
        """(X'V⁻¹X)⁻¹ in own coordinates."""
        return self._phi

    def scores(self, reml: bool) -> list[tuple[Array, Array]]:
        """Return for every size group the parts of Γ: n_cV⁻¹ [− K_c], and A_c, each (C, t, t)."""
        out = []
        for group in self.groups:
            trace = group.layout.counts[:, None, None] * group.inverse
            if reml and self.rank:
                trace = trace - group.fixed_squares()
            out.append((trace, group.squares()))
        return out

    def gammas_by_cluster(self, reml: bool) -> list[Array]:
        """Return Γ_i of every cluster, one (m, t, t) per size group."""
        out = []
        for group in self.groups:
            assert isinstance(group, RowGroup)
            out.append(group.gamma_by_cluster(reml))
        return out

    def average_information(self, directions: Directions, k: int) -> Array:
        """Return AI (k, k) along k directions."""
        gram, h = np.zeros((k, k)), np.zeros((k, self.rank))
        for g, group in enumerate(self.groups):
            own, cross = group.average_information(*directions(g))
            gram += own
            h += cross
        total = gram - h @ self._phi @ h.T
        return np.asarray(0.5 * (total + total.T))

    def expected_information(self, directions: Directions, k: int, reml: bool) -> Array:
        """Return E (k, k): tr(PV̇_aPV̇_b), V⁻¹ in place of P for ML."""
        gram, p = np.zeros((k, k)), np.zeros((k, self.rank, self.rank))
        for g, group in enumerate(self.groups):
            own, slopes = group.expected_information(*directions(g), reml)
            gram += own
            p += slopes
        if reml:
            moved = self._phi @ p
            gram += np.einsum("axz,bzx->ab", moved, moved)
        return np.asarray(0.5 * (gram + gram.T))

    def fixed_information(self, directions: Directions, k: int, weights: Array) -> tuple[Array, Array]:
        """Return P (k, r, r) and Σ_ab w_ab Q_ab (r, r) in own coordinates, for weights (k, k)."""
        r = self.rank
        p, q = np.zeros((k, r, r)), np.zeros((r, r))
        for g, group in enumerate(self.groups):
            own_p, own_q = group.fixed_information(*directions(g), weights)
            p += own_p
            q += own_q
        return p, q

    def solved_rows(self) -> tuple[Array, Array]:
        """Return V⁻¹(y − Xβ̂) (n,) and V⁻¹X (n, r) in own coordinates, V of the rows as they are."""
        n, r = self.n, self.rank
        alpha, u = np.zeros(n), np.zeros((n, r))
        for group in self.groups:
            rows = group.layout.rows
            if isinstance(group, RowGroup):
                alpha[rows], u[rows] = group.rows()
            else:
                solved = group.inverse[group.layout.class_of] @ group.raw
                u[rows] = solved[:, :, :r]
                alpha[rows] = solved[:, :, r] - solved[:, :, :r] @ self._beta
        scale = np.ones(n) if self.weights is None else np.sqrt(self.weights)
        if len(self._relative_sd):
            scale = scale / self._relative_sd
        return alpha * scale, u * scale[:, None]


def _worth_tensors(layout: SizeGroup, d: int) -> bool:
    """Return whether product tensors are smaller than the rows they stand for, and cheap to form."""
    m, t = layout.rows.shape
    size = float(len(layout.starts)) * t * t * d * d
    return bool(size <= LARGEST_TENSOR and size <= 2.0 * m * t * (t + d))
