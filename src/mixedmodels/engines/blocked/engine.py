"""The `blocked` engine: independent errors and any random terms whose crossing part is a dense tail."""

from __future__ import annotations

from typing import ClassVar

from ...control import Control
from ...terms.design import Design
from ..base import Engine, memory_refusal
from ..homogeneous import HomogeneousEquations
from ..layout import arrange
from .system import BlockedSystem


class BlockedEngine(Engine):
    """Cross-products once; leaf factor block-diagonal, nested ones up the tree, dense tail for the rest."""

    name: ClassVar[str] = "blocked"

    def supports(self, design: Design, control: Control) -> str | None:
        if design.residual is not None:
            return "it takes independent errors of equal (or known relative) variance only"
        if not design.bounded:
            return "it takes positive semidefinite covariances only (bounds='psd')"
        return memory_refusal("its dense tail", self.cost(design)[1], control)

    def cost(self, design: Design) -> tuple[float, float]:
        layout = arrange(design)
        total = layout.tail_width + design.fixed.rank + 1
        leaves = 0.0
        for f in layout.chain:
            factor = layout.factors[f]
            met = min(len(design.y) / factor.q * max(len(layout.tail), 0), layout.tail_width)
            leaves += factor.q * (factor.p * (met + design.fixed.rank + 1)) ** 2
        # Λ and the factor of a known covariance are multiplied into a tail from both sides, there and back
        known = [layout.factors[f] for f in layout.tail if design.random[layout.factors[f].terms[0]].known]
        there_and_back = sum(8.0 * (factor.q * factor.p) ** 2 * total for factor in known)
        return float(total) ** 3 + there_and_back + 3 * leaves, 3 * 8.0 * total**2 + 16.0 * design.n

    def equations(self, design: Design, control: Control) -> HomogeneousEquations:
        return HomogeneousEquations(BlockedSystem(design, control, arrange(design)))
