"""Index plot of influence: what deleting each row, or each cluster, does to the estimates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import SpecError, suggest
from ..fit import Fit
from ..formats import value_text
from ..postfit.influence import influence as influence_of
from ..table import Table
from ..typing import Array
from .backend import INK, MUTED, PALETTE, caption, label_axes, panel_axes, tidy_axes

NAMES = {
    "cooks_d": "Cook's D", "mdffits": "MDFFITS", "dffits": "DFFITS", "covratio": "COVRATIO", "covtrace": "COVTRACE",
    "press": "PRESS", "likelihood_displacement": "likelihood displacement", "cooks_d_theta": "Cook's D of θ",
    "mdffits_theta": "MDFFITS of θ", "covratio_theta": "COVRATIO of θ", "covtrace_theta": "COVTRACE of θ",
}  # fmt: skip
UNCHANGED = {"covratio": 1.0, "covratio_theta": 1.0}
"""Values of measures where nothing depends on what is deleted; 0 of the others."""
MOST_DRAWN = 3_000
MOST_LABELS = 40


def influence(
    fit: Fit,
    by: str = "obs",
    *,
    measures: str | Sequence[str] = ("cooks_d", "covratio"),
    refit: bool = False,
    named: int = 4,
    threads: int | None = None,
    progress: bool | None = None,
    ax: Any = None,
) -> Any:
    """Draw measures of influence by row or by cluster, and name the largest.

    Parameters
    ----------
    by, refit, threads, progress
        As of `fit.influence`.
    measures
        Columns of that table, a panel each: `"cooks_d"`, `"covratio"`, `"dfbetas[age]"`, `"cooks_d_theta"` ….
    named
        How many of the farthest are named.
    ax
        Axes to draw on, one for each measure; new ones by default.

    Returns
    -------
    ndarray of matplotlib Axes, (measures,)

    Notes
    -----
    Stems start at the value of a row or cluster on which nothing depends: 1 of COVRATIO, 0 of the others. *Same as*
    SAS `PLOTS=INFLUENCESTATPANEL`; `dotplot_diag` of R's HLMdiag.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Y ~ sex * age + (age | id)", mm.datasets.load("orthodont"))
    >>> [axes.get_ylabel() for axes in fit.plot.influence("id")]
    ["Cook's D", 'COVRATIO']
    """
    if isinstance(named, bool) or named < 0:
        raise SpecError(f"named={named!r}: give a whole number of at least 0.")
    asked = [measures] if isinstance(measures, str) else list(measures)
    table = influence_of(fit, by, refit, threads=threads, progress=progress)
    known = [name for name in table if name not in ("level", "n")]
    for name in asked:
        if name not in known:
            raise SpecError(
                f"measures: {name!r} is not one.{suggest(str(name), known)} Measures: {', '.join(known)}."
            )
    panels = panel_axes(ax, len(asked), "measure", columns=1, size=(7.4, 2.7))
    levels = [value_text(level) for level in table["level"]]
    left_out = 0
    for axes, name in zip(panels, asked, strict=True):
        left_out = max(left_out, _draw(axes, table, name, levels, named))
        label_axes(axes, y=NAMES.get(name, name.replace("dfbetas", "DFBETAS")))
    label_axes(panels[-1], x="row" if by == "obs" else by)
    how = "Fitted anew without each" if refit else "One step without each"
    far = f"The {MOST_DRAWN:,} farthest of {len(levels):,} are drawn." if left_out else ""
    notes = [
        f"{note[0].upper()}{note[1:]}." for note in table.notes if "could not" in note or "cannot" in note
    ]
    caption(panels, ax, f"{how} {'row' if by == 'obs' else f'level of {by}'}.", far, *notes)
    return panels


def _draw(axes: Any, table: Table, name: str, levels: list[str], named: int) -> int:
    """Draw the stems of one measure, and return how many values are not drawn."""
    values: Array = np.asarray(table[name], dtype=float)
    still = UNCHANGED.get(name, 0.0)
    finite = np.flatnonzero(np.isfinite(values))
    far = finite[np.argsort(-np.abs(values[finite] - still), kind="stable")]
    shown, top = far[:MOST_DRAWN], far[:named]
    few = len(levels) <= MOST_LABELS
    rest = np.setdiff1d(shown, top)
    for places, colour in ((rest, PALETTE[0]), (top, PALETTE[1])):
        axes.vlines(places, still, values[places], color=colour, linewidth=1.6 if few else 0.7, zorder=2)
        axes.plot(places, values[places], "o", color=colour, markersize=4.5 if few else 2.4, zorder=3)
    axes.axhline(still, color=INK, linewidth=0.9, zorder=1)
    for place in top:
        above = values[place] >= still
        axes.annotate(
            levels[place], (place, values[place]), xytext=(0, 5 if above else -5), textcoords="offset points",
            ha="center", va="bottom" if above else "top", fontsize=8, color=PALETTE[1],
        )  # fmt: skip
    tidy_axes(axes)
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.16)
    axes.ticklabel_format(axis="y", useOffset=False)
    if few:
        rotation = 0 if max(map(len, levels)) * len(levels) < 90 else 60
        axes.set_xticks(np.arange(len(levels)), levels, rotation=rotation, fontsize=8, color=MUTED)
    return len(finite) - len(shown)
