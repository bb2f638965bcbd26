"""Whether responses of a generalised model have its distribution."""

from __future__ import annotations

import numpy as np
from scipy import stats

from ...errors import MixedModelsError
from .base import Asked, Finding, by_test, p_text


def distribution(asked: Asked) -> Finding | None:
    """Return whether conditional quantile residuals are standard normal, by Kolmogorov and Smirnov's distance."""
    fit = asked.fit
    if fit.distribution is None:
        return None
    try:
        values = fit.residuals("quantile", seed=asked.seed)
    except MixedModelsError as error:
        return Finding("ok", f"no quantile residuals: {error}")
    values = values[np.isfinite(values)]
    distance, p = stats.kstest(values, "norm")
    text = f"quantile residuals: distance from normal {distance:.3f}, {p_text(float(p))}"
    return by_test(
        text,
        float(distance),
        float(p),
        "look at fit.residuals('quantile') against predictors; try another family",
    )
