"""Fitted mean curves and subject-specific predicted curves over the data, a panel per subject."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, suggest
from ..fit import Fit
from ..formats import value_text
from ..frame.column import Column
from ..frame.ingest import predictor_columns
from ..postfit.choose_term import choose_factor
from ..postfit.predict import conditional_means
from ..postfit.used_data import column_values, read_data
from ..syntax.algebra import expand
from ..typing import Array, Labels
from .backend import INK, MUTED, PALETTE, caption, given_axes, require_pyplot, tidy_axes

GRID = 60
"""Points along each curve."""
MOST_PANELS = 12
"""Panels drawn when no levels are named."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One subject: its observations and its curves over a grid of x, or over the levels of a factor."""

    level: str
    kind: str
    x: Array
    y: Array
    grid: Array
    mean: Array
    predicted: Array
    ticks: Labels = ()


def trajectories(
    fit: Fit,
    x: str | None = None,
    *,
    levels: Iterable[object] | None = None,
    group: str | None = None,
    color: str | None = None,
    columns: int = 4,
    ax: Any = None,
) -> Any:
    """Draw for each subject its data, the population mean curve and its own predicted curve over x.

    Parameters
    ----------
    x
        Column along the horizontal axis, numbers or the levels of a factor in order; by default the only numeric
        predictor that varies within subjects, or the only factor that does.
    levels
        Subjects to draw, in this order; by default the first twelve.
    group
        Grouping factor that defines the subjects; by default the one in which all others are nested.
    color
        Column, constant within subjects, that colours the panels and is named in their titles (for example
        the sex).
    columns
        Panels in a row.
    ax
        Axes to draw on, one for each subject, in place of a new figure.

    Returns
    -------
    ndarray of matplotlib Axes, (panels,)

    Notes
    -----
    The dashed curve is Xβ̂, with the curves of splines, and the solid one Xβ̂ + Zb̂ at the subject's covariates. A
    covariate other than x that varies within the subject is held at its mean there, a factor at its commonest level,
    and effects of groups inside the subject are left out: the curves are those of x alone.
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
    axes = _draw(panels, factor.name, chosen_x, fit.spec.response.strip("`"), color, columns, ax)
    assert factor.levels is not None
    if levels is None and len(factor.levels) > len(panels):
        caption(
            axes, ax, f"The first {len(panels)} of {len(factor.levels):,} levels; levels= chooses others."
        )
    return axes


def _grouping(fit: Fit, data: dict[str, Column], group: str | None) -> Column:
    factor = choose_factor(fit, group, splines=False)
    if factor.name in data:
        return data[factor.name].factor()
    return Column(factor.name, factor.codes, np.array(factor.levels, dtype=object))


def _choose_x(fit: Fit, data: dict[str, Column], factor: Column, x: str | None) -> str:
    if x is not None:
        if x not in data:
            raise SpecError(
                f"x={x!r} is not a column of the model.{suggest(x, data)} Columns: {', '.join(data)}."
            )
        return x
    names = [name for name in predictor_columns(fit.spec) if name in data and name != factor.name]
    varying = [name for name in names if not _constant_within(data[name].values, factor)]
    numeric = [name for name in varying if data[name].is_number]
    chosen = numeric or [name for name in varying if name not in _grouping_columns(fit)]
    if len(chosen) != 1:
        found = ", ".join(map(repr, chosen or names)) or "none"
        raise SpecError(f"trajectories need x=, the column along the axis; candidates: {found}.")
    return chosen[0]


def _grouping_columns(fit: Fit) -> set[str]:
    return {name for term in fit.spec.random for name in term.group}


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
    along = data[x]
    ticks: Labels = ()
    if along.is_number:
        at = along.number()
        grid: NDArray[Any] = (
            np.unique(along.values) if _is_factor_of(fit, x) else np.linspace(at.min(), at.max(), GRID)
        )
        points = grid.astype(float)
    else:
        steps = along.factor()
        assert steps.levels is not None
        at, points = steps.values.astype(float), np.arange(len(steps.levels), dtype=float)
        grid, ticks = steps.levels, tuple(value_text(value) for value in steps.levels)
    newdata = {name: np.repeat(_held(fit, column, rows), len(grid)) for name, column in data.items()}
    newdata[x] = grid
    kind = "" if color is None else str(column_values(data[color])[rows[0]])
    mean = fit.predict(newdata, level="population")
    predicted = conditional_means(fit, newdata)
    if fit.distribution is not None:
        # the observations are on the scale of the response
        mean = fit.predict(newdata, level="population", type="response")
        predicted = fit.predict(newdata, type="response", new_levels="population")
    return Panel(level, kind, at[rows], fit.response[rows], points, mean, predicted, ticks)


def _is_factor_of(fit: Fit, x: str) -> bool:
    """Return whether the model has a column of numbers as a factor, which knows no values between its levels."""
    texts = [fit.spec.fixed, *(term.effects for term in fit.spec.random if not term.coordinates)]
    atoms = (atom for text in texts for term in expand(text) for atom in term)
    return any(atom.categorical and x in atom.variables for atom in atoms)


def _held(fit: Fit, column: Column, rows: NDArray[np.intp]) -> NDArray[Any]:
    """Return the value (1,) that a column has along the curves of one subject."""
    values = column_values(column)[rows]
    first = values[:1]
    if (values == first).all():
        return first
    inside = column.name in predictor_columns(fit.spec)
    if column.is_number and inside:
        return np.array([column.number()[rows].mean()])
    if not inside and column.name in _grouping_columns(fit):
        return _no_level(column)
    levels, counts = np.unique(values.astype(str), return_counts=True)
    return np.asarray(values[values.astype(str) == levels[np.argmax(counts)]][:1])


def _no_level(column: Column) -> NDArray[Any]:
    """Return a value (1,) of the column's type that none of its rows has."""
    if column.is_number:
        return np.array([column.number().max() + 1.0])
    assert column.levels is not None
    return np.array(["".join(map(str, column.levels)) + "?"], dtype=object)


def _draw(panels: list[Panel], group: str, x: str, y: str, color: str | None, columns: int, ax: Any) -> Any:
    plt = require_pyplot()
    kinds = list(dict.fromkeys(panel.kind for panel in panels))
    colours = {kind: PALETTE[i % len(PALETTE)] for i, kind in enumerate(kinds)}
    if ax is not None:
        given = given_axes(ax, len(panels), "subject")
        for axes, panel in zip(given, panels, strict=True):
            _draw_panel(axes, panel, group, colours)
            axes.set_xlabel(x, color=INK, fontsize=10)
            axes.set_ylabel(y, color=INK, fontsize=10)
        return given
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
    for k, (axes, panel) in enumerate(zip(grid.ravel(), panels, strict=False)):
        _draw_panel(axes, panel, group, colours)
        # the lowest panel of a column stands above an empty place where the last row is not full
        lowest = k + across >= len(panels)
        axes.tick_params(labelbottom=lowest)
        axes.set_xlabel(x if lowest else "", color=INK, fontsize=10)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_visible(False)
    figure.supylabel(y, color=INK, fontsize=10.5)
    _legend(figure, plt, colours, color)
    return grid.ravel()[: len(panels)]


def _draw_panel(axes: Any, panel: Panel, group: str, colours: dict[str, str]) -> None:
    shade = colours[panel.kind]
    axes.plot(panel.grid, panel.mean, color=INK, linewidth=1.3, linestyle=(0, (5, 3)), zorder=2)
    axes.plot(panel.grid, panel.predicted, color=shade, linewidth=2.0, zorder=3)
    axes.plot(panel.x, panel.y, "o", color=shade, markeredgecolor="white", markersize=6, zorder=4)
    if panel.ticks:
        axes.set_xticks(panel.grid, panel.ticks)
    suffix = f"  ({panel.kind})" if panel.kind else ""
    axes.set_title(f"{group} {panel.level}{suffix}", fontsize=10, color=INK, loc="left")
    tidy_axes(axes)


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
