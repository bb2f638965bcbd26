"""Estimated marginal means, trends or contrasts drawn with their intervals, and arrows that compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ..emmeans.emm import EMM
from ..emmeans.means import emmeans as means_of
from ..errors import SpecError, suggest
from ..fit import Fit
from ..formats import value_text
from ..typing import Array
from .backend import PALETTE, caption, label_axes, legend_beside, one_axes, tidy_axes
from .comparison_arrows import Arrows, comparison_arrows

MOST_COLOURS = 6
"""Levels that colours still tell apart."""
MARKS = ("o", "s", "D", "^", "v", "P")
ARROW = {"arrowstyle": "-|>", "color": PALETTE[-1], "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
TITLES = {"mean": "Estimated marginal means", "trend": "Slopes", "contrast": "Contrasts"}


def emmeans(
    fit: Fit,
    specs: str | Sequence[str] = "1",
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    ddf: str | None = None,
    level: float = 0.95,
    type: Literal["link", "response"] = "link",
    color: str | None = None,
    comparisons: bool = False,
    adjust: str = "tukey",
    ax: Any = None,
) -> Any:
    """Draw estimated marginal means with their intervals and, if asked for, arrows that compare them.

    Parameters
    ----------
    specs, by, at, ddf, level, type
        As of `fit.emmeans`.
    color, comparisons, adjust, ax
        As of `plot` of what that returns.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    `fit.emmeans(…).plot(…)` takes every further argument of `emmeans`. *Same as* `plot(emmeans(fit, …))` of R's
    emmeans; SAS `LSMEANS / PLOT=MEANPLOT(CL)`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("yield ~ factor(nitro) + Variety + (1 | Block/Variety)", mm.datasets.load("oats"))
    >>> [text.get_text() for text in fit.plot.emmeans("Variety").get_yticklabels()]
    ['Golden Rain', 'Marvellous', 'Victory']
    """
    found = means_of(fit, specs, by=by, at=at, ddf=ddf, level=level, type=type)
    return plot(found, color=color, comparisons=comparisons, adjust=adjust, ax=ax)


def plot(
    emm: EMM, *, color: str | None = None, comparisons: bool = False, adjust: str = "tukey", ax: Any = None
) -> Any:
    """Draw the estimates with their intervals; a matplotlib Axes.

    Parameters
    ----------
    color
        Factor whose levels stand side by side in colours of their own; by default the last of two or more, unless that
        has more than six levels. `""` draws a line for every estimate.
    comparisons
        Whether to draw an arrow from every estimate towards others of its group: two arrows that do not overlap belong
        to estimates that differ at 1 − `level`.
    adjust
        Multiplicity adjustment of the comparisons.
    ax
        Axes to draw on; new ones by default.

    Raises
    ------
    SpecError
        Where `color` is no factor of the table; for arrows of contrasts, or on the response's scale.

    Notes
    -----
    Intervals that overlap do not say that means do not differ: their standard errors are not those of differences.
    Lengths of arrows are as near as can be to the least significant differences of their pairs, such that every pair is
    shown right (a linear program); where no lengths do that, the caption names the pairs that are shown wrong.
    *Same as* `plot(emmeans(…), comparisons = TRUE)` of R's emmeans.
    """
    names = [*emm.by, *emm.primary]
    if color and color not in names:
        raise SpecError(
            f"color={color!r} is no factor of these estimates.{suggest(color, names)} Factors: {', '.join(names)}."
        )
    arrows = _arrows(emm, adjust) if comparisons else None
    chosen = _colour(emm, names) if color is None else color
    along = [name for name in names if name != chosen]
    labels = [", ".join(value_text(emm.levels[name][i]) for name in along) for i in range(len(emm))]
    kinds = [value_text(value) for value in emm.levels[chosen]] if chosen else [""] * len(emm)
    axes = _draw(emm, labels, kinds, arrows, ax)
    if chosen:
        legend_beside(axes, chosen)
    missing = int(np.sum(~np.isfinite(emm.table[_column(emm)])))
    caption(
        axes, ax, f"Bars: {100 * emm.settings.level:g}% intervals.", "" if arrows is None else arrows.text,
        f"{missing} not estimable and not drawn." if missing else "",
    )  # fmt: skip
    return axes


def _arrows(emm: EMM, adjust: str) -> Arrows:
    if emm.kind == "contrast":
        raise SpecError("comparisons=True is for means and trends; contrasts are comparisons already.")
    if emm.settings.response is not None:
        raise SpecError(
            "comparisons=True is for means on the scale of the model, where differences are tested: ask type='link'."
        )
    return comparison_arrows(emm, adjust)


def _colour(emm: EMM, names: list[str]) -> str:
    """Return the factor that colours tell apart, an empty text for none."""
    if emm.kind == "contrast" or len(names) < 2:
        return ""
    return names[-1] if len(set(map(value_text, emm.levels[names[-1]]))) <= MOST_COLOURS else ""


def _column(emm: EMM) -> str:
    return "ratio" if "ratio" in emm.table else "estimate"


def _draw(emm: EMM, labels: list[str], kinds: list[str], arrows: Arrows | None, ax: Any) -> Any:
    """Draw one line for each distinct label, from the top; rows of one label stand side by side by their kind."""
    table, column = emm.table, _column(emm)
    lines, shades = list(dict.fromkeys(labels)), list(dict.fromkeys(kinds))
    axes = one_axes(ax, (6.2, min(1.4 + (0.36 + 0.2 * (len(shades) - 1)) * len(lines), 16.0)))
    place = np.array([len(lines) - 1 - lines.index(label) for label in labels], dtype=float)
    shift = np.array(
        [0.0 if len(shades) == 1 else 0.56 * (0.5 - shades.index(k) / (len(shades) - 1)) for k in kinds]
    )
    estimate: Array = table[column]
    for k, shade in enumerate(shades):
        own = np.array([kind == shade for kind in kinds])
        axes.hlines(
            (place + shift)[own], table["conf_low"][own], table["conf_high"][own], color=PALETTE[k % len(PALETTE)],
            linewidth=5.0 if arrows else 2.0, alpha=0.35 if arrows else 1.0, zorder=2,
        )  # fmt: skip
        axes.plot(
            estimate[own], (place + shift)[own], MARKS[k % len(MARKS)], color=PALETTE[k % len(PALETTE)],
            markersize=5.5, label=shade or None, zorder=4,
        )  # fmt: skip
    if arrows is not None:
        _draw_arrows(axes, estimate, place + shift, arrows)
    axes.set_yticks(np.arange(len(lines))[::-1], lines)
    axes.set_ylim(-0.6, len(lines) - 0.4)
    scale = "" if emm.settings.response is None else ", scale of the response"
    label_axes(axes, f"{column}{scale}", title=TITLES[emm.kind])
    tidy_axes(axes)
    axes.grid(axis="y", visible=False)
    if column == "ratio":
        axes.axvline(1.0, color=PALETTE[-1], linewidth=0.9, zorder=1)
    elif emm.kind == "contrast":
        axes.axvline(0.0, color=PALETTE[-1], linewidth=0.9, zorder=1)
    return axes


def _draw_arrows(axes: Any, estimate: Array, place: Array, arrows: Arrows) -> None:
    for x, y, left, right in zip(estimate, place, arrows.left, arrows.right, strict=True):
        for length in (-left, right):
            if np.isfinite(length) and length != 0.0:
                axes.annotate("", (x + length, y), (x, y), zorder=3, arrowprops=ARROW)
