"""Forest plot of a meta-analysis: every estimate with its interval, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import SpecError, suggest
from ..fit import Fit
from ..inference.distributions import t_quantile
from ..inference.wald import check_level
from ..postfit.error_side import error_variances
from ..postfit.used_data import column_values, read_data
from ..typing import Array
from .backend import INK, MUTED, PALETTE, caption, require_pyplot, tidy_axes

SMALLEST, LARGEST = 12.0, 90.0
"""Areas of the squares of the least and the most precise estimate, in square points."""


def forest(
    fit: Fit, labels: str | Sequence[str] | None = None, *, level: float = 0.95, ax: Any = None
) -> Any:
    """Draw the estimates of a meta-analysis with their intervals, and their mean as a diamond.

    Parameters
    ----------
    labels
        Column of the data, or names, of the rows; by default the levels of the innermost random term.
    level
        Probability of the intervals.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        For a fit that is no meta-analysis, or labels that are not one for each row.

    Notes
    -----
    An interval is y ± z√v with the sampling variance v; the area of a square goes with the weight 1/(v + Σσ²). With
    moderators there is no one mean, and a small diamond at each row is its fitted mean. *Same as*
    `metafor::forest`.
    """
    if not fit.spec.sampling:
        raise SpecError("forest: this fit has no known sampling variances; fit it with mm.meta.")
    check_level(level)
    names = _names(fit, labels)
    plt = require_pyplot()
    n = fit.nobs
    given = ax
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, min(1.3 + 0.26 * (n + 2), 24.0)), layout="constrained")
    y, variance = fit.response, error_variances(fit)
    half = float(t_quantile(level, np.array([np.inf]))[0]) * np.sqrt(variance)
    weight = 1.0 / (variance + sum(float(sigma[0, 0, 0]) for sigma in fit.covariances))
    area = SMALLEST + (LARGEST - SMALLEST) * weight / weight.max()
    place = np.arange(n, 0, -1, dtype=float)
    ax.hlines(place, y - half, y + half, color=INK, linewidth=1.1, zorder=2)
    ax.scatter(y, place, s=area, marker="s", color=PALETTE[0], zorder=3)
    alone = fit.design.fixed.rank == 1
    ticks, texts = [*place], [*names]
    if alone:
        row = fit.fixed_effects(level=level)
        centre = float(row["estimate"][0])
        _diamond(ax, float(row["conf_low"][0]), centre, float(row["conf_high"][0]), 0.0)
        ax.axvline(centre, color=PALETTE[1], linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        ticks.append(0.0)
        texts.append("mean")
    else:
        ax.scatter(fit.linear_predictor, place, s=26.0, marker="D", color=PALETTE[1], zorder=4)
    ax.axvline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    ax.set_yticks(ticks, texts)
    ax.set_ylim(-0.9, n + 0.9)
    name = fit.spec.response.strip("`")
    ax.set_xlabel(f"{name}, {100 * level:g}% intervals", color=MUTED, fontsize=9)
    tidy_axes(ax)
    ax.grid(axis="y", visible=False)
    shown = "diamond: their mean" if alone else "diamonds: fitted means"
    caption(ax, given, f"Squares: estimates, of an area that goes with their weight; {shown}.")
    return ax


def _names(fit: Fit, labels: str | Sequence[str] | None) -> list[str]:
    if labels is None:
        pairs = zip(fit.design.random, fit._work.rows().random, strict=True)
        term, own = max(pairs, key=lambda pair: pair[0].n_levels)
        return [term.levels[code] for code in own.codes]
    if isinstance(labels, str):
        data = read_data(fit)
        if labels not in data:
            raise SpecError(f"labels={labels!r} is not a column of the data.{suggest(labels, data)}")
        return [str(value) for value in column_values(data[labels])]
    names = [str(label) for label in labels]
    if len(names) != fit.nobs:
        raise SpecError(f"labels= has {len(names)} names for {fit.nobs} rows of the fit; give one for each.")
    return names


def _diamond(ax: Any, low: float, centre: float, high: float, place: float) -> None:
    corners: Array = np.array([[low, place], [centre, place + 0.28], [high, place], [centre, place - 0.28]])
    ax.fill(corners[:, 0], corners[:, 1], color=PALETTE[1], zorder=3)
