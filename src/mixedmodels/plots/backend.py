"""Matplotlib, imported only when a figure is asked for, and the look that all figures share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError

PALETTE = ("#2f6690", "#c8553d", "#5b8c5a", "#8e6c8a", "#d19c1d", "#4a4e69")
INK, MUTED, RULE = "#1c2430", "#6b7280", "#d9dde3"


def require_pyplot() -> Any:
    """Return `matplotlib.pyplot`, or raise `SpecError` naming the extra that brings it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise SpecError("figures need matplotlib: `pip install 'mixedmodels[plot]'`.") from error
    return plt


def tidy_axes(axes: Any) -> None:
    """Give one Axes the common look: no box, a light grid behind, muted ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
        axes.spines[side].set_linewidth(0.8)
    axes.grid(True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, width=0.8, length=3)


def given_axes(ax: Any, count: int, what: str) -> Any:
    """Return the Axes that the caller gave, (count,); `SpecError` unless there is one for each panel."""
    axes = np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != count:
        raise SpecError(f"ax= has {len(axes)} Axes for {count} panels; give one for each {what}.")
    return axes
