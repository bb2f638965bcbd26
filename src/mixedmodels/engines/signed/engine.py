"""The `signed` engine: independent errors with random effects whose covariances have no bounds."""

from __future__ import annotations

from typing import ClassVar

from ...control import Control
from ...terms.rows import Rows
from ..base import Engine, memory_refusal
from ..homogeneous import HomogeneousEquations
from ..layout import Layout
from .system import SignedSystem


class SignedEngine(Engine):
    """Mixed-model equations with signed pivots."""

    name: ClassVar[str] = "signed"

    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        if layout.bounded:
            return "it is for covariances without bounds (bounds='none')"
        if layout.errors is not None:
            return "it takes independent errors of equal (or known relative) variance only"
        known = [term.label for term in layout.terms if term.known is not None]
        if known:
            return f"a known covariance among levels ({known[0]!r}) needs bounds='psd'"
        return memory_refusal("its dense tail", self.cost(layout, rows)[1], control)

    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        widths = [term.n_levels * term.n_columns for term in layout.terms]
        tail = float(sum(widths) - max(widths, default=0))
        return 4.0 * tail**3 + 50.0 * layout.n, 8.0 * 6.0 * tail**2 + 16.0 * layout.n

    def equations(self, layout: Layout, rows: Rows, control: Control) -> HomogeneousEquations:
        return HomogeneousEquations(SignedSystem(layout, rows, control))
