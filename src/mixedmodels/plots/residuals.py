"""The residual panel: against what is predicted, as a histogram, against normal quantiles, and in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..registry import check_choice
from ..typing import Array
from .backend import (
    INK,
    MUTED,
    PALETTE,
    caption,
    draw_points,
    label_axes,
    panel_axes,
    running_mean,
    tidy_axes,
)  # fmt: skip
from .drawn_residuals import STANDARD, DrawnResiduals, fit_statistics, residuals_to_draw
from .normal_quantiles import draw_quantiles

LEVELS = ("conditional", "marginal")
MOST_BINS = 60


def residuals(fit: Fit, kind: str | None = None, *, level: str = "conditional", ax: Any = None) -> Any:
    """Draw the residual panel of a fit: residuals over predictions, histogram, normal quantiles, statistics.

    Parameters
    ----------
    kind
        As of `fit.residuals`: by default `"pearson"`, of a generalised model `"quantile"`.
    level
        `"conditional"`: given the predicted random effects; `"marginal"`: about the population mean.
    ax
        Four Axes to draw on; new ones by default.

    Returns
    -------
    ndarray of matplotlib Axes, (4,)

    Raises
    ------
    SpecError
        For `kind="simulated"`, whose residuals are uniform, and kinds that the model has none of.

    Notes
    -----
    The line over the points is the mean of twentieths of the residuals. The curve over the histogram is the normal
    density of their mean and standard deviation; the limits about the quantiles are pointwise, 95 %. *Same as* SAS
    `PLOTS=RESIDUALPANEL` (`kind="response"`), `STUDENTPANEL`, `PEARSONPANEL`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Y ~ sex * age + (1 | id)", mm.datasets.load("orthodont"))
    >>> [axes.get_xlabel() for axes in fit.plot.residuals()]
    ['predicted', 'Pearson residual', 'normal quantile', '']
    """
    check_choice("level", level, LEVELS)
    drawn = residuals_to_draw(fit, kind, level, "residuals")
    if drawn.predicted is None:
        raise SpecError(
            f"fit.plot.residuals: family {fit.family!r} has several predictors for each row, so that residuals have no "
            "one value to stand against; fit.plot.qq shows them alone."
        )
    panels = panel_axes(
        ax, 4, "panel: predictions, histogram, quantiles, statistics", columns=2, size=(3.7, 2.9)
    )
    counted = _over_predictions(panels[0], drawn, drawn.predicted)
    _histogram(panels[1], drawn)
    draw_quantiles(panels[2], drawn.values, name=drawn.name, standard=drawn.kind in STANDARD)
    _statistics(panels[3], fit, drawn)
    caption(panels, ax, drawn.text, counted, "Line: means of twentieths. Grey: 95% limits of each quantile.")
    return panels


def _over_predictions(axes: Any, drawn: DrawnResiduals, predicted: Array) -> str:
    counted = draw_points(axes, predicted, drawn.values)
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=3)
    x, y = running_mean(predicted, drawn.values, min(20, max(3, len(drawn.values) // 8)))
    axes.plot(x, y, color=PALETTE[1], linewidth=1.6, zorder=4)
    label_axes(axes, drawn.predicted_name, drawn.name)
    tidy_axes(axes)
    return counted


def _histogram(axes: Any, drawn: DrawnResiduals) -> None:
    values = drawn.values
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0
    heights, edges = np.histogram(values, bins=_bins(values))
    percent = 100.0 * heights / len(values)
    axes.bar(
        edges[:-1],
        percent,
        np.diff(edges),
        align="edge",
        color=PALETTE[0],
        alpha=0.55,
        edgecolor="white",
        linewidth=0.6,
    )
    if sd > 0:
        x = np.linspace(edges[0], edges[-1], 200)
        density = np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        axes.plot(x, 100.0 * density * (edges[1] - edges[0]), color=PALETTE[1], linewidth=1.6)
    label_axes(axes, drawn.name, "percent")
    tidy_axes(axes)
    axes.grid(axis="x", visible=False)


def _bins(values: Array) -> Array:
    """Return edges of bins by the rule of Freedman and Diaconis, between 5 and 60 of them."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    quarter = float(np.subtract(*np.quantile(values, [0.75, 0.25])))
    width = 2.0 * quarter / len(values) ** (1 / 3)
    count = MOST_BINS if width <= 0 else int(np.clip(np.ceil((high - low) / width), 5, MOST_BINS))
    return np.linspace(low, high, count + 1)


def _statistics(axes: Any, fit: Fit, drawn: DrawnResiduals) -> None:
    values = drawn.values
    rows = [
        ("Observations", f"{len(values):,}"),
        ("Minimum", f"{values.min():.4g}"),
        ("Mean", f"{_clean(float(values.mean()), values):.4g}"),
        ("Maximum", f"{values.max():.4g}"),
        ("Std. dev.", f"{values.std(ddof=1) if len(values) > 1 else float('nan'):.4g}"),
    ]
    blocks = [(f"{drawn.name.capitalize()}s", rows), ("Fit", fit_statistics(fit))]
    axes.set_axis_off()
    place = 0.98
    for title, lines in blocks:
        axes.text(
            0.08, place, title, transform=axes.transAxes, color=INK, fontsize=10, weight="bold", va="top"
        )
        place -= 0.1
        for name, text in lines:
            axes.text(0.08, place, name, transform=axes.transAxes, color=MUTED, fontsize=9, va="top")
            axes.text(
                0.92, place, text, transform=axes.transAxes, color=INK, fontsize=9, va="top", ha="right"
            )
            place -= 0.079
        place -= 0.04


def _clean(mean: float, values: Array) -> float:
    """Return a mean, zero where it is rounding."""
    return 0.0 if abs(mean) < 1e-12 * float(np.abs(values).max()) else mean
