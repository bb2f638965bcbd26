"""Estimated means along one predictor, by the levels of others: what interaction and effect figures draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..emmeans.emm import EMM
from ..emmeans.means import emmeans
from ..errors import SpecError, suggest
from ..fit import Fit
from ..formats import value_text
from ..inference.predictors import predictors
from ..typing import Array, Labels
from .backend import PALETTE, legend_beside, tidy_axes

GRID = 61
MOST_CURVES = 7
MARKS = ("o", "s", "D", "^", "v", "P", "X")
Scale = Literal["link", "response"]


@dataclass(frozen=True, slots=True, eq=False)
class MeanCurve:
    """Means along x (k,) with their limits, of one level of what tells curves apart."""

    name: str
    x: Array
    estimate: Array
    low: Array
    high: Array


@dataclass(frozen=True, slots=True, eq=False)
class MeanCurves:
    """Curves over one predictor; `ticks` are its levels where it is a factor, at 0, 1, …."""

    x: str
    by: str | None
    curves: tuple[MeanCurve, ...]
    ticks: Labels
    emm: EMM


def mean_curves(
    fit: Fit,
    x: str,
    by: str | None,
    at: Mapping[str, Any] | None,
    scale: Scale,
    level: float,
    ddf: str | None,
) -> MeanCurves:
    """Return estimated means along x for every level of `by`."""
    known = predictors(fit)
    for name, value in (("x", x), ("by", by)):
        if value is not None and value not in known:
            raise SpecError(
                f"{name}={value!r} is not a predictor of the fixed part.{suggest(value, known)} "
                f"Predictors: {', '.join(known) or 'none'}."
            )
    if x == by:
        raise SpecError(f"x and by are both {x!r}; give two predictors.")
    asked = dict(at or {})
    column = known[x]
    if not column.is_factor and x not in asked:
        values = column.number()
        asked[x] = np.linspace(values.min(), values.max(), GRID)
    if by is not None and not known[by].is_factor and by not in asked:
        distinct = np.unique(known[by].number())
        if len(distinct) > MOST_CURVES:
            distinct = np.quantile(known[by].number(), [0.1, 0.5, 0.9])
        asked[by] = distinct
    found = emmeans(fit, [x] if by is None else [x, by], at=asked, level=level, ddf=ddf, type=scale)
    names = [""] * len(found) if by is None else [value_text(value) for value in found.levels[by]]
    curves = list(dict.fromkeys(names))
    if len(curves) > MOST_CURVES:
        raise SpecError(
            f"by={by!r} has {len(curves)} levels, more than colours tell apart; choose up to {MOST_CURVES} by "
            f"at={{{by!r}: [...]}}."
        )
    levels = list(found.levels[x])
    ticks = tuple(dict.fromkeys(map(value_text, levels))) if column.is_factor else ()
    place = np.array([ticks.index(value_text(v)) if ticks else float(v) for v in levels], dtype=float)
    table = found.table
    own = [np.flatnonzero([name == curve for name in names]) for curve in curves]
    return MeanCurves(
        x,
        by,
        tuple(
            MeanCurve(
                curve, place[rows], table["estimate"][rows], table["conf_low"][rows], table["conf_high"][rows]
            )
            for curve, rows in zip(curves, own, strict=True)
        ),
        ticks,
        found,
    )


def draw_curves(axes: Any, found: MeanCurves) -> None:
    """Draw every curve in a colour and mark of its own: bands along numbers, bars at levels."""
    count = len(found.curves)
    for k, curve in enumerate(found.curves):
        shade, label = PALETTE[k % len(PALETTE)], curve.name or None
        if found.ticks:
            x = curve.x + shift_of(k, count)
            axes.vlines(x, curve.low, curve.high, color=shade, linewidth=1.8, zorder=3)
            axes.plot(x, curve.estimate, color=shade, linewidth=1.0, alpha=0.7, zorder=3)
            axes.plot(
                x, curve.estimate, MARKS[k % len(MARKS)], color=shade, markersize=6, label=label, zorder=4
            )
        else:
            axes.fill_between(curve.x, curve.low, curve.high, color=shade, alpha=0.16, linewidth=0, zorder=1)
            style = ("-", (0, (6, 2)), (0, (2, 2)), "-.", (0, (8, 2, 2, 2)), (0, (1, 1)), (0, (4, 4)))[k % 7]
            axes.plot(
                curve.x, curve.estimate, color=shade, linewidth=2.0, linestyle=style, label=label, zorder=4
            )
    if found.ticks:
        crowded = max(map(len, found.ticks)) * len(found.ticks) > 70
        axes.set_xticks(np.arange(len(found.ticks)), found.ticks, rotation=40 if crowded else 0)
        axes.margins(x=0.08)
    if found.by is not None:
        legend_beside(axes, found.by)
    tidy_axes(axes)


def shift_of(k: int, count: int) -> float:
    """Return how far beside its level the k-th of several curves stands."""
    return 0.0 if count == 1 else 0.3 * (k / (count - 1) - 0.5)


def others_text(found: MeanCurves) -> str:
    """Return what the caption says of the predictors that are not drawn."""
    notes = [note for note in found.emm.table.notes if note.startswith("averaged") or "nested" in note]
    return "".join(f"{note[0].upper()}{note[1:]}. " for note in notes).strip()


def scale_text(fit: Fit, scale: Scale) -> str:
    """Return what the vertical axis is."""
    name = fit.spec.response.strip("`")
    if scale == "response" or fit.distribution is None:
        return f"mean of {name}"
    return f"{fit.link} of the mean of {name}"
