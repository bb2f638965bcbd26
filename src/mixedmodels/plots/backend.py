"""Matplotlib, imported only when a figure is asked for, and the look that all figures share."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..typing import Array

PALETTE = ("#0b5fa5", "#cf5a08", "#0a8f6c", "#d487b4", "#d9a200", "#56b4e9", "#44475a")
"""Colours in order. Near Okabe and Ito's: all kinds of colour vision tell the first six apart."""
INK, MUTED, RULE = "#1c2430", "#5c6370", "#d9dde3"
MOST_POINTS = 6_000
"""More points than this are drawn as counts in hexagonal cells."""
CAPTION_SIZE = 8.0


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


def label_axes(axes: Any, x: str = "", y: str = "", title: str = "") -> None:
    """Name the axes and the panel in the common type."""
    if x:
        axes.set_xlabel(x, color=INK, fontsize=10)
    if y:
        axes.set_ylabel(y, color=INK, fontsize=10)
    if title:
        axes.set_title(title, color=INK, fontsize=10.5, loc="left")


def given_axes(ax: Any, count: int, what: str) -> Any:
    """Return the Axes that the caller gave, (count,); `SpecError` unless there is one for each panel."""
    axes = np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != count:
        raise SpecError(f"ax= has {len(axes)} Axes for {count} panels; give one for each {what}.")
    return axes


def one_axes(ax: Any, size: tuple[float, float]) -> Any:
    """Return the Axes that the caller gave, or one on a new figure of this size in inches."""
    if ax is not None:
        return given_axes(ax, 1, "figure")[0]
    figure, axes = require_pyplot().subplots(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.07, h_pad=0.07)
    return axes


def panel_axes(ax: Any, count: int, what: str, *, columns: int, size: tuple[float, float]) -> Any:
    """Return one Axes for each panel, (count,): the caller's, or a grid of panels of this size on a new figure."""
    if ax is not None:
        return given_axes(ax, count, what)
    across = min(columns, count)
    down = -(-count // across)
    figure, grid = require_pyplot().subplots(
        down, across, figsize=(size[0] * across, size[1] * down), squeeze=False, layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.07, h_pad=0.07)
    for axes in grid.ravel()[count:]:
        axes.set_visible(False)
    return grid.ravel()[:count]


def caption(axes: Any, ax: Any, *sentences: str) -> str:
    """Write what a figure shows below it and return it: under a new figure, or under the caller's last Axes.

    `axes` are those drawn on, `ax` what the caller gave. The text has the gid `"caption"`.
    """
    text = " ".join(sentence for sentence in sentences if sentence)
    last = np.ravel(np.asarray(axes, dtype=object))[-1]
    figure = last.figure
    if ax is None:
        width = figure.get_figwidth()
    else:
        width = last.get_position().width * figure.get_figwidth()
    # a character of this size is about 0.058 inches wide
    wrapped = textwrap.fill(text, max(24, int(width / 0.0605)))
    if ax is None:
        written = figure.supxlabel(wrapped, x=0.012, ha="left", color=MUTED, fontsize=CAPTION_SIZE)
    else:
        written = last.annotate(
            wrapped, (0.0, 0.0), xytext=(0.0, -6.0), xycoords=("axes fraction", last.xaxis.label),
            textcoords="offset points", va="top", ha="left", color=MUTED, fontsize=CAPTION_SIZE,
        )  # fmt: skip
    written.set_gid("caption")
    return text


def draw_points(axes: Any, x: Array, y: Array, colour: str = PALETTE[0], *, size: float = 4.0) -> str:
    """Draw points, or their counts in hexagonal cells where there are very many; return what the caption says of it."""
    if len(x) <= MOST_POINTS:
        alpha = 0.85 if len(x) <= 400 else 0.5 if len(x) <= 2000 else 0.35
        axes.plot(
            x, y, "o", color=colour, markersize=size if len(x) <= 1000 else 2.6, alpha=alpha,
            markeredgecolor="none", rasterized=len(x) > 2000, zorder=2,
        )  # fmt: skip
        return ""
    axes.hexbin(x, y, gridsize=60, bins="log", mincnt=1, cmap=_light_greys(), linewidths=0.1, zorder=2)
    return f"{len(x):,} points are counted in hexagonal cells, darker where there are more (log scale)."


def legend_beside(axes: Any, title: str) -> None:
    """Explain colours and marks to the right of the Axes, where nothing is covered."""
    axes.legend(
        title=title, frameon=False, fontsize=9, title_fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0),
        labelcolor=INK, alignment="left",
    )  # fmt: skip


def thinned(n: int, most: int) -> NDArray[np.intp]:
    """Return up to `most` places among n in order, evenly spaced, but all of the hundred at either end."""
    if n <= most:
        return np.arange(n)
    ends = min(100, most // 4)
    middle = np.linspace(ends, n - ends - 1, most - 2 * ends).round().astype(np.intp)
    return np.unique(np.concatenate([np.arange(ends), middle, np.arange(n - ends, n)]))


def _light_greys() -> Any:
    """Return greys that leave lines in colour to be seen over them."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("light-greys", ["#eceef1", "#b9bfc9", "#868e9c"])


def running_mean(x: Array, y: Array, pieces: int = 20) -> tuple[Array, Array]:
    """Return the means of x and of y in pieces of equal counts along x, (pieces,) each; fewer where x has ties."""
    order = np.argsort(x, kind="stable")
    edges = np.unique(x[order][np.linspace(0, len(x) - 1, pieces + 1).round().astype(np.intp)])
    if len(edges) < 3:
        return np.empty(0), np.empty(0)
    piece = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(piece, minlength=len(edges) - 1)
    full = counts > 0
    means = [np.bincount(piece, values, len(edges) - 1)[full] / counts[full] for values in (x, y)]
    return means[0], means[1]
