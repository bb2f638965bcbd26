"""Working responses and weights: the linear model that a generalised one looks like at some predictors."""

from __future__ import annotations

import numpy as np

from ..errors import FitError
from ..typing import Array
from .base import MeanFamily
from .responses import Responses


def working_data(family: MeanFamily, responses: Responses, eta: Array) -> tuple[Array, Array]:
    """Return the working responses z and weights w of n rows at predictors η̃, all (n,).

    Notes
    -----
    z = η̃ + (y/m − μ̃)/μ'(η̃) and w = m²μ'²/var(y; φ = 1), so that var(z) = φ/w to first order, with m trials
    (Wolfinger and O'Connell 1993; SAS/STAT User's Guide, PROC GLIMMIX, Pseudo-likelihood Estimation Based on
    Linearization). A row that stands for f equal ones has f times the weight.

    Raises
    ------
    FitError
        Where a predictor belongs to no mean, or a weight is 0 to within what numbers hold.

    Examples
    --------
    >>> from .families import make_family
    >>> z, w = working_data(make_family("poisson"), Responses(np.array([3.0])), np.array([0.0]))
    >>> z.tolist(), w.tolist()
    ([2.0], [1.0])
    """
    with np.errstate(all="ignore"):
        mu, slope = family.link.inverse(eta)[:2]
        beside = np.zeros((len(family.predictors) - 1, len(eta)))
        trials = responses.trials_or_one
        weights = (slope * trials) ** 2 / family.variance(responses, np.vstack([eta, beside]))
        z = eta + (responses.y / trials - mu) / slope
        if responses.frequency is not None:
            weights = weights * responses.frequency
    good = np.isfinite(z) & np.isfinite(weights) & (weights > 0.0)
    if not good.all():
        row = int(np.argmin(good))
        raise FitError(
            f"the linear predictor of row {row} is {eta[row]:.4g}, where family {family.name!r} with link "
            f"{family.link.name!r} has no mean of positive variance; choose another link or starting values."
        )
    return z, np.asarray(weights)
