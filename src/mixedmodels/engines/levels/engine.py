"""The `levels` engine: independent effects of one grouping factor, and no fixed columns."""

from __future__ import annotations

from typing import ClassVar

from ...control import Control
from ...terms.rows import Rows
from ..base import Engine, memory_refusal
from ..homogeneous import HomogeneousEquations
from ..layout import Layout
from .system import LevelSystem

WIDEST = 6
"""Columns of a level up to which sums of their products are taken pair by pair."""


class LevelsEngine(Engine):
    """One small matrix for each level: the random part of a generalised model, whose weights change again and again."""

    name: ClassVar[str] = "levels"

    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        if layout.errors is not None:
            return "it takes independent errors of equal (or known relative) variance only"
        if layout.rank:
            return "it takes no fixed columns"
        terms = layout.terms
        if not terms or any(term.group != terms[0].group or term.known is not None for term in terms):
            return "it takes independent levels of one grouping factor only"
        width = sum(term.n_columns for term in terms)
        if width > WIDEST or not layout.bounded:
            return f"it takes at most {WIDEST} random columns, of positive semidefinite covariance"
        return memory_refusal("its matrices by level", self.cost(layout, rows)[1], control)

    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        width = sum(term.n_columns for term in layout.terms)
        levels = layout.terms[0].n_levels
        pairs = width * (width + 1) / 2
        return pairs * layout.n + levels * width**3, 8.0 * (pairs * layout.n + 4 * levels * width**2)

    def equations(self, layout: Layout, rows: Rows, control: Control) -> HomogeneousEquations:
        return HomogeneousEquations(LevelSystem.of(layout, rows, control.threads_for(layout.n)))
