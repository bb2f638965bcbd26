"""Standard errors from variances that cannot be negative, or can."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..typing import Array

ROUNDING = 1e-9
"""A variance is negative when it is below minus this share of the residual variance."""


def standard_errors(fit: Fit, variance: Array) -> Array:
    """Return √`variance`, 0 where rounding made it negative, NaN where an indefinite Σ̂ did.

    With `bounds="none"` Σ̂ − Σ̂Z'PZΣ̂ is no covariance matrix where Σ̂ is indefinite: there is no random vector b.
    """
    roots = np.sqrt(np.maximum(variance, 0.0))
    if fit.design.bounded:
        return np.asarray(roots)
    return np.asarray(np.where(variance < -ROUNDING * fit.sigma2, np.nan, roots))
