"""Effect of one predictor on the mean, with its band and partial residuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..formats import value_text
from ..inference.predictors import predictors
from ..inference.response import response_of
from ..postfit.residuals import residuals
from ..postfit.used_data import column_values
from ..typing import Array
from .backend import MOST_POINTS, PALETTE, caption, draw_points, label_axes, one_axes
from .drawn_residuals import of_rows_used
from .mean_curves import MeanCurves, Scale, draw_curves, mean_curves, others_text, scale_text, shift_of

PARTIAL_SEED = 1


def effects(
    fit: Fit,
    x: str,
    by: str | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    type: Scale = "link",
    partial: bool = True,
    level: float = 0.95,
    ddf: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the estimated mean along x with its band, and partial residuals about it.

    Parameters
    ----------
    x
        Predictor along the axis.
    by
        Predictor whose levels are curves.
    at
        Values of other predictors, as of `fit.emmeans`; covariates are at their means otherwise, factors averaged over.
    type
        `"link"`, the scale of the model, or `"response"`.
    partial
        Whether to draw the partial residuals.
    level, ddf
        Of the band, as of `fit.emmeans`.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    A partial residual is the estimated mean at the row's own x (and level of `by`) plus the row's conditional
    residual, of a generalised model the working residual: what the row would be if all other predictors, and its random
    effects, were those of the curve. A bend in them that the curve has not asks for another form of x. Between 61
    points the curve is taken to be straight. *Same as* `plot(Effect("x", fit, partial.residuals = TRUE))` of R's
    effects; `plot(ggpredict(fit, "x"), show_residuals = TRUE)` of ggeffects.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> axes = fit.plot.effects("Days")
    >>> axes.get_ylabel(), len(axes.lines[0].get_xdata())
    ('mean of Reaction', 180)
    """
    found = mean_curves(fit, x, by, at, type, level, ddf)
    axes = one_axes(ax, (6.2, 4.2))
    text = _draw_partial(axes, fit, found, at, type, level, ddf) if partial else ""
    draw_curves(axes, found)
    label_axes(axes, x, scale_text(fit, type))
    what = "Bars" if found.ticks else "Band" if len(found.curves) == 1 else "Bands"
    caption(axes, ax, f"{what}: {100 * level:g}% intervals of the mean.", text, others_text(found))
    return axes


def _draw_partial(
    axes: Any,
    fit: Fit,
    found: MeanCurves,
    at: Mapping[str, Any] | None,
    scale: Scale,
    level: float,
    ddf: str | None,
) -> str:
    generalised = fit.distribution is not None
    own = of_rows_used(fit, residuals(fit, "working" if generalised else "response"))
    linked = found if scale == "link" else mean_curves(fit, found.x, found.by, at, "link", level, ddf)
    x, curve = _places(fit, linked)
    inside = np.isfinite(own) & np.isfinite(x) & (curve >= 0)
    if not inside.any():
        raise SpecError(
            f"partial=True: no row has its {found.x!r} and {found.by!r} on the curves; ask partial=False."
        )
    mean = np.full(len(own), np.nan)
    for k, one in enumerate(linked.curves):
        rows = inside & (curve == k)
        order = np.argsort(one.x)
        mean[rows] = np.interp(x[rows], one.x[order], one.estimate[order], left=np.nan, right=np.nan)
    values = mean + own
    if scale == "response":
        values = response_of(fit).mean(values)
    shown = np.flatnonzero(inside & np.isfinite(values))
    counted = _draw_by_curve(
        axes, x[shown], values[shown], curve[shown], bool(found.ticks), len(linked.curves)
    )
    left_out = int(np.sum(np.isfinite(own))) - len(shown)
    kind = "working residuals" if generalised else "residuals"
    beside = f" {left_out:,} rows stand off the curves." if left_out else ""
    return f"Points: partial residuals (the curve plus conditional {kind}).{beside} {counted}".rstrip()


def _draw_by_curve(axes: Any, x: Array, y: Array, curve: NDArray[np.intp], levels: bool, count: int) -> str:
    if levels:
        jitter = np.random.default_rng(PARTIAL_SEED).uniform(-0.06, 0.06, len(x))
        x = x + jitter + np.array([shift_of(k, count) for k in range(count)])[curve]
    if len(x) > MOST_POINTS:
        # counts have no colour for each curve
        return draw_points(axes, x, y)
    for k in range(count):
        draw_points(axes, x[curve == k], y[curve == k], PALETTE[k % len(PALETTE)], size=3.0)
    return "Points of one level are spread sideways." if levels else ""


def _places(fit: Fit, found: MeanCurves) -> tuple[Array, NDArray[np.intp]]:
    """Return where every row stands along x, and on which curve, −1 on none."""
    known = predictors(fit)
    column = known[found.x]
    if found.ticks:
        texts = [value_text(value) for value in column_values(column)]
        codes = {tick: float(k) for k, tick in enumerate(found.ticks)}
        x = np.array([codes.get(text, np.nan) for text in texts])
    else:
        x = column.number()
    if found.by is None:
        return x, np.zeros(len(x), np.intp)
    names = [curve.name for curve in found.curves]
    other = known[found.by]
    if other.is_factor or all(name in names for name in map(value_text, np.unique(other.number()))):
        levels = {name: k for k, name in enumerate(names)}
        return x, np.array([levels.get(value_text(v), -1) for v in column_values(other)], dtype=np.intp)
    at = np.array([float(name) for name in names])
    nearest = np.argmin(np.abs(other.number()[:, None] - at[None, :]), axis=1)
    return x, nearest.astype(np.intp)
