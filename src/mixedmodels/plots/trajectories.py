"""Fitted mean curves and subject-specific predicted curves over the data, a panel per subject."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, suggest
from ..fit import Fit
from ..frame.column import Column
from ..frame.ingest import predictor_columns
from ..postfit.choose_term import choose_factor
from ..postfit.predict import conditional_means
from ..postfit.used_data import column_values, read_data
from ..typing import Array
from .backend import INK, MUTED, PALETTE, require_pyplot, tidy_axes

GRID = 60
"""Points along each curve."""
MOST_PANELS = 12
"""Panels drawn when no levels are named."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One subject: its observations and its curves over a grid of x."""

    level: str
    kind: str
    x: Array
    y: Array
    grid: Array
    mean: Array
    predicted: Array


def trajectories(
    fit: Fit,
    x: str | None = None,
    *,
    levels: Iterable[object] | None = None,
    group: str | None = None,
    color: str | None = None,
    columns: int = 4,
) -> Any:
    """Draw for each subject its data, the population mean curve and its own predicted curve over x.

    Parameters
    ----------
    x
        Numeric column along the horizontal axis; by default the only numeric predictor that varies within
        subjects.
    levels
        Subjects to draw, in this order; by default the first twelve.
    group
        Grouping factor that defines the subjects; by default the one in which all others are nested.
    color
        Column, constant within subjects, that colours the panels and is named in their titles (for example
        the sex).
    columns
        Panels in a row.

    Returns
    -------
    ndarray of matplotlib Axes, (panels,)

    Notes
    -----
    The dashed curve is Xβ̂, with the curves of splines, and the solid one Xβ̂ + Zb̂ at the subject's covariates; a
    covariate other than x that varies within the subject takes the value of the observation nearest in x.
    *Same as* `plot(augPred(fit, level = 0:1))` of nlme.
    """
    data = read_data(fit)
    factor = _grouping(fit, data, group)
    chosen_x = _choose_x(fit, data, factor, x)
    if color is not None and color not in data:
        raise SpecError(f"color={color!r} is not a column of the model.{suggest(color, data)}")
    if color is not None and not _constant_within(data[color].values, factor):
        raise SpecError(
            f"color={color!r} changes within {factor.name!r}; give a column that is constant there."
        )
    panels = [_panel(fit, data, factor, level, chosen_x, color) for level in _choose_levels(factor, levels)]
    return _draw(panels, factor.name, chosen_x, fit.spec.response, color, columns)


def _grouping(fit: Fit, data: dict[str, Column], group: str | None) -> Column:
    factor = choose_factor(fit, group, splines=False)
    if factor.name in data:
        return data[factor.name].factor()
    return Column(factor.name, factor.codes, np.array(factor.levels, dtype=object))


def _choose_x(fit: Fit, data: dict[str, Column], factor: Column, x: str | None) -> str:
    if x is not None:
        if x not in data or not data[x].is_number:
            numeric = [name for name, column in data.items() if column.is_number]
            raise SpecError(
                f"x={x!r} is not a numeric column.{suggest(x, numeric)} Numeric: {', '.join(numeric)}."
            )
        return x
    names = [n for n in predictor_columns(fit.spec) if n in data and data[n].is_number and n != factor.name]
    varying = [name for name in names if not _constant_within(data[name].values, factor)]
    if len(varying) != 1:
        found = ", ".join(map(repr, varying or names)) or "none"
        raise SpecError(f"trajectories need x=, the column along the axis; candidates: {found}.")
    return varying[0]


def _constant_within(values: NDArray[Any], factor: Column) -> bool:
    first = np.zeros(int(factor.values.max()) + 1, dtype=values.dtype)
    first[factor.values] = values
    return bool(np.array_equal(first[factor.values], values))


def _choose_levels(factor: Column, levels: Iterable[object] | None) -> list[str]:
    assert factor.levels is not None
    known = [str(level) for level in factor.levels]
    if levels is None:
        return known[:MOST_PANELS]
    asked = [str(level) for level in levels]
    for level in asked:
        if level not in known:
            shown = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
            raise SpecError(
                f"levels: {factor.name!r} has no {level!r}.{suggest(level, known)} Levels: {shown}."
            )
    return asked


def _panel(fit: Fit, data: dict[str, Column], factor: Column, level: str, x: str, color: str | None) -> Panel:
    assert factor.levels is not None
    code = [str(name) for name in factor.levels].index(level)
    rows = np.flatnonzero(factor.values == code)
    at = data[x].number()
    grid = np.linspace(at.min(), at.max(), GRID)
    nearest = rows[np.abs(at[rows][None, :] - grid[:, None]).argmin(axis=1)]
    newdata = {name: column_values(column)[nearest] for name, column in data.items()}
    newdata[x] = grid
    kind = "" if color is None else str(column_values(data[color])[rows[0]])
    mean = fit.predict(newdata, level="population")
    predicted = conditional_means(fit, newdata)
    return Panel(level, kind, at[rows], fit.response[rows], grid, mean, predicted)


def _draw(panels: list[Panel], group: str, x: str, y: str, color: str | None, columns: int) -> Any:
    plt = require_pyplot()
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    figure, grid = plt.subplots(
        down,
        across,
        figsize=(0.9 + 2.25 * across, 1.1 + 2.15 * down),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    kinds = list(dict.fromkeys(panel.kind for panel in panels))
    colours = {kind: PALETTE[i % len(PALETTE)] for i, kind in enumerate(kinds)}
    for axes, panel in zip(grid.ravel(), panels, strict=False):
        axes.plot(panel.grid, panel.mean, color=INK, linewidth=1.3, linestyle=(0, (5, 3)), zorder=2)
        axes.plot(panel.grid, panel.predicted, color=colours[panel.kind], linewidth=2.0, zorder=3)
        axes.plot(
            panel.x, panel.y, "o", color=colours[panel.kind], markeredgecolor="white", markersize=6, zorder=4
        )
        suffix = f"  ({panel.kind})" if panel.kind else ""
        axes.set_title(f"{group} {panel.level}{suffix}", fontsize=10, color=INK, loc="left")
        tidy_axes(axes)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel(x, color=INK, fontsize=10.5)
    figure.supylabel(y, color=INK, fontsize=10.5)
    _legend(figure, plt, colours, color)
    return grid.ravel()[: len(panels)]


def _legend(figure: Any, plt: Any, colours: dict[str, str], color: str | None) -> None:
    line = plt.Line2D
    first = next(iter(colours.values()))
    neutral = MUTED if len(colours) > 1 else first
    handles = [
        line([], [], color=neutral, marker="o", linestyle="none", markeredgecolor="white", label="observed"),
        line([], [], color=INK, linestyle=(0, (5, 3)), linewidth=1.3, label="mean (fixed effects)"),
        line([], [], color=neutral, linewidth=2.0, label="predicted (fixed + random)"),
    ]
    if len(colours) > 1:
        handles += [
            line([], [], color=shade, linewidth=4, label=f"{color} {kind}") for kind, shade in colours.items()
        ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
