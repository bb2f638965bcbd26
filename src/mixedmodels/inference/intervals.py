"""Confidence intervals for fixed effects, standard deviations and correlations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np

from ..fit import Fit
from ..registry import check_choice
from ..table import Table
from ..typing import Ddf
from .bootstrap import INTERVALS, bootstrap
from .bootstrap import KINDS as RESAMPLING
from .distributions import t_quantile
from .profiles import choose, profiles_of
from .reported import Reported, is_regular, reported_parameters
from .sensitivity import Information
from .studentized import studentized_limits
from .threads import with_threads
from .wald import check_level

METHODS = ("wald", "profile", "boot")


def confint(
    fit: Fit,
    method: str = "wald",
    *,
    terms: str | Iterable[str] | None = "all",
    level: float = 0.95,
    likelihood: str | None = None,
    ddf: Ddf | None = None,
    information: Information = "observed",
    n: int = 1000,
    seed: int | None = None,
    kind: str = "parametric",
    interval: str = "percentile",
    threads: int | None = None,
    progress: bool | None = None,
) -> Table:
    """Return confidence intervals of fixed effects and covariance parameters, one row each.

    Parameters
    ----------
    method
        `"wald"`, `"profile"` (likelihood) or `"boot"`.
    terms
        `"all"` (or None), `"fixed"`, `"covariance"`, or names as they stand in the table.
    level
        Confidence level.
    likelihood
        What `"profile"` follows: by default the fit's own likelihood for covariance parameters, the restricted one of a
        REML fit, and the likelihood for fixed effects, which are no part of the restricted one; `"ml"` for all
        parameters, as lme4 does also for REML fits; `"reml"` for covariance parameters only.
    ddf, information
        Degrees-of-freedom method of the Wald intervals of fixed effects, and the information it is computed
        from.
    n, seed, kind, interval
        Of `"boot"`: replicates, seed, `"parametric"` or `"case"`, and `"percentile"`, `"basic"`, `"bca"` or
        `"studentized"`.
    threads
        Threads of `"profile"` and `"boot"`, by default those of the fit's `Control`.
    progress
        Whether a line on standard error says how far `"profile"` or `"boot"` is; by default where that is a terminal,
        after two seconds.

    Returns
    -------
    Table
        `term estimate conf_low conf_high`, covariance parameters first. Variances are given as standard
        deviations `sd(…)`, covariances as correlations `cor(…)`, others as they are named in the model.

    Notes
    -----
    Wald: β̂ ± t·SE; exp(log σ̂ ± z·SE(σ̂)/σ̂) for standard deviations, tanh(atanh ρ̂ ± z·SE/(1 − ρ̂²)) for
    correlations; ranges and ratios on the log scale, correlations per unit of distance on the logit.
    Profile: {ψ : −2l(ψ) + 2l(ψ̂) ≤ χ²₁}, −2l(ψ) minimised over all other parameters that are not held; a variance
    function of the fitted mean keeps the mean of the fit. A limit at the edge of the parameter space (0, ±1) is given
    as that edge and named in a note; one that is not reached is infinite. If a lower −2l turns up on the way the
    profile starts again from there and says so.
    Studentized: replicates in standard errors of their own, of variances for standard deviations, else on the scales of
    the Wald intervals; refits are one by one. Of a standard deviation between few groups they cover too little, see
    docs/small-samples.md.
    *Same as* `confint(fit, method = "profile", oldNames = FALSE)` in lme4; `nlme::intervals` for Wald.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
    >>> print(fit.confint("profile"))
    Profile confidence intervals (95 %)
    term                    estimate  conf_low  conf_high
    sd(Batch: (Intercept))     42.00     15.66     101.07
    sd(Residual)               49.51     38.23      67.66
    (Intercept)              1527.50   1486.45    1568.55
    covariance parameters profiled by the restricted likelihood, fixed effects by maximum likelihood
    """
    check_choice("method", method, METHODS)
    check_level(level)
    fit = with_threads(fit, threads)
    if method == "profile":
        return _profile_table(fit, terms, level, likelihood, progress)
    parameters = reported_parameters(fit._work.parameters(), fit.optimum.theta)
    chosen = choose(terms, [p.name for p in parameters], list(fit.design.fixed.columns))
    if method == "boot":
        check_choice("kind", kind, RESAMPLING)
        if interval == "studentized":
            return _studentized_table(fit, chosen, level, n, seed, kind, progress)
        check_choice("interval", interval, (*INTERVALS, "studentized"))
        found = bootstrap(fit, n=n, seed=seed, kind=kind, progress=progress).confint(
            level=level, interval=interval
        )
        rows = {row["term"]: row for row in (found.row(i) for i in range(len(found)))}
        return _table("Bootstrap", level, [rows[name] for name in chosen], found.notes, fit)
    rows = {row["term"]: row for row in _wald_rows(fit, parameters, level, ddf, information)}
    notes: tuple[str, ...] = (
        "standard deviations, ranges and ratios on the log scale, correlations on Fisher's z",
    )
    if not fit.design.bounded:
        notes += ("variances and covariances without bounds: symmetric",)
    return _table("Wald", level, [rows[name] for name in chosen], notes, fit)


def profile(
    fit: Fit,
    *,
    terms: str | Iterable[str] | None = "all",
    level: float = 0.99,
    likelihood: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Table:
    """Return points of the profile likelihood of each parameter, columns `term value zeta`.

    Parameters
    ----------
    terms, likelihood, threads, progress
        As for `confint`.
    level
        Profiles reach out to the limits of intervals of this confidence level.

    Notes
    -----
    ζ = sign(ψ − ψ̂)√(−2l(ψ) + 2l(ψ̂)), a straight line where the likelihood is quadratic in ψ.
    *Same as* `as.data.frame(profile(fit))` in lme4, where `zeta` is `.zeta`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
    >>> table = fit.profile(terms="fixed")
    >>> table.names, bool((np.diff(table["zeta"]) > 0).all())
    (('term', 'value', 'zeta'), True)
    """
    check_level(level)
    fit = with_threads(fit, threads)
    profiles, notes = profiles_of(fit, terms, level, likelihood, progress=progress, points=True)
    columns = {
        "term": [name for name, one in profiles.items() for _ in one.points.values],
        "value": np.concatenate([one.points.values for one in profiles.values()]),
        "zeta": np.concatenate([one.points.zeta for one in profiles.values()]),
    }
    return Table(columns, "Profile likelihood", notes, fit.backend)


FURTHEST = 30.0
"""Logarithm of a Wald limit over the estimate beyond which there is none."""


def _wald_rows(
    fit: Fit, parameters: list[Reported], level: float, ddf: Ddf | None, information: Information
) -> list[dict[str, float | str]]:
    natural, covariance = fit._work.parameters().natural(fit.optimum.theta), fit._work.natural_covariance()
    half = float(t_quantile(level, np.array([np.inf]))[0])
    # slopes in the natural parameters themselves: those of their own identity
    itself = replace(natural, jacobian=np.eye(len(natural.values)))
    rows: list[dict[str, float | str]] = []
    for parameter in parameters:
        value, slope = parameter.locate(itself)
        std_error = sqrt(max(float(slope @ covariance @ slope), 0.0))
        usable = std_error > 0 and is_regular(parameter, natural.values)
        # limits that differ by more than e^60 say that the data hold nothing about a positive parameter
        wide = {"sd": std_error / value if value else np.inf, "log": std_error}.get(parameter.kind, 0.0)
        usable = usable and half * wide < FURTHEST
        if parameter.kind == "sd" and usable:
            factor = np.exp(half * std_error / value)
            low, high = value / factor, value * factor
        else:
            low, high = value - half * std_error, value + half * std_error
        if parameter.kind == "angle":
            # Fisher's z has the slope 1/cos in the angle
            centre, reach = np.arctanh(np.sin(value)), half * std_error / np.cos(value)
            low = float(np.arcsin(np.tanh(centre - reach)))
            high = float(np.arcsin(np.tanh(centre + reach)))
        limits = (parameter.shown(low), parameter.shown(high)) if usable else (np.nan, np.nan)
        rows.append(_row(parameter.name, parameter.shown(value), *limits))
    table = fit.fixed_effects(ddf=ddf, information=information, level=level)
    for i in range(len(table)):
        row = table.row(i)
        rows.append(_row(row["term"], row["estimate"], row["conf_low"], row["conf_high"]))
    return rows


def _row(name: str, estimate: float, low: float, high: float) -> dict[str, float | str]:
    return {"term": name, "estimate": estimate, "conf_low": low, "conf_high": high}


def _table(
    kind: str, level: float, rows: list[dict[str, float | str]], notes: tuple[str, ...], fit: Fit
) -> Table:
    names = ("term", "estimate", "conf_low", "conf_high")
    columns = {name: [row[name] for row in rows] for name in names}
    return Table(columns, f"{kind} confidence intervals ({100 * level:g} %)", notes, fit.backend)


def _studentized_table(
    fit: Fit, chosen: Sequence[str], level: float, n: int, seed: int | None, kind: str, progress: bool | None
) -> Table:
    low, high, notes = studentized_limits(fit, level, n, seed, kind, progress)
    parameters = reported_parameters(fit._work.parameters(), fit.optimum.theta)
    natural = fit._work.parameters().natural(fit.optimum.theta)
    names = [*(p.name for p in parameters), *fit.design.fixed.columns]
    values = [*(p.shown(p.locate(natural)[0]) for p in parameters), *fit.beta]
    rows = {row[0]: _row(*row) for row in zip(names, values, low, high, strict=True)}
    return _table("Bootstrap", level, [rows[name] for name in chosen], notes, fit)


def _profile_table(
    fit: Fit, terms: str | Iterable[str] | None, level: float, likelihood: str | None, progress: bool | None
) -> Table:
    profiles, notes = profiles_of(fit, terms, level, likelihood, progress=progress)
    rows = [_row(name, one.estimate, one.points.low, one.points.high) for name, one in profiles.items()]
    return _table("Profile", level, rows, notes, fit)
