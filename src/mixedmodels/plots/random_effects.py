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
from .backend import INK, MUTED, PALETTE, require_pyplot, tidy_axes

MOST_LABELS = 60
"""With more levels than this the axis carries no level names."""


def random_effects(fit: Fit, term: str | None = None, *, level: float = 0.95, sort: bool = True) -> Any:
    """Draw b̂ with intervals b̂ ± z·se for the levels of one random term, a panel per column.

    Parameters
    ----------
    term
        Label of the random term; by default the first.
    level
        Probability of the intervals.
    sort
        Order the levels by their first effect; otherwise as in the data.

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
    names = [chosen.levels[j] for j in order]
    return _draw(chosen.group, chosen.columns, names, effects[order], half[order], level)


def _draw(
    group: str, columns: tuple[str, ...], names: list[str], effects: Array, half: Array, level: float
) -> Any:
    plt = require_pyplot()
    q, p = effects.shape
    height = min(max(2.4, 0.24 * min(q, MOST_LABELS) + 1.2), 11.0)
    _, panels = plt.subplots(
        1, p, figsize=(1.4 + 3.6 * p, height), sharey=True, squeeze=False, layout="constrained"
    )
    place = np.arange(q)
    for axes, column, centre, width in zip(panels[0], columns, effects.T, half.T, strict=True):
        clear = np.abs(centre) > width
        axes.axvline(0.0, color=INK, linewidth=0.9)
        for mask, colour in ((clear, PALETTE[0]), (~clear, MUTED)):
            axes.hlines(
                place[mask], (centre - width)[mask], (centre + width)[mask], color=colour, linewidth=1.3
            )
            axes.plot(
                centre[mask], place[mask], "o", color=colour, markersize=4.5 if q <= MOST_LABELS else 2.0
            )
        axes.set_title(column, fontsize=10.5, color=INK, loc="left")
        axes.set_xlabel(f"random effect, {100 * level:g}% interval", color=MUTED, fontsize=9)
        tidy_axes(axes)
        axes.grid(axis="y", visible=False)
    panels[0, 0].set_ylabel(group, color=INK, fontsize=10)
    panels[0, 0].set_yticks(place if q <= MOST_LABELS else [], names if q <= MOST_LABELS else [])
    panels[0, 0].margins(y=0.02 if q > 12 else 0.08)
    return panels[0]
