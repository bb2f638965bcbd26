"""The smooths of a fit: effective degrees of freedom, tests, variances."""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.smooth_posterior import (
    Coefficients,
    coefficients,
    smooths_of,
    term_degrees,
    total_degrees,
)
from ..inference.smooth_test import SmoothStatistic, random_statistic, smooth_statistic
from ..table import Table
from ..terms.smooth import PlacedCurve
from ..terms.spline import SplineBasis
from ..typing import Array

MOST_TESTED = 2_000
"""Coefficients of a smooth with a curve for each level up to which it is tested."""


def smooths(fit: Fit) -> Table:
    """Return how many degrees of freedom each smooth takes, and a test of whether it is zero.

    Returns
    -------
    Table
        `term edf ref_df statistic p_value variance`: effective degrees of freedom tr F; reference degrees of freedom
        of the test, tr(2F − FF); F with (ref_df, n − total edf) degrees of freedom, or χ² where the scale is known; the
        variance σ²/λ of the penalised coefficients, NaN where a smooth has several (`fit.variance_components()` has
        them) and 0 where the smooth is what no penalty touches: a line.

    Notes
    -----
    Wood (2013), Biometrika 100:221: the quadratic form of the smooth at the rows in the ref_df best determined
    directions of its Bayesian covariance, whose null distribution is a sum of weighted χ² variables; variances are
    taken as known. *Same as* `summary(gam)$s.table` of mgcv; `variance` is the square of `gam.vcomp`.

    Raises
    ------
    SpecError
        For a fit without smooths.

    Examples
    --------
    >>> import numpy as np, mixedmodels as mm
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(size=200)
    >>> data = {"x": x, "y": np.sin(6 * x) + rng.normal(0, 0.3, 200)}
    >>> table = mm.lmm("y ~ s(x, bs='cr')", data).smooths()
    >>> table["term"][0], round(float(table["edf"][0]), 2)
    ('s(x)', 7.07)
    """
    found = smooths_of(fit)
    if not found:
        raise SpecError(f"{fit.spec.formula!r} has no smooth; write s(x) in the formula.")
    known = known_scale(fit)
    df = np.inf if known else fit.nobs - total_degrees(fit)
    rows = [_row(fit, place, df) for place in found]
    names = ("term", "edf", "ref_df", "statistic", "p_value", "variance")
    columns = {name: np.array([row[k] for row in rows]) for k, name in enumerate(names)}
    columns["term"] = np.array([row[0] for row in rows], dtype=object)
    return Table(columns, title="Smooths", notes=_notes(rows, known, df), backend=fit.backend)


SCALED = frozenset(("gaussian", "gamma", "inverse_gaussian", "lognormal", "tweedie"))
"""Families whose dispersion multiplies the variance of a response."""
Row = tuple[str, float, float, float, float, float]


def known_scale(fit: Fit) -> bool:
    """Return whether the variance of a response given its mean has no scale to estimate, as mgcv has it.

    The k of a negative binomial, the φ of a beta response and the scale of Student's t are parameters of the family:
    their tests are of χ².
    """
    return fit.distribution is not None and fit._work.integrated and fit.family not in SCALED


def _row(fit: Fit, place: PlacedCurve, df: float) -> Row:
    variance = _variance(fit, place)
    if place.grouped:
        return _grouped_row(fit, place, df, variance)
    own = coefficients(fit, place)
    if not len(place.fixed):
        prior = _prior(fit, place)
        return _random_row(
            place, own.edf, random_statistic(own.estimate, own.covariance, prior), df, variance
        )
    lead = getattr(place.curve, "lead", None)
    lead = np.eye(len(own.columns))[0] if lead is None else lead[own.columns]
    found = smooth_statistic(_root(fit, own), own.estimate, own.covariance, own.ref_df, lead)
    shown = found.values[0] if np.isinf(df) else found.values[0] / found.rank
    return place.label, own.edf, own.ref_df, shown, found.p_value(df), variance


def _prior(fit: Fit, place: PlacedCurve) -> Array:
    """Return the covariance of the penalised coefficients of a smooth of the population, (r, r)."""
    assert place.term is not None
    first, last = place.columns
    return np.asarray(fit.covariances[place.term][0][first:last, first:last])


def _random_row(place: PlacedCurve, edf: float, found: SmoothStatistic, df: float, variance: float) -> Row:
    shown = found.values[0] if np.isinf(df) else found.values[0] / found.rank
    return place.label, edf, found.rank, shown, found.p_value(df), variance


def _grouped_row(fit: Fit, place: PlacedCurve, df: float, variance: float) -> Row:
    """Return the row of a smooth with a curve for each level, without a test where that takes too large matrices."""
    assert place.term is not None
    term = fit.design.random[place.term]
    edf = term_degrees(fit, place.term)
    count = term.n_levels * term.n_columns
    if count > MOST_TESTED or fit._work.integrated:
        return place.label, edf, float(count), np.nan, np.nan, variance
    joint = fit._work.equations().joint_covariance(place.term)
    prior = np.kron(np.eye(term.n_levels), fit.covariances[place.term][0])
    estimate = fit.solution.random[place.term].ravel()
    return _random_row(place, edf, random_statistic(estimate, joint, prior), df, variance)


def _variance(fit: Fit, place: PlacedCurve) -> float:
    """Return the variance of penalised coefficients that have one, NaN for others."""
    if place.term is None:
        return np.nan
    sigma = fit.covariances[place.term][0]
    if fit.design.random[place.term].structure.names[0] == "homdiag":
        return float(sigma[0, 0])
    return 0.0 if not sigma.any() else np.nan


def _root(fit: Fit, own: Coefficients) -> Array:
    """Return R with R'R = B'WB of the columns of a smooth, centred, in the rows of the fit, (c, c)."""
    columns = smooth_columns(fit, own)
    if isinstance(own.place.curve, SplineBasis):
        columns = columns - columns.mean(axis=0)
    weights = row_precisions(fit)
    if weights is not None:
        columns = columns * np.sqrt(np.maximum(weights, 0.0))[:, None]
    return np.asarray(np.linalg.qr(columns, mode="r"))


def smooth_columns(fit: Fit, own: Coefficients) -> Array:
    """Return the columns of the coefficients of a smooth in the rows of the fit, (n, c)."""
    place, rows = own.place, fit._work.rows()
    fixed = [place.fixed[j] for j in own.columns if j < len(place.fixed)]
    parts = [rows.fixed.matrix[:, fixed]]
    if place.term is not None:
        first, last = place.columns
        parts.append(rows.random[place.term].dense_values()[:, first:last])
    return np.hstack(parts)


def row_precisions(fit: Fit) -> Array | None:
    """Return the weight of every row, (n,): known ones, or the curvature of a generalised model; None for ones."""
    if fit._work.integrated:
        return np.asarray(fit._work.mode().densities.curvature[0])
    return fit._work.rows().weights


def _notes(rows: list[Row], known: bool, df: float) -> tuple[str, ...]:
    scale = "χ², the scale being known" if known else f"F with {df:.1f} residual degrees of freedom"
    notes = [f"Test that a smooth is zero (Wood 2013): {scale}; variances taken as known."]
    gone = [row[0] for row in rows if row[5] == 0.0 and row[1] == 0.0]
    lines = [row[0] for row in rows if row[5] == 0.0 and row[1] > 0.0]
    if lines:
        notes.append(f"Linear, or what else no penalty touches (variance 0): {', '.join(lines)}.")
    if gone:
        notes.append(f"Zero everywhere (no variance is left): {', '.join(gone)}.")
    return tuple(notes)
