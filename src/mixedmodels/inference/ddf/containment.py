"""Containment degrees of freedom, as SAS computes them."""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np

from ...errors import SpecError
from ...fit import Fit
from ...terms.design import RandomTerm
from ...terms.rank import null_space
from ...terms.rows import TermRows
from ...typing import Array
from .by_column import ByColumn

MOST_COLUMNS = 2000
"""The rank of [X Z] is found densely."""


class Containment(ByColumn):
    """For each effect the smallest rank a random effect containing it adds to [X Z], else n − rank[X Z].

    Notes
    -----
    SAS documentation, MODEL statement, DDFM=CONTAIN. A random effect `x` with subjects `g` is called x*g,
    and contains every fixed effect whose variables are among its own; the intercept is contained in all.
    Ranks are added in the order in which the random terms are written, so that the order matters.
    Containment is read off the names: a covariate of subjects that is not in the name of a random effect
    gets n − rank[X Z]. A function takes the smallest df of the effects it involves. *Same as* SAS
    `DDFM=CONTAIN`.
    """

    name: ClassVar[str] = "containment"
    note: ClassVar[str] = "containment"  # type: ignore[misc]

    def of_columns(self, fit: Fit) -> Array:
        added, left = _rank_contributions(fit)
        fixed = fit.design.fixed
        by_term = {}
        for index, name in enumerate(fixed.terms):
            own = variables_of(name)
            containing = [rank for effect, rank in added if effect and own <= effect]
            by_term[index] = float(min(containing) if containing else left)
        return np.array([by_term[fixed.assign[j]] for j in fixed.estimable])


def _rank_contributions(fit: Fit) -> tuple[list[tuple[frozenset[str], int]], int]:
    """Return the variables of each random effect with the rank it adds to [X Z], and n − rank[X Z]."""
    design, rows = fit.design, fit._work.rows()
    width = design.fixed.rank + sum(term.n_levels * term.n_columns for term in design.random)
    if width > MOST_COLUMNS:
        raise SpecError(
            f"ddf='containment' needs the rank of [X Z], of {width:,} columns (at most {MOST_COLUMNS:,}); "
            "use ddf='satterthwaite'."
        )
    x = rows.x
    if design.fixed.components and "threshold" in design.fixed.components:
        # a row has the thresholds of its own category; together they are the intercept
        x = np.hstack([np.ones((len(x), 1)), x])
    blocks, effects = [x], []
    for term, own in zip(design.random, rows.random, strict=True):
        for effect, columns in _effects(term):
            # a penalised curve is a part of the mean, and contains no effect
            effects.append(frozenset() if term.smooth else effect)
            blocks.append(_effect_matrix(term.n_levels, own, columns))
    kept, _ = null_space(np.hstack(blocks))
    edges = np.cumsum([0, *(block.shape[1] for block in blocks)])
    ranks = np.histogram(kept, bins=edges)[0] if len(kept) else np.zeros(len(blocks), int)
    added = [(effect, int(rank)) for effect, rank in zip(effects, ranks[1:], strict=True) if rank > 0]
    return added, design.n - len(kept)


def _effects(term: RandomTerm) -> list[tuple[frozenset[str], list[int]]]:
    """Return the effects of a random term: their variables and columns."""
    group = frozenset(term.group.split(":"))
    found: dict[frozenset[str], list[int]] = {}
    for j, column in enumerate(term.columns):
        found.setdefault(group | variables_of(column), []).append(j)
    return list(found.items())


def _effect_matrix(q: int, own: TermRows, columns: list[int]) -> Array:
    n = len(own.codes)
    values = own.dense_values()[:, columns]
    block = np.zeros((n, q, len(columns)))
    block[np.arange(n), own.codes] = values
    return block.reshape(n, -1)


def variables_of(name: str) -> frozenset[str]:
    """Return the variables in the name of a term or column; none for the intercept.

    Examples
    --------
    >>> sorted(variables_of("C(week)[T.2]:sex[T.M]")), sorted(variables_of("(Intercept)"))
    (['sex', 'week'], [])
    """
    # thresholds of ordered categories are intercepts
    if name in ("1", "(Intercept)", "(thresholds)"):
        return frozenset()
    parts = re.sub(r"\[[^\]]*\]", "", name).split(":")
    return frozenset(re.sub(r"^C\((\w+).*\)$", r"\1", part.strip().strip("`")) for part in parts)
