"""Caterpillar plot: predicted random effects in order, with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fit import Fit
from ..inference.distributions import t_quantile
from ..inference.wald import check_level
from ..postfit.choose_term import choose_term
from ..postfit.standard_errors import standard_errors
from ..typing import Array
from .backend import INK, MUTED, PALETTE, RULE, caption, given_axes, require_pyplot, tidy_axes

MOST_LABELS = 60
"""With more levels than this the axis carries no level names."""
MOST_LINES = 250
"""With more levels than this their intervals are a band."""


def random_effects(
    fit: Fit, term: str | None = None, *, level: float = 0.95, sort: bool = True, ax: Any = None
) -> Any:
    """Draw b̂ with intervals b̂ ± z·se for the levels of one random term, a panel per column.

    Parameters
    ----------
    term
        Label of the random term; by default the first.
    level
        Probability of the intervals.
    sort
        Order the levels by their first effect, in bands of many levels by the effect drawn; otherwise as in the data.
    ax
        Axes to draw on, one for each column of the term, in place of a new figure.

    Returns
    -------
    ndarray of matplotlib Axes, (p,)

    Notes
    -----
    se² = var(b̂ − b), the uncertainty of β̂ included. *Same as* `lattice::dotplot(ranef(fit))` of lme4.
    """
    check_level(level)
    k = 0 if term is None and fit.design.random else choose_term(fit, term)
    chosen = fit.design.random[k]
    effects = fit.solution.random[k]
    variance = np.einsum("jaa->ja", fit._work.equations().conditional_covariance(k))
    half = float(t_quantile(level, np.array([np.inf]))[0]) * standard_errors(fit, variance)
    order = np.argsort(effects[:, 0], kind="stable") if sort else np.arange(chosen.n_levels)
    levels = chosen.levels
    names = [levels[j] for j in order]
    effects, half = effects[order], half[order]
    if sort and len(names) > MOST_LINES:
        # bands carry no names, and one in the order of another panel would be black
        own = np.argsort(effects, axis=0, kind="stable")
        effects, half = np.take_along_axis(effects, own, 0), np.take_along_axis(half, own, 0)
    panels = _draw(chosen.group, chosen.columns, names, effects, half, level, ax)
    ordered = ", each panel in its own order" if sort and len(names) > MOST_LINES else ""
    caption(panels, ax, f"Predicted effects with {100 * level:g}% intervals{ordered}. Grey: zero is inside.")
    return panels


def _draw(
    group: str, columns: tuple[str, ...], names: list[str], effects: Array, half: Array, level: float, ax: Any
) -> Any:
    q, p = effects.shape
    panels = _panels(q, p) if ax is None else given_axes(ax, p, "column of the term")
    for axes, column, centre, width in zip(panels, columns, effects.T, half.T, strict=True):
        axes.axvline(0.0, color=INK, linewidth=0.9)
        # a band of effects in no order would be thousands of pieces
        banded = q > MOST_LINES and bool((np.diff(centre) >= 0).all())
        (_draw_band if banded else _draw_lines)(axes, centre, width)
        axes.set_title(column, fontsize=10.5, color=INK, loc="left")
        axes.set_xlabel("random effect", color=MUTED, fontsize=9)
        tidy_axes(axes)
        axes.grid(axis="y", visible=False)
    labelled = q <= MOST_LABELS
    panels[0].set_ylabel(group if labelled else f"{q:,} levels of {group}", color=INK, fontsize=10)
    panels[0].set_yticks(np.arange(q) if labelled else [], names if labelled else [])
    panels[0].margins(y=0.02 if q > 12 else 0.08)
    return panels


def _panels(q: int, p: int) -> Any:
    plt = require_pyplot()
    height = 6.4 if q > MOST_LINES else min(max(2.4, 0.24 * min(q, MOST_LABELS) + 1.2), 11.0)
    _, panels = plt.subplots(
        1, p, figsize=(1.4 + 3.6 * p, height), sharey=True, squeeze=False, layout="constrained"
    )
    return panels[0]


def _draw_lines(axes: Any, centre: Array, width: Array) -> None:
    place, clear = np.arange(len(centre)), np.abs(centre) > width
    size = 4.5 if len(centre) <= MOST_LABELS else 2.0 if len(centre) <= MOST_LINES else 0.7
    thin = 1.3 if len(centre) <= MOST_LINES else 0.25
    for mask, colour in ((clear, PALETTE[0]), (~clear, MUTED)):
        axes.hlines(place[mask], (centre - width)[mask], (centre + width)[mask], color=colour, linewidth=thin)
        axes.plot(centre[mask], place[mask], "o", color=colour, markersize=size)


def _draw_band(axes: Any, centre: Array, width: Array) -> None:
    """Draw the intervals of very many levels as a band, dark where they are clear of zero."""
    place, clear = np.arange(len(centre)), np.abs(centre) > width
    axes.fill_betweenx(place, centre - width, centre + width, color=RULE, step="mid", linewidth=0)
    axes.fill_betweenx(
        place,
        centre - width,
        centre + width,
        where=clear,
        color=PALETTE[0],
        alpha=0.35,
        step="mid",
        linewidth=0,
    )
    axes.plot(centre, place, color=INK, linewidth=1.1)
    axes.text(
        0.98,
        0.02,
        f"{int(clear.sum()):,} clear of 0",
        transform=axes.transAxes,
        ha="right",
        color=PALETTE[0],
        fontsize=9,
    )
