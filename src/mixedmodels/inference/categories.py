"""Probabilities of the levels of a response of categories."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..terms.predictors import threshold_map
from ..typing import Array


def thresholds_of(fit: Fit) -> Array:
    """Return the thresholds τ of a fit to ordered categories, (K − 1,)."""
    known, asked = fit.distribution, fit.spec.likelihood
    assert known is not None
    assert asked is not None
    spaced, names = threshold_map(asked.thresholds, known.levels)
    return np.asarray(spaced @ np.array([fit.params[name] for name in names]))


def probabilities_at(fit: Fit, location: Array) -> Array:
    """Return P(y = k) of m rows, (m, K).

    `location` is η, (m,), of ordered levels; of unordered ones the predictors of all but the first, (K − 1, m).
    """
    known = fit.distribution
    assert known is not None
    if isinstance(known.family, Multinomial):
        return known.family.probabilities(location)
    assert isinstance(known.family, Ordinal)
    return known.family.probabilities(location, thresholds_of(fit))
