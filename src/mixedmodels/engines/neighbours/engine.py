"""The `neighbours` engine: errors of large clusters at coordinates, each row given its nearest neighbours."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...control import Control
from ...terms.rows import Rows
from ..base import Engine, memory_refusal
from ..layout import Layout
from .arrange import NUMBERS, packed_size, set_counts
from .equations import NeighbourEquations


class NeighboursEngine(Engine):
    """Vecchia's approximation: the likelihood is the product of those of every row given its neighbours."""

    name: ClassVar[str] = "neighbours"
    given_neighbours: ClassVar[bool] = True

    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        if layout.errors is None or not layout.errors.neighbours:
            return "it takes residual structures with neighbours= only"
        return memory_refusal("its rows with their neighbours", self.cost(layout, rows)[1], control)

    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        assert layout.errors is not None
        assert rows.residual is not None
        counts = set_counts(np.bincount(rows.residual.clusters), layout.errors.neighbours)
        width, dimension = layout.rank + 1, rows.residual.coordinates.shape[1]  # type: ignore[union-attr]
        flops = sum(count * (t**3 / 3.0 + 4.0 * width * t**2) for t, count in counts.items())
        # of every row its neighbours, their coordinates, distances, correlations and covariances, which are kept; and
        # two dozen stacks of covariances and directions for each of a few threads
        held = sum(count * 8.0 * (t * (1 + dimension) + 3 * packed_size(t)) for t, count in counts.items())
        largest = max(counts, default=1)
        working = 8.0 * 24.0 * max(NUMBERS, packed_size(largest))
        return flops, held + 2.0 * working + 8.0 * layout.n * (width + 4.0)

    def equations(self, layout: Layout, rows: Rows, control: Control) -> NeighbourEquations:
        return NeighbourEquations(layout, rows, control)
