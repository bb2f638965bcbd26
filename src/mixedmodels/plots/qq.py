"""Normal quantile plots of residuals, of predicted random effects, and of residuals by the levels of a column."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError, suggest
from ..fit import Fit
from ..postfit.choose_term import choose_term
from ..postfit.used_data import column_values, read_data
from ..registry import check_choice
from ..typing import Array
from .backend import caption, panel_axes
from .drawn_residuals import STANDARD, residuals_to_draw
from .normal_quantiles import MOST, draw_quantiles
from .residuals import LEVELS

RESIDUAL = "residual"
MOST_PANELS = 12
FEWEST = 3
"""Values that a panel needs."""


def qq(
    fit: Fit,
    term: str | None = None,
    *,
    by: str | None = None,
    kind: str | None = None,
    level: str = "conditional",
    ax: Any = None,
) -> Any:
    """Draw residuals, and the predicted effects of every random term, against normal quantiles.

    Parameters
    ----------
    term
        `"residual"` or a random term alone; by default residuals first, then a panel for each column of each term.
    by
        Column whose levels give the panels of residuals, the first twelve.
    kind, level
        Residuals, as of `fit.plot.residuals`.
    ax
        Axes to draw on, one for each panel; new ones by default.

    Returns
    -------
    ndarray of matplotlib Axes, (panels,)

    Notes
    -----
    The grey band holds each order statistic of a normal sample with probability 0.95; effects outside of it, three at
    either end at most, are named. Predicted effects are shrunk, so that their spread is less than the standard
    deviation of the model, and their shape nearer to a normal one than that of the effects themselves. *Same as*
    `qqnorm(fit, ~ranef(.))` and `qqnorm(fit, ~resid(.) | sex)` of nlme.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> [axes.get_title(loc="left") for axes in fit.plot.qq()]
    ['Residuals', 'Subject: (Intercept)', 'Subject: Days']
    """
    check_choice("level", level, LEVELS)
    if by is not None and term not in (None, RESIDUAL):
        raise SpecError(
            f"by={by!r} divides residuals and term={term!r} is a random term; give one of the two."
        )
    if by is not None:
        return _by_level(fit, by, kind, level, ax)
    found = [] if term == RESIDUAL else _effects(fit, term)
    drawn = residuals_to_draw(fit, kind, level, "qq") if term in (None, RESIDUAL) else None
    count = len(found) + (drawn is not None)
    if not count:
        raise SpecError(f"term={term!r} has fewer than {FEWEST} levels, too few for quantiles.")
    panels = panel_axes(ax, count, "panel", columns=3, size=(3.4, 3.1) if count > 1 else (4.6, 4.0))
    place = list(panels)
    if drawn is not None:
        draw_quantiles(
            place.pop(0), drawn.values, name=drawn.name, title="Residuals", standard=drawn.kind in STANDARD
        )
    for axes, (title, names, values) in zip(place, found, strict=True):
        draw_quantiles(axes, values, name="predicted effect", title=title, names=names)
    large = max([len(values) for _, _, values in found] + [0 if drawn is None else len(drawn.values)])
    caption(
        panels, ax, "" if drawn is None else drawn.text, "Grey: 95% limits of each quantile of a normal sample.",
        f"Between the ends {MOST:,} of the quantiles are drawn." if large > MOST else "",
    )  # fmt: skip
    return panels


def _effects(fit: Fit, term: str | None) -> list[tuple[str, list[str], Array]]:
    """Return title, names of levels and predicted effects of the columns of one term or of all; of splines none."""
    chosen = range(len(fit.design.random)) if term is None else [choose_term(fit, term)]
    found = []
    for k in chosen:
        own, effects = fit.design.random[k], fit.solution.random[k]
        if own.n_levels < FEWEST or (own.smooth and term is None):
            continue
        for column, values in zip(own.columns, effects.T, strict=True):
            found.append((f"{own.group}: {column}", list(own.levels), values))
    return found


def _by_level(fit: Fit, by: str, kind: str | None, level: str, ax: Any) -> Any:
    data = read_data(fit)
    if by not in data:
        raise SpecError(
            f"by={by!r} is not a column of the data.{suggest(by, data)} Columns: {', '.join(data)}."
        )
    drawn = residuals_to_draw(fit, kind, level, "qq")
    texts = np.array([str(value) for value in column_values(data[by].factor())])[drawn.rows]
    names = list(dict.fromkeys(texts.tolist()))
    names = [name for name in sorted(names, key=names.index) if np.sum(texts == name) >= FEWEST]
    if not names:
        raise SpecError(f"by={by!r}: no level has {FEWEST} residuals, too few for quantiles.")
    shown = names[:MOST_PANELS]
    panels = panel_axes(ax, len(shown), f"level of {by}", columns=4, size=(2.7, 2.6))
    for axes, name in zip(panels, shown, strict=True):
        draw_quantiles(
            axes, drawn.values[texts == name], name=drawn.name, title=f"{by} {name}",
            standard=drawn.kind in STANDARD,
        )  # fmt: skip
    most = f"The first {len(shown)} of {len(names)} levels." if len(names) > len(shown) else ""
    caption(panels, ax, drawn.text, "Grey: 95% limits of each quantile of a normal sample.", most)
    return panels
