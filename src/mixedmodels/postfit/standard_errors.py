"""Standard errors from variances that cannot be negative, or can."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..typing import Array

ROUNDING = 1e-9
"""A variance is negative when it is below minus this share of the residual variance."""


def standard_errors(fit: Fit, variance: Array) -> Array:
    """Return √`variance`, 0 where rounding made it negative, NaN where it is negative beyond that.

    With `bounds="none"` Σ̂ − Σ̂Z'PZΣ̂ is no covariance matrix where Σ̂ is indefinite: there is no random vector b.
    With errors of a singular covariance the difference is lost to rounding.
    """
    roots = np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(np.where(variance < -ROUNDING * fit.sigma2, np.nan, roots))


def lost_note(fit: Fit, variance: Array) -> list[str]:
    """Return why some of the standard errors are missing, as a note; none where all are there."""
    lost = int(np.count_nonzero(variance < -ROUNDING * fit.sigma2))
    if not lost:
        return []
    why = "the covariance of the errors is all but singular" if fit.design.bounded else "with bounds='none'"
    rows = "1 row has" if lost == 1 else f"{lost} rows have"
    return [f"{rows} no variance that could be told from zero ({why}): no standard errors or limits there"]
