"""Tail probabilities of the largest of several t statistics, by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import interpolate, optimize, special, stats

from ..typing import Array
from .distributions import f_upper

SPHERE_POINTS, SPHERE_SETS = 1 << 13, 4
"""Points on the sphere for `mvt`: errors of p-values are below 1e-4 in all cases tried."""

WIDEST, KNOTS = 14.0, 2500
"""Range of standard normals whose probability is below 1e-14 for 10,000 of them, and values tabulated up to there."""


def tukey_upper(t: float, k: float, df: float) -> float:
    """Return P(Q ≥ √2·t) for the studentised range Q of k means with `df` degrees of freedom.

    Notes
    -----
    P(Q ≤ q) = ∫ f_s(s) k∫ φ(z)[Φ(z) − Φ(z − qs)]^{k−1} dz ds with νs² ~ χ²_ν, both by Gauss–Legendre rules
    (the outer one in log s); the inner integral of a whole number of means is tabulated once, see `_range_table`.
    Absolute error below 1e-10. *Same as* `ptukey` in R.

    Examples
    --------
    >>> round(tukey_upper(3.5 / np.sqrt(2), 3, 10), 6)
    0.077103
    """
    if np.isnan(t) or np.isnan(df):
        return float("nan")
    scale, weight = _scale_rule(float(df))
    w = np.sqrt(2.0) * t * scale
    if k != int(k):
        return float(np.clip(weight @ _range_upper(w, k), 0.0, 1.0))
    upper = np.where(w < WIDEST, _range_table(int(k))(np.minimum(w, WIDEST)), 0.0)
    return float(np.clip(weight @ upper, 0.0, 1.0))


def dunnettx_upper(t: float, m: int, df: float) -> float:
    """Return the approximate P(max |T_j| ≥ t) of m comparisons with a control, correlations near one half.

    Notes
    -----
    (m−1)/m times the Tukey probability of the (1 + √(1 + 8m))/2 means that have m pairs, plus 1/m times
    Šidák's: the approximation of R's emmeans.
    """
    tukey = tukey_upper(t, (1.0 + np.sqrt(1.0 + 8.0 * m)) / 2.0, df) if m > 1 else 0.0
    single = f_upper(t * t, 1, df)
    sidak = -np.expm1(m * np.log1p(-min(single, 1.0 - 1e-16)))
    return float((m - 1) / m * tukey + sidak / m)


def mvt_upper(correlation: Array) -> Callable[[float, float], float]:
    """Return the function (t, df) ↦ P(max_j |T_j| ≥ t) for a multivariate t with this correlation (m, m).

    Notes
    -----
    With correlation AA', A (m, r), T = ρAu/s for u uniform on the unit sphere, ρ² ~ χ²_r and s² ~ χ²_ν/ν,
    so that the probability is the mean over u of P(F_{r,ν} ≥ t²/(r·max_j(a_j'u)²)): only the sphere is left
    to integrate over, by a fixed quasi-random rule (exact for r = 1, equally spaced angles for r = 2). The
    same call gives the same number.
    """
    values, vectors = np.linalg.eigh(correlation)
    used = values > 1e-8 * values.max(initial=0.0)
    factor = vectors[:, used] * np.sqrt(values[used])
    r = int(used.sum())
    largest = np.abs(_sphere(r) @ factor.T).max(axis=1)

    def upper(t: float, df: float) -> float:
        if np.isnan(t) or np.isnan(df):
            return float("nan")
        argument = t * t / (r * largest**2)
        tail = special.chdtrc(r, r * argument) if np.isinf(df) else special.fdtrc(r, df, argument)
        return float(np.mean(tail))

    return upper


def solve_critical(
    upper: Callable[[float], float], level: float, near: tuple[float, float] | None = None
) -> float:
    """Return the t at which the decreasing function `upper` is 1 − level; `near` are limits that it may lie between."""
    if near is not None and upper(near[0]) > 1.0 - level >= upper(near[1]):
        return float(optimize.brentq(lambda t: upper(t) - (1.0 - level), *near, xtol=1e-10, rtol=1e-12))
    high = 4.0
    while upper(high) > 1.0 - level:
        high *= 2.0
        if high > 1e8:
            return float("nan")
    return float(optimize.brentq(lambda t: upper(t) - (1.0 - level), 0.0, high, xtol=1e-10, rtol=1e-12))


def _range_upper(w: Array, k: float) -> Array:
    """Return P(range of k standard normals ≥ w) for each w, (a,)."""
    nodes, weights = _rule(160)
    z, step = 9.0 * nodes, 9.0 * weights
    density = step * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    below = special.ndtr(z)
    inside = np.maximum(below - special.ndtr(z - w[:, None]), 0.0)
    return np.asarray(1.0 - k * (inside ** (k - 1.0)) @ density)


@lru_cache(maxsize=16)
def _range_table(k: int) -> interpolate.CubicSpline:
    """Return P(range of k standard normals ≥ w) as a function of w on (0, `WIDEST`).

    Notes
    -----
    It has derivatives of every order, for a whole k at w = 0 too, so that a cubic spline through `KNOTS` values is
    within 3e-11 of it.
    """
    w = np.linspace(0.0, WIDEST, KNOTS)
    return interpolate.CubicSpline(w, _range_upper(w, k))


@lru_cache(maxsize=64)
def _scale_rule(df: float) -> tuple[Array, Array]:
    """Return nodes s and weights for averages over s = √(χ²_ν/ν)."""
    if np.isinf(df) or df > 1e7:
        return np.ones(1), np.ones(1)
    half = 0.5 * df
    low = 0.5 * np.log(max(float(special.gammaincinv(half, 1e-14)), 1e-40) / half)
    high = 0.5 * np.log(float(special.gammainccinv(half, 1e-15)) / half)
    nodes, weights = _rule(192)
    u = low + (high - low) * (nodes + 1.0) / 2.0
    log_density = np.log(2.0) + half * np.log(half) - special.gammaln(half) + df * u - half * np.exp(2.0 * u)
    mass = weights * (high - low) / 2.0 * np.exp(log_density)
    felt = mass > 1e-16 * mass.sum()
    return np.exp(u[felt]), mass[felt] / mass.sum()


@lru_cache(maxsize=4)
def _rule(n: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return nodes, weights


@lru_cache(maxsize=16)
def _sphere(r: int) -> Array:
    """Return points (a, r) that cover the unit sphere evenly."""
    if r == 1:
        return np.ones((1, 1))
    if r == 2:
        angles = (np.arange(4096) + 0.5) * np.pi / 4096
        return np.column_stack([np.cos(angles), np.sin(angles)])
    sets = [stats.qmc.Sobol(r, seed=set_seed).random(SPHERE_POINTS) for set_seed in range(SPHERE_SETS)]
    normal = special.ndtri(np.clip(np.vstack(sets), 1e-12, 1.0 - 1e-12))
    return np.asarray(normal / np.linalg.norm(normal, axis=1)[:, None])
