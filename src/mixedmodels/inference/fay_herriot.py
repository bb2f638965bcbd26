"""The area-level model of Fay and Herriot: direct estimates with known sampling variances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from scipy import optimize

from ..api import lm, lmm
from ..control import Control
from ..criterion.parameters import RESIDUAL
from ..errors import DataError, SpecError, suggest
from ..fit import Fit
from ..frame.readers import open_source
from ..registry import check_choice
from ..spec import Method, NaAction, quoted
from ..syntax.formula import read_formula
from ..typing import Array
from .sampling import read_sampling

AreaMethod = Literal["reml", "ml", "fay-herriot", "prasad-rao"]
METHODS = ("reml", "ml", "fay-herriot", "prasad-rao")


def fay_herriot(
    formula: str,
    data: Any,
    *,
    variance: Any,
    area: str,
    method: AreaMethod = "reml",
    contrasts: Mapping[str, str] | None = None,
    na: NaAction = "drop",
    control: Control | None = None,
) -> Fit:
    """Return the area-level model y_i = x_i'β + b_i + e_i, b_i ~ N(0, A), e_i ~ N(0, D_i) with D_i known.

    Parameters
    ----------
    formula
        `"y ~ x"`: direct estimates by covariates of the areas, without random terms.
    data
        One row for each area, in anything `lmm` reads.
    variance
        Column, or array, of the sampling variances D_i > 0.
    area
        Column that names the areas.
    method
        How A is estimated: `"reml"`, `"ml"`, or by moments, `"fay-herriot"` or `"prasad-rao"`.
    contrasts, na, control
        As for `lmm`.

    Returns
    -------
    Fit
        With every tool; `fit.small_area()` gives the EBLUPs and their mean squared errors (for a fit by moments
        `fit.small_area(estimator=method)`).

    Notes
    -----
    It is `lmm("y ~ x + (1 | area)", weights=1/D, hold={"var(Residual)": 1})`. Moments: A solves Σ(y_i −
    x_i'β̂_A)²/(A + D_i) = m − p (Fay and Herriot 1979), or is {RSS − Σ D_i(1 − h_i)}/(m − p), h_i the leverage in
    least squares (Prasad and Rao 1990), zero where that is negative; A is then held in the fit. *Same as*
    `sae::eblupFH(y ~ x, vardir = D, method =)`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = {"area": list("abcde"), "y": [1.0, 3.0, 2.0, 6.0, 4.0], "x": [0.0, 1.0, 2.0, 3.0, 4.0],
    ...         "D": [0.5, 0.4, 0.5, 0.6, 0.4]}
    >>> fit = mm.fay_herriot("y ~ x", data, variance="D", area="area")
    >>> fit.small_area()["estimate"].round(3)
    array([1.098, 2.864, 2.274, 5.484, 4.182])
    """
    check_choice("method", method, METHODS)
    asked = read_formula(formula)
    if asked.random or asked.smooths:
        raise SpecError(
            f"formula={formula!r}: write the fixed part alone; the effect of each area is added by area=."
        )
    source = open_source(data)
    if area not in source.names:
        raise DataError(f"area={area!r} is not in the data.{suggest(area, source.names)}")
    sampling = read_sampling(source, variance, matrix=False)
    areas = source.read(area).factor()
    if areas.levels is not None and np.bincount(areas.values[areas.values >= 0]).max(initial=0) > 1:
        raise DataError(
            f"area={area!r}: some area has several rows; an area-level model has one row for each."
        )
    common: dict[str, Any] = {"contrasts": contrasts, "na": na, "control": control}
    plain = lm(formula, data, weights=1.0 / sampling, **common)
    hold = {RESIDUAL: 1.0}
    if method in ("fay-herriot", "prasad-rao"):
        estimate = _by_equation if method == "fay-herriot" else _by_moments
        hold[f"var({area}: (Intercept))"] = estimate(plain)
    likelihood: Method = "ml" if method == "ml" else "reml"
    return lmm(
        f"{formula} + (1 | {quoted(area)})",
        data,
        weights=1.0 / sampling,
        method=likelihood,
        hold=hold,
        **common,
    )


def _by_equation(plain: Fit) -> float:
    """Return the root A ≥ 0 of Σ(y_i − x_i'β̂_A)²/(A + D_i) = m − p."""
    rows, d = plain._work.rows(), _kept(plain)
    x, y = rows.x, rows.y

    def gap(a: float) -> float:
        root = 1.0 / np.sqrt(a + d)
        coefficients = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
        return float(np.sum((root * (y - x @ coefficients)) ** 2)) - plain.df_resid

    if gap(0.0) <= 0:
        return 0.0
    top = float(np.var(y) + d.max())
    while gap(top) > 0:
        top *= 2.0
    return float(optimize.brentq(gap, 0.0, top, xtol=1e-12 * top, rtol=1e-14))


def _by_moments(plain: Fit) -> float:
    """Return {RSS − Σ D_i(1 − h_i)}/(m − p) of ordinary least squares, zero where it is negative."""
    rows, d = plain._work.rows(), _kept(plain)
    x, y = rows.x, rows.y
    basis = np.linalg.qr(x)[0]
    rss = float(np.sum((y - basis @ (basis.T @ y)) ** 2))
    leverage = np.sum(basis**2, axis=1)
    return max((rss - float(np.sum(d * (1 - leverage)))) / plain.df_resid, 0.0)


def _kept(plain: Fit) -> Array:
    weights = plain._work.rows().weights
    assert weights is not None
    return np.asarray(1.0 / weights)
