"""Intervals for covariance parameters from their estimates and standard errors, by kind of parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

from ..inference.distributions import t_quantile
from ..inference.reported import POSITIVE as RANGES_AND_RATIOS
from ..typing import Array, Labels

Limits = tuple[Array, Array]
POSITIVE = RANGES_AND_RATIOS | {"variance"}
"""Kinds of parameters that are positive."""


def unconstrained(values: Array, std_error: Array, kinds: Labels, level: float) -> Limits:
    """Return limits symmetric on a scale without bounds: log, logit, Fisher's z, or the parameter's own.

    Notes
    -----
    Variances, ranges and ratios on the log scale, correlations in (−1, 1) by Fisher's z, those in (0, 1)
    (kind `"unit"`) by the logit, others as they are: the scales of `nlme::intervals`.
    """
    half = _normal(level, len(values)) * std_error
    low, high = values - half, values + half
    with np.errstate(all="ignore"):
        for i, kind in enumerate(kinds):
            v, h = values[i], half[i]
            if kind in POSITIVE:
                low[i], high[i] = v * np.exp(-h / v), v * np.exp(h / v)
            elif kind == "correlation":
                centre, reach = np.arctanh(v), h / (1.0 - v * v)
                low[i], high[i] = np.tanh(centre - reach), np.tanh(centre + reach)
            elif kind == "unit":
                centre, reach = special.logit(v), h / (v * (1.0 - v))
                low[i], high[i] = special.expit(centre - reach), special.expit(centre + reach)
    return low, high


def symmetric(values: Array, std_error: Array, kinds: Labels, level: float) -> Limits:
    """Return estimate ± z·SE, which may leave the parameter space: SAS CL=WALD."""
    half = _normal(level, len(values)) * std_error
    return values - half, values + half


def satterthwaite(values: Array, std_error: Array, kinds: Labels, level: float) -> Limits:
    """Return SAS's default limits: νθ̂/χ² for parameters bounded below by zero, symmetric ones for the
    others.

    Notes
    -----
    ν = 2(θ̂/SE)², as if νθ̂/θ had a χ² distribution with ν degrees of freedom (SAS/STAT User's Guide, PROC
    MIXED, option CL). Bounded are variances and ranges.
    """
    low, high = symmetric(values, std_error, kinds, level)
    bounded = np.array([kind in POSITIVE for kind in kinds])
    with np.errstate(all="ignore"):
        df = 2.0 * (values / std_error) ** 2
        tail = (1.0 - level) / 2.0
        # the quantile of the upper tail: special.chdtri inverts the complementary distribution
        low = np.where(bounded, df * values / special.chdtri(df, tail), low)
        high = np.where(bounded, df * values / special.chdtri(df, 1.0 - tail), high)
    return low, high


INTERVALS: Mapping[str, Callable[[Array, Array, Labels, float], Limits]] = {
    "wald": unconstrained,
    "symmetric": symmetric,
    "satterthwaite": satterthwaite,
}
"""Kinds of intervals for covariance parameters."""


def _normal(level: float, k: int) -> Array:
    return t_quantile(level, np.full(k, np.inf))
