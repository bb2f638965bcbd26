"""Thresholds and probabilities of the levels of a response of categories."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..terms.predictors import nominal_columns, parts_of, threshold_map
from ..typing import Array


def threshold_functions(fit: Fit, nominal: Array) -> list[Array]:
    """Return the coefficients of each of the K − 1 thresholds of m rows on all columns of the model, (m, p).

    `nominal` are the columns with an effect on every threshold, (m, r), none for r = 0.
    """
    known, asked = fit.distribution, fit.spec.likelihood
    assert known is not None
    assert asked is not None
    spaced, _ = threshold_map(asked.thresholds, known.levels)
    m, found = len(nominal), []
    for row in spaced:
        ends = np.broadcast_to(row, (m, len(row)))
        own = np.hstack([ends, nominal_columns(nominal, ends)])
        found.append(np.hstack([own, np.zeros((m, len(fit.design.fixed.columns) - own.shape[1]))]))
    return found


def thresholds_of(fit: Fit) -> Array:
    """Return the thresholds τ of the rows of a fit to ordered categories, (n, K − 1), or (1, K − 1)."""
    parts = parts_of(fit.design, fit._work.rows())
    nominal = parts[1].rows.fixed.matrix if len(parts) > 1 else np.empty((1, 0))
    kept = list(fit.design.fixed.estimable)
    return np.column_stack(
        [fit.solution.estimates(own[:, kept]) for own in threshold_functions(fit, nominal)]
    )


def probabilities_at(fit: Fit, location: Array) -> Array:
    """Return P(y = k) of the rows of a fit, (n, K).

    `location` is η, (n,), of ordered levels; of unordered ones the predictors of all but the first, (K − 1, n).
    """
    known = fit.distribution
    assert known is not None
    if isinstance(known.family, Multinomial):
        return known.family.probabilities(location)
    assert isinstance(known.family, Ordinal)
    return known.family.probabilities(location, thresholds_of(fit))
