"""Interaction plot: estimated means along one predictor, a line for every level of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..fit import Fit
from .backend import caption, label_axes, one_axes
from .mean_curves import Scale, draw_curves, mean_curves, others_text, scale_text


def interaction(
    fit: Fit,
    x: str,
    by: str | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    type: Scale = "link",
    level: float = 0.95,
    ddf: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw estimated marginal means along x, a line for every level of `by`; parallel lines are no interaction.

    Parameters
    ----------
    x
        Predictor along the axis: the levels of a factor, or numbers over their range.
    by
        Predictor whose levels are lines; of many numbers the quantiles of 10, 50 and 90 %.
    at
        Values of predictors, as of `fit.emmeans`.
    type
        `"link"`, the scale of the model, or `"response"`.
    level, ddf
        Of the intervals, as of `fit.emmeans`.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    Intervals are of each mean; whether lines are parallel is tested by `fit.joint_tests()` or `fit.anova()`. *Same as*
    `emmip(fit, by ~ x, CIs = TRUE)` of R's emmeans; SAS `LSMEANS / PLOT=MEANPLOT(SLICEBY= CL)`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("yield ~ factor(nitro) * Variety + (1 | Block/Variety)", mm.datasets.load("oats"))
    >>> axes = fit.plot.interaction("nitro", by="Variety")
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['Golden Rain', 'Marvellous', 'Victory']
    """
    found = mean_curves(fit, x, by, at, type, level, ddf)
    axes = one_axes(ax, (6.2, 4.2))
    draw_curves(axes, found)
    label_axes(axes, x, scale_text(fit, type))
    what = "Bars" if found.ticks else "Bands"
    caption(
        axes,
        ax,
        f"Estimated marginal means. {what}: {100 * level:g}% intervals of each mean.",
        others_text(found),
    )
    return axes
