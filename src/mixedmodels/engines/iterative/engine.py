"""The `iterative` engine: independent errors and crossed factors whose tail is too large, or too slow, to factor."""

from __future__ import annotations

from typing import ClassVar

from ...control import Control
from ...terms.rows import Rows
from ..arrangement import Factor, merge_terms
from ..base import Engine, memory_refusal
from ..homogeneous import HomogeneousEquations
from ..layout import Layout
from .probes import BLOCK
from .system import START, IterativeSystem

STEPS = 15.0
"""Steps of conjugate gradients that are counted on; well connected designs take 4 to 20, poorly connected ones more."""


class IterativeEngine(Engine):
    """Conjugate gradients on what is left of the tail, traces by random probes."""

    name: ClassVar[str] = "iterative"
    simulates: ClassVar[bool] = True

    def __init__(self) -> None:
        self._last: tuple[Layout, Rows, tuple[Factor, ...]] | None = None

    def _factors(self, layout: Layout, rows: Rows) -> tuple[Factor, ...]:
        """Return the factors of a model, that of most random columns first; those of the last model are kept."""
        last = self._last
        if last is None or last[0] is not layout or last[1] is not rows:
            factors = sorted(merge_terms(layout, rows), key=lambda f: -f.q * f.p)
            self._last = last = (layout, rows, tuple(factors))
        return last[2]

    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        if layout.errors is not None:
            return "it takes independent errors of equal (or known relative) variance only"
        if not layout.bounded:
            return "it takes positive semidefinite covariances only (bounds='psd')"
        if any(term.known is not None for term in layout.terms):
            return "it takes no known covariances among levels"
        if len({term.group for term in layout.terms}) < 2 or len(self._factors(layout, rows)) < 2:
            return "it takes two or more crossed grouping factors; with one, 'blocked' is exact and as fast"
        return memory_refusal("its sparse cross-products and probes", self.cost(layout, rows)[1], control)

    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        factors = self._factors(layout, rows)
        leaf, width = factors[0], float(sum(f.q * f.p for f in factors[1:]))
        met = [min(float(layout.n), float(leaf.q) * f.q) for f in factors[1:]]
        entries = sum(2.0 * m * leaf.p * f.p for m, f in zip(met, factors[1:], strict=True))
        among = sum(f.q * f.p**2 for f in factors[1:]) + sum(
            2.0 * min(float(layout.n), float(f.q) * g.q) * f.p * g.p
            for i, f in enumerate(factors[1:])
            for g in factors[i + 2 :]
        )
        entries += among
        columns = START + layout.rank + 4.0 * len(layout.terms)
        effects = width + leaf.q * leaf.p
        operations = 2.0 * STEPS * columns * (entries + 5.0 * width)
        held = 40.0 * entries + 8.0 * (3.0 * START * width + (6.0 * BLOCK + layout.rank) * effects)
        return operations, held + 16.0 * layout.n

    def equations(self, layout: Layout, rows: Rows, control: Control) -> HomogeneousEquations:
        return HomogeneousEquations(IterativeSystem(layout, rows, control, self._factors(layout, rows)))
