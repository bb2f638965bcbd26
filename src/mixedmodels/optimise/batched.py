"""Many responses or rows of one model, each searched from the estimates of a neighbour.

Where the equations have native searches these come first: a small fit then takes a twentieth of the time. What they
leave, and every other model, goes to the general optimiser; and where that does not converge from the neighbour's
estimates it starts again from starting values of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..control import Control
from ..criterion.base import Criterion
from ..engines.base import Refits, Refitted
from ..errors import FitError
from ..typing import Array
from .newton import optimise
from .optimum import Optimum


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


def optimise_near(criterion: Criterion, control: Control, near: Array | None) -> Optimum:
    """Return the optimum found from θ of a neighbour, or from own starting values where that does not converge.

    Of two searches that did not converge the one with the lower −2l counts. None is no neighbour.
    """
    if near is None:
        return optimise(criterion, control)
    try:
        found = optimise(criterion, control, near)
    except FitError:
        # the neighbour's θ is outside the domain of this criterion
        return optimise(criterion, control)
    if found.converged:
        return found
    afresh = optimise(criterion, control)
    return min(found, afresh, key=lambda one: (not one.converged, one.value))


def _entries(criterion: Criterion) -> tuple[tuple[int, int, int, int, int], ...] | None:
    """Return (term, set, row, column, parameter) of every entry of Λ, or None if some Λ is not linear in θ."""
    out: list[tuple[int, int, int, int, int]] = []
    for block in criterion.model.random_blocks:
        own = block.structure.factor_entries(block.positions.size)
        if own is None:
            return None
        out += [(block.term, block.set, i, j, block.place.start + a) for i, j, a in own]
    return tuple(out)
