"""Tests of effects within clusters by the traces of the multivariate linear model, where errors are unstructured."""

from __future__ import annotations

import math

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..table import Table
from .anova import TYPES, hypotheses
from .ddf import method_for
from .ddf.between_within import subject_codes
from .ddf.by_column import constant_within
from .distributions import f_upper
from .model_terms import model_terms
from .wald import joint_test

METHODS = ("hlm", "hlps")


def multivariate_tests(fit: Fit, method: str = "hlm", type: int = 3) -> Table:
    """Return Hotelling–Lawley tests of the effects that change within clusters.

    Parameters
    ----------
    fit
        A REML fit with `us` errors and no random terms, `"y ~ arm * visit + us(visit | id)"`.
    method
        `"hlm"`: McKeon's F approximation; `"hlps"`: that of Pillai and Samson.
    type
        Type of the hypotheses: 1, 2 or 3, as in `anova`.

    Returns
    -------
    Table
        `term trace num_df den_df statistic p_value`, a row for each term that changes within clusters; `trace` is U.

    Raises
    ------
    SpecError
        For a fit with another structure, random terms or variance functions, or by maximum likelihood.

    Notes
    -----
    U = tr(HE⁻¹) = W/ν with the Wald statistic W of the hypothesis and ν clusters less the rank of X between them; with
    complete data that is the trace of the multivariate linear model. With p contrasts within and q between clusters,
    s = min(p, q), m = (|p − q| − 1)/2, n = (ν − p − 1)/2,

        hlps:  F = 2(sn + 1)U / (s²(2m + s + 1)) on s(2m + s + 1), 2(sn + 1),
        hlm:   F = (U/c)(4 + (pq + 2)/(b − 1))/(pq) on pq, 4 + (pq + 2)/(b − 1),
               b = (p + 2n)(q + 2n)/(2(2n + 1)(n − 1)), c = (2 + (pq + 2)/(b − 1))/(2n)

    (Pillai and Samson 1959; McKeon 1974; SAS/STAT, Introduction to Regression Procedures, multivariate tests). Both are
    exact for s = 1. Where n ≤ 1 the first is taken for both, and a note says so. *Same as* SAS `REPEATED / HLM HLPS`,
    R's `anova(mlm, X = ~1, test = "Hotelling-Lawley")`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> growth = mm.datasets.load("orthodont")
    >>> fit = mm.gls("Y ~ sex * factor(age)", growth, residual="us(age | id)")
    >>> print(fit.multivariate_tests())
    Hotelling–Lawley tests (McKeon), type 3
    term          trace  num_df  den_df  statistic  p_value
    C(age)      4.13362       3      23     31.691  <0.0001
    sex:C(age)  0.35156       3      23      2.695   0.0696
    27 clusters, 25 degrees of freedom between them
    """
    _check(fit, method, type)
    codes, rows = subject_codes(fit.design, fit._work.rows()), fit._work.rows()
    same = constant_within(rows.x, codes)
    between = int(same.sum())
    nu = int(codes.max()) + 1 - between
    kept = list(fit.design.fixed.estimable)
    known = method_for(fit, "asymptotic")
    found: list[tuple[str, float, float, float, float, float]] = []
    poor = []
    place = {j: k for k, j in enumerate(kept)}
    for term in model_terms(fit):
        own = [place[j] for j in term.place if j in place]
        if term.is_intercept or not own or same[own].all():
            continue
        L = hypotheses(fit, TYPES[type])[term.name][:, kept]
        row = joint_test(fit, L, np.zeros(len(L)), known, ()).row(0)
        rank = int(row["num_df"])
        q = _between_rank(fit, term.name, rank)
        p = max(rank // q, 1)
        if p > fit.design.residual.positions.size:  # type: ignore[union-attr]
            raise SpecError(
                f"multivariate_tests: {term.name} has {rank} contrasts, and no term of the fixed part has those "
                "between clusters alone; write the model with its main effects, a * b."
            )
        trace = float(row["statistic"]) * rank / nu
        num, den, statistic = _approximation(trace, p, q, nu, method)
        if method == "hlm" and (nu - p - 1) / 2.0 <= 1.0:
            poor.append(term.name)
        found.append((term.name, trace, num, den, statistic, f_upper(statistic, num, den)))
    if not found:
        raise SpecError("multivariate_tests: no term of the fixed part changes within a cluster.")
    notes = [f"{int(codes.max()) + 1} clusters, {nu} degrees of freedom between them"]
    if poor:
        notes.append(
            f"too few clusters for McKeon's approximation, Pillai and Samson's instead: {', '.join(poor)}"
        )
    names = ("term", "trace", "num_df", "den_df", "statistic", "p_value")
    columns = {name: [row[j] for row in found] for j, name in enumerate(names)}
    title = "McKeon" if method == "hlm" else "Pillai–Samson"
    return Table(columns, f"Hotelling–Lawley tests ({title}), type {TYPES[type]}", tuple(notes), fit.backend)


def _check(fit: Fit, method: str, type: int) -> None:
    if method not in METHODS:
        raise SpecError(f"method={method!r} is not known; use 'hlm' (McKeon) or 'hlps' (Pillai–Samson).")
    if type not in TYPES:
        raise SpecError(f"type={type!r} is not known. Allowed: 1, 2, 3.")
    residual = fit.design.residual
    us = residual is not None and residual.structure is not None and residual.structure.names[0] == "us"
    if residual is None or not us or fit.design.random or residual.variance or len(residual.set_labels) > 1:
        raise SpecError(
            "multivariate_tests needs unstructured errors alone, residual='us(visit | id)' without random terms, by= "
            "or variance functions; fit.anova() tests the effects of every other model."
        )
    if not fit.design.reml:
        raise SpecError("multivariate_tests needs a REML fit, whose Σ̂ is E/ν; use fit.update(method='reml').")


def _between_rank(fit: Fit, term: str, rank: int) -> int:
    """Return the rank of the part of a term between clusters: that of the largest term of its atoms constant there."""
    codes, rows = subject_codes(fit.design, fit._work.rows()), fit._work.rows()
    same = constant_within(rows.x, codes)
    fixed = fit.design.fixed
    names = set(term.split(":"))
    best = 1
    for index, name in enumerate(fixed.terms):
        atoms = set(name.split(":"))
        own = [k for k, j in enumerate(fixed.estimable) if fixed.assign[j] == index]
        if atoms <= names and own and same[own].all() and name != "1" and rank % len(own) == 0:
            best = max(best, len(own))
    return best


def _approximation(trace: float, p: int, q: int, nu: int, method: str) -> tuple[float, float, float]:
    """Return numerator and denominator degrees of freedom, and F."""
    s, m, n = min(p, q), (abs(p - q) - 1) / 2.0, (nu - p - 1) / 2.0
    if method == "hlm" and n > 1.0:
        b = (p + 2.0 * n) * (q + 2.0 * n) / (2.0 * (2.0 * n + 1.0) * (n - 1.0))
        more = (p * q + 2.0) / (b - 1.0)
        c = (2.0 + more) / (2.0 * n)
        return float(p * q), 4.0 + more, trace / c * (4.0 + more) / (p * q)
    num, den = s * (2.0 * m + s + 1.0), 2.0 * (s * n + 1.0)
    if den <= 0.0:
        return num, math.nan, math.nan
    return num, den, den * trace / (s * num)
