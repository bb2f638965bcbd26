"""Generalised models fitted to other responses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..fit import Fit
from ..inference.predictors import share_predictors
from ..tool import load
from ..typing import Array
from .refit import Refits


def refit_generalised(fit: Fit, responses: Array) -> Fit | Refits:
    """Return the model fitted to one response, (n,), or the estimates for each of several, (n, m)."""
    if responses.ndim == 1:
        return _refit(fit, responses)
    fits = [_refit(fit, column) for column in responses.T]
    return Refits(
        fit.design.fixed.columns,
        np.array([one.beta for one in fits]),
        np.array([one.optimum.theta for one in fits]),
        np.array([one.sigma2 for one in fits]),
        np.array([one.optimum.value for one in fits]),
        np.array([one.converged for one in fits]),
        np.array([one.singular for one in fits]),
    )


def _refit(fit: Fit, y: Array) -> Fit:
    known = fit.distribution
    assert known is not None
    observed = replace(known.responses, y=y)
    known.family.check(observed, known.label)
    if not known.pseudo:
        return share_predictors(load("api.integrated:fit_again")(fit, observed), fit)
    again: Fit = load("api.pseudo:fit_near")(fit, fit.design, fit._work.rows(), observed, fit._eta)
    return share_predictors(again, fit)
