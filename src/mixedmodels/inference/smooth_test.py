"""Is a smooth zero? Wood's (2013) test, and tails of sums of weighted χ² variables over an estimated scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..lazy import LazyModule
from ..typing import Array

integrate = LazyModule("scipy.integrate")
optimize = LazyModule("scipy.optimize")
WHOLE = 1e-9
"""A fraction of a degree of freedom that counts as none."""
TAKEN_UP = 1e-7
"""Share of a direction of random effects that is determined by the data below which it counts as none."""
RANK = 1e-12
"""Eigenvalue of a prior covariance, of the largest, below which a direction has no variance."""
POSITIVE = 1e-14
"""Eigenvalue of a covariance, of the largest, below which a direction is none."""


@dataclass(frozen=True, slots=True)
class SmoothStatistic:
    """T of a smooth, and T with the other sign, (2,); its degrees of freedom; the weights of its null distribution."""

    values: tuple[float, float]
    rank: float
    weights: Array

    def p_value(self, df: float) -> float:
        """Return the mean of the p-values of both signs, `df` those of an estimated scale."""
        return 0.5 * (
            mixture_tail(self.values[0], self.weights, df) + mixture_tail(self.values[1], self.weights, df)
        )


def smooth_statistic(
    root: Array, estimate: Array, covariance: Array, rank: float, lead: Array
) -> SmoothStatistic:
    """Return the test statistic of a smooth and the weights of the χ²₁ variables of its null distribution.

    Parameters
    ----------
    root
        R (k, c) with R'R = B'WB of the columns B of the smooth.
    estimate, covariance
        Its coefficients (c,) and their Bayesian covariance (c, c).
    rank
        Degrees of freedom, whole or not: tr(2F − FF).
    lead
        Coefficients (c,) of the function on which eigenvectors are positive.

    Notes
    -----
    With f = Rβ̂ and RVR' = UΛU', k = ⌊r⌋ and ν = r − k: T = Σ_{i<k}(u_i'f)²/λ_i and a quadratic form in the k-th and
    (k+1)-th with the matrix [[1, ρ], [ρ, ν]], ρ = √(ν(1 − ν)/2). Eigenvectors have no sign: T takes them positive on
    one function, the first of the basis, and the p-value is the mean over both signs of ρ. Wood (2013), Biometrika
    100:221. *Same as* `summary.gam` of mgcv.
    """
    values, vectors = np.linalg.eigh(root @ covariance @ root.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    usable = int(np.count_nonzero(values > POSITIVE * max(float(values[0]), 0.0))) if len(values) else 0
    if usable == 0:
        return SmoothStatistic((np.nan, np.nan), np.nan, np.empty(0))
    along = (vectors.T @ (root @ estimate)) * np.where(vectors.T @ (root @ lead) < 0, -1.0, 1.0)
    unit = along[:usable] / np.sqrt(values[:usable])
    whole = max(int(np.floor(rank + WHOLE)), 0)
    rest = max(rank - whole, 0.0)
    if rest < WHOLE or usable < whole + 1:
        whole = min(whole, usable)
        total = float(np.sum(unit[:whole] ** 2))
        return SmoothStatistic((total, total), float(whole), np.ones(whole))
    if whole == 0:
        total = float(unit[0] ** 2)
        return SmoothStatistic((total, total), 1.0, np.ones(1))
    common = float(np.sum(unit[:whole] ** 2) + rest * unit[whole] ** 2)
    crossed = float(2.0 * np.sqrt(rest * (1.0 - rest) / 2.0) * unit[whole - 1] * unit[whole])
    first = (rest + 1.0 + np.sqrt(1.0 - rest**2)) / 2.0
    weights = np.append(np.ones(whole - 1), [first, rest + 1.0 - first])
    return SmoothStatistic((common + crossed, common - crossed), rank, weights)


def random_statistic(estimate: Array, covariance: Array, prior: Array) -> SmoothStatistic:
    """Return the test of a smooth that is penalised throughout, or of random effects: is their variance zero?

    Parameters
    ----------
    estimate, covariance
        b̂ (c,) and C = var(b̂ − b), (c, c).
    prior
        Their covariance G, (c, c).

    Notes
    -----
    T = b̂'C⁻¹b̂ is y'P₀Z(Z'P₀Z + G⁻¹)⁻¹Z'P₀y, P₀ that of the model without them, whose null distribution is a sum of
    χ²₁ variables weighted by the eigenvalues of F = I − CG⁻¹. Wood (2013), Biometrika 100:1005. *Same as* the rows of
    `bs = "re"` in `summary.gam` of mgcv.
    """
    size = np.sqrt(np.diagonal(prior))
    unit = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(prior / unit / unit[:, None])
    kept = values > RANK * max(float(values[-1]), 0.0)
    if not kept.any():
        return SmoothStatistic((0.0, 0.0), float(len(estimate)), np.zeros(0))
    back = vectors[:, kept].T / np.sqrt(values[kept])[:, None] / unit
    inside = back @ covariance @ back.T
    own = back @ estimate
    total = float(own @ np.linalg.solve(inside, own))
    weights = np.clip(1.0 - np.linalg.eigvalsh(0.5 * (inside + inside.T)), 0.0, 1.0)
    # of directions that fixed effects take up the data know nothing
    weights = weights[weights > TAKEN_UP]
    # directions whose variance is estimated as zero count, although nothing of them is left in the statistic
    rank = len(weights) + int(np.count_nonzero(~kept))
    return SmoothStatistic((total, total), float(rank), weights)


def mixture_tail(statistic: float, weights: Array, df: float = np.inf) -> float:
    """Return P(Σ w_iχ²₁ > t), or with `df` of an estimated scale P(Σ w_iχ²₁/(χ²_df/df) > t).

    Notes
    -----
    The characteristic function of the quadratic form Σ w_iχ²₁ − (t/df)χ²_df, inverted along a path on which it does not
    oscillate. *Same as* Davies (1980) or Imhof (1961).

    Examples
    --------
    >>> from scipy import stats
    >>> round(mixture_tail(3.84, np.ones(1)) / float(stats.chi2.sf(3.84, 1)), 6)
    1.0
    """
    if np.isnan(statistic):
        return np.nan
    if statistic <= 0 or not len(weights):
        return 1.0
    if np.allclose(weights, weights[0]):
        from scipy import stats

        count, each = len(weights), statistic / float(weights[0])
        tail = stats.chi2.sf(each, count) if np.isinf(df) else stats.f.sf(each / count, count, df)
        return float(tail)
    return _steepest(statistic, np.asarray(weights, dtype=np.float64), df)


def _steepest(statistic: float, weights: Array, df: float) -> float:
    """Return P(Q > q) as (2πi)⁻¹∫exp(K(s) − qs)/s ds, K the cumulants' function, along a parabola through the saddle.

    Notes
    -----
    The contour leaves the saddle point upright and bends to the right, round the branch cut that starts at 1/(2 max w):
    there the integrand falls off without oscillating, however far in the tail, so that small probabilities keep their
    digits (Rice 1980, SIAM Journal on Scientific and Statistical Computing 1:438). A ratio to χ²_df/df is the
    difference Σ w χ² − q χ²_df/df at zero.
    """
    unit = float(weights.max())
    w, q = weights / unit, statistic / unit

    def exponent(s: complex) -> complex:
        own = -0.5 * np.sum(np.log(1.0 - 2.0 * w * s)) - np.log(s)
        return complex(own - q * s if np.isinf(df) else own - 0.5 * df * np.log(1.0 + 2.0 * q / df * s))

    def slope(s: float) -> float:
        own = float(np.sum(w / (1.0 - 2.0 * w * s))) - 1.0 / s
        return own - (q if np.isinf(df) else q / (1.0 + 2.0 * q / df * s))

    if slope(0.5 * (1.0 - 1e-12)) <= 0:
        return 0.0
    saddle = float(optimize.brentq(slope, 1e-12, 0.5 * (1.0 - 1e-12)))
    curvature = float(np.sum(2.0 * (w / (1.0 - 2.0 * w * saddle)) ** 2)) + saddle**-2
    if np.isfinite(df):
        curvature += 2.0 * q**2 / df / (1.0 + 2.0 * q / df * saddle) ** 2
    step, peak = 1.0 / np.sqrt(curvature), exponent(saddle).real

    def integrand(v: float) -> float:
        point = saddle + step * complex(0.25 * v * v, v)
        return float((np.exp(exponent(point) - peak) * complex(0.5 * v, 1.0)).imag)

    total = integrate.quad(integrand, 0.0, np.inf, limit=400, epsabs=1e-12, epsrel=1e-10)[0]
    return float(min(max(np.exp(peak) * step * total / np.pi, 0.0), 1.0))
