"""θ ↦ V_i of every class of clusters, with exact derivatives.

θ holds the parameters of the random terms' absolute Σ (as in the other engines), then those of Σ_R per
residual set, then those of the variance functions; without a residual structure log σ² stands in Σ_R's place.
With s = g/√w, S_i = diag(s) and Z* = S⁻¹Z,

    V_i = S_i V*_i S_i,   V*_i = Σ_k (Z*_kΣ_kZ*_k') ∘ [same level] + Σ_R[positions] ∘ [same cluster].

Everything here is about V*, that is, about rows divided by their standard deviations s; a parameter δ of s
adds the direction ER* + R*E, E = diag(∂log s/∂δ) and R* = Σ_R[positions].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions, Structure
from ..terms.design import Design, VarianceTerm
from ..typing import Array, Labels
from .clusters import SizeGroup
from .parameters import Block, design_blocks

LARGEST_STACK = 2e7
"""Numbers at most in a stack of second derivatives."""


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

    layout: SizeGroup
    rows: NDArray[np.intp]
    same_level: tuple[Array, ...]
    level_set: tuple[NDArray[np.int32], ...]
    z: tuple[Array, ...]
    same_cluster: Array | None
    residual_set: NDArray[np.int32]
    index: NDArray[np.int32]
    coordinates: Array | None


@dataclass(frozen=True, slots=True)
class At:
    """What V and its derivatives share at one θ: s without the weights (n,), and Z* per part and term."""

    theta: Array
    relative_sd: Array
    z: tuple[tuple[Array, ...], ...]


@dataclass(frozen=True, slots=True)
class Gammas:
    """Γ = ∂(−2l)/∂V*: by class of every size group (C, t, t), by cluster (m, t, t) where there are variance
    functions, and ∂(−2l)/∂Σ of every random block (p, p)."""

    by_class: list[Array]
    by_cluster: list[Array] | None
    random: list[Array]


class MarginalModel:
    """The covariance side of a design.

    The clusters are independent, or, where random effects cross them (`across`), those of the errors alone:
    what is said of V* by cluster is then said of R*. `random_blocks` and `residual_blocks` may be replaced,
    parameter for parameter, by blocks of other structures.
    """

    def __init__(self, design: Design, groups: Sequence[SizeGroup], *, across: bool = False) -> None:
        self.design = design
        self.inside = () if across else design.random
        self.random_blocks = design_blocks(design)
        first = self.random_blocks[-1].place.stop if self.random_blocks else 0
        self.residual_blocks, first = self._residual_blocks(first)
        self.variance_blocks, first = self._variance_blocks(first)
        self.n_theta = first
        self._root_weights = None if design.weights is None else np.sqrt(design.weights)
        self.parts = [self._part(group) for group in groups]

    @property
    def variance(self) -> tuple[VarianceTerm, ...]:
        return () if self.design.residual is None else self.design.residual.variance

    @property
    def n_structural(self) -> int:
        """Parameters ahead of those of the variance functions."""
        return int(self.residual_blocks[-1].place.stop)

    @property
    def by_row(self) -> bool:
        """Whether some parameter makes V* derivatives differ between clusters of one class."""
        return self.n_theta > self.n_structural

    def _residual_blocks(self, first: int) -> tuple[tuple[ResidualBlock, ...], int]:
        residual = self.design.residual
        if residual is None or residual.structure is None:
            block = ResidualBlock(0, None, Positions(1, ("",)), slice(first, first + 1))
            return (block,), first + 1
        blocks = []
        for s in range(residual.n_sets):
            size = residual.structure.size(residual.positions.size)
            place = slice(first, first + size)
            blocks.append(ResidualBlock(s, residual.structure, residual.positions, place))
            first += size
        return tuple(blocks), first

    def _variance_blocks(self, first: int) -> tuple[tuple[VarianceBlock, ...], int]:
        blocks = []
        for k, term in enumerate(self.variance):
            size = term.function.size(len(term.group_labels))
            blocks.append(VarianceBlock(k, slice(first, first + size)))
            first += size
        return tuple(blocks), first

    def _part(self, group: SizeGroup) -> _Part:
        rows = group.first_rows
        same, sets, z = [], [], []
        for term in self.inside:
            codes = term.codes[rows]
            same.append((codes[:, :, None] == codes[:, None, :]).astype(float))
            sets.append(term.sets[codes])
            own = np.ones((*rows.shape, 1)) if term.values is None else term.values[rows]
            z.append(own if self._root_weights is None else own * self._root_weights[rows][:, :, None])
        shared = (group, rows, tuple(same), tuple(sets), tuple(z))
        residual = self.design.residual
        none = np.zeros(rows.shape, dtype=np.int32)
        if residual is None or residual.structure is None:
            return _Part(*shared, None, none, none, None)
        clusters = residual.clusters[rows]
        mask = None
        if self.inside:
            mask = (clusters[:, :, None] == clusters[:, None, :]).astype(float)
        coordinates = None if residual.coordinates is None else residual.coordinates[rows]
        return _Part(*shared, mask, residual.sets[clusters], residual.index[rows], coordinates)

    # -- V ---------------------------------------------------------------------------------------------------

    def at(self, theta: Array) -> At:
        """Return what depends on θ through the standard deviations of rows."""
        if not self.variance_blocks:
            return At(theta, np.ones(0), tuple(part.z for part in self.parts))
        sd = np.exp(self.relative_log_sd(theta))
        z = tuple(tuple(own / sd[part.rows][:, :, None] for own in part.z) for part in self.parts)
        return At(theta, sd, z)

    def relative_log_sd(self, theta: Array) -> Array:
        """Return log g by row, (n,)."""
        total = np.zeros(self.design.n)
        for block in self.variance_blocks:
            term = self.variance[block.index]
            total += term.function.log_sd(theta[block.place], term.covariate, term.groups)
        return total

    def covariances(self, at: At) -> list[Array]:
        """Return V* of every class, one (C, t, t) per size group."""
        residuals = self.residuals(at.theta)
        if not self.inside:
            return residuals
        return [r + g for r, g in zip(residuals, self.random_covariances(at), strict=True)]

    def random_covariances(self, at: At) -> list[Array]:
        """Return the part of V* that random effects make, one (C, t, t) per size group."""
        out = []
        for part, z in zip(self.parts, at.z, strict=True):
            c, t = part.rows.shape
            v = np.zeros((c, t, t))
            for block in self.random_blocks:
                sigma = block.structure.matrix(at.theta[block.place], block.positions)
                v += self._sandwich(part, z, block, sigma)
            out.append(v)
        return out

    def residuals(self, theta: Array) -> list[Array]:
        """Return R* of every class, one (C, t, t) per size group."""
        return [self._residual(part, theta) for part in self.parts]

    def _residual(self, part: _Part, theta: Array) -> Array:
        total = None
        for block in self.residual_blocks:
            own = self._spread(part, block, self._matrix(part, block, theta, 0))
            total = own if total is None else total + own
        assert total is not None
        return total

    def _sandwich(self, part: _Part, z: tuple[Array, ...], block: Block, sigma: Array) -> Array:
        """Z* Σ Z*' on pairs of rows of one level that belong to the block's parameter set."""
        own = z[block.term]
        out = (own @ sigma) @ own.transpose(0, 2, 1) * part.same_level[block.term]
        if self.design.random[block.term].n_sets > 1:
            out *= (part.level_set[block.term] == block.set)[:, :, None]
        return np.asarray(out)

    def _matrix(self, part: _Part, block: ResidualBlock, theta: Array, order: int) -> Array:
        """Σ_R or its first or second derivatives: (…, T, T) on a grid, (…, C, t, t) at own coordinates."""
        own = theta[block.place]
        if block.structure is None:
            return np.full((1,) * (order + 2), np.exp(own[0]))
        at = block.positions
        if part.coordinates is not None:
            at = Positions(part.rows.shape[1], (), part.coordinates)
        call = (block.structure.matrix, block.structure.d_matrix, block.structure.d2_matrix)[order]
        return call(own, at)

    def _spread(self, part: _Part, block: ResidualBlock, matrix: Array) -> Array:
        """Place Σ_R (or one of its derivatives) on the rows of every class, zero between residual "
        "clusters."""
        if block.structure is None:
            c, t = part.rows.shape
            return np.asarray(matrix[..., :1, :1] * np.broadcast_to(np.eye(t), (c, t, t)))
        if part.coordinates is None:
            matrix = matrix[..., part.index[:, :, None], part.index[:, None, :]]
        mask = self._mask(part, block)
        return matrix if mask is None else matrix * mask

    def _mask(self, part: _Part, block: ResidualBlock) -> Array | None:
        """Return which pairs of rows the block covers, (C, t, t), None when all."""
        mask = part.same_cluster
        if len(self.residual_blocks) > 1:
            own = (part.residual_set == block.set).astype(float)[:, :, None]
            mask = own * own.transpose(0, 2, 1) if mask is None else mask * own
        return mask

    # -- derivatives -----------------------------------------------------------------------------------------

    def directions(self, at: At, g: int) -> Iterator[Array]:
        """Yield ∂V*/∂θ_a of one size group, (C, t, t), for the structural parameters in order; for those of the
        errors alone where random effects cross the clusters."""
        part, theta = self.parts[g], at.theta
        if self.inside:
            for block in self.random_blocks:
                for sigma in block.structure.d_matrix(theta[block.place], block.positions):
                    yield self._sandwich(part, at.z[g], block, sigma)
        for residual in self.residual_blocks:
            for matrix in self._matrix(part, residual, theta, 1):
                yield self._spread(part, residual, matrix)

    def row_directions(self, at: At, g: int) -> Iterator[Array]:
        """Yield ER* + R*E of one size group, by cluster (m, t, t), for the parameters of the variance "
        "functions."""
        if not self.by_row:
            return
        part = self.parts[g]
        r = self._residual(part, at.theta)[part.layout.class_of]
        for e in self._log_slopes(at.theta):
            own = e[part.layout.rows]
            yield r * (own[:, :, None] + own[:, None, :])

    def _log_slopes(self, theta: Array) -> Iterator[Array]:
        """Yield ∂log s/∂δ by row, (n,), for every parameter of a variance function."""
        for block in self.variance_blocks:
            term = self.variance[block.index]
            yield from term.function.d_log_sd(theta[block.place], term.covariate, term.groups)

    def gradient(self, at: At, gammas: Gammas) -> Array:
        """Return ∂(−2l)/∂θ, (n_theta,)."""
        out, theta = np.zeros(self.n_theta), at.theta
        for block, inner in zip(self.random_blocks, gammas.random, strict=True):
            slopes = block.structure.d_matrix(theta[block.place], block.positions)
            out[block.place] = slopes.reshape(len(slopes), -1) @ inner.ravel()
        for residual in self.residual_blocks:
            out[residual.place] = self._residual_slopes(residual, theta, gammas.by_class)
        if gammas.by_cluster is not None:
            weighted = self._weighted(theta, gammas.by_cluster)
            for a, e in enumerate(self._log_slopes(theta)):
                out[self.n_structural + a] = 2.0 * float(e @ weighted)
        return out

    def _residual_slopes(self, block: ResidualBlock, theta: Array, gammas: Sequence[Array]) -> Array:
        if block.structure is None:
            trace = sum(float(np.einsum("cii->", gamma)) for gamma in gammas)
            return np.array([np.exp(theta[block.place][0]) * trace])
        if self.on_grid:
            slopes = block.structure.d_matrix(theta[block.place], block.positions)
            return np.asarray(slopes.reshape(len(slopes), -1) @ self.grid_gamma(block, gammas).ravel())
        total = np.zeros(block.place.stop - block.place.start)
        for part, gamma in zip(self.parts, gammas, strict=True):
            mask = self._mask(part, block)
            own = gamma if mask is None else gamma * mask
            slopes = self._matrix(part, block, theta, 1)
            total += slopes.reshape(len(slopes), -1) @ own.ravel()
        return total

    @property
    def on_grid(self) -> bool:
        """Whether Σ_R lives on one grid of positions."""
        residual = self.design.residual
        return residual is not None and residual.structure is not None and residual.coordinates is None

    def grid_gamma(self, block: ResidualBlock, gammas: Sequence[Array]) -> Array:
        """Return Γ summed onto the grid of positions of a residual block, (T, T)."""
        size = block.positions.size
        total = np.zeros(size * size)
        for part, gamma in zip(self.parts, gammas, strict=True):
            mask = self._mask(part, block)
            own = gamma if mask is None else gamma * mask
            place = part.index[:, :, None] * size + part.index[:, None, :]
            total += np.bincount(place.ravel(), weights=own.ravel(), minlength=size * size)
        return total.reshape(size, size)

    def residual_trace(self, block: ResidualBlock, gammas: Sequence[Array]) -> float:
        """Return Σ tr Γ over the rows of a residual block: the slope of −2l in a nugget."""
        total = 0.0
        for part, gamma in zip(self.parts, gammas, strict=True):
            diagonal = np.einsum("cii->ci", gamma)
            if len(self.residual_blocks) > 1:
                diagonal = diagonal * (part.residual_set == block.set)
            total += float(diagonal.sum())
        return total

    def _weighted(self, theta: Array, by_cluster: Sequence[Array]) -> Array:
        """Return Σ_j (R*∘Γ_i)_rj by row r, (n,)."""
        out = np.zeros(self.design.n)
        for part, gamma in zip(self.parts, by_cluster, strict=True):
            r = self._residual(part, theta)[part.layout.class_of]
            out[part.layout.rows] = np.einsum("cij,cij->ci", r, gamma)
        return out

    def curvature(self, at: At, gammas: Gammas) -> Array:
        """Return ⟨Γ, ∂²V/∂θ_a∂θ_b⟩, (n_theta, n_theta)."""
        out, theta = np.zeros((self.n_theta, self.n_theta)), at.theta
        for block, inner in zip(self.random_blocks, gammas.random, strict=True):
            out[block.place, block.place] = block.structure.curvature(
                theta[block.place], inner, block.positions
            )
        for residual in self.residual_blocks:
            own = self._residual_curvature(residual, theta, gammas.by_class)
            out[residual.place, residual.place] = own
        if gammas.by_cluster is not None:
            self._variance_curvature(theta, gammas.by_cluster, out)
        return out

    def _residual_curvature(self, block: ResidualBlock, theta: Array, gammas: Sequence[Array]) -> Array:
        if block.structure is None:
            return self._residual_slopes(block, theta, gammas)[:, None]
        own = theta[block.place]
        if self.on_grid:
            return block.structure.curvature(own, self.grid_gamma(block, gammas), block.positions)
        k = len(own)
        total = np.zeros((k, k))
        for part, gamma in zip(self.parts, gammas, strict=True):
            assert part.coordinates is not None
            mask = self._mask(part, block)
            weight = gamma if mask is None else gamma * mask
            c, t = part.rows.shape
            step = max(1, int(LARGEST_STACK // (k * k * t * t)))
            for first in range(0, c, step):
                piece = slice(first, first + step)
                at = Positions(t, (), part.coordinates[piece])
                second = block.structure.d2_matrix(own, at)
                total += (second.reshape(k * k, -1) @ weight[piece].ravel()).reshape(k, k)
        return total

    def _variance_curvature(self, theta: Array, by_cluster: Sequence[Array], out: Array) -> None:
        """Add the second derivatives that involve a variance function: E_aE_bR + E_aRE_b + …, and ER_φ + "
        "R_φE."""
        slopes, first = list(self._log_slopes(theta)), self.n_structural
        self._add_second_log_slopes(theta, by_cluster, out)
        for part, gamma in zip(self.parts, by_cluster, strict=True):
            rows, classes = part.layout.rows, part.layout.class_of
            base = self._residual(part, theta)[classes] * gamma
            sums = base.sum(axis=2)
            own = [e[rows] for e in slopes]
            for a, ea in enumerate(own):
                crossed = (base @ ea[:, :, None])[:, :, 0]
                for b in range(a, len(own)):
                    value = 2.0 * float(np.vdot(own[b], ea * sums) + np.vdot(own[b], crossed))
                    out[first + a, first + b] += value
                    out[first + b, first + a] += value * (a != b)
                # ⟨Γ_i, E R_φ + R_φ E⟩ with R_φ constant in a class
                folded = gamma * (ea[:, :, None] + ea[:, None, :])
                if not part.layout.distinct:
                    folded = np.add.reduceat(folded, part.layout.starts, axis=0)
                for residual in self.residual_blocks:
                    for k, matrix in enumerate(self._matrix(part, residual, theta, 1)):
                        value = float(np.vdot(self._spread(part, residual, matrix), folded))
                        out[residual.place.start + k, first + a] += value
                        out[first + a, residual.place.start + k] += value

    def _add_second_log_slopes(self, theta: Array, by_cluster: Sequence[Array], out: Array) -> None:
        weighted: Array | None = None
        for block in self.variance_blocks:
            term = self.variance[block.index]
            second = term.function.d2_log_sd(theta[block.place], term.covariate, term.groups)
            if second is None:
                continue
            weighted = self._weighted(theta, by_cluster) if weighted is None else weighted
            out[block.place, block.place] += 2.0 * second @ weighted

    def bend(self, at: At, g: int, weights: Array) -> Array:
        """Return Σ_ab w_ab ∂²V*/∂θ_a∂θ_b by class (C, t, t) for one size group, over structural parameters;
        over those of the errors alone where random effects cross the clusters."""
        part, theta = self.parts[g], at.theta
        c, t = part.rows.shape
        total = np.zeros((c, t, t))
        for block in self.random_blocks if self.inside else ():
            own = weights[block.place, block.place]
            second = block.structure.d2_matrix(theta[block.place], block.positions)
            total += self._sandwich(part, at.z[g], block, np.tensordot(own, second, 2))
        for residual in self.residual_blocks:
            own = weights[residual.place, residual.place]
            second = self._matrix(part, residual, theta, 2)
            total += self._spread(part, residual, np.tensordot(own, second, 2))
        return total

    def row_bend(self, at: At, g: int, weights: Array, slopes: Array) -> Array | None:
        """Return the rest of Σ w_abV*_ab − Σ v_aV*_a that involves variance functions, by cluster (m, t, "
        "t)."""
        if not self.by_row:
            return None
        part, theta, first = self.parts[g], at.theta, self.n_structural
        rows, classes = part.layout.rows, part.layout.class_of
        r = self._residual(part, theta)[classes]
        e = np.array([one[rows] for one in self._log_slopes(theta)])
        own = weights[first:, first:]
        moved = np.einsum("ab,bmt->amt", own, e)
        row = np.einsum("amt,amt->mt", e, moved) + self._second_log_sum(theta, own)[rows]
        row -= np.einsum("a,amt->mt", slopes[first:], e)
        total = r * (row[:, :, None] + row[:, None, :] + 2.0 * np.einsum("ami,amj->mij", e, moved))
        for residual in self.residual_blocks:
            for k, matrix in enumerate(self._matrix(part, residual, theta, 1)):
                cross = np.einsum("a,amt->mt", weights[residual.place.start + k, first:], e)
                own_direction = self._spread(part, residual, matrix)[classes]
                total += 2.0 * own_direction * (cross[:, :, None] + cross[:, None, :])
        return np.asarray(total)

    def _second_log_sum(self, theta: Array, weights: Array) -> Array:
        """Return Σ_ab w_ab ∂²log s/∂δ_a∂δ_b by row, (n,)."""
        total = np.zeros(self.design.n)
        for block in self.variance_blocks:
            term = self.variance[block.index]
            second = term.function.d2_log_sd(theta[block.place], term.covariate, term.groups)
            if second is not None:
                inside = slice(block.place.start - self.n_structural, block.place.stop - self.n_structural)
                total += np.tensordot(weights[inside, inside], second, 2)
        return total

    def random_gamma(self, at: At, block: Block, blocks: Sequence[Array]) -> Array:
        """Return Σ over clusters and levels of Z*'BZ* for the block's term and set, (p, p)."""
        p = self.design.random[block.term].n_columns
        total = np.zeros((p, p))
        for part, z, b in zip(self.parts, at.z, blocks, strict=True):
            masked = b * part.same_level[block.term]
            if self.design.random[block.term].n_sets > 1:
                masked = masked * (part.level_set[block.term] == block.set)[:, :, None]
            own = z[block.term]
            total += own.reshape(-1, p).T @ (masked @ own).reshape(-1, p)
        return total


def residual_labels(design: Design) -> Labels:
    """Return how each residual set is called in names of parameters: `"Residual"`, `"Residual [arm=B]"`."""
    residual = design.residual
    labels = ("",) if residual is None or residual.structure is None else residual.set_labels
    return tuple(f"Residual [{label}]" if label else "Residual" for label in labels)
