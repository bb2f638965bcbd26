"""Whether predicted random effects look normal."""

from __future__ import annotations

import numpy as np
from scipy import stats

from ...errors import MixedModelsError
from ...typing import Array
from .base import MOST, Asked, Finding, by_test, p_text

FEWEST = 10
"""Levels below which normality is not looked at."""


def normal_random_effects(asked: Asked) -> Finding | None:
    """Return the least normal column of random effects by Shapiro and Wilk's W, p by Bonferroni over columns.

    Predicted effects are divided by their own standard deviations, √(Σ − var(b − b̂)).
    """
    fit = asked.fit
    found: list[tuple[float, float, str]] = []
    for k, term in enumerate(fit.design.random):
        if term.smooth or term.known is not None or term.n_levels < FEWEST:
            continue
        for column, spread in zip(term.columns, standardised(asked, k), strict=True):
            values = spread[np.isfinite(spread)]
            if len(values) >= FEWEST and np.ptp(values) > 0:
                chosen = values[:: -(-len(values) // MOST)]
                test = stats.shapiro(chosen)
                found.append((float(test[1]), float(test[0]), f"{term.label}: {column}"))
    if not found:
        return None
    p, w, name = min(found)
    p = min(1.0, p * len(found))
    text = f"least normal: {name} (W = {w:.3f}, {p_text(p)})"
    return by_test(
        text,
        w,
        p,
        "look at fit.plot.qq(); transform the response, or see whether a predictor of levels is missing",
    )


def standardised(asked: Asked, k: int) -> list[Array]:
    """Return the predicted effects of every column of a term over their standard deviations, (q,), NaN for none."""
    fit = asked.fit
    term, effects = fit.design.random[k], fit.solution.random[k]
    prior = np.einsum("sjj->sj", fit.covariances[k])[term.sets]
    try:
        unknown = np.einsum("qjj->qj", fit._work.equations().conditional_covariance(k))
    except MixedModelsError:
        return [np.full(term.n_levels, np.nan)] * term.n_columns
    spread = np.maximum(prior - unknown, 0.0)
    usable = spread > 1e-3 * np.maximum(prior, 1e-300)
    found = np.where(usable, effects / np.sqrt(np.where(usable, spread, 1.0)), np.nan)
    return list(found.T)
