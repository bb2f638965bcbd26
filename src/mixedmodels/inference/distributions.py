"""Tails and quantiles of t and F that reach the normal and χ² at infinite degrees of freedom."""

from __future__ import annotations

import numpy as np
from scipy import special

from ..typing import Array


def t_two_sided(statistic: Array, df: Array) -> Array:
    """Return P(|T| ≥ |statistic|) for t with `df` degrees of freedom, normal where `df` is infinite.

    Examples
    --------
    >>> t_two_sided(np.array([2.0, 2.0]), np.array([10.0, np.inf])).round(6)
    array([0.073388, 0.0455  ])
    """
    infinite = np.isinf(df)
    finite_df = np.where(infinite, 1.0, df)
    tail = np.where(infinite, special.ndtr(-np.abs(statistic)), special.stdtr(finite_df, -np.abs(statistic)))
    return np.asarray(2 * tail, dtype=float)


WIDEST = 1e6
"""Half-width of an interval, in standard errors, beyond which it says nothing: 0.2 degrees of freedom at 95%."""


def t_quantile(level: float, df: Array) -> Array:
    """Return the half-width of a central interval of probability `level`, in standard errors; NaN beyond `WIDEST`.

    Examples
    --------
    >>> t_quantile(0.95, np.array([12.0, np.inf])).round(5)
    array([2.17881, 1.95996])
    """
    upper = (1 + level) / 2
    infinite = np.isinf(df)
    finite_df = np.where(infinite, 1.0, df)
    half = np.where(infinite, special.ndtri(upper), special.stdtrit(finite_df, upper))
    return np.asarray(np.where(half <= WIDEST, half, np.nan), dtype=float)


def f_upper(statistic: float, num_df: float, den_df: float) -> float:
    """Return P(F ≥ statistic), from χ²/num_df where `den_df` is infinite.

    Examples
    --------
    >>> round(f_upper(4.0, 2, 10), 6), round(f_upper(4.0, 2, float("inf")), 6)
    (0.052922, 0.018316)
    """
    if np.isinf(den_df):
        return float(special.chdtrc(num_df, num_df * statistic))
    return float(special.fdtrc(num_df, den_df, statistic))


def t_one_sided(statistic: Array, df: Array) -> Array:
    """Return P(T ≥ statistic) for t with `df` degrees of freedom, normal where `df` is infinite.

    Examples
    --------
    >>> t_one_sided(np.array([2.0]), np.array([10.0])).round(6)
    array([0.036694])
    """
    infinite = np.isinf(df)
    finite_df = np.where(infinite, 1.0, df)
    tail = np.where(infinite, special.ndtr(-statistic), special.stdtr(finite_df, -statistic))
    return np.asarray(tail, dtype=float)
