"""Functions of fixed and random effects: narrow and intermediate inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..criterion.coordinates import column_map
from ..errors import SpecError, suggest
from ..fit import Fit
from ..table import Table
from ..terms.design import RandomTerm
from ..typing import Array, Ddf
from .ddf import DegreesOfFreedom, method_for
from .ddf.satterthwaite import fai_cornelius
from .directions import independent_directions
from .distributions import f_upper, t_quantile, t_two_sided
from .sensitivity import Information, roots, sensitivity
from .wald import check_level, is_estimable, untested

STEP = 0.02
"""Length of a move of θ, in standard errors, for the slopes of a variance."""


@dataclass(frozen=True, slots=True)
class Functions:
    """k functions L'β + M'b: L (k, r) in own coordinates of estimable columns, M (q, p, k) by term in own columns."""

    fixed: Array
    random: tuple[Array, ...]

    def covariance(self, fit: Fit, theta: Array) -> Array:
        """Return var(L'(β̂ − β) + M'(b̂ − b)) at joint working parameters θ, (k, k)."""
        equations = fit._work.criterion().jointly().settle(theta)
        beta, effects = equations.solve(self.fixed.T, self.random)
        assert beta is not None
        found = self.fixed @ beta
        for given, own in zip(self.random, effects, strict=True):
            found = found + np.einsum("qpk,qpl->kl", given, own)
        return np.asarray(0.5 * (found + found.T))


def functions_of_random(
    fit: Fit,
    rows: Array,
    targets: Array,
    labels: Sequence[str],
    random: Any,
    *,
    joint: bool,
    ddf: Ddf | None,
    information: Information,
    level: float,
) -> Table:
    """Return t tests, or one F test, of L'β + M'b = r.

    Parameters
    ----------
    rows, targets, labels
        L (k, p), r (k,) and the names of the functions.
    random
        M: a mapping of terms for one function, or a list of k such. A term is named by its grouping factor or label,
        and has coefficients by level, `{"Block": {"A": 1, "B": -1}}`, by level and column,
        `{"Subject": {"308": {"Days": 1}}}`, or as an array (q,) or (q, p) in the order of its levels.

    Notes
    -----
    The variance of L'(β̂ − β) + M'(b̂ − b) is [L; M]'C[L; M], C the inverse of the mixed-model equations; degrees of
    freedom are Satterthwaite's for it, with its slopes in θ by central differences, or those of a method that goes by
    columns of X for L alone. Kenward–Roger's adjustment of the variance is not made. *Same as* SAS
    `ESTIMATE 'name' fixed … | random …` (McLean, Sanders and Stroup 1991: broad, intermediate and narrow inference).
    """
    check_level(level)
    method = method_for(fit, ddf, information=information)
    kept = list(fit.design.fixed.estimable)
    given = [random] if isinstance(random, Mapping) else list(random)
    if len(given) != len(rows):
        raise SpecError(
            f"random= has coefficients for {len(given)} functions and L for {len(rows)}; give one mapping for each."
        )
    if not is_estimable(fit, rows).all():
        raise SpecError(
            "random=: the fixed part of a function is not estimable; see fit.design.fixed.aliased."
        )
    written = _coefficients(fit, given)
    values = rows[:, kept] @ fit.beta[kept]
    for own, effects in zip(written, fit.solution.random, strict=True):
        values = values + np.einsum("qpk,qp->k", own, effects)
    inside = tuple(_in_own_columns(fit, written))
    functions = Functions(fit.solution.basis.rows(rows[:, kept]), inside)
    theta = fit._work.criterion().absolute(fit.optimum.theta)
    covariance = functions.covariance(fit, theta)
    notes = [
        f"df: {_describe(fit, method)}",
        "functions of random effects: inference about the levels observed",
    ]
    if method.adjusts:
        notes.append("standard errors do not count the estimation of the covariance parameters")
    if why := untested(fit):
        notes.append(f"no tests or limits: {why}")
    if joint:
        return _joint(fit, functions, covariance, values - targets, method, rows[:, kept], notes)
    variance = np.diag(covariance)
    df = _df(fit, functions, np.eye(len(rows)), variance, method, rows[:, kept])
    error = np.sqrt(np.maximum(variance, 0.0))
    # what is known without error has no test
    error = np.where(error > 0.0, error, np.nan)
    df = np.where(np.isnan(error) | bool(untested(fit)), np.nan, df)
    statistic = (values - targets) / error
    half = t_quantile(level, df) * error
    columns = {
        "term": list(labels), "estimate": values, "std_error": error, "df": df, "statistic": np.where(
            np.isnan(df), np.nan, statistic
        ), "p_value": t_two_sided(statistic, df), "conf_low": values - half, "conf_high": values + half,
    }  # fmt: skip
    return Table(columns, notes=tuple(notes), backend=fit.backend)


def _joint(
    fit: Fit,
    functions: Functions,
    covariance: Array,
    gap: Array,
    method: DegreesOfFreedom,
    rows: Array,
    notes: list[str],
) -> Table:
    values, directions = independent_directions(covariance)
    num, den, statistic, p = np.nan, np.nan, np.nan, np.nan
    if len(values) and not untested(fit):
        num = float(len(values))
        statistic = float(np.sum((directions @ gap) ** 2 / values)) / num
        den = fai_cornelius(_df(fit, functions, directions, values, method, rows))
        p = f_upper(statistic, num, den)
    columns = {"num_df": [num], "den_df": [den], "statistic": [statistic], "p_value": [p]}
    return Table(columns, notes=tuple(notes), backend=fit.backend)


def _describe(fit: Fit, method: DegreesOfFreedom) -> str:
    return "Satterthwaite" if method.from_variances else method.describe(fit)


def _df(
    fit: Fit, functions: Functions, directions: Array, variance: Array, method: DegreesOfFreedom, rows: Array
) -> Array:
    """Return the degrees of freedom of combinations (m, k) of the functions, whose variances are (m,)."""
    if not method.from_variances:
        return method.single(fit, directions @ rows)
    criterion = fit._work.criterion()
    theta = criterion.absolute(fit.optimum.theta)
    spread = np.zeros(len(directions))
    try:
        for move in roots(sensitivity(fit, method.information).w).T:
            either = [functions.covariance(fit, theta + sign * STEP * move) for sign in (1.0, -1.0)]
            slope = (either[0] - either[1]) / (2.0 * STEP)
            spread += np.einsum("mk,kl,ml->m", directions, slope, directions) ** 2
    finally:
        criterion.settle(fit.optimum.theta)
    with np.errstate(divide="ignore"):
        return np.where(spread > 0.0, 2.0 * variance**2 / np.where(spread > 0.0, spread, 1.0), np.inf)


def _in_own_columns(fit: Fit, written: Sequence[Array]) -> list[Array]:
    """Return M about the random columns of the equations: b = Ab*."""
    found = []
    for term, given in zip(fit._work.own_design().random, written, strict=True):
        a = column_map(term)
        found.append(given if a is None else np.einsum("ab,qak->qbk", a, given))
    return found


def _coefficients(fit: Fit, given: Sequence[Any]) -> list[Array]:
    """Return M of every term as written, (q, p, k)."""
    terms = fit.design.random
    found = [np.zeros((term.n_levels, term.n_columns, len(given))) for term in terms]
    for k, one in enumerate(given):
        if not isinstance(one, Mapping):
            raise SpecError(
                f"random={one!r} must map terms to coefficients, for example {{'Block': {{'A': 1}}}}."
            )
        for name, coefficients in one.items():
            place = _place_of(fit, str(name))
            _fill(found[place][:, :, k], terms[place], coefficients)
    return found


def _place_of(fit: Fit, name: str) -> int:
    labels = [term.label for term in fit.design.random]
    places = [i for i, term in enumerate(fit.design.random) if name in (term.label, term.group)]
    exact = [i for i in places if labels[i] == name]
    if len(exact or places) == 1:
        return (exact or places)[0]
    if places:
        raise SpecError(f"random: several terms are of {name!r}; name one of {', '.join(map(repr, labels))}.")
    raise SpecError(
        f"random: {name!r} is no random term.{suggest(name, labels)} Terms: {', '.join(labels) or 'none'}."
    )


def _fill(out: Array, term: RandomTerm, coefficients: Any) -> None:
    """Put the coefficients of one term and function into M, (q, p)."""
    if not isinstance(coefficients, Mapping):
        values = np.asarray(coefficients, dtype=float)
        values = values[:, None] if values.ndim == 1 and term.n_columns == 1 else values
        if values.shape != out.shape:
            raise SpecError(
                f"random: the coefficients of {term.label!r} have shape {values.shape}; it has {term.n_levels} levels "
                f"and {term.n_columns} columns."
            )
        out += values
        return
    levels, columns = [str(level) for level in term.levels], list(term.columns)
    for level, value in coefficients.items():
        if str(level) not in levels:
            raise SpecError(f"random: {level!r} is no level of {term.label!r}.{suggest(str(level), levels)}")
        row = levels.index(str(level))
        if not isinstance(value, Mapping):
            if term.n_columns > 1:
                raise SpecError(
                    f"random: {term.label!r} has the columns {', '.join(columns)}; say which, "
                    f"{{{str(level)!r}: {{{columns[0]!r}: {value!r}}}}}."
                )
            value = {columns[0]: value}
        for column, weight in value.items():
            if column not in columns:
                raise SpecError(
                    f"random: {column!r} is no column of {term.label!r}.{suggest(str(column), columns)}"
                )
            out[row, columns.index(column)] += float(weight)
