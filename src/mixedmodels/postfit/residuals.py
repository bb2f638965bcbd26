"""Residuals of a fit."""

from __future__ import annotations

import numpy as np

from ..fit import Fit, fixed_mean
from ..registry import check_choice
from ..tool import load
from ..typing import Array
from .covariances import random_variances
from .error_side import error_variances, fitted_errors, whole_clusters

KINDS = ("response", "pearson", "student", "student-external", "scaled")
LEVELS = ("conditional", "marginal")


def residuals(
    fit: Fit,
    kind: str = "response",
    *,
    level: str = "conditional",
    n: int = 250,
    seed: int | np.random.Generator | None = None,
) -> Array:
    """Return the residuals of the observations used, (n,); with `na="exclude"` of all, NaN where not used.

    Parameters
    ----------
    kind
        `"response"`: observed minus fitted; `"pearson"`: that divided by the standard deviation of the
        response given what is fitted; `"student"`: divided by its own standard deviation; `"student-external"`: by
        that at the scale of V estimated without the row; `"scaled"`: decorrelated by the Cholesky factor of the
        covariance, so that all have variance one and none are correlated (but for the estimation of β). Of a
        generalised model `"response"`, `"pearson"`; `"deviance"`, the signed roots of its parts; `"working"`, of the
        linear model it looks like; `"quantile"`, Φ⁻¹ of the distribution function at y, counts spread at random over
        their step; `"simulated"`, the rank of y among n simulated responses, in (0, 1).
    level
        `"conditional"`: given the predicted random effects; `"marginal"`: about the population mean, of quantile
        residuals over the distribution of the random effects. For simulated residuals they are drawn anew in either.
    n, seed
        Responses simulated, and the seed of what is random; the same seed gives the same residuals.

    Notes
    -----
    The population mean has the curves of splines, which are no part of the V of `"pearson"`; `"student"` and
    `"scaled"` marginal residuals are those of y − Xβ̂, whose V has the variance of spline coefficients.

    With r the response residuals, V = LL' the marginal covariance, R that of the errors, P = V⁻¹ −
    V⁻¹XΦX'V⁻¹:

    ============  =============================  ==================================
    kind          marginal, r = y − Xβ̂           conditional, r = y − Xβ̂ − Zb̂
    ============  =============================  ==================================
    `"pearson"`   r_i/√V_ii                      r_i/√R_ii
    `"student"`   r_i/√(V − XΦX')_ii             r_i/√(RPR)_ii
    `"scaled"`    L⁻¹r                           L_R⁻¹r, R = L_RL_R'
    ============  =============================  ==================================

    Quantile residuals (Dunn and Smyth 1996) are standard normal, simulated ones uniform, where the model is true.

    L takes rows of a cluster in the order of their positions. *Same as* SAS `RESIDUAL` (Pearson, student) and
    `VCIRY` (scaled, marginal), `nlme::resid` of type `"pearson"` and `"normalized"` (scaled, conditional; of compound
    symmetry nlme takes another root of R); lme4's Pearson residuals are not divided by σ̂.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> fit.residuals()[:3].round(4)
    array([ 0.8915, -1.1085, -0.1085])
    >>> float(np.sum(fit.residuals("scaled", level="marginal") ** 2).round(6)), fit.df_resid
    (17.0, 17)
    """
    check_choice("level", level, LEVELS)
    if fit.distribution is not None:
        own: Array = load("postfit.residuals_generalised:residuals_generalised")(fit, kind, level, n, seed)
        return fit.in_place(own)
    check_choice("kind", kind, KINDS)
    return fit.in_place(_residuals(fit, kind, level == "conditional"))


def _residuals(fit: Fit, kind: str, conditional: bool) -> Array:
    if conditional:
        raw = fit._resid
    elif kind in ("response", "pearson"):
        raw = fit.response - fit.linear_predictor
    else:
        raw = fit.response - fixed_mean(fit)
    if kind == "response":
        return raw
    if kind == "scaled":
        return _scaled(fit, raw) if conditional else _whitened(fit)
    if kind in ("student", "student-external"):
        variance = _conditional_variances(fit) if conditional else _marginal_variances(fit)
    else:
        variance = error_variances(fit)
        if not conditional:
            variance = variance + random_variances(fit, smooth=False)
    if kind == "student-external":
        variance = variance * load("postfit.one_step:scales_without_rows")(fit)
    return np.asarray(raw / np.sqrt(variance))


def conditional_student(fit: Fit) -> Array:
    """Return studentised conditional residuals of the rows used, (n,); NaN where a row is fitted exactly.

    Those of correlated errors are decorrelated in place of studentised, so that tests may take them as independent.
    """
    if fit.design.residual is not None and fit.design.residual.structure is not None:
        return _residuals(fit, "scaled", True)
    variance, unit = _conditional_variances(fit), error_variances(fit)
    known = variance > 1e-8 * unit
    return np.where(known, fit._resid / np.sqrt(np.where(known, variance, 1.0)), np.nan)


def _marginal_variances(fit: Fit) -> Array:
    """Return the diagonal of V − XΦX', (n,)."""
    fixed = fit.solution.variances(fit._work.rows().x)
    return np.asarray(error_variances(fit) + random_variances(fit) - fixed)


def _conditional_variances(fit: Fit) -> Array:
    """Return the diagonal of RPR, (n,)."""
    if not fit.design.random and fit.design.residual is None:
        return _marginal_variances(fit)
    return fit._work.equations().conditional_residual_variances()


def _scaled(fit: Fit, raw: Array) -> Array:
    errors = fitted_errors(fit)
    return np.asarray(raw / np.sqrt(error_variances(fit))) if errors is None else errors.whitened(raw)


def _whitened(fit: Fit) -> Array:
    if not fit.design.random and fit.design.residual is None:
        return np.asarray((fit.response - fixed_mean(fit)) / np.sqrt(error_variances(fit)))
    return whole_clusters(fit, "residuals of kind 'scaled'").whitened_residuals()
