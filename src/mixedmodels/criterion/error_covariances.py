"""R* of every class at the parameters of Σ_R, with its derivatives along them; what is evaluated last is kept.

R* = Σ_R[positions] ∘ [same cluster], of rows divided by their standard deviations. One θ is asked for R* and its slopes
many times, by the criterion, its gradient, the information and the curvature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions
from ..engines.base import Equations, SizeGroup
from ..engines.lazy_blocks import LazyBlocks
from ..kernels import pair_distances
from ..terms.design import Design
from ..typing import Array
from .parameters import ResidualBlock

UNIT = np.ones((1, 1, 1))
"""σ² where it is profiled out."""
LARGEST_STACK = 2e7
"""Numbers at most in a stack of second derivatives."""
KEPT = 2e6
"""Numbers at most in an array that is kept for the next question."""


@dataclass(frozen=True, slots=True)
class ErrorPart:
    """What R* of one size group needs: masks and positions of one cluster per class.

    Where `packed`, matrices are lower triangles by rows, and all rows of a class are of one cluster.
    """

    layout: SizeGroup
    rows: NDArray[np.intp]
    same_cluster: Array | None
    residual_set: NDArray[np.int32]
    index: NDArray[np.int32]
    at: Positions | None

    @property
    def packed(self) -> bool:
        """Whether matrices are lower triangles by rows."""
        return self.at is not None and self.at.packed

    def diagonal(self, gamma: Array) -> Array:
        """Return the diagonals (C, t) of matrices by class."""
        if self.packed:
            assert self.at is not None
            return np.asarray(gamma[:, self.at.diagonal])
        return np.asarray(np.einsum("cii->ci", gamma))

    def pieces(self, k: int) -> Iterator[tuple[Positions, slice]]:
        """Yield positions of so many classes at a time that k² stacks of matrices can be held, and their places."""
        assert self.at is not None
        coordinates, (c, t) = self.at.coordinates, self.rows.shape
        step = max(1, int(LARGEST_STACK // (k * k * t * t)))
        for first in range(0, c, step):
            piece = slice(first, first + step)
            if step >= c:
                # all of them are the object that distances are kept with
                yield self.at, piece
            else:
                near = None if self.at.distances is None else self.at.distances[piece]
                yield Positions(t, (), coordinates[piece], self.at.packed, near), piece  # type: ignore[index]


class ErrorCovariances:
    """The errors' side of a covariance model: Σ_R of every residual set on the rows of every class of clusters.

    `blocks` may be replaced, parameter for parameter, by blocks of other structures.

    Parameters
    ----------
    design, equations
        The model's structures; its rows, and the clusters whose R is asked for by class (`Equations.groups`).
    first
        Where in θ the parameters of Σ_R begin.
    profiled
        Whether σ² is left out of θ: there are no parameters then, and R* = 1.
    """

    def __init__(self, design: Design, equations: Equations, first: int, *, profiled: bool) -> None:
        self.residual, self.profiled = design.residual, profiled
        self.rows = None if design.residual is None else equations.rows.residual
        self.blocks: tuple[ResidualBlock, ...] = () if profiled else self._blocks(first)
        self.equations = equations
        self.parts = [self._part(group) for group in equations.groups]
        self._kept: dict[tuple[str, int, int], tuple[object, bytes, Array]] = {}

    def _blocks(self, first: int) -> tuple[ResidualBlock, ...]:
        residual = self.residual
        if residual is None or residual.structure is None:
            return (ResidualBlock(0, None, Positions(1, ("",)), slice(first, first + 1)),)
        size = residual.structure.size(residual.positions.size)
        places = [slice(first + s * size, first + (s + 1) * size) for s in range(residual.n_sets)]
        return tuple(
            ResidualBlock(s, residual.structure, residual.positions, place) for s, place in enumerate(places)
        )

    def _part(self, group: SizeGroup) -> ErrorPart:
        rows = group.first_rows
        residual, errors = self.residual, self.rows
        if residual is None or errors is None or residual.structure is None:
            none = np.zeros(rows.shape, dtype=np.int32)
            return ErrorPart(group, rows, None, none, none, None)
        if self.equations.packed:
            assert errors.coordinates is not None
            points = np.asarray(errors.coordinates[rows], dtype=np.float64)
            sets = residual.sets[errors.clusters[rows[:, -1:]]]
            flat = pair_distances(points.ravel(), rows.shape[1], points.shape[2], 1).reshape(len(rows), -1)
            packed = Positions(rows.shape[1], (), points, packed=True, distances=flat)
            return ErrorPart(group, rows, None, sets, np.zeros((0, 0), dtype=np.int32), packed)
        clusters = errors.clusters[rows]
        same = clusters[:, :, None] == clusters[:, None, :]
        mask = None if same.all() else same.astype(float)
        at = None
        if errors.coordinates is not None:
            at = Positions(rows.shape[1], (), np.asarray(errors.coordinates[rows], dtype=np.float64))
        return ErrorPart(group, rows, mask, residual.sets[clusters], errors.index[rows], at)

    @property
    def on_grid(self) -> bool:
        """Whether Σ_R lives on one grid of positions."""
        residual = self.residual
        return residual is not None and residual.structure is not None and not residual.placed

    # -- R* and its slopes -----------------------------------------------------------------------------------

    def residuals(self, theta: Array) -> Sequence[Array]:
        """Return R* of every class, one (C, t, t) per size group; those of many groups when they are asked for."""
        if self.profiled:
            return (UNIT,)
        if not self.equations.packed:
            return tuple(self.of_group(g, theta) for g in range(len(self.parts)))
        own = theta.copy()
        # a θ without a covariance is one at the first of them
        self.of_group(0, own)
        return LazyBlocks(lambda g: self.of_group(g, own), len(self.parts))

    def of_group(self, g: int, theta: Array) -> Array:
        """Return R* of every class of one size group, (C, t, t)."""
        place = slice(self.blocks[0].place.start, self.blocks[-1].place.stop)

        def total() -> Array:
            first, *rest = (self.spread(g, b, self.matrix(g, b, theta, 0)) for b in self.blocks)
            return sum(rest, start=first)

        return self._once(("R", g, 0), self.blocks, theta[place], total)

    def matrix(self, g: int, block: ResidualBlock, theta: Array, order: int) -> Array:
        """Return Σ_R or its first or second derivatives: (…, T, T) on a grid, (…, C, t, t) at own coordinates."""
        own, structure, at = theta[block.place], block.structure, self.parts[g].at
        if structure is None:
            return np.full((1,) * (order + 2), np.exp(own[0]))
        call = (structure.matrix, structure.d_matrix, structure.d2_matrix)[order]
        if at is not None:
            return call(own, at)
        return self._once(("Σ", order, block.set), block, own, lambda: call(own, block.positions))

    def spread(self, g: int, block: ResidualBlock, matrix: Array) -> Array:
        """Place Σ_R (or one of its derivatives) on the rows of every class, zero between residual clusters."""
        part = self.parts[g]
        if block.structure is None:
            c, t = part.rows.shape
            spread = matrix[..., None, :, :]
            return spread if c == t == 1 else np.asarray(spread * np.broadcast_to(np.eye(t), (c, t, t)))
        if part.at is None:
            matrix = matrix[..., part.index[:, :, None], part.index[:, None, :]]
        mask = self._mask(part, block)
        return matrix if mask is None else matrix * mask

    def _mask(self, part: ErrorPart, block: ResidualBlock) -> Array | None:
        """Return which pairs of rows the block covers, (C, t, t), None when all."""
        mask = part.same_cluster
        if part.packed:
            own = np.asarray(part.residual_set == block.set, dtype=np.float64)
            return own if len(self.blocks) > 1 else None
        if len(self.blocks) > 1:
            own = (part.residual_set == block.set).astype(float)[:, :, None]
            mask = own * own.transpose(0, 2, 1) if mask is None else mask * own
        return mask

    def derivatives(self, block: ResidualBlock, theta: Array) -> Callable[[int, int], Array]:
        """Return (size group, parameter) ↦ ∂R*/∂θ_a by class (C, t, t); those of one group are evaluated once."""
        known: dict[int, tuple[bool, Array]] = {}

        def slope(g: int, a: int) -> Array:
            if g not in known:
                rows = self.parts[g].rows
                few = (block.place.stop - block.place.start) * rows.size * rows.shape[1] <= KEPT
                few = few and not self.parts[g].packed
                known[g] = (few, self._stack(g, block, theta) if few else self.matrix(g, block, theta, 1))
            spread, found = known[g]
            if self.parts[g].packed and a == len(found) - 1:
                # there are many groups, asked for one after another
                del known[g]
            return found[a] if spread else self.spread(g, block, found[a])

        return slope

    def _stack(self, g: int, block: ResidualBlock, theta: Array) -> Array:
        """Return ∂R*/∂θ_a of the parameters of a block by class, (k, C, t, t)."""
        return self._once(
            ("dR", g, block.set),
            block,
            theta[block.place],
            lambda: self.spread(g, block, self.matrix(g, block, theta, 1)),
        )

    def _once(self, name: tuple[str, int, int], of: object, own: Array, found: Callable[[], Array]) -> Array:
        """Return what was found for `of` at these parameters, the last array of each name kept."""
        key = own.tobytes()
        last = self._kept.get(name)
        if last is not None and last[0] is of and last[1] == key:
            return last[2]
        value = found()
        if value.size <= KEPT:
            self._kept[name] = (of, key, value)
        return value

    # -- contractions ----------------------------------------------------------------------------------------

    def slopes(self, block: ResidualBlock, theta: Array, gammas: Sequence[Array]) -> Array:
        """Return ⟨Γ, ∂R*/∂θ_a⟩ of the parameters of a block, (k,), for Γ by class of every size group."""
        if block.structure is None:
            trace = sum(float(np.einsum("cii->", gamma)) for gamma in gammas)
            return np.array([np.exp(theta[block.place][0]) * trace])
        if self.on_grid:
            first = self.matrix(0, block, theta, 1)
            return np.asarray(np.tensordot(first, self.grid_gamma(block, gammas), 2))
        structure = block.structure

        def slopes(g: int) -> Array:
            at = self.parts[g].at
            assert at is not None
            return structure.slopes(theta[block.place], self._masked(g, block, gammas[g]), at)

        return np.asarray(sum(self._each(slopes)))

    def _masked(self, g: int, block: ResidualBlock, gamma: Array) -> Array:
        mask = self._mask(self.parts[g], block)
        return gamma if mask is None else gamma * mask

    def _each(self, f: Callable[[int], Array]) -> list[Array]:
        """Return f of every size group, several at a time where the equations are in many."""
        return self.equations.each(f) if self.equations.packed else [f(g) for g in range(len(self.parts))]

    def curvature(self, block: ResidualBlock, theta: Array, gammas: Sequence[Array]) -> Array:
        """Return ⟨Γ, ∂²R*/∂θ_a∂θ_b⟩ of the parameters of a block, (k, k)."""
        if block.structure is None:
            return self.slopes(block, theta, gammas)[:, None]
        own = theta[block.place]
        if self.on_grid:
            return block.structure.curvature(own, self.grid_gamma(block, gammas), block.positions)
        structure = block.structure

        def curvature(g: int) -> Array:
            weight, pieces = self._masked(g, block, gammas[g]), self.parts[g].pieces(len(own))
            return np.asarray(sum(structure.curvature(own, weight[piece], at) for at, piece in pieces))

        return np.asarray(sum(self._each(curvature)))

    def slopes_of_group(self, g: int, block: ResidualBlock, theta: Array, weight: Array) -> Array:
        """Return ⟨B, ∂R*/∂θ_a⟩ of one size group, (k,), for B by class (C, t, t)."""
        slope = self.derivatives(block, theta)
        k = block.place.stop - block.place.start
        if k * weight.size <= KEPT:
            return np.asarray(self._stack(g, block, theta).reshape(k, -1) @ weight.ravel())
        return np.array([float(np.vdot(slope(g, a), weight)) for a in range(k)])

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

    def trace(self, block: ResidualBlock, gammas: Sequence[Array]) -> float:
        """Return Σ tr Γ over the rows of a residual block: the slope of −2l in a nugget."""
        total = 0.0
        for part, gamma in zip(self.parts, gammas, strict=True):
            diagonal = part.diagonal(gamma)
            if len(self.blocks) > 1:
                diagonal = diagonal * (part.residual_set == block.set)
            total += float(diagonal.sum())
        return total
