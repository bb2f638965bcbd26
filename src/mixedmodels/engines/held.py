"""Models with some covariance parameters held at values on the natural scale (SAS PARMS / HOLD=)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Natural, Positions, Structure
from ..errors import FitError
from ..terms.design import Design
from ..typing import Array
from .base import System
from .objective import Objective
from .parameters import Block, design_blocks, parameter_names, place_by_name

Mask: TypeAlias = NDArray[np.bool_]


@final
@dataclass(frozen=True, slots=True)
class NaturalCoordinates(Structure):
    """A structure whose working parameters are the natural parameters of another."""

    base: Structure

    def size(self, m: int) -> int:
        return self.base.size(m)

    def matrix(self, theta: Array, at: Positions) -> Array:
        return self.base.matrix(self.base.from_natural(theta, at), at)

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        if self.base.linear:
            regular = self.base.start(_regular_target(at), at)
            return self.base.d_natural(regular, at)
        try:
            return self.base.d_natural(self.base.from_natural(theta, at), at)
        except np.linalg.LinAlgError:
            raise FitError(
                f"a {self.base.names[0]!r} covariance became singular while some of its parameters "
                "are held; hold all of them, or choose held values that leave room for the others."
            ) from None

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        return self.base.d2_natural(self.base.from_natural(theta, at), at)

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        if self.base.linear:
            return np.zeros((len(theta), len(theta)))
        return np.asarray(np.einsum("abij,ij->ab", self.d2_matrix(theta, at), gamma))

    def factor(self, theta: Array, at: Positions) -> Array:
        return self.base.factor(self.base.from_natural(theta, at), at)

    def start(self, target: Array, at: Positions) -> Array:
        return self.base.natural(self.base.start(target, at), at).values

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        scaled = self.base.rescale(self.base.from_natural(theta, at), factor, at)
        return self.base.natural(scaled, at).values

    def natural(self, theta: Array, at: Positions) -> Natural:
        named = self.base.natural(self.base.start(_regular_target(at), at), at)
        return Natural(named.names, theta, np.eye(len(theta)), named.kinds)

    def from_natural(self, values: Array, at: Positions) -> Array:
        self.base.from_natural(values, at)
        return np.array(values, dtype=float)


def held_objective(design: Design, system: System, hold: Mapping[str, float]) -> Objective:
    """Return the joint-mode criterion in which some natural parameters keep their given values.

    Notes
    -----
    Where the held parameters of a covariance depend on as many working parameters as there are held ones,
    those working parameters are held. Otherwise (a covariance held without its variances) the block is
    optimised in its natural parameters; an estimate on the boundary of such a block is not found exactly.
    """
    names = parameter_names(design)
    held = place_by_name(hold, names, "hold")
    blocks, free, first = [], [], 0
    for block in design_blocks(design):
        size = block.place.stop - block.place.start
        count = len(_natural_slopes(block))
        chosen = np.array([first + i in held for i in range(count)])
        block, held_theta = _hold_block(block, chosen, size)
        blocks.append(block)
        free.append(~held_theta)
        first += count
    free.append(np.array([len(names) - 1 not in held]))
    return Objective(
        design, system, joint=True, blocks=blocks, free=np.concatenate(free),
        held={names[i]: value for i, value in held.items()},
    )  # fmt: skip


def _hold_block(block: Block, chosen: Mask, size: int) -> tuple[Block, Mask]:
    """Return the block, in natural coordinates if it must be, and which of its parameters are held."""
    if not chosen.any():
        return block, np.zeros(size, dtype=bool)
    if chosen.all():
        return block, np.ones(size, dtype=bool)
    depends = np.any(_natural_slopes(block)[chosen] != 0, axis=0)
    if depends.sum() == chosen.sum():
        return block, depends
    return replace(block, structure=NaturalCoordinates(block.structure)), chosen


def _natural_slopes(block: Block) -> Array:
    """Return ∂natural/∂θ at a point where nothing vanishes, (natural, θ)."""
    at = block.positions
    return block.structure.natural(block.structure.start(_regular_target(at), at), at).jacobian


def _regular_target(at: Positions) -> Array:
    """Return a covariance matrix with no zero element and no special symmetry, (m, m)."""
    m = at.size
    return np.diag(1.0 + np.arange(m) / m) + 0.25
