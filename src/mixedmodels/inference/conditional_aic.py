"""Akaike's criterion for predictions in the groups observed: the conditional AIC."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, nan, pi

import numpy as np

from ..criterion.base import LinearCriterion
from ..criterion.parameters import RESIDUAL
from ..errors import SpecError
from ..fit import Fit, conditional_mean, row_products
from ..table import Table
from ..terms.design import RandomTerm
from ..typing import Array
from .conditional_structured import (
    conditional_deviance,
    error_parameters,
    structured_estimation_df,
)

CORRECTIONS = ("vaida-blanchard", "finite-sample", "greven-kneib")


@dataclass(frozen=True, slots=True)
class ConditionalAic:
    """−2 log f(y | b̂) and the degrees of freedom that each correction adds to it."""

    deviance: float
    df: dict[str, float]

    def value(self, correction: str) -> float:
        """Return the criterion −2 log f(y | b̂) + 2·df."""
        return self.deviance + 2 * self.df[correction]


def conditional_aic(fit: Fit) -> Table:
    """Return the conditional AIC by three corrections, columns `correction loglik df caic`.

    Returns
    -------
    Table
        `"vaida-blanchard"`: covariance parameters taken as known; `"finite-sample"`: σ² estimated, the ratios to it
        known; `"greven-kneib"`: all covariance parameters estimated, the one to use.

    Notes
    -----
    −2 log f(y | β̂, b̂) + 2K, the expected deviance of new observations in the same groups. With ρ = tr(∂ŷ/∂y) for
    known covariance parameters, the effective degrees of freedom n − tr(RP) of ŷ = Xβ̂ + Zb̂ = y − RPy:

    * Vaida and Blanchard (2005): K = ρ + 1, and in finite samples ((n − p − 1)(ρ + 1) + p + 1)/(n − p − 2) for REML,
      n/(n − p) times that for ML;
    * Greven and Kneib (2010): K = tr(dŷ/dy) + 1 with θ̂ a function of y. By implicit differentiation of the score
      dθ̂/dy = W·(PV_aPy)', W the inverse of the observed information, so that

          tr(dŷ/dy) = ρ + Σ_ab W_ab (PV_bPy)'(RPV_aPy − R_aPy).

    Parameters on the boundary stay there when y moves and add nothing; the 1 is for σ² and left out where σ² is held.
    With structured or unequal errors it is the number of their parameters, and the finite-sample form has no
    counterpart. AIC of the marginal likelihood is for new groups; the choice between them is one of the question
    asked. *Same as* `cAIC4::cAIC`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> print(fit.conditional_aic())
    Conditional AIC
    correction         loglik      df      caic
    vaida-blanchard  -824.507  30.022  1709.058
    finite-sample    -824.507  30.210  1709.433
    greven-kneib     -824.507  31.253  1711.521
    """
    found = conditional_criterion(fit)
    df, caic = (np.array([of(name) for name in CORRECTIONS]) for of in (found.df.__getitem__, found.value))
    some = df > 0
    columns = {
        "correction": list(CORRECTIONS),
        "loglik": np.full(3, -found.deviance / 2),
        "df": np.where(some, df, np.nan),
        "caic": np.where(some, caic, np.nan),
    }
    notes = (
        ()
        if not (df <= 0).any()
        else (
            "no degrees of freedom by a correction whose estimate of them is negative: the likelihood is too flat",
        )
    )
    formats = dict.fromkeys(("loglik", "df", "caic"), "statistic")
    return Table(columns, "Conditional AIC", notes, fit.backend, formats)


def conditional_criterion(fit: Fit) -> ConditionalAic:
    """Return −2 log f(y | b̂) with the degrees of freedom of every correction, computed once per fit."""
    if not fit.design.bounded:
        raise SpecError(
            "the conditional AIC needs random effects with a positive semidefinite covariance; fit with bounds='psd'."
        )
    criterion = fit._work.criterion()
    if not criterion.equations.homogeneous and fit.design.residual is None:
        raise SpecError(
            f"the conditional AIC is not computed with the {fit.engine!r} engine; fit again without "
            "Control(engine=…)."
        )
    compute = _compute if criterion.equations.homogeneous else _compute_structured
    return fit._work.keep("conditional aic", lambda: compute(fit, criterion))


def _compute(fit: Fit, criterion: LinearCriterion) -> ConditionalAic:
    n, p = fit.nobs, fit.design.fixed.rank
    weights = np.ones(n) if fit.design.weights is None else fit.design.weights
    residual = fit._resid
    deviance = n * log(2 * pi * fit.sigma2) - float(np.log(weights).sum())
    deviance += float(np.sum(weights * residual**2)) / fit.sigma2
    rho = effective_df(fit, criterion)
    scale = 0 if RESIDUAL in criterion.held else 1
    known = finite = rho + scale
    if scale:
        finite = ((n - p - 1) * (rho + 1) + p + 1) / (n - p - 2) if n > p + 2 else nan
        finite *= 1.0 if fit.design.reml else n / (n - p)
    df = {"vaida-blanchard": known, "finite-sample": finite}
    df["greven-kneib"] = known + _estimation_df(fit, criterion, weights)
    return ConditionalAic(deviance, df)


def _compute_structured(fit: Fit, criterion: LinearCriterion) -> ConditionalAic:
    known = effective_df(fit, criterion) + error_parameters(fit, criterion)
    df = {"vaida-blanchard": known, "finite-sample": nan}
    df["greven-kneib"] = known + structured_estimation_df(fit, criterion)
    return ConditionalAic(conditional_deviance(fit, criterion), df)


def effective_df(fit: Fit, criterion: LinearCriterion) -> float:
    """Return tr(∂ŷ/∂y) = n − tr(RP) = rank X + Σ_k tr(Z_k'PZ_kΣ_k), covariance parameters known."""
    traces, _ = criterion.settle(fit.optimum.theta).traces(True)
    pairs = zip(traces, fit._work.own_covariances(), strict=True)
    return fit.design.fixed.rank + sum(float(np.vdot(trace, sigma)) for trace, sigma in pairs)


def _estimation_df(fit: Fit, criterion: LinearCriterion, weights: Array) -> float:
    """Return Σ_ab W_ab (PV_bPy)'(RPV_aPy − R_aPy), what estimating the covariance parameters adds."""
    if not fit.design.random:
        return 0.0
    theta = fit.optimum.theta
    joint, residual = criterion.absolute(theta), fit._resid
    py = weights * residual / fit.sigma2
    slopes = [
        _slope(criterion.design.random[b.term], b.set, d, py)
        for b in criterion.jointly().model.random_blocks
        for d in b.structure.d_matrix(joint[b.place], b.positions)
    ]
    # the parameter of the errors is log σ²: its V_a is R
    left = np.array([_conditional_residual(fit, criterion, f) for f in (*slopes, residual)])
    right = left.copy()
    right[-1] -= residual
    w = criterion.working_covariance(theta)
    return float(np.sum(w * (left * weights / fit.sigma2 @ right.T)))


def _slope(term: RandomTerm, which: int, matrix: Array, py: Array) -> Array:
    """Return V_aPy (n,) for ∂Σ of one set of one random term."""
    values = term.dense_values()
    inner = np.zeros((term.n_levels, term.n_columns))
    np.add.at(inner, term.codes, values * py[:, None])
    chosen = (term.sets == which)[:, None]
    inner = np.where(chosen, inner, 0.0)
    across = inner if term.known is None else term.known.times(inner)
    moved = np.where(chosen, across, 0.0) @ matrix
    return row_products(term.values, moved[term.codes])


def _conditional_residual(fit: Fit, criterion: LinearCriterion, y: Array) -> Array:
    """Return RPy for another response at the same covariance parameters, (n,)."""
    design = replace(criterion.design, y=y)
    equations = criterion.equations.new_response(design.y)
    equations.factor(criterion.model.numbers(fit.optimum.theta, roots=equations.takes_roots))
    mean = conditional_mean(design, equations.solution())
    return np.asarray(y - mean if fit.design.offset is None else y - mean + fit.design.offset)
