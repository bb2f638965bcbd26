"""Pairwise p-values: every pair of estimated means as a line between their names, at its p-value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..emmeans.comparisons import contrast
from ..emmeans.emm import EMM
from ..emmeans.means import emmeans
from ..errors import SpecError
from ..fit import Fit
from ..formats import format_number, value_text
from ..typing import Array
from .backend import INK, MUTED, PALETTE, caption, given_axes, label_axes, require_pyplot, tidy_axes
from .mean_curves import Scale

LEAST = 1e-4
"""Smaller p-values stand beside each other in a strip of their own."""
MOST = 25
"""Estimates of a group beyond which names and lines cannot be told apart."""
TICKS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001)


def pairwise(
    fit: Fit,
    specs: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    type: Scale = "link",
    adjust: str = "tukey",
    level: float = 0.95,
    ddf: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the p-value of every pair of estimated marginal means; a panel for each group of `by`.

    Parameters
    ----------
    specs, by, at, type, ddf
        As of `fit.emmeans`.
    adjust
        Multiplicity adjustment of the p-values, as of `.pairs()`.
    level
        The dashed line stands at 1 − level.
    ax
        Axes to draw on, one for each group; new ones by default.

    Returns
    -------
    ndarray of matplotlib Axes, (groups,)

    Notes
    -----
    Each pair is a line between the rows of its two means, which stand in the order of their estimates; p on the
    logarithmic scale, those below 0.0001 side by side at the left. *Same as* `pwpp(emm)` of R's emmeans.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("yield ~ factor(nitro) * Variety + (1 | Block/Variety)", mm.datasets.load("oats"))
    >>> axes = fit.plot.pairwise("nitro")[0]
    >>> len(axes.lines) - 2, axes.get_yticklabels()[0].get_text()
    (6, '0\\n79.4')
    """
    emm = emmeans(fit, specs, by=by, at=at, type=type, level=level, ddf=ddf)
    pairs = contrast(emm, "pairwise", adjust=adjust).table
    groups, starts = emm.groups, np.cumsum([0, *(len(g) * (len(g) - 1) // 2 for g in emm.groups)])
    for group in groups:
        if not 2 <= len(group) <= MOST:
            raise SpecError(
                f"pairwise: groups of 2 to {MOST} means can be drawn, and here is one of {len(group)}; choose by "
                "specs= and by=, or read .pairs()."
            )
    if ax is None:
        tall = 1.3 + 0.5 * max(map(len, groups))
        drawn = (
            require_pyplot()
            .subplots(
                1, len(groups), figsize=(1.6 + 4.2 * len(groups), tall), squeeze=False, layout="constrained"
            )[1]
            .ravel()
        )
    else:
        drawn = given_axes(ax, len(groups), "group")
    for axes, group, first in zip(drawn, groups, starts, strict=False):
        size = len(group) * (len(group) - 1) // 2
        _draw(axes, emm, group, np.asarray(pairs["p_value"][first : first + size], dtype=float), 1.0 - level)
        label_axes(axes, "p-value", title=_title(emm, group))
    what = "unadjusted p-values" if adjust == "none" else f"p-values by {adjust} adjustment"
    caption(
        drawn, ax, f"Lines join the two means compared, at their p-value; {what}; dashed: {1 - level:.3g}."
    )
    return drawn


def _draw(axes: Any, emm: EMM, group: Any, p: Array, alpha: float) -> None:
    estimates = np.asarray(emm.table["estimate"], dtype=float)[group]
    row = np.argsort(np.argsort(estimates, kind="stable"), kind="stable")
    x = _places(p)
    for k, (i, j) in enumerate(zip(*np.triu_indices(len(group), 1), strict=True)):
        if np.isfinite(x[k]):
            colour = PALETTE[row[min(i, j, key=lambda one: row[one])] % len(PALETTE)]
            axes.plot([x[k], x[k]], [row[i], row[j]], color=colour, marker="o", markersize=5, linewidth=1.6)
    axes.axvline(np.log10(alpha), color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.axvline(np.log10(LEAST), color=MUTED, linewidth=0.6, zorder=0)
    names = [", ".join(value_text(emm.levels[name][place]) for name in emm.primary) for place in group]
    texts = [f"{name}\n{format_number(value, 3)}" for name, value in zip(names, estimates, strict=True)]
    axes.set_yticks(row, texts)
    axes.set_ylim(-0.5, len(group) - 0.5)
    axes.set_xlim(np.log10(LEAST) - 1.05, 0.08)
    axes.set_xticks([np.log10(LEAST) - 0.5, *np.log10(TICKS)], [f"<{LEAST:.4f}", *(f"{t:g}" for t in TICKS)])
    tidy_axes(axes)
    axes.tick_params(axis="x", labelsize=7.5)


def _places(p: Array) -> Array:
    """Return where p-values stand along the axis, NaN for unknown ones; the smallest share a strip."""
    with np.errstate(divide="ignore"):
        x = np.log10(p)
    small = np.flatnonzero(p < LEAST)
    order = small[np.argsort(p[small], kind="stable")]
    x[order] = np.log10(LEAST) - 1.0 + (np.arange(len(order)) + 0.5) / max(len(order), 1)
    return x


def _title(emm: EMM, group: Any) -> str:
    others = [name for name in emm.levels if name not in emm.primary]
    return ", ".join(f"{name} {value_text(emm.levels[name][group[0]])}" for name in others)
