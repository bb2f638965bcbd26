"""Linear functions of the mean of a population: of β, and of the coefficients of splines, which are part of that mean.

Functions have a column for every column of X that was kept, and then for every coefficient of every spline.
"""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..terms.new_rows import NewRows
from ..tool import load
from ..typing import Array
from .ddf import DegreesOfFreedom
from .directions import independent_directions

NOTHING = 1e-10
"""Share of the largest value of its column in the data below which a function of a spline coefficient is none."""
PAIRS_AT_ONCE = 20_000


def spline_rows(fit: Fit, rows: NewRows) -> Array:
    """Return the values of the spline bases at rows, (m, number of spline coefficients)."""
    pairs = zip(fit.design.random, rows.values, strict=True)
    values = [np.asarray(own) for term, own in pairs if term.smooth and own is not None]
    return np.hstack(values) if values else np.zeros((len(rows), 0))


def population_columns(fit: Fit, functions: Array) -> Array:
    """Return functions (k, p + splines) on the columns of X that were kept and on splines, (k, rank + splines)."""
    fixed = fit.design.fixed
    kept = functions[:, list(fixed.estimable)]
    curve = functions[:, len(fixed.columns) :]
    return np.hstack([kept, curve]) if curve.shape[1] else kept


def population_estimates(fit: Fit, functions: Array) -> Array:
    """Return the estimates of functions (k, rank + splines), (k,)."""
    rank = fit.design.fixed.rank
    terms = zip(fit.design.random, fit.solution.random, strict=True)
    coefficients = [effects.ravel() for term, effects in terms if term.smooth]
    found = fit.solution.estimates(functions[:, :rank])
    return np.asarray(found + functions[:, rank:] @ np.concatenate([np.zeros(0), *coefficients]))


def bends(fit: Fit, functions: Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which functions (k, rank + splines) have a part in splines, (k,)."""
    curve = functions[:, fit.design.fixed.rank :]
    if not curve.shape[1]:
        return np.zeros(len(functions), dtype=bool)
    return np.asarray((np.abs(curve) > NOTHING * spline_sizes(fit)).any(axis=1))


def spline_sizes(fit: Fit) -> Array:
    """Return the largest value of every column of the spline bases in the data, (splines,)."""

    def compute() -> Array:
        pairs = zip(fit.design.random, fit._work.rows().random, strict=True)
        return np.hstack(
            [np.zeros(0), *(np.abs(own.dense_values()).max(axis=0) for term, own in pairs if term.smooth)]
        )

    return fit._work.keep("sizes of spline columns", compute)


def variances(fit: Fit, functions: Array, method: DegreesOfFreedom) -> tuple[Array, Array]:
    """Return the variances of what functions with a part in splines miss, (k,), and their degrees of freedom, (k,)."""
    if type(method).vcov is not DegreesOfFreedom.vcov and not method.adjusts:
        raise SpecError(
            "splines are part of these means, and a covariance of the fixed effects alone does not say how well they "
            "are known; use the fit's own ddf, or functions at one value of the spline's variable."
        )
    variance, df = load("postfit.prediction_error:of_functions")(fit, functions, method)
    return variance, df


def covariance(fit: Fit, functions: Array, method: DegreesOfFreedom) -> Array:
    """Return the covariance of what functions (k, rank + splines) miss, (k, k), from variances of their sums."""
    own = fit.solution.basis.rows(functions[:, : fit.design.fixed.rank])
    out = np.asarray(own @ method.vcov(fit) @ own.T)
    curved = bends(fit, functions)
    if not curved.any():
        return out
    i, j = np.triu_indices(len(functions))
    chosen = curved[i] | curved[j]
    i, j = i[chosen], j[chosen]
    single = np.array(np.diagonal(out))
    single[curved] = variances(fit, functions[curved], method)[0]
    for first in range(0, len(i), PAIRS_AT_ONCE):
        a, b = i[first : first + PAIRS_AT_ONCE], j[first : first + PAIRS_AT_ONCE]
        both = variances(fit, functions[a] + functions[b], method)[0]
        out[a, b] = out[b, a] = (both - single[a] - single[b]) / 2.0
    return out


def joint(fit: Fit, functions: Array, rhs: Array, method: DegreesOfFreedom) -> tuple[float, float, float]:
    """Return F of functions (k, rank + splines) against `rhs` (k,), its numerator and denominator degrees of freedom.

    Notes
    -----
    Where splines take part and the method has degrees of freedom from variances, those of Fai and Cornelius (1996);
    other methods have those of the functions of β.
    """
    values, directions = independent_directions(covariance(fit, functions, method))
    if not len(values):
        return np.nan, np.nan, np.nan
    projected = directions @ (population_estimates(fit, functions) - rhs)
    statistic = float(np.sum(projected**2 / values)) / len(values)
    kept = functions[:, : fit.design.fixed.rank]
    if not method.from_variances or not bends(fit, functions).any():
        factor, df = method.joint(fit, kept)
        return factor * statistic, float(len(values)), df
    turned = directions @ functions
    df_of = method.single(fit, turned[:, : kept.shape[1]])
    curved = bends(fit, turned)
    if curved.any():
        df_of = np.where(curved, 0.0, df_of)
        df_of[curved] = variances(fit, turned[curved], method)[1]
    return statistic, float(len(values)), load("inference.ddf.satterthwaite:fai_cornelius")(df_of)
