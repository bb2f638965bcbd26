"""The one door from a fit to an estimate, its standard error, test and interval."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FitError, SpecError
from ..fit import Fit
from ..table import Table
from ..tool import load
from ..typing import Array, Ddf
from . import population
from .ddf import DegreesOfFreedom, method_for
from .directions import estimability_gap, independent_directions
from .distributions import f_upper, t_quantile, t_two_sided
from .sensitivity import Information

LEAST = 1e-300
"""Stands for a length of zero in a quotient."""
SHOWN = 6
"""Names listed in a note."""
OTHERS = "another ddf=, such as 'satterthwaite', may have some"


@dataclass(frozen=True, slots=True)
class Estimates:
    """k linear functions of β̂ with their inference, every array (k,)."""

    estimate: Array
    std_error: Array
    df: Array
    statistic: Array
    p_value: Array
    conf_low: Array
    conf_high: Array

    def columns(self) -> dict[str, Array]:
        """Return column name → values in the order of every table of estimates."""
        return {name: getattr(self, name) for name in self.__slots__}


def wald(
    fit: Fit,
    L: Any,
    rhs: ArrayLike = 0.0,
    *,
    ddf: Ddf | None = None,
    joint: bool = False,
    level: float = 0.95,
    labels: Sequence[str] | None = None,
    information: Information = "observed",
) -> Table:
    """Return L'β̂ with standard errors, t tests and intervals, or one F test of L'β = rhs.

    Parameters
    ----------
    fit
        The fitted model.
    L
        Coefficients of the functions, (k, p) or (p,), on all p columns of X, or what `fit.test` takes: a dict of
        coefficients by column, text such as `"Days"` or `"x1 - x2"`.
    rhs
        Hypothesised values, a number or (k,).
    ddf
        Degrees-of-freedom method; the fit's own by default.
    joint
        One F test of all rows rather than a row for each.
    level
        Confidence level of the intervals.
    labels
        Names of the k rows.
    information
        What Kenward–Roger and Satterthwaite take the uncertainty of θ̂ from: the `"observed"`
        information, as SAS does, or the `"expected"`, as pbkrtest does.

    Returns
    -------
    Table
        `term estimate std_error df statistic p_value conf_low conf_high`, or with `joint` one row
        `num_df den_df statistic p_value`. Functions that are not estimable (L'N ≠ 0 for a basis N of the null
        space of X) are missing and named in a note.

    Notes
    -----
    t = (l'β̂ − r) / √(l'Φl) and F = (Lβ̂ − r)'(LΦL')⁻(Lβ̂ − r) / rank, Φ the covariance of β̂ of the method.
    *Same as* SAS `ESTIMATE` and `CONTRAST`, `lmerTest::contest`.
    """
    if isinstance(L, (str, Mapping)) or (
        isinstance(L, (list, tuple)) and any(isinstance(one, str) for one in L)
    ):
        L, values, names_read = load("inference.linear_test:read_hypotheses")(fit, L)
        rhs, labels = values + np.asarray(rhs, dtype=float), names_read if labels is None else labels
    rows = fit.design.fixed.functions(_as_rows(fit, L))
    method = method_for(fit, ddf, information=information)
    targets = np.broadcast_to(np.asarray(rhs, dtype=float), (len(rows),))
    names = [f"L{i + 1}" for i in range(len(rows))] if labels is None else list(labels)
    if len(names) != len(rows):
        raise SpecError(f"labels has {len(names)} names for {len(rows)} rows of L; give one for each row.")
    estimable = is_estimable(fit, rows)
    notes = [f"df: {method.describe(fit)}"]
    if not estimable.all():
        missing = ", ".join(name for name, ok in zip(names, estimable, strict=True) if not ok)
        notes.append(f"not estimable: {missing}")
    kept = rows[:, list(fit.design.fixed.estimable)]
    if joint:
        _check_consistent(kept[estimable], targets[estimable])
        return joint_test(fit, kept[estimable], targets[estimable], method, tuple(notes))
    estimates = estimate_rows(fit, kept, targets, method, level, estimable)
    notes += empty_cells(fit, estimates, names)
    return Table({"term": names, **estimates.columns()}, notes=tuple(notes), backend=fit.backend)


def is_estimable(fit: Fit, rows: Array, tolerance: float = 1e-8) -> NDArray[np.bool_]:
    """Return for each row of L (k, p) whether l'β takes one value over all solutions, (k,) booleans."""
    gap, size = estimability_gap(fit, rows)
    return np.asarray(np.abs(gap).max(axis=1, initial=0.0) <= tolerance * size)


def estimate_rows(
    fit: Fit, kept: Array, rhs: Array, method: DegreesOfFreedom, level: float, estimable: NDArray[np.bool_]
) -> Estimates:
    """Return inference on functions (k, rank) of the estimable columns; rows not estimable are NaN.

    Further columns are of the coefficients of splines, (k, rank + splines).
    """
    check_level(level)
    fixed = kept[:, : fit.design.fixed.rank]
    own = fit.solution.basis.rows(fixed)
    estimate = own @ fit.solution.own_beta
    std_error = np.sqrt(_variances(own, method.vcov(fit)))
    # what is zero whatever the coefficients are is known, not estimated
    std_error[~kept.any(axis=1)] = np.nan
    df = method.single(fit, fixed)
    curved = population.bends(fit, kept) & estimable
    if curved.any():
        estimate = np.where(curved, population.population_estimates(fit, kept), estimate)
        variance, df[curved] = population.variances(fit, kept[curved], method)
        std_error[curved] = np.sqrt(variance)
    df = np.where(np.isnan(std_error), np.nan, df)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (estimate - rhs) / std_error
    if untested(fit):
        df = np.full(len(df), np.nan)
        statistic = np.full(len(df), np.nan)
    half = t_quantile(level, df) * std_error
    columns = (
        estimate,
        std_error,
        df,
        statistic,
        t_two_sided(statistic, df),
        estimate - half,
        estimate + half,
    )
    found = Estimates(*(np.where(estimable, column, np.nan) for column in columns))
    return found if fit.distribution is None else _infinite(found, own, fit.distribution.recession)


def _infinite(found: Estimates, own: Array, recession: Array | None) -> Estimates:
    """Return estimates with ±∞ for functions that rise or fall without end: no error, no test, a limit on one side."""
    moved = endless(own, recession)
    if recession is None or not moved.any():
        return found
    signed = np.where(own @ recession > 0.0, np.inf, -np.inf)
    columns = {name: np.where(moved, np.nan, values) for name, values in found.columns().items()}
    columns["estimate"] = np.where(moved, signed, found.estimate)
    columns["conf_low"] = np.where(moved & (signed < 0.0), -np.inf, columns["conf_low"])
    columns["conf_high"] = np.where(moved & (signed > 0.0), np.inf, columns["conf_high"])
    return Estimates(**columns)


def endless(own: Array, recession: Array | None) -> NDArray[np.bool_]:
    """Return which functions of β, (k, r) in its own coordinates, rise or fall without end along a direction."""
    if recession is None:
        return np.zeros(len(own), dtype=bool)
    size = np.abs(own).max(axis=1, initial=0.0) * np.abs(recession).max()
    return np.asarray(np.abs(own @ recession) > 1e-7 * size)


def _variances(functions: Array, covariance: Array) -> Array:
    """Return l'Cl of every row l of functions (k, r), (k,); `FitError` where one is negative beyond rounding."""
    pushed = functions @ covariance
    variance = np.einsum("ka,ka->k", pushed, functions)
    rounding = 1e-12 * np.einsum("ka,ka->k", np.abs(functions) @ np.abs(covariance), np.abs(functions))
    if np.any(variance < -rounding):
        raise FitError(
            f"the covariance of the fixed effects gives a variance of {float(variance.min()):.6g}, which cannot be; "
            "use another one, for example ddf='satterthwaite'."
        )
    return np.asarray(np.maximum(variance, 0.0))


def joint_test(fit: Fit, kept: Array, rhs: Array, method: DegreesOfFreedom, notes: tuple[str, ...]) -> Table:
    """Return the F test of functions (k, rank) against `rhs` (k,), redundant rows counted once."""
    num_df, den_df, statistic, p_value = np.nan, np.nan, np.nan, np.nan
    if len(kept) and population.bends(fit, kept).any():
        statistic, num_df, den_df = population.joint(fit, kept, rhs, method)
        p_value = f_upper(statistic, num_df, den_df)
    elif len(kept):
        kept = kept[:, : fit.design.fixed.rank]
        own = fit.solution.basis.rows(kept)
        known = fit.distribution
        infinite = known is not None and endless(own, known.recession).any()
        values, directions = independent_directions(own @ method.vcov(fit) @ own.T)
        # infinite estimates have no covariance to test them by
        if len(values) and not infinite:
            num_df = float(len(values))
            projected = directions @ (own @ fit.solution.own_beta - rhs)
            factor, den_df = method.joint(fit, kept)
            statistic = factor * float(np.sum(projected**2 / values)) / num_df
            p_value = f_upper(statistic, num_df, den_df)
    if untested(fit):
        den_df, statistic, p_value = np.nan, np.nan, np.nan
    columns = {"num_df": [num_df], "den_df": [den_df], "statistic": [statistic], "p_value": [p_value]}
    found = Table(columns, notes=notes, backend=fit.backend)
    return replace(found, notes=(*notes, *empty_tests(fit, [found.row(0)], ()))) if notes else found


def untested(fit: Fit) -> str:
    """Return why no test or interval of a fit means anything, as a clause; empty where they do."""
    return next((status.message for status in fit.status if status.untested), "")


def empty_cells(fit: Fit, found: Estimates, names: Sequence[str]) -> list[str]:
    """Return why estimates have no test and no limits: notes, none where all have them."""
    if why := untested(fit):
        return [f"no tests or limits: {why}"]
    notes = []
    known = np.isfinite(found.estimate) & np.isnan(found.std_error)
    if zero := [name for name, empty in zip(names, known.tolist(), strict=True) if empty]:
        notes.append(
            f"known, not estimated, and without a test: {_listed(zero)}, whatever the coefficients are"
        )
    without = np.isfinite(found.std_error) & np.isnan(found.df)
    missing = [name for name, empty in zip(names, without.tolist(), strict=True) if empty]
    if missing:
        notes.append(
            f"no test or limits of {_listed(missing)}: this method leaves them no degrees of freedom; {OTHERS}"
        )
    wide = np.isfinite(found.std_error) & np.isfinite(found.df) & np.isnan(found.conf_low)
    if missing := [name for name, empty in zip(names, wide.tolist(), strict=True) if empty]:
        notes.append(unlimited(_listed(missing), float(found.df[wide].max())))
    return notes


def unlimited(what: str, df: float) -> str:
    """Return the note of limits that are left out since they lie beyond all bounds."""
    return f"no limits of {what}: with {df:.2g} degrees of freedom they lie more than a million standard errors away"


def empty_tests(fit: Fit, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Return why F tests, of the terms named, have empty cells: notes, none where all are complete."""
    if why := untested(fit):
        return [f"no tests: {why}"]
    named = list(names) or [""] * len(rows)
    nothing = [name for name, row in zip(named, rows, strict=True) if np.isnan(row["num_df"])]
    missing = [
        name
        for name, row in zip(named, rows, strict=True)
        if np.isfinite(row["num_df"]) and np.isnan(row["p_value"])
    ]
    notes = []
    if nothing:
        notes.append("nothing estimable is left" + _of(nothing))
    if missing:
        notes.append(
            f"no F test{_of(missing)}: this method leaves no denominator degrees of freedom; {OTHERS}"
        )
    return notes


def _of(names: Sequence[str]) -> str:
    return f" of {_listed(names)}" if any(names) else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def check_level(level: float, argument: str = "level") -> None:
    """Raise unless `level` is a probability strictly between 0 and 1."""
    if not isinstance(level, numbers.Real) or not 0 < level < 1:
        raise SpecError(f"{argument}={level!r} must lie between 0 and 1, for example 0.95.")


def _as_rows(fit: Fit, L: ArrayLike) -> Array:
    rows = np.atleast_2d(np.asarray(L, dtype=float))
    p = len(fit.design.fixed.columns)
    if rows.ndim != 2 or rows.shape[1] != p:
        columns = ", ".join(fit.design.fixed.columns)
        raise SpecError(
            f"L has shape {rows.shape}; give one column for each of the {p} columns of X: {columns}."
        )
    if not np.isfinite(rows).all():
        raise SpecError(
            "L holds values that are missing or infinite; give a coefficient for every column of X."
        )
    return rows


def _check_consistent(kept: Array, rhs: Array) -> None:
    """Raise unless some β has Lβ = rhs, L (k, rank) and rhs (k,): redundant rows must ask for the same values."""
    if not rhs.any() or not len(kept):
        return
    L = kept / np.maximum(np.abs(kept).max(axis=0), LEAST)
    length = np.maximum(np.linalg.norm(L, axis=1), LEAST)
    L, wanted = L / length[:, None], rhs / length
    gap = wanted - L @ np.linalg.lstsq(L, wanted, rcond=1e-9)[0]
    if np.abs(gap).max() > 1e-7 * np.abs(wanted).max():
        raise SpecError(
            f"the {len(kept)} hypotheses contradict one another: no coefficients meet all of them. Leave some out, or "
            "test each by itself, joint=False."
        )
