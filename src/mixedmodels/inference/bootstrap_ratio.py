"""The null distribution of a likelihood ratio by refits to responses simulated from the smaller model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FitError, MixedModelsError
from ..fit import Fit
from ..typing import Array
from .bootstrap import simulated, together
from .progress import counted

FALL = 1e-4
"""A larger model with −2l above the smaller one's by more is not its extension, or not converged."""
_ENOUGH = 20
"""Replicates below which there is no p-value to speak of."""


@dataclass(frozen=True, slots=True)
class RatioBootstrap:
    """Statistics of the replicates that could be used (m,), and how many of all could not, with the first reason."""

    statistics: Array
    failed: int
    reason: str

    def p_value(self, statistic: float) -> float:
        """Return (1 + number of replicates at or above the statistic) / (1 + m)."""
        above = np.count_nonzero(self.statistics >= statistic - 1e-9)
        return float((1 + above) / (1 + len(self.statistics)))


def bootstrap_ratio(
    smaller: Fit, larger: Fit, n: int, seed: int, *, progress: bool | None = None
) -> RatioBootstrap:
    """Return n draws of (−2l₀) − (−2l₁) under the smaller model, both models refitted to each response.

    Raises
    ------
    FitError
        Where fewer than twenty replicates can be used.

    Notes
    -----
    Responses come from the smaller model at its estimates, replicate i from a stream of its own (`bootstrap.stream`),
    so that it depends on seed and i alone. A replicate fails where a search does not converge or the larger model
    ends above the smaller one.
    """
    draws = np.full(n, np.nan)
    reasons: list[str] = []
    native = all(fit._work.refitter() is not None for fit in (smaller, larger))
    size = min(together(smaller), n) if native else 1
    for first in counted(range(0, n, size), "compare", progress, total=n):
        each = range(first, min(first + size, n))
        responses = np.column_stack([simulated(smaller, seed, i) for i in each])
        draws[each.start : each.stop] = _statistics(smaller, larger, responses, reasons)
    usable = draws[np.isfinite(draws)]
    if len(usable) < min(_ENOUGH, n):
        raise FitError(
            f"compare: only {len(usable)} of {n} replicates of reference='bootstrap' could be fitted ({reasons[0]}). "
            "Use reference='chi2', or simpler models."
        )
    return RatioBootstrap(usable, n - len(usable), reasons[0] if reasons else "")


def _statistics(smaller: Fit, larger: Fit, responses: Array, reasons: list[str]) -> Array:
    """Return the statistic of each response (n, m), NaN where it failed; reasons are appended."""
    try:
        null, full = smaller.refit(responses), larger.refit(responses)
    except (MixedModelsError, ArithmeticError, np.linalg.LinAlgError) as error:
        if responses.shape[1] == 1:
            reasons.append(str(error))
            return np.array([np.nan])
        return np.concatenate([_statistics(smaller, larger, y[:, None], reasons) for y in responses.T])
    statistic = np.asarray(null.criterion - full.criterion)
    converged = null.converged & full.converged
    reasons += ["not converged"] * int(np.count_nonzero(~converged))
    fell = converged & (statistic < -FALL)
    reasons += ["the larger model fitted worse"] * int(np.count_nonzero(fell))
    return np.where(converged & ~fell, np.maximum(statistic, 0.0), np.nan)
