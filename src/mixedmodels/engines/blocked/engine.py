"""The `blocked` engine: independent errors and any random terms whose crossing part is a dense tail."""

from __future__ import annotations

from typing import ClassVar

from ...control import Control
from ...terms.rows import Rows
from ..arrangement import Arrangement, arrange
from ..base import Engine, memory_refusal
from ..homogeneous import HomogeneousEquations
from ..layout import Layout
from .system import BlockedSystem, RowSource


class BlockedEngine(Engine):
    """Cross-products once; leaf factor block-diagonal, nested ones up the tree, dense tail for the rest."""

    name: ClassVar[str] = "blocked"

    def __init__(self) -> None:
        self._last: tuple[Layout, Rows, Arrangement] | None = None

    def _arrange(self, layout: Layout, rows: Rows) -> Arrangement:
        """Return the arrangement of a model; that of the last one is kept."""
        last = self._last
        if last is None or last[0] is not layout or last[1] is not rows:
            self._last = last = (layout, rows, arrange(layout, rows))
        return last[2]

    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        if layout.errors is not None:
            return "it takes independent errors of equal (or known relative) variance only"
        if not layout.bounded:
            return "it takes positive semidefinite covariances only (bounds='psd')"
        return memory_refusal("its dense tail", self.cost(layout, rows)[1], control)

    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        arranged = self._arrange(layout, rows)
        total = arranged.tail_width + layout.rank + 1
        leaves = 0.0
        for f in arranged.chain:
            factor = arranged.factors[f]
            met = min(layout.n / factor.q * max(len(arranged.tail), 0), arranged.tail_width)
            leaves += factor.q * (factor.p * (met + layout.rank + 1)) ** 2
        # Λ and the factor of a known covariance are multiplied into a tail from both sides, there and back
        known = [
            arranged.factors[f] for f in arranged.tail if layout.terms[arranged.factors[f].terms[0]].known
        ]
        there_and_back = sum(8.0 * (factor.q * factor.p) ** 2 * total for factor in known)
        return float(total) ** 3 + there_and_back + 3 * leaves, 3 * 8.0 * total**2 + 16.0 * layout.n

    def equations(self, layout: Layout, rows: Rows, control: Control) -> HomogeneousEquations:
        source = RowSource(rows, control)
        return HomogeneousEquations(BlockedSystem(layout, source, control, self._arrange(layout, rows)))
