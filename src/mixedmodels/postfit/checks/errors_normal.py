"""Whether errors look normal."""

from __future__ import annotations

import numpy as np
from scipy import stats

from ...typing import Array
from ..residuals import conditional_student
from .base import MOST, Asked, Finding, by_test, p_text

FEWEST = 20
"""Rows below which normality is not looked at."""


def normal_errors(asked: Asked) -> Finding | None:
    """Return whether studentised conditional residuals look normal, by Shapiro and Wilk's W."""
    fit = asked.fit
    if fit.distribution is not None or fit.nobs < FEWEST:
        return None
    values = student(asked)
    values = values[np.isfinite(values)]
    if len(values) < FEWEST or np.ptp(values) == 0:
        return None
    test = stats.shapiro(values[:: -(-len(values) // MOST)])
    w, p = float(test[0]), float(test[1])
    text = f"residuals: W = {w:.3f}, {p_text(p)}"
    return by_test(text, w, p, "look at fit.plot.qq(); transform the response or use a family of mm.glmm")


def student(asked: Asked) -> Array:
    """Return studentised conditional residuals of the rows used, (n,); NaN where a row is fitted exactly."""
    return asked.fit._work.keep("student residuals", lambda: conditional_student(asked.fit))
