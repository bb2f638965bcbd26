"""What was observed: y with trials, known precision weights and frequencies, three different things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..typing import Array


@dataclass(frozen=True, slots=True)
class Responses:
    """The responses of n rows.

    Parameters
    ----------
    y
        Responses, (n,): counts for count families and binomial ones (successes), level codes 0..K−1 for categories.
    trials
        Trials of a binomial or beta-binomial row, (n,); None is one trial a row.
    weights
        Known precision weights, (n,): the dispersion of a row is φ/w; None is 1. Only for families with a dispersion.
    frequency
        How many equal rows a row stands for, (n,); it multiplies the log density. None is 1.
    """

    y: Array
    trials: Array | None = None
    weights: Array | None = None
    frequency: Array | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[Any]) -> Responses:
        """Return the responses of some rows."""
        optional = (self.trials, self.weights, self.frequency)
        return Responses(self.y[rows], *(None if part is None else part[rows] for part in optional))

    @property
    def trials_or_one(self) -> Array:
        return np.ones(len(self.y)) if self.trials is None else self.trials

    @property
    def weights_or_one(self) -> Array:
        return np.ones(len(self.y)) if self.weights is None else self.weights
