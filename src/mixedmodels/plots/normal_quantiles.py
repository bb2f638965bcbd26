"""Points of a normal quantile plot, the line through its quarters, and pointwise limits."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

from ..typing import Array
from .backend import PALETTE, RULE, label_axes, thinned, tidy_axes

MOST = 2_000
"""Points drawn; of more values the quantiles between are left out."""


def normal_scores(n: int) -> Array:
    """Return Φ⁻¹((i − ½)/n), i = 1 … n, (n,)."""
    return np.asarray(special.ndtri((np.arange(1, n + 1) - 0.5) / n))


def draw_quantiles(
    axes: Any,
    values: Array,
    *,
    name: str,
    title: str = "",
    names: list[str] | None = None,
    standard: bool = False,
) -> None:
    """Draw ordered values over normal scores, the line, and 95 % limits of each order statistic.

    The line goes through the quarters of the values, or is the diagonal where they are `standard`. The limits are
    those of order statistics of a normal sample, Beta quantiles (i, n + 1 − i), on that line. Where `names` are
    given, values outside of them, three at either end at most, are named.
    """
    order = np.argsort(values, kind="stable")
    ordered, n = values[order], len(values)
    scores = normal_scores(n)
    slope, centre = (1.0, 0.0) if standard else _line(ordered)
    keep = thinned(n, MOST)
    i = keep + 1.0
    low, high = (special.ndtri(stats.beta.ppf(q, i, n + 1 - i)) for q in (0.025, 0.975))
    axes.fill_between(
        scores[keep],
        centre + slope * low,
        centre + slope * high,
        color=RULE,
        alpha=0.7,
        linewidth=0,
        zorder=1,
    )
    ends = scores[[0, -1]]
    axes.plot(ends, centre + slope * ends, color=PALETTE[1], linewidth=1.3, zorder=2)
    size = 4.5 if n <= 200 else 2.6
    axes.plot(
        scores[keep], ordered[keep], "o", color=PALETTE[0], markersize=size, markeredgecolor="none", zorder=3
    )
    label_axes(axes, "normal quantile", name, title)
    tidy_axes(axes)
    if names is not None:
        outside = (ordered[keep] < centre + slope * low) | (ordered[keep] > centre + slope * high)
        _name_points(axes, scores, ordered, [names[k] for k in order], {int(k) for k in keep[outside]})


def _line(ordered: Array) -> tuple[float, float]:
    """Return slope and intercept of the line through the quarters."""
    low, high = np.quantile(ordered, [0.25, 0.75])
    slope = float(high - low) / (2 * 0.6744897501960817)
    return slope, float(low + high) / 2


def _name_points(axes: Any, scores: Array, ordered: Array, names: list[str], outside: set[int]) -> None:
    n = len(ordered)
    for k in sorted(outside & {*range(3), *range(n - 3, n)}):
        side = 1 if k < n / 2 else -1
        axes.annotate(
            names[k], (scores[k], ordered[k]), xytext=(6 * side, 0), textcoords="offset points",
            ha="left" if side > 0 else "right", va="center", fontsize=8, color=PALETTE[1],
        )  # fmt: skip
