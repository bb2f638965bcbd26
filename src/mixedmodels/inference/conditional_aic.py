"""Akaike's criterion for predictions in the groups observed: the conditional AIC."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, nan, pi

import numpy as np

from ..criterion.base import LinearCriterion
from ..criterion.parameters import RESIDUAL
from ..engines.base import Direction, SizeGroup
from ..engines.effects import prior_times
from ..errors import SpecError
from ..fit import Fit
from ..table import Table
from ..typing import Array

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
    some = (df > 0) & np.isfinite(df + caic)
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
    return fit._work.keep("conditional aic", lambda: _compute(fit, fit._work.criterion()))


def _compute(fit: Fit, criterion: LinearCriterion) -> ConditionalAic:
    joint, theta = criterion.jointly(), fit.optimum.theta
    errors = ErrorBlocks.of(joint, criterion.absolute(theta))
    deviance = (
        fit.nobs * log(2 * pi) + errors.logdet() + float(fit._resid @ errors.solve(fit._resid[:, None])[:, 0])
    )
    rho, free = effective_df(fit, criterion), joint.free.copy()
    for block in joint.model.random_blocks:
        free[block.place] = False
    known = rho + int(free.sum())
    df = {"vaida-blanchard": known, "finite-sample": _finite_df(fit, criterion, rho)}
    df["greven-kneib"] = known + _estimation_df(fit, criterion, errors)
    return ConditionalAic(deviance, df)


def effective_df(fit: Fit, criterion: LinearCriterion) -> float:
    """Return tr(∂ŷ/∂y) = n − tr(RP) = rank X + Σ_k tr(Z_k'PZ_kΣ_k), covariance parameters known."""
    traces, _ = criterion.settle(fit.optimum.theta).traces(True)
    pairs = zip(traces, fit._work.own_covariances(), strict=True)
    return fit.design.fixed.rank + sum(float(np.vdot(trace, sigma)) for trace, sigma in pairs)


def _finite_df(fit: Fit, criterion: LinearCriterion, rho: float) -> float:
    n, p = fit.nobs, fit.design.fixed.rank
    if fit.design.residual is not None:
        return nan
    if RESIDUAL in criterion.held:
        return rho
    finite = ((n - p - 1) * (rho + 1) + p + 1) / (n - p - 2) if n > p + 2 else inf
    return finite * (1.0 if fit.design.reml else n / (n - p))


def _estimation_df(fit: Fit, criterion: LinearCriterion, errors: ErrorBlocks) -> float:
    """Return Σ_ab W_ab (PV_bPy)'(RPV_aPy − R_aPy), what estimating the covariance parameters adds."""
    theta = fit.optimum.theta
    directions = criterion.jointly().model.directions(criterion.absolute(theta))
    if not directions:
        return 0.0
    equations, py = criterion.settle(theta), errors.solve(fit._resid[:, None])
    of_errors = np.hstack([errors.moved(direction, py) for direction in directions])
    scores = equations.adjoint(py)[1]
    effects = [np.zeros((*score.shape[:2], len(directions))) for score in scores]
    for a, direction in enumerate(directions):
        for k, which, matrix in direction.random:
            term = equations.layout.terms[k]
            sigma = np.zeros((term.n_sets, *matrix.shape))
            sigma[which] = matrix
            effects[k][:, :, [a]] += prior_times(term, sigma, scores[k])
    f = of_errors + equations.linear_predictor(np.zeros((fit.design.fixed.rank, len(directions))), effects)
    beta, b = equations.solve(*equations.adjoint(errors.solve(f)))
    assert beta is not None
    left = f - equations.linear_predictor(beta, b)
    w = criterion.working_covariance(theta)
    return float(np.sum(w * (errors.solve(left).T @ (left - of_errors))))


@dataclass(frozen=True, slots=True)
class ErrorBlocks:
    """R of a fit on its rows: clusters by size, R of their classes for rows divided by s, and s (n,)."""

    groups: tuple[SizeGroup, ...]
    stacks: tuple[Array, ...]
    sd: Array

    @classmethod
    def of(cls, joint: LinearCriterion, theta: Array) -> ErrorBlocks:
        """Return the errors of a criterion at its joint parameters."""
        n, rows = joint.design.n, joint.equations.rows
        here, groups = joint.model.numbers(theta), joint.equations.groups
        if joint.equations.homogeneous:
            groups = (SizeGroup.of(np.arange(n)[:, None], np.zeros(1, np.intp)),)
        sd = 1.0 / rows.root_weights
        return cls(groups, tuple(here.errors), sd if here.sd is None else sd * here.sd)

    def logdet(self) -> float:
        """Return log|R|."""
        pairs = zip(self.groups, self.stacks, strict=True)
        blocks = sum(float(group.counts @ np.linalg.slogdet(r)[1]) for group, r in pairs)
        return blocks + 2.0 * float(np.log(self.sd).sum())

    def solve(self, v: Array) -> Array:
        """Return R⁻¹v for v (n, k)."""
        scaled, out = v / self.sd[:, None], np.empty(v.shape)
        for group, r in zip(self.groups, self.stacks, strict=True):
            out[group.rows] = np.linalg.solve(r[group.class_of], scaled[group.rows])
        return out / self.sd[:, None]

    def moved(self, direction: Direction, v: Array) -> Array:
        """Return Ṙv for v (n, k)."""
        scaled, out = v * self.sd[:, None], np.zeros(v.shape)
        for g, group in enumerate(self.groups):
            if direction.errors is not None:
                out[group.rows] += direction.errors(g)[group.class_of] @ scaled[group.rows]
            if direction.rows is not None:
                out[group.rows] += direction.rows(g) @ scaled[group.rows]
        return out * self.sd[:, None]
