"""What was observed: y with trials, known precision weights and frequencies, three different things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

    @property
    def trials_or_one(self) -> Array:
        return np.ones(len(self.y)) if self.trials is None else self.trials

    @property
    def weights_or_one(self) -> Array:
        return np.ones(len(self.y)) if self.weights is None else self.weights
