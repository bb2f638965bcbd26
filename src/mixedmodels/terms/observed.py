"""What was observed and how it is distributed: a likelihood's family, its responses, and the predictors of its rows."""

from __future__ import annotations

from dataclasses import dataclass

from ..likelihood.base import Family
from ..likelihood.responses import Responses
from ..likelihood.rows import Rows as Densities
from ..typing import Array
from .stack import Stack


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The rows of a likelihood that is not Gaussian."""

    family: Family
    responses: Responses
    stack: Stack

    @property
    def informative(self) -> int:
        """The number of rows that say something."""
        return len(self.stack)

    def at(self, eta: Array, psi: Array, order: int) -> Densities:
        """Return the log densities at predictors η (P, n) with their derivatives."""
        return self.family.at(self.responses, eta, psi, order)
