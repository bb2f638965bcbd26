"""Generalised models fitted to other responses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..fit import Fit
from ..inference.predictors import share_predictors
from ..likelihood.responses import Responses
from ..tool import load
from ..typing import Array
from .refit import Refits, is_singular


def refit_generalised(fit: Fit, responses: Array) -> Fit | Refits:
    """Return the model fitted to one response, (n,), or the estimates for each of several, (n, m)."""
    if responses.ndim == 1:
        return _refit(fit, responses)
    known = fit.distribution
    if known is not None and not known.pseudo:
        return _estimates(fit, responses)
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


def _estimates(fit: Fit, responses: Array) -> Refits:
    """Return the estimates of a model whose random effects are integrated out for each of several responses, (n, m)."""
    again = load("api.integrated:estimates_again")
    found = [again(fit, _observed(fit, column)) for column in responses.T]
    sizes = [term.n_columns for term in fit.design.random]
    optima = [optimum for _, optimum in found]
    return Refits(
        fit.design.fixed.columns,
        np.array([fit._spread(beta) for beta, _ in found]),
        np.array([one.theta for one in optima]),
        np.ones(len(found)),
        np.array([one.value for one in optima]),
        np.array([one.converged for one in optima]),
        np.array([is_singular(sizes, one) for one in optima]),
    )


def _observed(fit: Fit, y: Array) -> Responses:
    """Return responses of the rows of a fit, checked."""
    known = fit.distribution
    assert known is not None
    observed = replace(known.responses, y=y)
    known.family.check(observed, known.label)
    return observed


def _refit(fit: Fit, y: Array) -> Fit:
    known, observed = fit.distribution, _observed(fit, y)
    assert known is not None
    if not known.pseudo:
        return share_predictors(load("api.integrated:fit_again")(fit, observed), fit)
    again: Fit = load("api.pseudo:fit_near")(fit, fit.design, fit._work.rows(), observed, fit._eta)
    return share_predictors(again, fit)
