"""How much the true effects of a meta-analysis differ."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..inference.wald import check_level
from ..lazy import LazyModule
from ..registry import check_choice
from ..table import Table
from ..typing import Array
from .error_side import error_covariance, error_variances

special = LazyModule("scipy.special")


def heterogeneity(
    fit: Fit, ci: Literal["profile", "wald", "satterthwaite"] | None = "profile", *, level: float = 0.95
) -> Table:
    """Return the variances of the true effects, their share of the total variance, and Cochran's Q.

    Parameters
    ----------
    ci
        Limits of the variances: `"profile"`, `"wald"`, `"satterthwaite"`, or None for none.
    level
        Probability of the limits.

    Returns
    -------
    Table
        `component variance conf_low conf_high i2 h2 q q_df q_p`: a row for each random term and one, `total`, for
        their sum, on which alone Q stands.

    Raises
    ------
    SpecError
        For a fit that is no meta-analysis (`mm.meta`).

    Notes
    -----
    With W = V⁻¹ of the sampling errors and P = W − WX(X'WX)⁻¹X'W the typical sampling variance is v = (n − p)/tr P
    (Higgins and Thompson 2002), I² = 100·σ²/(Σσ² + v) for a component and H² = (Σσ² + v)/v for the total. Q = y'Py
    has a χ² distribution with n − p df where all true effects with the same moderators are equal. *Same as* `I^2`,
    `H^2`, `QE` of `metafor::rma`, and `confint` of the fit.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> trials = {"yi": [-0.9, -1.6, -1.3, -1.4, -0.2, -0.8], "vi": [0.33, 0.19, 0.42, 0.02, 0.05, 0.01]}
    >>> table = mm.meta("yi ~ 1", trials, variance="vi").heterogeneity(ci=None)
    >>> table["i2"].round(2), table["q"].round(3)
    (array([82.69, 82.69]), array([   nan, 26.084]))
    """
    if not fit.spec.sampling:
        raise SpecError("heterogeneity: this fit has no known sampling variances; fit it with mm.meta.")
    if ci is not None:
        check_choice("ci", ci, ("profile", "wald", "satterthwaite"))
    check_level(level)
    components = fit.variance_components(ci=ci, level=level) if ci else fit.variance_components()
    labels = zip(components["group"], components["kind"], strict=True)
    kept = np.array([group != "Residual" and kind == "variance" for group, kind in labels])
    variances = components["variance"][kept]
    typical, q = typical_variance(fit)
    total = float(variances.sum())
    one = len(variances) == 1
    missing = np.full(len(variances), np.nan)
    low, high = (components[name][kept] if ci else missing for name in ("conf_low", "conf_high"))
    whole = total + typical
    columns = {
        "component": np.array([*components["group"][kept], "total"], dtype=object),
        "variance": np.append(variances, total),
        "conf_low": np.append(low, low[0] if one else np.nan),
        "conf_high": np.append(high, high[0] if one else np.nan),
        "i2": 100.0 * np.append(variances, total) / whole,
        "h2": np.append(missing, whole / typical),
        "q": np.append(missing, q),
        "q_df": np.append(missing, float(fit.df_resid)),
        "q_p": np.append(missing, float(special.chdtrc(fit.df_resid, q))),
    }
    notes = [f"typical sampling variance {typical:.4g}; i2 in percent, of the sum of all variances"]
    if ci:
        notes.append(f"limits of variances: {ci}, {100 * level:g}%")
    formats = {"q": "statistic", "q_df": "df", "q_p": "p"}
    return Table(columns, "Heterogeneity of true effects", tuple(notes), fit.backend, formats)


def typical_variance(fit: Fit) -> tuple[float, float]:
    """Return (n − p)/tr P and Q = y'Py, P that of the sampling errors alone."""
    given = fit._work.rows()
    x, y = given.fixed.x, given.y
    solved, traced = _solved(fit, np.column_stack([x, y]))
    wx, wy = solved[:, :-1], solved[:, -1]
    gram = x.T @ wx
    inside = float(np.trace(np.linalg.solve(gram, wx.T @ wx)))
    beta = np.linalg.solve(gram, x.T @ wy)
    gap = y - x @ beta
    q = float(gap @ (wy - wx @ beta))
    return fit.df_resid / (traced - inside), q


def _solved(fit: Fit, columns: Array) -> tuple[Array, float]:
    """Return W times some columns (n, k), and tr W, W the inverse covariance of the sampling errors."""
    errors = fit._work.rows().residual
    if errors is None:
        weights = 1.0 / error_variances(fit)
        return weights[:, None] * columns, float(weights.sum())
    found, trace = np.empty_like(columns), 0.0
    for rows in _rows_by_cluster(errors.clusters):
        covariance = error_covariance(fit, rows)
        found[rows] = np.linalg.solve(covariance, columns[rows])
        trace += float(np.trace(np.linalg.inv(covariance)))
    return found, trace


def _rows_by_cluster(clusters: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    order = np.argsort(clusters, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(clusters[order])) + 1)
