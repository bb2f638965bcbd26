"""Random signs by which traces are estimated: the same at every V, so that estimates are smooth functions of V."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...typing import Array

SEED = 20_130_615
BLOCK = 16
"""Probes drawn, and solved for, at once."""
FEW = 128
"""Columns that as many solutions are cheaper for than probes."""


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Vectors z_s with weights such that Σ w_s z_sz_s' estimates I, exactly where they are unit vectors.

    Parameters
    ----------
    width
        Their length, the columns of the tail.
    count
        Signs asked for.
    few
        Columns up to which, or up to `count`, unit vectors take their place, so that every trace is exact.
    """

    width: int
    count: int
    few: int = FEW

    @property
    def exact(self) -> bool:
        """Whether estimates are without Monte Carlo error."""
        return self.width <= max(self.count, self.few)

    @property
    def total(self) -> int:
        """Number of vectors."""
        return self.width if self.exact else self.count

    @property
    def weight(self) -> float:
        """w_s, the same for all."""
        return 1.0 if self.exact else 1.0 / self.count

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.total // BLOCK)

    def block(self, number: int) -> Array:
        """Return one block of vectors, (width, at most 16); those of a smaller number are among those of a larger."""
        first = number * BLOCK
        size = min(BLOCK, self.total - first)
        if self.exact:
            out = np.zeros((self.width, size))
            out[first + np.arange(size), np.arange(size)] = 1.0
            return out
        signs: NDArray[np.int8] = np.random.default_rng([SEED, number]).integers(
            0, 2, (BLOCK, self.width), np.int8
        )
        return np.ascontiguousarray(2.0 * signs[:size].T - 1.0)
