"""Coefficients of each group: fixed plus random effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..table import Table
from ..terms.design import RandomTerm
from ..typing import Array


def coefficients(fit: Fit) -> Table:
    """Return β̂ + b̂ for every level of every grouping factor, columns `group level term estimate`.

    Notes
    -----
    Each level lists all coefficients of the fixed part, with the level's random effects added where the names
    agree, then random effects without a fixed counterpart. Terms on one factor are added together.
    *Same as* `coef(fit)` in lme4 and nlme (long rather than wide).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.coefficients().row(1)
    {'group': 'Subject', 'level': '308', 'term': 'Days', 'estimate': 19.666...}
    """
    if not fit.design.random:
        raise SpecError("the model has no random terms; the coefficients are `fit.params`.")
    groups = list(dict.fromkeys(term.group for term in fit.design.random))
    parts = [_group_columns(fit, group) for group in groups]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Table(columns, "Coefficients", backend=fit.backend, formats={"level": "text"})


def _group_columns(fit: Fit, group: str) -> dict[str, np.ndarray]:
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
    return {
        "group": np.full(values.size, group, dtype=object),
        "level": np.repeat(np.array(first.levels, dtype=object), len(names)),
        "term": np.tile(np.array(names, dtype=object), first.n_levels),
        "estimate": values.reshape(-1),
    }


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
