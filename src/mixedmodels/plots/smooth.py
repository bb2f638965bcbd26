"""Smooths drawn: a curve with its band, a rug and partial residuals; the contours of a surface."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.predictors import predictors
from ..inference.smooth_posterior import Coefficients, coefficients, smooths_of
from ..postfit.smooth_curve import curves_named
from ..postfit.smooth_curve import smooth as smooth_table
from ..postfit.smooths import smooth_columns
from ..table import Table
from ..terms.smooth import Curve, PlacedCurve
from ..typing import Array
from .backend import INK, MUTED, PALETTE, caption, draw_points, label_axes, panel_axes, tidy_axes

SURFACE = 1_600
"""Points of the grid of a surface."""
RUG = 2_000
"""Rows whose places are marked below a curve, at most."""


def smooth(
    fit: Fit,
    name: str | None = None,
    *,
    n: int = 200,
    residuals: bool = True,
    simultaneous: bool = False,
    derivative: int = 0,
    level: float = 0.95,
    ax: Any = None,
) -> Any:
    """Draw smooths: curves with bands, a rug of the data and partial residuals; surfaces as contours.

    Parameters
    ----------
    name
        `"s(x)"`; by default all smooths of the fit, one panel each.
    n
        Points along a curve.
    residuals
        Whether to draw partial residuals: the curve at each row plus its residual, on the link's scale those of the
        working response.
    simultaneous, derivative, level
        As in `fit.smooth`.
    ax
        Axes to draw on, one for each panel; new ones by default.

    Returns
    -------
    matplotlib Axes, or an array of them

    Raises
    ------
    SpecError
        For a fit without smooths, a name that is none of them, or a smooth of more than two variables.

    Notes
    -----
    Contours show the estimate; dotted lines, where it is one standard error lower and higher at level zero, are left to
    `fit.smooth`. *Same as* `plot.gam` of mgcv, `draw` of gratia.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np, mixedmodels as mm
    >>> x = np.linspace(0, 1, 100)
    >>> fit = mm.lmm("y ~ s(x, bs='cr')", {"x": x, "y": np.sin(6 * x) + np.tile([0.1, -0.1], 50)})
    >>> fit.plot.smooth("s(x)").get_ylabel()
    's(x)'
    """
    places = [p for p in smooths_of(fit) if not p.grouped] if name is None else curves_named(fit, name)
    if not places:
        raise SpecError("the fit has no smooth of the population to draw.")
    axes = panel_axes(ax, len(places), "smooth", columns=3, size=(4.4, 3.5))
    said: dict[str, None] = {}
    for place, own in zip(places, axes, strict=True):
        free = _free(place)
        if len(free) > 2:
            raise SpecError(
                f"{place.label} is a function of {', '.join(free)}; draw a part of it from fit.smooth(…, newdata=)."
            )
        if len(free) == 2:
            said.update(dict.fromkeys(_surface(fit, place, free, own)))
        else:
            drawn = residuals and not derivative
            table = smooth_table(
                fit, place.label, n=n, derivative=derivative, simultaneous=simultaneous, level=level
            )
            said.update(dict.fromkeys(_curve(fit, place, free[0], table, own, drawn, derivative)))
        tidy_axes(own)
    caption(axes, ax, *said)
    return axes[0] if len(places) == 1 else axes


def _free(place: PlacedCurve) -> list[str]:
    by = place.curve.by.name if isinstance(place.curve, Curve) and place.curve.by is not None else None
    return [name for name in place.curve.variables if name != by]


def _curve(
    fit: Fit, place: PlacedCurve, name: str, table: Table, axes: Any, residuals: bool, derivative: int
) -> list[str]:
    own = coefficients(fit, place)
    x, inside = _rows(fit, place, name)
    said = []
    if residuals:
        said.append("Points are partial residuals.")
        said.append(draw_points(axes, x, _partial(fit, own)[inside], MUTED, size=3.0))
    grid, estimate = np.asarray(table[name], dtype=float), np.asarray(table["estimate"])
    axes.fill_between(
        grid, table["lower"], table["upper"], color=PALETTE[0], alpha=0.22, linewidth=0, zorder=3
    )
    axes.plot(grid, estimate, color=PALETTE[0], linewidth=1.8, zorder=4)
    marks = np.unique(x)
    marks = marks[np.linspace(0, len(marks) - 1, min(len(marks), RUG)).astype(int)]
    bottom = axes.get_xaxis_transform()
    axes.plot(
        marks, np.full(len(marks), 0.015), "|", color=INK, markersize=5, markeredgewidth=0.5, alpha=0.6,
        transform=bottom, zorder=5,
    )  # fmt: skip
    primes = "′" * derivative if derivative <= 3 else f"^({derivative})"
    label_axes(axes, name, f"{place.label}{primes}", f"edf {own.edf:.2f}")
    return [f"Bands: {table.notes[0].removesuffix(' band')}.", *said]


def _surface(fit: Fit, place: PlacedCurve, free: list[str], axes: Any) -> list[str]:
    table = smooth_table(fit, place.label, n=SURFACE)
    first, second = (np.unique(np.asarray(table[name], dtype=float)) for name in free)
    z = np.asarray(table["estimate"]).reshape(len(first), len(second))
    filled = axes.contourf(first, second, z.T, levels=14, cmap="RdYlBu_r", alpha=0.85)
    lines = axes.contour(first, second, z.T, levels=filled.levels, colors=INK, linewidths=0.5)
    axes.clabel(lines, fontsize=7, fmt="%.3g")
    data = predictors(fit)
    rows = slice(None, None, max(1, fit.nobs // RUG))
    axes.plot(
        data[free[0]].number()[rows], data[free[1]].number()[rows], ".", color=INK, markersize=2, alpha=0.4
    )
    label_axes(axes, free[0], free[1], f"{place.label}, edf {coefficients(fit, place).edf:.2f}")
    return ["Contours are the smooth, dots where the data stand."]


def _rows(fit: Fit, place: PlacedCurve, name: str) -> tuple[Array, Array]:
    """Return the variable at the rows that a curve is of, and which they are."""
    x = predictors(fit)[name].number()
    by = place.curve.by if isinstance(place.curve, Curve) else None
    inside = np.ones(len(x), dtype=bool)
    if by is not None and by.levels is not None:
        inside = by.weights(predictors(fit)) > 0
    return x[inside], inside


def _partial(fit: Fit, own: Coefficients) -> Array:
    """Return the smooth plus the residual of every row, (n,): of a generalised model the working residual."""
    part = smooth_columns(fit, own) @ own.estimate
    by = own.place.curve.by if isinstance(own.place.curve, Curve) else None
    if by is not None and by.levels is None:
        weights = by.weights(predictors(fit))
        part = part / np.where(weights == 0, np.nan, weights)
    if fit.distribution is None:
        return np.asarray(part + fit._resid)
    link = fit.distribution.link
    slope = 1.0 if link is None else np.asarray(link.inverse(fit._eta)[1])
    return np.asarray(part + (fit.response - fit._fitted) / slope)
