"""Many responses of one model: native searches where the equations have them."""

from __future__ import annotations

from dataclasses import dataclass

from ..control import Control
from ..criterion.base import Criterion
from ..engines.base import Refits, Refitted
from ..typing import Array


@dataclass(frozen=True, slots=True)
class ResponseRefitter:
    """What is shared by all responses of one criterion: its equations' searches, and where θ stands in Λ."""

    refits: Refits
    entries: tuple[tuple[int, int, int, int, int], ...]

    @classmethod
    def of(cls, criterion: Criterion) -> ResponseRefitter | None:
        """Return the refitter of a criterion, or None where the native search does not apply."""
        if criterion.linear is not criterion or criterion.joint or not criterion.free.all():
            return None
        refits = criterion.equations.refits()
        entries = _entries(criterion)
        return None if refits is None or entries is None else cls(refits, entries)

    def refit(self, responses: Array, start: Array, control: Control) -> list[Refitted | None]:
        """Return the optimum of each row of `responses` (k, n) from θ = `start`; None where it is not interior."""
        return self.refits.refit(responses, self.entries, start, control)


def _entries(criterion: Criterion) -> tuple[tuple[int, int, int, int, int], ...] | None:
    """Return (term, set, row, column, parameter) of every entry of Λ, or None if some Λ is not linear in θ."""
    out: list[tuple[int, int, int, int, int]] = []
    for block in criterion.model.random_blocks:
        own = block.structure.factor_entries(block.positions.size)
        if own is None:
            return None
        out += [(block.term, block.set, i, j, block.place.start + a) for i, j, a in own]
    return tuple(out)
