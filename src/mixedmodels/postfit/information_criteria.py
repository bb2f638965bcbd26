"""Information criteria as lme4, nlme and SAS define them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..fit import Fit
from ..table import Table
from .choose_term import outermost
from .variance_components import natural_parameters


@dataclass(frozen=True, slots=True)
class Counts:
    """What one convention counts: parameters, observations of AICC and of BIC."""

    parameters: int
    observations: int
    units: int


def information_criteria(fit: Fit) -> Table:
    """Return −2l, AIC, AICC, BIC, HQIC and CAIC by three conventions, columns `criterion lme4 nlme sas`.

    Notes
    -----
    With d parameters, N observations for AICC and s units for BIC:
    AIC = −2l + 2d, AICC = −2l + 2dN/(N − d − 1), BIC = −2l + d log s, HQIC = −2l + 2d log log s,
    CAIC = −2l + d(log s + 1).

    ======  ====================================  ==============  ============================================
    column  d                                     N               s
    ======  ====================================  ==============  ============================================
    lme4    rank X + covariance parameters        n               n
    nlme    rank X + covariance parameters        n               n − rank X (REML), n (ML)
    sas     covariance parameters not estimated   n − rank X      subjects: levels of the factor in which all
            as zero (REML); these + rank X (ML)   (REML), n (ML)  others nest, else of the first random term
    ======  ====================================  ==============  ============================================

    Without grouping factors s is N; the clusters of a residual structure are grouping factors too, counted
    with those that have no complete row, as SAS does. σ² counts as a covariance parameter. lme4 and nlme
    define AIC and BIC only; the other rows use the same counts. AICC with N ≤ d + 1 and HQIC of one unit do
    not exist (–). `fit.aic`, `fit.aicc` and `fit.bic` are the lme4 column. SAS figures: SAS/STAT User's Guide,
    PROC MIXED, "Information criteria".

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> print(fit.information_criteria())
    Information criteria
    criterion     lme4     nlme      sas
    -2 log L   122.177  122.177  122.177
    AIC        128.177  128.177  126.177
    AICC       129.891  129.891  127.034
    BIC        130.848  130.677  125.761
    HQIC       128.545  128.425  124.510
    CAIC       133.848  133.677  127.761
    """
    conventions = {"lme4": _lme4_counts(fit), "nlme": _nlme_counts(fit), "sas": _sas_counts(fit)}
    columns = {
        name: [penalty(fit.criterion, counts) for penalty in CRITERIA.values()]
        for name, counts in conventions.items()
    }
    formats = dict.fromkeys(conventions, "statistic")
    return Table(
        {"criterion": list(CRITERIA), **columns}, "Information criteria", backend=fit.backend, formats=formats
    )


def _lme4_counts(fit: Fit) -> Counts:
    return Counts(fit.n_parameters, fit.nobs, fit.nobs)


def _nlme_counts(fit: Fit) -> Counts:
    return Counts(fit.n_parameters, fit.nobs, fit.df_resid if fit.design.reml else fit.nobs)


def _sas_counts(fit: Fit) -> Counts:
    observations = fit.df_resid if fit.design.reml else fit.nobs
    fixed = 0 if fit.design.reml else fit.design.fixed.rank
    return Counts(fixed + _parameters_off_boundary(fit), observations, _subjects(fit) or observations)


def _parameters_off_boundary(fit: Fit) -> int:
    """Return the covariance parameters less the variances estimated as zero, σ² included."""
    count = fit.n_covariance_parameters
    for block, natural in natural_parameters(fit):
        if not block.structure.bounded:
            continue
        values = fit._work.rows().random[block.term].dense_values()
        # A variance is zero when it adds less than 1e-8 of the residual variance to the data.
        scale = float(np.mean(values**2))
        for kind, value in zip(natural.kinds, natural.values, strict=True):
            count -= kind == "variance" and value * scale < 1e-8 * fit.sigma2
    if fit.design.residual is not None:
        errors = fit._work.criterion().natural(fit.optimum.theta)
        for name, value in zip(errors.names, errors.values, strict=True):
            count -= name.startswith("nugget") and value < 1e-8 * fit.sigma2
    return count


def _subjects(fit: Fit) -> int:
    """Return the levels of the factor all others nest in, else of the first random term; 0 without groups."""
    terms = [term for term in fit.design.random if term.level_parts]
    residual = fit.design.residual
    if residual is not None and residual.cluster_parts:
        # SAS counts the subjects it reads, with those whose responses are all missing
        subjects = residual.n_clusters_given
        return min([subjects, *(term.n_levels for term in terms)])
    if not terms:
        return 0
    pairs = zip(fit.design.random, fit._work.rows().random, strict=True)
    outer = outermost(terms, [rows for term, rows in pairs if term.level_parts])
    return terms[0 if outer is None else outer].n_levels


def _aicc(criterion: float, counts: Counts) -> float:
    d, n = counts.parameters, counts.observations
    return criterion + 2 * d * n / (n - d - 1) if n > d + 1 else float("nan")


def _hqic(criterion: float, counts: Counts) -> float:
    if counts.units < 2:
        return float("nan")
    return float(criterion + 2 * counts.parameters * np.log(np.log(counts.units)))


CRITERIA: dict[str, Callable[[float, Counts], float]] = {
    "-2 log L": lambda criterion, counts: criterion,
    "AIC": lambda criterion, counts: criterion + 2 * counts.parameters,
    "AICC": _aicc,
    "BIC": lambda criterion, counts: float(criterion + counts.parameters * np.log(counts.units)),
    "HQIC": _hqic,
    "CAIC": lambda criterion, counts: float(criterion + counts.parameters * (np.log(counts.units) + 1)),
}
