"""Funnel plot of a meta-analysis: estimates against their standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.distributions import t_quantile
from ..inference.wald import check_level
from ..postfit.error_side import error_variances
from .backend import INK, MUTED, PALETTE, RULE, caption, require_pyplot, tidy_axes


def funnel(fit: Fit, *, level: float = 0.95, ax: Any = None) -> Any:
    """Draw what is left of every estimate of a meta-analysis against its standard error, the precise ones on top.

    Parameters
    ----------
    level
        Probability of the region in which estimates lie where true effects do not differ.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        For a fit that is no meta-analysis.

    Notes
    -----
    Without moderators the estimates themselves are drawn about their mean; with moderators the residuals about 0. The
    region is centre ± z·se. *Same as* `metafor::funnel`.
    """
    if not fit.spec.sampling:
        raise SpecError("funnel: this fit has no known sampling variances; fit it with mm.meta.")
    check_level(level)
    alone = fit.design.fixed.rank == 1
    mean = fit.linear_predictor
    centre = float(mean[0]) if alone else 0.0
    values = fit.response - mean + centre
    error = np.sqrt(error_variances(fit))
    top = 1.05 * float(error.max())
    reach = float(t_quantile(level, np.array([np.inf]))[0]) * top
    plt = require_pyplot()
    given = ax
    if ax is None:
        _, ax = plt.subplots(figsize=(5.6, 4.4), layout="constrained")
    ax.fill([centre - reach, centre, centre + reach], [top, 0.0, top], color=RULE, alpha=0.45, zorder=0)
    ax.plot(
        [centre - reach, centre, centre + reach],
        [top, 0.0, top],
        color=MUTED,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
    )
    ax.axvline(centre, color=INK, linewidth=0.9)
    ax.plot(values, error, "o", color=PALETTE[0], markersize=5.0)
    ax.set_ylim(top, 0.0)
    ax.set_ylabel("standard error", color=INK, fontsize=10)
    ax.set_xlabel(fit.spec.response.strip("`") if alone else "residual", color=INK, fontsize=10)
    tidy_axes(ax)
    what = "Estimates" if alone else "Residuals"
    caption(ax, given, f"{what}; dashed: where {100 * level:g}% lie if true effects do not differ.")
    return ax
