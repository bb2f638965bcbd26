"""Coefficients of each group: fixed plus random effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..table import Table
from ..terms.design import RandomTerm
from ..typing import Array
from .random_effects import stacked


def coefficients(fit: Fit, *, wide: bool = False) -> Table:
    """Return β̂ + b̂ for every level of every grouping factor, columns `group level term estimate`.

    Parameters
    ----------
    wide
        One row per level with a column for each coefficient, `group level (Intercept) …`, to merge with the data.

    Notes
    -----
    Each level lists all coefficients of the fixed part, with the level's random effects added where the names
    agree, then random effects without a fixed counterpart. Terms on one factor are added together.
    Levels are of the type they have in the data. *Same as* `coef(fit)` in lme4 and nlme, which are wide.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.coefficients().row(1)
    {'group': 'Subject', 'level': '308', 'term': 'Days', 'estimate': 19.666...}
    >>> fit.coefficients(wide=True).row(0)
    {'group': 'Subject', 'level': '308', '(Intercept)': 253.66..., 'Days': 19.666...}
    """
    if not fit.design.random:
        raise SpecError("the model has no random terms; the coefficients are `fit.params`.")
    groups = list(dict.fromkeys(term.group for term in fit.design.random))
    tables = [_of_group(fit, group) for group in groups]
    parts = (
        _wide(groups, tables)
        if wide
        else [_long(group, *table) for group, table in zip(groups, tables, strict=True)]
    )
    columns = {name: stacked([part[name] for part in parts]) for name in parts[0]}
    return Table(columns, "Coefficients", backend=fit.backend, formats={"level": "text"})


def _of_group(fit: Fit, group: str) -> tuple[NDArray[Any], list[str], Array]:
    """Return the levels of a grouping factor, names of their coefficients (k,), and the coefficients (levels, k)."""
    members = [k for k, term in enumerate(fit.design.random) if term.group == group]
    first = fit.design.random[members[0]]
    names = list(fit.design.fixed.columns)
    for k in members:
        names += [name for name in fit.design.random[k].columns if name not in names]
    beta = np.concatenate([fit.beta, np.zeros(len(names) - len(fit.design.fixed.columns))])
    values = np.tile(beta, (first.n_levels, 1))
    for k in members:
        places = [names.index(name) for name in fit.design.random[k].columns]
        values[:, places] += _in_order_of(first, fit.design.random[k], fit.solution.random[k])
    return first.level_values, names, values


def _long(group: str, levels: NDArray[Any], names: list[str], values: Array) -> dict[str, NDArray[Any]]:
    return {
        "group": np.full(values.size, group, dtype=object),
        "level": np.repeat(levels, len(names)),
        "term": np.tile(np.array(names, dtype=object), len(levels)),
        "estimate": values.reshape(-1),
    }


def _wide(
    groups: list[str], tables: list[tuple[NDArray[Any], list[str], Array]]
) -> list[dict[str, NDArray[Any]]]:
    """Return the columns of each group, NaN for coefficients that only other groups have."""
    every = dict.fromkeys(name for _, names, _ in tables for name in names)
    taken = [name for name in every if name in ("group", "level")]
    if taken:
        raise SpecError(
            f"wide=True: a coefficient is called {taken[0]!r}, as a column of the table is; use wide=False."
        )
    parts = []
    for group, (levels, names, values) in zip(groups, tables, strict=True):
        columns: dict[str, NDArray[Any]] = {
            "group": np.full(len(levels), group, dtype=object),
            "level": levels,
        }
        for name in every:
            columns[name] = values[:, names.index(name)] if name in names else np.full(len(levels), np.nan)
        parts.append(columns)
    return parts


def _in_order_of(reference: RandomTerm, term: RandomTerm, effects: Array) -> Array:
    """Return the effects of a term with its levels in the order of another term on the same factor."""
    levels: Sequence[str] = term.levels
    if levels == reference.levels:
        return effects
    place = {level: j for j, level in enumerate(levels)}
    out = np.zeros((reference.n_levels, term.n_columns))
    for j, level in enumerate(reference.levels):
        if level in place:
            out[j] = effects[place[level]]
    return out
