"""Estimates and tests from several imputations of missing data, put together by Rubin's rules."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..table import Table
from ..typing import Array
from .ddf import method_for
from .distributions import f_upper, t_quantile, t_two_sided
from .linear_test import read_hypotheses
from .wald import check_level

OWN = {"estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high"}
"""Columns of a table of estimates that are computed anew; all others name its rows."""


def pool(
    fits_or_tables: Sequence[Fit] | Sequence[Table],
    dfcom: float | None = None,
    level: float = 0.95,
    *,
    joint: str | None = None,
) -> Table:
    """Return the estimates of m imputations put together, or with `joint` one F test of them.

    Parameters
    ----------
    fits_or_tables
        One fit for each imputed data set, whose coefficients are pooled; or one table for each, such as
        `fit.emmeans(...)`, contrasts or `fit.test(..., joint=False)`, with the same rows.
    dfcom
        Degrees of freedom that complete data would have, `inf` for Rubin's (1987) large-sample ones; by default, row by
        row, the mean of those of the fits or tables.
    level
        Confidence level of the intervals.
    joint
        A term or hypotheses as `fit.test` reads them, for the test D1 over fits.

    Returns
    -------
    Table
        Names of the rows, `estimate std_error df statistic p_value conf_low conf_high fmi riv m`; with `joint` one row
        `term num_df den_df statistic p_value riv m`.

    Notes
    -----
    With ū and b the mean of the squared standard errors and the variance of the estimates, t = ū + (1 + 1/m)b,
    riv = (1 + 1/m)b/ū and λ = (1 + 1/m)b/t; df by Barnard and Rubin (1999) from (m − 1)/λ² and
    (ν + 1)/(ν + 3)·ν(1 − λ), ν = `dfcom`; fmi = (riv + 2/(df + 3))/(riv + 1). D1 is Li, Raghunathan and Rubin's (1991)
    with Reiter's (2007) degrees of freedom. *Same as* `mice::pool`, `mice::D1`, SAS PROC MIANALYZE.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> rail = mm.datasets.load("rail")
    >>> shifts = (-0.5, 0.0, 0.5)
    >>> fits = [mm.lmm("travel ~ 1 + (1 | Rail)", rail.assign(travel=rail.travel + shift)) for shift in shifts]
    >>> pooled = mm.pool(fits)
    >>> pooled["estimate"].round(3), pooled["riv"].round(5)
    (array([66.5]), array([0.00322]))
    """
    given = list(fits_or_tables)
    if len(given) < 2:
        raise SpecError(f"pool needs the fits or tables of at least 2 imputations; {len(given)} given.")
    check_level(level)
    if dfcom is not None and (not isinstance(dfcom, numbers.Real) or not dfcom > 0):
        raise SpecError(f"dfcom={dfcom!r} must be positive degrees of freedom, or inf.")
    fits = [one for one in given if isinstance(one, Fit)]
    if joint is not None:
        if len(fits) < len(given):
            raise SpecError("joint= pools fits: give the fits themselves.")
        return _joint(fits, joint, dfcom)
    tables = [_table(one) for one in given]
    names = _common_rows(tables)
    estimates = np.array([table["estimate"] for table in tables], dtype=float)
    errors = np.array([table["std_error"] for table in tables], dtype=float)
    complete = _complete(tables) if dfcom is None else np.full(estimates.shape[1], float(dfcom))
    columns = {**names, **_rubin(estimates, errors, complete, level)}
    own = "mean of the imputations'" if dfcom is None else f"{dfcom:g}"
    note = f"Rubin's rules over {len(given)} imputations; df: Barnard and Rubin, of complete data {own}"
    return Table(columns, "Pooled estimates", (note,), tables[0].backend, {"m": "integer"})


def _rubin(estimates: Array, errors: Array, complete: Array, level: float) -> dict[str, Any]:
    m = len(estimates)
    mean, within = estimates.mean(axis=0), (errors**2).mean(axis=0)
    between = (1 + 1 / m) * estimates.var(axis=0, ddof=1)
    total = within + between
    with np.errstate(divide="ignore", invalid="ignore"):
        riv, share = between / within, between / total
        old = np.where(share > 0, (m - 1) / share**2, np.inf)
        observed = np.where(
            np.isinf(complete), np.inf, (complete + 1) / (complete + 3) * complete * (1 - share)
        )
        df = 1 / (1 / old + 1 / observed)
        statistic = mean / np.sqrt(total)
        fmi = (riv + np.where(np.isinf(df), 0.0, 2 / (df + 3))) / (riv + 1)
    half = t_quantile(level, df) * np.sqrt(total)
    return {
        "estimate": mean,
        "std_error": np.sqrt(total),
        "df": df,
        "statistic": statistic,
        "p_value": t_two_sided(statistic, df),
        "conf_low": mean - half,
        "conf_high": mean + half,
        "fmi": fmi,
        "riv": riv,
        "m": np.full(len(mean), m),
    }


def _table(one: Any) -> Table:
    """Return the table of estimates of a fit, or a table, or what has one."""
    if isinstance(one, Fit):
        return one.fixed_effects()
    table = one if isinstance(one, Table) else getattr(one, "table", None)
    if callable(table):
        table = table()
    if not isinstance(table, Table) or "estimate" not in table.columns or "std_error" not in table.columns:
        raise SpecError(
            f"pool takes fits, or tables with columns estimate and std_error; a {type(one).__name__} was given."
        )
    return table


def _common_rows(tables: Sequence[Table]) -> dict[str, Any]:
    """Return the columns that name the rows, which must be the same in all tables."""
    first = tables[0]
    names = [name for name in first.columns if name not in OWN and not _is_float(first[name])]
    for number, table in enumerate(tables, 1):
        same = len(table) == len(first) and all(
            name in table.columns and [str(v) for v in table[name]] == [str(v) for v in first[name]]
            for name in names
        )
        if not same:
            raise SpecError(
                f"pool: table {number} has other rows than the first; all imputations must be of one model, with the "
                "same levels of factors."
            )
    return {name: first[name] for name in names}


def _is_float(values: Array) -> bool:
    return np.asarray(values).dtype.kind == "f"


def _complete(tables: Sequence[Table]) -> Array:
    if any("df" not in table.columns for table in tables):
        return np.full(len(tables[0]), np.inf)
    return np.asarray(np.mean([np.asarray(table["df"], dtype=float) for table in tables], axis=0))


def _joint(fits: Sequence[Fit], term: str, dfcom: float | None) -> Table:
    """Return D1 of the hypotheses a text names."""
    gaps, covariances, dfs = [], [], []
    for fit in fits:
        rows, targets, _ = read_hypotheses(fit, term)
        if (
            not np.isfinite(rows @ np.nan_to_num(fit.beta)).all()
            or np.isnan(fit.beta[rows.any(axis=0)]).any()
        ):
            raise SpecError(f"joint={term!r} is not estimable in every imputation.")
        gaps.append(rows @ np.nan_to_num(fit.beta) - targets)
        covariances.append(rows @ np.nan_to_num(fit.vcov) @ rows.T)
        kept = fit.design.fixed.functions(rows)[:, list(fit.design.fixed.estimable)]
        dfs.append(method_for(fit, None).joint(fit, kept)[1])
    m, k = len(fits), len(gaps[0])
    mean, within = np.mean(gaps, axis=0), np.mean(covariances, axis=0)
    between = np.atleast_2d(np.cov(np.array(gaps).T))
    r = (1 + 1 / m) * float(np.trace(np.linalg.solve(within, between))) / k
    statistic = float(mean @ np.linalg.solve(within, mean)) / (k * (1 + r))
    df = d1_df(m, k, r, float(np.mean(dfs)) if dfcom is None else float(dfcom))
    columns = {
        "term": [term],
        "num_df": [float(k)],
        "den_df": [df],
        "statistic": [statistic],
        "p_value": [f_upper(statistic, float(k), df)],
        "riv": [r],
        "m": [m],
    }
    note = f"D1 over {m} imputations (Li, Raghunathan and Rubin 1991; df Reiter 2007)"
    return Table(columns, "Pooled test", (note,), fits[0].backend, {"m": "integer"})


def d1_df(m: int, k: int, r: float, complete: float) -> float:
    """Return the denominator degrees of freedom of D1 of k hypotheses over m imputations.

    Notes
    -----
    Reiter (2007) equation 1 where k(m − 1) > 4 and complete data have finitely many; else Li, Raghunathan and Rubin
    (1991).
    """
    t = k * (m - 1)
    if r <= 0:
        return complete
    if t <= 4 or np.isinf(complete):
        if t > 4:
            return float(4 + (t - 4) * (1 + (1 - 2 / t) / r) ** 2)
        return float(t * (1 + 1 / k) * (1 + 1 / r) ** 2 / 2)
    a = r * t / (t - 2)
    star = (complete + 1) / (complete + 3) * complete
    one, two = star - 2 * (1 + a), star - 4 * (1 + a)
    inner = (
        1 / two + a**2 * one / ((t - 4) * (1 + a) ** 2 * two) + 8 * a**2 * one / ((t - 4) * (1 + a) * two**2)
    )
    inner += 4 * a**2 / ((t - 4) * (1 + a) * two) + 4 * a**2 / ((t - 4) * two * one)
    inner += 16 * a**2 * one / ((t - 4) * two**3) + 8 * a**2 / ((t - 4) * two**2)
    return float(4 + 1 / inner)
