"""Covariance matrices of random effects, of errors, and of responses in one cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, suggest
from ..fit import Fit
from ..labelled import LabelledMatrix
from ..terms.design import RandomTerm
from ..typing import Array
from .choose_term import choose_factor, choose_term
from .error_side import error_covariance

LEVELS_AT_ONCE = 64
"""Columns of the inverse of a precision matrix that are formed together."""


def random_cov(
    fit: Fit, term: str | None = None, *, by: str | None = None, correlation: bool = False
) -> LabelledMatrix:
    """Return Σ̂, the covariance matrix of the random effects of one level of a term, (p, p).

    Parameters
    ----------
    term
        Label of the random term; needed where there are several.
    by
        Which parameter set, for terms written with `by=`.
    correlation
        Return correlations instead; a column of variance zero has none and is missing.

    Notes
    -----
    *Same as* SAS `RANDOM … / G GCORR`, `nlme::getVarCov`, `lme4::VarCorr`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.random_cov()
    Covariance of Subject
                 (Intercept)     Days
    (Intercept)      612.090   9.6043
    Days               9.604  35.0717
    """
    k = choose_term(fit, term)
    chosen = fit.design.random[k]
    sigma = fit.covariances[k][_choose_set(chosen, by)]
    where = chosen.label if by is None else f"{chosen.label} ({by})"
    return _labelled(fit, chosen.columns, sigma, where, correlation)


def residual_cov(
    fit: Fit, cluster: object = None, *, group: str | None = None, correlation: bool = False
) -> LabelledMatrix:
    """Return R̂_i, the covariance matrix of the errors of one cluster, (n_i, n_i).

    Parameters
    ----------
    cluster
        Level of the grouping factor; the first by default.
    group
        Grouping factor; by default the one in which all others are nested.
    correlation
        Return correlations instead.

    Notes
    -----
    σ̂²W_i⁻¹ for independent errors, otherwise W_i^-½ S_i Σ̂_R S_i W_i^-½ with S_i the variance functions.
    Rows and columns go by the order of the data. *Same as* SAS `REPEATED … / R RCORR`, `getVarCov(type =
    "conditional")` of nlme.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.gls("Y ~ sex * age", mm.datasets.load("orthodont"), residual="ar1(age | id)")
    >>> fit.residual_cov("1", correlation=True)
    Correlation of id 1
              8       10       12       14
    8   1.00000  0.62449  0.38999  0.24354
    10  0.62449  1.00000  0.62449  0.38999
    12  0.38999  0.62449  1.00000  0.62449
    14  0.24354  0.38999  0.62449  1.00000
    """
    rows, where = _cluster_rows(fit, cluster, group)
    return _labelled(fit, _row_names(fit, rows), error_covariance(fit, rows), where, correlation)


def marginal_cov(
    fit: Fit, cluster: object = None, *, group: str | None = None, correlation: bool = False
) -> LabelledMatrix:
    """Return V_i = Z_iĜZ_i' + R_i, the covariance matrix of the responses of one cluster, (n_i, n_i).

    Parameters
    ----------
    cluster
        Level of the grouping factor; the first by default.
    group
        Grouping factor; by default the one in which all others are nested.
    correlation
        Return correlations instead.

    Notes
    -----
    Rows and columns are the cluster's observations in the order of the data, numbered from 1; every random
    term contributes. *Same as* SAS `RANDOM … / V VCORR`, `getVarCov(type = "marginal")` of nlme.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> fit.marginal_cov("1")
    Covariance of Rail 1
             1        2        3
    1  631.478  615.311  615.311
    2  615.311  631.478  615.311
    3  615.311  615.311  631.478
    """
    rows, where = _cluster_rows(fit, cluster, group)
    total = error_covariance(fit, rows)
    for k in range(len(fit.design.random)):
        total += _random_part(fit, k, rows)
    return _labelled(fit, _row_names(fit, rows), total, where, correlation)


def random_variances(fit: Fit, *, smooth: bool = True) -> Array:
    """Return Σ_k z_ik'Σ_kz_ik for every observation, (n,): the diagonal of ZĜZ', of splines only where `smooth`."""
    total = np.zeros(fit.nobs)
    design, rows = fit._work.own_model()
    terms = zip(design.random, rows.random, fit._work.own_covariances(), strict=True)
    for term, given, sigmas in terms:
        if term.smooth and not smooth:
            continue
        scale = level_scale(term)
        values = given.dense_values()
        for s, sigma in enumerate(sigmas):
            own = np.einsum("ia,ab,ib->i", values, sigma, values)
            total += np.where(term.sets[given.codes] == s, own, 0.0) * scale[given.codes]
    return total


def _random_part(fit: Fit, k: int, rows: NDArray[np.intp]) -> Array:
    design, given = fit._work.own_model()
    term, own, sigmas = design.random[k], given.random[k], fit._work.own_covariances()[k]
    codes, values = own.codes[rows], own.dense_values()[rows]
    levels, place = np.unique(codes, return_inverse=True)
    known = np.eye(len(levels)) if term.known is None else term.known.among(levels)
    between = known[np.ix_(place, place)]
    sets = term.sets[codes]
    out = np.zeros((len(rows), len(rows)))
    for s, sigma in enumerate(sigmas):
        inside = np.where(sets == s, 1.0, 0.0)
        out += np.outer(inside, inside) * (values @ sigma @ values.T)
    return out * between


def level_scale(term: RandomTerm) -> Array:
    """Return K_jj for the levels of a term, (q,): what Σ is multiplied by in var(b_j)."""
    return np.ones(term.n_levels) if term.known is None else term.known.diagonal()


def _choose_set(term: RandomTerm, by: str | None) -> int:
    known = ", ".join(map(repr, term.set_labels))
    if by is None:
        if term.n_sets == 1:
            return 0
        raise SpecError(f"{term.label!r} has a covariance matrix for each of {known}; give by= one of them.")
    if by not in term.set_labels:
        raise SpecError(
            f"by={by!r} is not a set of {term.label!r}.{suggest(by, term.set_labels)} Sets: {known}."
        )
    return term.set_labels.index(by)


def _cluster_rows(fit: Fit, cluster: object, group: str | None) -> tuple[NDArray[np.intp], str]:
    factor = choose_factor(fit, group)
    levels = factor.levels
    name = levels[0] if cluster is None else str(cluster)
    if name not in levels:
        shown = ", ".join(levels[:8]) + (" …" if len(levels) > 8 else "")
        raise SpecError(
            f"cluster={cluster!r} is not a level of {factor.name!r}.{suggest(name, levels)} Levels: {shown}."
        )
    return np.flatnonzero(factor.codes == levels.index(name)), f"{factor.name} {name}"


def _row_names(fit: Fit, rows: NDArray[np.intp]) -> tuple[str, ...]:
    """Return the positions of rows on the grid of a residual structure where they differ, else their order."""
    residual, errors = fit.design.residual, fit._work.rows().residual
    if residual is not None and errors is not None and residual.structure is not None and not residual.placed:
        names = tuple(residual.positions.labels[i] for i in errors.index[rows])
        if len(set(names)) == len(names):
            return names
    return tuple(str(i + 1) for i in range(len(rows)))


def _labelled(
    fit: Fit, names: tuple[str, ...], matrix: Array, where: str, correlation: bool
) -> LabelledMatrix:
    if not correlation:
        return LabelledMatrix(names, names, matrix, f"Covariance of {where}", fit.backend)
    return LabelledMatrix(names, names, correlations(matrix), f"Correlation of {where}", fit.backend)


def correlations(matrix: Array) -> Array:
    """Return the correlation matrix; rows and columns of zero or negative variance are NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.sqrt(np.diag(matrix))
        return np.asarray(matrix / np.outer(sd, sd))
