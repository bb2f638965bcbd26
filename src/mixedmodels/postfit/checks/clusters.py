"""Whether some cluster is further from the others than the model says."""

from __future__ import annotations

import numpy as np
from scipy import stats

from ...errors import SpecError
from ...typing import Array
from ..choose_term import choose_factor
from ..deletion_sets import deletion_sets
from ..one_step import squared_distances
from .base import LOOK, Asked, Finding, by_test, p_text
from .random_normal import standardised


def outlying_clusters(asked: Asked) -> Finding | None:
    """Return the cluster whose responses are furthest from what the others predict.

    Two distances, and p twice the smaller of Šidák's over the clusters: (Py)_U'P_UU⁻¹(Py)_U of the t rows of a cluster,
    χ² of t degrees of freedom where the model is true, and predicted random effects over their standard deviations.
    """
    fit = asked.fit
    if fit.distribution is not None or not (fit.design.random or fit.design.residual):
        return None
    try:
        factor = choose_factor(fit, None, splines=False)
        sets = deletion_sets(fit, factor.name)
        distances = squared_distances(fit, sets)
    except SpecError:
        return None
    if sets.count < 4:
        return None
    p = np.column_stack([stats.chi2.sf(distances, sets.sizes()), *_effects(asked, factor.name, sets.count)])
    p = np.where(np.isfinite(p), p, 1.0)
    each = np.minimum(
        1.0, 2.0 * np.array([_any_of(row.min(), p.size - sets.count or sets.count) for row in p])
    )
    worst = int(np.argmin(each))
    name = f"{factor.name} {sets.levels[worst]}"
    many = int((each < LOOK).sum())
    more = f", and {many - 1} more" if many > 1 else ""
    text = f"furthest from the others: {name}{more} (distance² {distances[worst]:.1f}, {p_text(float(each[worst]))})"
    return by_test(
        text,
        float(distances[worst]),
        float(each[worst]),
        f'look at {name}; fit.influence(by="{factor.name}") says what it does to the estimates',
    )


def _any_of(p: float, m: int) -> float:
    """Return the probability that the smallest of m independent p-values is at most p."""
    return float(-np.expm1(m * np.log1p(-min(p, 1.0 - 1e-16))))


def _effects(asked: Asked, group: str, m: int) -> list[Array]:
    """Return two-sided p-values of the predicted effects of every level, (m,), by column of terms of a factor."""
    out = []
    for k, term in enumerate(asked.fit.design.random):
        if term.group == group and term.n_levels == m and term.known is None:
            out += [np.asarray(2.0 * stats.norm.sf(np.abs(z)), dtype=float) for z in standardised(asked, k)]
    return out
