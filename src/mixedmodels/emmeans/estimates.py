"""Estimates of linear functions with standard errors, intervals and adjusted tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference.distributions import t_two_sided
from ..inference.multiplicity import ADJUSTMENTS, ALIASES, Family
from ..inference.wald import empty_cells, estimate_rows
from ..registry import look_up
from ..table import Table
from ..typing import Array
from .display import level_formats
from .emm import EMM, kept_columns


def estimates(emm: EMM) -> Table:
    """Return labels, `estimate std_error df`, tests, and `conf_low conf_high`, with notes on the method."""
    columns, notes = inferred(emm)
    if emm.kind == "mean":
        columns = {name: v for name, v in columns.items() if name not in ("statistic", "p_value")}
    shown: dict[str, Any] = {**emm.levels, **named(emm, columns)}
    return Table(shown, notes=notes, backend=emm.fit.backend, formats=level_formats(emm.levels))


def named(emm: EMM, columns: dict[str, Array]) -> dict[str, Array]:
    """Return the columns of a table, the estimate of ratios called so."""
    response = emm.settings.response
    ratios = emm.kind == "contrast" and response is not None and response.of_differences() is not None
    return {"ratio" if ratios and name == "estimate" else name: values for name, values in columns.items()}


def inferred(emm: EMM, null: float = 0.0) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the numbers of every function by column, (k,) each, tested against `null`, and notes."""
    s = emm.settings
    estimable = emm.estimable
    targets = null - emm.offset
    inner = estimate_rows(emm.fit, kept_columns(emm), targets, s.method, s.level, estimable)
    found = inner.columns()
    if emm.root is not None:
        total = np.hypot(found["std_error"], np.linalg.norm(emm.root, axis=1))
        found["statistic"] = found["statistic"] * found["std_error"] / total
        found["std_error"], found["p_value"] = total, t_two_sided(found["statistic"], found["df"])
    found["estimate"] = found["estimate"] + emm.offset
    half, adjust_notes = _adjust(emm, found, estimable)
    found["conf_low"] = found["estimate"] - half
    found["conf_high"] = found["estimate"] + half
    names = [" ".join(str(values[i]) for values in emm.levels.values()) for i in range(len(emm))]
    notes = [*emm.notes, f"df: {s.method.describe(emm.fit)}", *empty_cells(emm.fit, inner, names)]
    notes.append(f"confidence level {s.level:g}")
    if s.response is not None:
        notes.append(s.response.apply(found, ratio=emm.kind == "contrast"))
    if not estimable.all():
        notes.append(f"{int((~estimable).sum())} of {len(emm)} not estimable (–)")
    return found, (*notes, *adjust_notes)


def _adjust(emm: EMM, found: dict[str, Array], estimable: NDArray[np.bool_]) -> tuple[Array, list[str]]:
    """Adjust the p-values in place; return half-widths of intervals (k,) and notes."""
    half = np.full(len(emm), np.nan)
    notes: dict[str, None] = {}
    covariance = emm.vcov
    for group in emm.groups:
        used = group[estimable[group] & (found["std_error"][group] > 0) & (found["df"][group] > 0)]
        if len(used) == 0:
            continue
        inner = covariance[np.ix_(used, used)]
        scale = np.sqrt(np.diagonal(inner))
        m = len(group)
        family = Family(
            found["statistic"][used],
            found["df"][used],
            inner / np.outer(scale, scale),
            (1.0 + np.sqrt(1.0 + 8.0 * m)) / 2.0,
            emm.family,
            m,
        )
        name, changed = _adjustment_for(emm, family)
        if changed:
            notes[changed] = None
        chosen = ADJUSTMENTS[name]
        if emm.kind == "contrast" or name != "none":
            found["p_value"][used] = chosen.p_values(family)
        half[used] = chosen.critical(family, emm.settings.level) * found["std_error"][used]
        if m > 1:
            notes.update(dict.fromkeys(note for note in (chosen.note(family), chosen.interval_note) if note))
    return half, list(notes)


def _adjustment_for(emm: EMM, family: Family) -> tuple[str, str]:
    """Return the adjustment used for one family and a note where it is not the one asked for."""
    asked = emm.settings.adjust
    look_up("adjustment", asked, ADJUSTMENTS, ALIASES)
    name = ALIASES.get(asked.strip().lower(), asked.strip().lower())
    if family.size == 1 and name != "scheffe":
        return "none", ""
    if name.endswith("tukey") and emm.family != "pairwise":
        instead = name.replace("tukey", "sidak")
        return instead, f"{name} is for one set of pairwise comparisons: {instead} used instead"
    return name, ""
