"""What was observed and how it is distributed: a likelihood's family, its responses, and the predictors of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..likelihood.base import Family
from ..likelihood.responses import Responses
from ..likelihood.rows import Rows as Densities
from ..typing import Array
from .stack import Stack

UNITLESS = ("log", "logit", "probit", "cloglog", "loglog", "cauchit")
"""Links whose scale is one whatever the unit of the response."""


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

    def units(self) -> Array:
        """Return the size of a usual difference on the scale of each predictor, (P,): one where links have no units."""
        out = np.ones(self.stack.count)
        family = self.family
        link = getattr(family, "link", None) or getattr(getattr(family, "base", None), "link", None)
        if link is not None and link.name not in UNITLESS:
            start = family.start(self.responses)[0]
            spread = float(np.std(start[np.isfinite(start)]))
            out[0] = spread if spread > 0.0 else max(abs(float(start[0])), 1e-300)
        return out

    def at(self, eta: Array, psi: Array, order: int) -> Densities:
        """Return the log densities at predictors η (P, n) with their derivatives."""
        return self.family.at(self.responses, eta, psi, order)
