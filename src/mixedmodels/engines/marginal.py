"""θ ↦ V_i of every class of clusters, with exact derivatives.

θ holds the parameters of the random terms' absolute Σ (as in the other engines), then those of Σ_R per residual set,
then those of the variance functions; without a residual structure log σ² stands in Σ_R's place. With s = g/√w,

    V_i = Σ_k (Z_kΣ_kZ_k') ∘ [same level] + ss' ∘ Σ_R[positions] ∘ [same residual cluster].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions, Structure
from ..terms.design import Design
from ..typing import Array
from .clusters import SizeGroup
from .parameters import Block, design_blocks


@dataclass(frozen=True, slots=True)
class ResidualBlock:
    """Parameters of Σ_R of one residual set, or of log σ² when `structure` is None."""

    set: int
    structure: Structure | None
    positions: Positions
    place: slice


@dataclass(frozen=True, slots=True)
class VarianceBlock:
    """Parameters of one variance function."""

    index: int
    place: slice


@dataclass(frozen=True, slots=True)
class _Part:
    """What one size group needs: Z rows, masks and positions of one cluster per class."""

    rows: NDArray[np.intp]
    same_level: tuple[Array, ...]
    level_set: tuple[NDArray[np.int32], ...]
    z: tuple[Array, ...]
    same_cluster: Array | None
    residual_set: NDArray[np.int32]
    index: NDArray[np.int32]
    coordinates: Array | None


class MarginalModel:
    """The covariance side of a design whose clusters are independent."""

    def __init__(self, design: Design, groups: tuple[SizeGroup, ...]) -> None:
        self.design = design
        self.random_blocks = design_blocks(design)
        first = self.random_blocks[-1].place.stop if self.random_blocks else 0
        self.residual_blocks, first = self._residual_blocks(first)
        self.variance_blocks, first = self._variance_blocks(first)
        self.n_theta = first
        self.parts = [self._part(group) for group in groups]
        self._log_weights = np.zeros(design.n) if design.weights is None else np.log(design.weights)

    def _residual_blocks(self, first: int) -> tuple[tuple[ResidualBlock, ...], int]:
        residual = self.design.residual
        if residual is None or residual.structure is None:
            block = ResidualBlock(0, None, Positions(1, ("",)), slice(first, first + 1))
            return (block,), first + 1
        blocks = []
        for s in range(residual.n_sets):
            size = residual.structure.size(residual.positions.size)
            blocks.append(ResidualBlock(s, residual.structure, residual.positions, slice(first, first + size)))
            first += size
        return tuple(blocks), first

    def _variance_blocks(self, first: int) -> tuple[tuple[VarianceBlock, ...], int]:
        blocks = []
        for k, term in enumerate(self.design.residual.variance if self.design.residual else ()):
            size = term.function.size(len(term.group_labels))
            blocks.append(VarianceBlock(k, slice(first, first + size)))
            first += size
        return tuple(blocks), first

    def _part(self, group: SizeGroup) -> _Part:
        rows = group.first_rows
        same, sets, z = [], [], []
        for term in self.design.random:
            codes = term.codes[rows]
            same.append((codes[:, :, None] == codes[:, None, :]).astype(float))
            sets.append(term.sets[codes])
            z.append(np.ones((*rows.shape, 1)) if term.values is None else term.values[rows])
        residual = self.design.residual
        none = np.zeros(rows.shape, dtype=np.int32)
        if residual is None or residual.structure is None:
            return _Part(rows, tuple(same), tuple(sets), tuple(z), None, none, none, None)
        clusters = residual.clusters[rows]
        mask = (clusters[:, :, None] == clusters[:, None, :]).astype(float)
        coordinates = None if residual.coordinates is None else residual.coordinates[rows]
        return _Part(
            rows, tuple(same), tuple(sets), tuple(z), mask, residual.sets[clusters], residual.index[rows], coordinates
        )

    # -- V and its derivatives -------------------------------------------------------------------------------------

    def log_sd(self, theta: Array) -> Array:
        """Return log(g/√w) by row, (n,)."""
        total = -0.5 * self._log_weights
        for block in self.variance_blocks:
            assert self.design.residual is not None
            term = self.design.residual.variance[block.index]
            total = total + term.function.log_sd(theta[block.place], term.covariate, term.groups)
        return np.asarray(total)

    def covariances(self, theta: Array) -> list[Array]:
        """Return V of every class, one (C, t, t) per size group."""
        sd = np.exp(self.log_sd(theta))
        return [self._random(part, theta) + self._scaled(part, self._base(part, theta), sd) for part in self.parts]

    def residuals(self, theta: Array) -> list[Array]:
        """Return R of every class, one (C, t, t) per size group."""
        sd = np.exp(self.log_sd(theta))
        return [self._scaled(part, self._base(part, theta), sd) for part in self.parts]

    def _random(self, part: _Part, theta: Array) -> Array:
        c, t = part.rows.shape
        v = np.zeros((c, t, t))
        for block in self.random_blocks:
            sigma = block.structure.matrix(theta[block.place], block.positions)
            v += self._sandwich(part, block, sigma)
        return v

    def _sandwich(self, part: _Part, block: Block, sigma: Array) -> Array:
        """Z Σ Z' on pairs of rows of one level that belong to the block's parameter set."""
        z = part.z[block.term]
        out = (z @ sigma) @ z.transpose(0, 2, 1) * part.same_level[block.term]
        if self.design.random[block.term].n_sets > 1:
            out *= (part.level_set[block.term] == block.set)[:, :, None]
        return np.asarray(out)

    def _base(self, part: _Part, theta: Array) -> Array:
        """Σ_R on the rows of each class, before variance functions and weights."""
        total = np.zeros((*part.rows.shape, part.rows.shape[1]))
        for block in self.residual_blocks:
            total += self._spread(part, block, self._matrix(part, block, theta, 0))
        return total

    def _matrix(self, part: _Part, block: ResidualBlock, theta: Array, order: int) -> Array:
        """Σ_R or its first or second derivatives: (…, T, T) on a grid, (…, C, t, t) at own coordinates."""
        own = theta[block.place]
        if block.structure is None:
            value = np.full((1, 1), np.exp(own[0]))
            return value.reshape((1,) * order + (1, 1))
        at = block.positions
        if part.coordinates is not None:
            at = Positions(part.rows.shape[1], (), part.coordinates)
        call = (block.structure.matrix, block.structure.d_matrix, block.structure.d2_matrix)[order]
        return call(own, at)

    def _spread(self, part: _Part, block: ResidualBlock, matrix: Array) -> Array:
        """Place Σ_R (or a stack of derivatives) on the rows of every class, zero between residual clusters."""
        t = part.rows.shape[1]
        if block.structure is None:
            identity = np.broadcast_to(np.eye(t), (len(part.rows), t, t))
            return np.asarray(matrix[..., 0, 0, None, None, None] * identity)
        if part.coordinates is None:
            matrix = matrix[..., part.index[:, :, None], part.index[:, None, :]]
        assert part.same_cluster is not None
        matrix = matrix * part.same_cluster
        if len(self.residual_blocks) > 1:
            matrix = matrix * (part.residual_set == block.set)[:, :, None]
        return np.asarray(matrix)

    def _scaled(self, part: _Part, matrix: Array, sd: Array) -> Array:
        s = sd[part.rows]
        return np.asarray(matrix * s[:, :, None] * s[:, None, :])

    def directions(self, theta: Array) -> list[list[Array]]:
        """Return ∂V/∂θ_a for every parameter, each a list of (C, t, t) per size group."""
        sd = np.exp(self.log_sd(theta))
        out: list[list[Array]] = [[] for _ in range(self.n_theta)]
        for part in self.parts:
            for block in self.random_blocks:
                for a, sigma in enumerate(block.structure.d_matrix(theta[block.place], block.positions)):
                    out[block.place.start + a].append(self._sandwich(part, block, sigma))
            for residual in self.residual_blocks:
                stack = self._spread(part, residual, self._matrix(part, residual, theta, 1))
                for a, matrix in enumerate(stack):
                    out[residual.place.start + a].append(self._scaled(part, matrix, sd))
            r = self._scaled(part, self._base(part, theta), sd)
            for variance in self.variance_blocks:
                for a, slope in enumerate(self._log_slopes(variance, theta)):
                    e = slope[part.rows]
                    out[variance.place.start + a].append(r * (e[:, :, None] + e[:, None, :]))
        return out

    def _log_slopes(self, block: VarianceBlock, theta: Array) -> Array:
        assert self.design.residual is not None
        term = self.design.residual.variance[block.index]
        return term.function.d_log_sd(theta[block.place], term.covariate, term.groups)

    def curvature(self, theta: Array, gammas: list[Array]) -> Array:
        """Return Σ_c ⟨Γ_c, ∂²V_c/∂θ_a∂θ_b⟩, (n_theta, n_theta)."""
        sd = np.exp(self.log_sd(theta))
        out = np.zeros((self.n_theta, self.n_theta))
        for block in self.random_blocks:
            inner = self.random_gamma(block, gammas)
            own = theta[block.place]
            out[block.place, block.place] = block.structure.curvature(own, inner, block.positions)
        for part, gamma in zip(self.parts, gammas, strict=True):
            weighted = self._scaled(part, gamma, sd)
            for residual in self.residual_blocks:
                out[residual.place, residual.place] += self._residual_curvature(part, residual, theta, weighted)
            if self.variance_blocks:
                self._variance_curvature(part, theta, weighted, out)
        return out

    def _residual_curvature(self, part: _Part, block: ResidualBlock, theta: Array, weighted: Array) -> Array:
        if block.structure is None or part.coordinates is not None:
            second = self._spread(part, block, self._matrix(part, block, theta, 2))
            return np.asarray(np.einsum("abcij,cij->ab", second, weighted))
        # on a grid the weights are first summed onto it, so that no stack of second derivatives is formed
        masked = self._spread(part, block, np.ones((block.positions.size,) * 2)) * weighted
        grid = np.zeros((block.positions.size,) * 2)
        shape = masked.shape
        rows = np.broadcast_to(part.index[:, :, None], shape)
        columns = np.broadcast_to(part.index[:, None, :], shape)
        np.add.at(grid, (rows.reshape(-1), columns.reshape(-1)), masked.reshape(-1))
        return block.structure.curvature(theta[block.place], grid, block.positions)

    def _variance_curvature(self, part: _Part, theta: Array, weighted: Array, out: Array) -> None:
        """Second derivatives that involve a variance function: R̈ = R∘(ℓ̇_aℓ̇_b products) + R∘ℓ̈, Ṙ_φ∘ℓ̇."""
        base = self._base(part, theta) * weighted
        places, slopes = [], []
        for block in self.variance_blocks:
            for a, slope in enumerate(self._log_slopes(block, theta)):
                e = slope[part.rows]
                places.append(block.place.start + a)
                slopes.append(e[:, :, None] + e[:, None, :])
            self._second_log_slopes(part, block, theta, base, out)
        for i, a in enumerate(places):
            for j, b in enumerate(places):
                out[a, b] += float(np.vdot(base, slopes[i] * slopes[j]))
        for residual in self.residual_blocks:
            stack = self._spread(part, residual, self._matrix(part, residual, theta, 1))
            for a, matrix in enumerate(stack):
                for j, b in enumerate(places):
                    value = float(np.vdot(matrix * weighted, slopes[j]))
                    out[residual.place.start + a, b] += value
                    out[b, residual.place.start + a] += value

    def _second_log_slopes(
        self, part: _Part, block: VarianceBlock, theta: Array, base: Array, out: Array
    ) -> None:
        assert self.design.residual is not None
        term = self.design.residual.variance[block.index]
        second = term.function.d2_log_sd(theta[block.place], term.covariate, term.groups)
        if second is None:
            return
        sums = base.sum(axis=2) + base.sum(axis=1)
        out[block.place, block.place] += np.einsum("abct,ct->ab", second[:, :, part.rows], sums)

    def random_gamma(self, block: Block, blocks: list[Array]) -> Array:
        """Return Σ over clusters and levels of Z'BZ for the block's term and set, (p, p)."""
        p = self.design.random[block.term].n_columns
        total = np.zeros((p, p))
        for part, b in zip(self.parts, blocks, strict=True):
            masked = b * part.same_level[block.term]
            if self.design.random[block.term].n_sets > 1:
                masked = masked * (part.level_set[block.term] == block.set)[:, :, None]
            z = part.z[block.term]
            total += np.einsum("cti,ctj->ij", z, masked @ z)
        return total
