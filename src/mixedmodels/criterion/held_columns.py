"""Covariances in coordinates of their own, some of whose parameters as written are held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import SIGNIFICANT, VANISHED, Natural, Positions, Structure
from ..typing import Array
from .coordinates import OwnColumns
from .covariances import CovarianceModel
from .parameters import regular_target

RAISES = 40
"""Times variances are doubled to make room for values that are held."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class HeldColumns(Structure):
    """A structure linear in its parameters of Σ* = A⁻¹ΣA⁻ᵀ of which some of Σ, as written, are held.

    What is held is linear in the parameters η* of Σ*. Each held one takes the place of the η* that it depends on most,
    after those held before it; what is left are the other η*, variances by their roots. So nothing that moves is
    about columns far from zero.

    Parameters
    ----------
    own
        The structure of Σ* that reports the parameters of Σ, η = Mη*.
    held
        Which of these are held, (k,).
    """

    own: OwnColumns
    held: NDArray[np.bool_]
    linear = True
    places: NDArray[np.intp] = field(init=False, repr=False)
    _back: Array = field(init=False, repr=False)
    _roots: NDArray[np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        base, at = self.own.base, self.own.at
        rows = self.own.linear_map[self.held]
        left, places = rows / np.abs(rows).max(axis=1, keepdims=True), []
        for i in range(len(rows)):
            places.append(int(np.argmax(np.abs(left[i]))))
            left = (
                left
                - np.outer(left[:, places[i]] / left[i, places[i]], left[i])
                * (np.arange(len(rows)) > i)[:, None]
            )
        turn = np.eye(rows.shape[1])
        turn[places] = rows
        kinds = base.natural(base.start(regular_target(at), at), at).kinds
        roots = np.array([kind == "variance" for kind in kinds]) & self.own.bounded
        roots[places] = False
        for name, value in (("places", np.array(places)), ("_back", np.linalg.inv(turn)), ("_roots", roots)):
            object.__setattr__(self, name, value)

    # -- parameters ------------------------------------------------------------------------------------------

    def _values(self, theta: Array) -> Array:
        """Return η*, (k,)."""
        return np.asarray(self._back @ np.where(self._roots, theta**2, theta))

    def _slopes(self, theta: Array) -> Array:
        """Return ∂η*/∂θ, (k, k)."""
        return self._back * np.where(self._roots, 2 * theta, 1.0)

    def _of_values(self, values: Array) -> Array:
        turned = np.linalg.solve(self._back, values)
        return np.where(self._roots, np.sqrt(np.maximum(turned, 0.0)), turned)

    def _basis(self, at: Positions) -> Array:
        """Return ∂Σ*/∂η*, (k, m, m)."""
        return self.own.base.d_natural(self.own.base.start(regular_target(at), at), at)

    def placed(self, theta: Array, at: Positions, values: Mapping[int, float]) -> Array | None:
        """Return θ with held parameters at values by their number, None where others are given or no Σ* is valid.

        Variances of Σ* are raised where it would not be valid.
        """
        if set(values) != set(np.flatnonzero(self.held)):
            return None
        moved = theta.copy()
        for place, number in zip(self.places, np.flatnonzero(self.held), strict=True):
            moved[place] = values[int(number)]
        for _ in range(RAISES):
            try:
                self.own.base.from_natural(self._values(moved), at)
            except ValueError:
                moved = np.where(self._roots, np.sqrt(2.0) * moved, moved)
            else:
                return moved
        return None

    # -- the protocol of structures --------------------------------------------------------------------------

    def size(self, m: int) -> int:
        return self.own.size(m)

    def matrix(self, theta: Array, at: Positions) -> Array:
        return np.asarray(np.tensordot(self._values(theta), self._basis(at), 1))

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        return np.asarray(np.tensordot(self._slopes(theta).T, self._basis(at), 1))

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        k = len(theta)
        second = np.zeros((k, k, at.size, at.size))
        index = np.flatnonzero(self._roots)
        second[index, index] = 2.0 * np.tensordot(self._back.T, self._basis(at), 1)[index]
        return second

    def factor(self, theta: Array, at: Positions) -> Array:
        base = self.own.base
        return base.factor(base.from_natural(self._values(theta), at), at)

    def start(self, target: Array, at: Positions) -> Array:
        base = self.own.base
        return self._of_values(base.natural(base.start(target, at), at).values)

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        return theta * np.where(self._roots, np.sqrt(factor), factor)

    def natural(self, theta: Array, at: Positions) -> Natural:
        found = self.own.natural(self.own.start(regular_target(at), at), at)
        shown = self.own.linear_map
        return Natural(found.names, shown @ self._values(theta), shown @ self._slopes(theta), found.kinds)

    def from_natural(self, values: Array, at: Positions) -> Array:
        own = np.asarray(np.linalg.solve(self.own.linear_map, values), dtype=float)
        self.own.base.from_natural(own, at)
        return self._of_values(own)

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ with the vanished variance of most negative slope set to `step`, or None."""
        basis = np.tensordot(self._back.T, self._basis(at), 1)
        slopes = np.einsum("aij,ij->a", basis, gamma)
        slopes = np.where(self._roots & (theta**2 < VANISHED * step), slopes, 0.0)
        a = int(np.argmin(slopes))
        if slopes[a] * step > -SIGNIFICANT:
            return None
        moved = theta.copy()
        moved[a] = np.sqrt(step)
        return moved


def placed(model: CovarianceModel, place: slice, theta: Array, values: Mapping[int, float]) -> Array | None:
    """Return the parameters of the block at `place` with held ones at their values; None where it cannot by itself."""
    for block in model.random_blocks:
        if block.place == place and isinstance(block.structure, HeldColumns):
            return block.structure.placed(theta[place], block.positions, values)
    return None
