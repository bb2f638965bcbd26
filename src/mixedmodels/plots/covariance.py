"""Heat map of a covariance or correlation matrix of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fit import Fit
from ..labelled import LabelledMatrix
from ..postfit.covariances import marginal_cov, random_cov, residual_cov
from ..registry import check_choice
from ..typing import Array
from .backend import INK, MUTED, caption, one_axes

MATRICES = ("marginal", "random", "residual")
ALIASES = {"V": "marginal", "G": "random", "R": "residual"}
MOST_NUMBERS = 12
"""Rows up to which cells carry their numbers."""
MOST_LABELS = 40


def covariance(
    fit: Fit,
    matrix: str | None = None,
    *,
    term: str | None = None,
    cluster: object = None,
    group: str | None = None,
    by: str | None = None,
    correlation: bool = True,
    ax: Any = None,
) -> Any:
    """Draw G, R or V of a fit as a heat map, by default as correlations.

    Parameters
    ----------
    matrix
        `"marginal"` (or `"V"`): responses of one cluster; `"random"` (`"G"`): effects of one level of a term;
        `"residual"` (`"R"`): errors of one cluster. By default the effects where `term` is given, else the responses;
        of a generalised model the effects.
    term, by
        Random term and its parameter set, as of `fit.random_cov`.
    cluster, group
        Cluster and its factor, as of `fit.marginal_cov`.
    correlation
        Correlations rather than covariances.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    Colours go from orange (negative) over white (zero) to blue, evenly about zero. *Same as* a picture of SAS
    `V VCORR`, `G GCORR`, `R RCORR`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.gls("Y ~ sex * age", mm.datasets.load("orthodont"), residual="ar1(age | id)")
    >>> fit.plot.covariance("R").get_title(loc="left")
    'Correlation of id 1: errors'
    """
    default = "random" if term is not None or fit.distribution is not None else "marginal"
    chosen = ALIASES.get(matrix or "", matrix) or default
    check_choice("matrix", chosen, MATRICES)
    if chosen == "random":
        term = fit.design.random[0].label if term is None and len(fit.design.random) > 1 else term
        found, what = random_cov(fit, term, by=by, correlation=correlation), "random effects"
    else:
        fit._refuse_generalised(f"plot.covariance of the {chosen} matrix")
        tool = marginal_cov if chosen == "marginal" else residual_cov
        found = tool(fit, cluster, group=group, correlation=correlation)
        what = "responses" if chosen == "marginal" else "errors"
    return _draw(found, what, correlation, ax)


def _draw(found: LabelledMatrix, what: str, correlation: bool, ax: Any) -> Any:
    values: Array = found.array
    m = len(values)
    side = float(np.clip(1.7 + 0.42 * m, 3.6, 7.0))
    axes = one_axes(ax, (side + 1.0, side))
    reach = 1.0 if correlation else float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    image = axes.imshow(values, cmap=_colours(), vmin=-reach, vmax=reach, interpolation="nearest")
    names = list(found.rows)
    shown = range(0, m, 1 if m <= MOST_LABELS else -(-m // 20))
    axes.set_xticks(list(shown), [names[i] for i in shown], rotation=45 if max(map(len, names)) > 4 else 0)
    axes.set_yticks(list(shown), [names[i] for i in shown])
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if m <= MOST_NUMBERS:
        _write_numbers(axes, values, reach)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.set_title(f"{found.title}: {what}", color=INK, fontsize=10.5, loc="left")
    empty = "Empty cells: a variance of zero has no correlations." if np.isnan(values).any() else ""
    numbers = "" if m <= MOST_NUMBERS else f"{m:,} rows; the colour bar gives the scale."
    kind = "correlations" if correlation else "covariances"
    caption(axes, ax, f"Estimated {kind}. Blue: positive, orange: negative, white: zero.", numbers, empty)
    return axes


def _write_numbers(axes: Any, values: Array, reach: float) -> None:
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if np.isfinite(value):
                dark = abs(value) > 0.6 * reach
                axes.text(
                    j, i, f"{value:.2f}" if reach == 1.0 else f"{value:.3g}", ha="center", va="center", fontsize=8.5,
                    color="white" if dark else INK,
                )  # fmt: skip


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "orange-white-blue", ["#a63d00", "#f0a26b", "#ffffff", "#6cabd6", "#084c7d"]
    )
