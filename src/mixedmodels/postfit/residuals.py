"""Residuals of a fit."""

from __future__ import annotations

import numpy as np

from ..fit import Fit
from ..registry import check_choice
from ..typing import Array
from .covariances import random_variances
from .independent_errors import require_independent_errors

KINDS = ("response", "pearson")
LEVELS = ("conditional", "marginal")


def residuals(fit: Fit, kind: str = "response", *, level: str = "conditional") -> Array:
    """Return the residuals of the observations used, (n,).

    Parameters
    ----------
    kind
        `"response"`: observed minus fitted; `"pearson"`: that divided by the standard deviation of the
        response given what is fitted.
    level
        `"conditional"`: given the predicted random effects; `"marginal"`: about the population mean.

    Notes
    -----
    Pearson residuals are r_i / √(σ̂²/w_i) (conditional) and r_i / √V̂_ii (marginal), so their variance is
    about one. *Same as* SAS `RESIDUAL` (Pearson) and `nlme::resid(type = "pearson")`; lme4's are not divided
    by σ̂.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> fit.residuals()[:3].round(4)
    array([ 0.8915, -1.1085, -0.1085])
    """
    check_choice("kind", kind, KINDS)
    check_choice("level", level, LEVELS)
    raw = fit.resid if level == "conditional" else fit.response - fit.linear_predictor
    if kind == "response":
        return raw
    require_independent_errors(fit, "residuals of kind 'pearson'")
    weights = fit.design.weights
    variance = np.full(fit.nobs, fit.sigma2) if weights is None else fit.sigma2 / weights
    if level == "marginal":
        variance = variance + random_variances(fit)
    return raw / np.sqrt(variance)
