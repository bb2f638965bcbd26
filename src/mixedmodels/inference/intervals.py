"""Confidence intervals for fixed effects, standard deviations and correlations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf, sqrt

import numpy as np
from scipy import special

from ..criterion.base import LinearCriterion
from ..errors import SpecError, suggest
from ..fit import Fit
from ..optimise.newton import optimise
from ..registry import check_choice
from ..table import Table
from ..typing import Array
from ..workings import build_criterion
from .bootstrap import KINDS as RESAMPLING
from .bootstrap import bootstrap
from .distributions import t_quantile
from .other_method import by_method
from .profile import BetterOptimum, CovariancePath, FixedPath, Profile, follow
from .reported import Reported, reported_parameters
from .sensitivity import Information
from .wald import check_level

METHODS = ("wald", "profile", "boot")
LIKELIHOODS = ("ml", "reml")
GROUPS = ("all", "fixed", "covariance")
_RESTARTS = 3


def confint(
    fit: Fit,
    method: str = "wald",
    *,
    terms: str | Iterable[str] = "all",
    level: float = 0.95,
    likelihood: str = "ml",
    ddf: str | None = None,
    information: Information = "observed",
    n: int = 1000,
    seed: int | None = None,
    kind: str = "parametric",
    interval: str = "percentile",
) -> Table:
    """Return confidence intervals of fixed effects and covariance parameters, one row each.

    Parameters
    ----------
    method
        `"wald"`, `"profile"` (likelihood) or `"boot"`.
    terms
        `"all"`, `"fixed"`, `"covariance"`, or names as they stand in the table.
    level
        Confidence level.
    likelihood
        What `"profile"` follows: `"ml"`, for all parameters, as lme4 does also for REML fits; or `"reml"`,
        the restricted likelihood of a REML fit, for covariance parameters only.
    ddf, information
        Degrees-of-freedom method of the Wald intervals of fixed effects, and the information it is computed
        from.
    n, seed, kind, interval
        Of `"boot"`: replicates, seed, `"parametric"` or `"case"`, and `"percentile"`, `"basic"` or `"bca"`.

    Returns
    -------
    Table
        `term estimate conf_low conf_high`, covariance parameters first. Variances are given as standard
        deviations `sd(…)`, covariances as correlations `cor(…)`, others as they are named in the model.

    Notes
    -----
    Wald: β̂ ± t·SE; exp(log σ̂ ± z·SE(σ̂)/σ̂) for standard deviations, tanh(atanh ρ̂ ± z·SE/(1 − ρ̂²)) for
    correlations; ranges and ratios on the log scale, correlations per unit of distance on the logit.
    Profile: {ψ : −2l(ψ) + 2l(ψ̂) ≤ χ²₁}, −2l(ψ) minimised over all other parameters. A limit at
    the edge of the parameter space (0, ±1) is given as that edge and named in a note; one that is not
    reached is infinite. If a lower −2l turns up on the way the profile starts again from there and says so.
    *Same as* `confint(fit, method = "profile", oldNames = FALSE)` in lme4; `nlme::intervals` for Wald.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
    >>> print(fit.confint("profile"))
    Profile confidence intervals (95 %)
    term                    estimate  conf_low  conf_high
    sd(Batch: (Intercept))     37.26     12.20      84.06
    sd(Residual)               49.51     38.23      67.66
    (Intercept)              1527.50   1486.45    1568.55
    REML fit: profiled by maximum likelihood
    """
    check_choice("method", method, METHODS)
    check_level(level)
    if method == "profile":
        return _profile_table(fit, terms, level, likelihood)
    parameters = _parameters(fit)
    chosen = choose(terms, [p.name for p in parameters], list(fit.design.fixed.columns))
    if method == "boot":
        check_choice("kind", kind, RESAMPLING)
        found = bootstrap(fit, n=n, seed=seed, kind=kind).confint(level=level, interval=interval)
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
    fit: Fit, *, terms: str | Iterable[str] = "all", level: float = 0.99, likelihood: str = "ml"
) -> Table:
    """Return points of the profile likelihood of each parameter, columns `term value zeta`.

    Parameters
    ----------
    terms, likelihood
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
    found, notes = _profiles(fit, terms, level, likelihood)
    columns = {
        "term": [name for name, (_, points) in found.items() for _ in points.values],
        "value": np.concatenate([points.values for _, points in found.values()]),
        "zeta": np.concatenate([points.zeta for _, points in found.values()]),
    }
    return Table(columns, "Profile likelihood", notes, fit.backend)


def choose(terms: str | Iterable[str], covariance: Sequence[str], fixed: Sequence[str]) -> list[str]:
    """Return the names asked for, in the order of the table."""
    known = [*covariance, *fixed]
    groups = {"all": known, "covariance": list(covariance), "fixed": list(fixed)}
    if isinstance(terms, str) and terms in groups:
        return groups[terms]
    asked = [terms] if isinstance(terms, str) else list(terms)
    for name in asked:
        if name not in known:
            near = suggest(str(name), [*known, *GROUPS])
            raise SpecError(
                f"terms: no parameter {name!r}.{near} Parameters: {', '.join(known)}; or 'all', "
                "'fixed', 'covariance'."
            )
    return [name for name in known if name in asked]


def _parameters(fit: Fit) -> list[Reported]:
    return reported_parameters(fit._work.criterion(), fit.optimum.theta)


def _wald_rows(
    fit: Fit, parameters: list[Reported], level: float, ddf: str | None, information: Information
) -> list[dict[str, float | str]]:
    natural, covariance = fit._work.criterion().natural(fit.optimum.theta), fit._work.natural_covariance()
    half = float(t_quantile(level, np.array([np.inf]))[0])
    # slopes in the natural parameters themselves: those of their own identity
    itself = replace(natural, jacobian=np.eye(len(natural.values)))
    rows: list[dict[str, float | str]] = []
    for parameter in parameters:
        value, slope = parameter.locate(itself)
        std_error = sqrt(max(float(slope @ covariance @ slope), 0.0))
        usable = std_error > 0 and _regular(parameter, natural.values)
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


def _regular(parameter: Reported, values: Array) -> bool:
    """Return whether the variances a parameter depends on are not zero."""
    places = [parameter.index] if parameter.kind == "sd" else list(parameter.variances or ())
    return all(values[i] > 0 for i in places)


def _row(name: str, estimate: float, low: float, high: float) -> dict[str, float | str]:
    return {"term": name, "estimate": estimate, "conf_low": low, "conf_high": high}


def _table(
    kind: str, level: float, rows: list[dict[str, float | str]], notes: tuple[str, ...], fit: Fit
) -> Table:
    names = ("term", "estimate", "conf_low", "conf_high")
    columns = {name: [row[name] for row in rows] for name in names}
    return Table(columns, f"{kind} confidence intervals ({100 * level:g} %)", notes, fit.backend)


def _profile_table(fit: Fit, terms: str | Iterable[str], level: float, likelihood: str) -> Table:
    found, notes = _profiles(fit, terms, level, likelihood)
    rows = [_row(name, estimate, points.low, points.high) for name, (estimate, points) in found.items()]
    return _table("Profile", level, rows, notes, fit)


def _profiles(
    fit: Fit, terms: str | Iterable[str], level: float, likelihood: str
) -> tuple[dict[str, tuple[float, Profile]], tuple[str, ...]]:
    """Return estimate and profile by name on the reported scale, and notes."""
    check_choice("likelihood", likelihood, LIKELIHOODS)
    if likelihood == "reml" and fit.spec.method == "ml":
        raise SpecError("likelihood='reml' needs a REML fit; this one is by maximum likelihood.")
    fixed = [] if likelihood == "reml" else list(fit.design.fixed.columns)
    terms = terms if isinstance(terms, str) else list(terms)
    asked = {terms} if isinstance(terms, str) else set(terms)
    if likelihood == "reml" and asked & {"fixed", *fit.design.fixed.columns}:
        raise SpecError(
            "likelihood='reml': fixed effects are no part of the restricted likelihood; profile them by "
            "likelihood='ml'."
        )
    chosen = choose(terms, [p.name for p in _parameters(fit)], fixed)
    notes = []
    if likelihood == "ml" and fit.spec.method == "reml":
        notes.append("REML fit: profiled by maximum likelihood")
    model = by_method(fit, "ml") if likelihood == "ml" else fit
    cutoff = float(special.ndtri((1 + level) / 2))
    for _ in range(_RESTARTS):
        try:
            found, remarks = _follow_all(model, chosen, cutoff)
            return found, (*notes, *remarks)
        except BetterOptimum as better:
            notes.append(f"restarted from a better optimum found on the way, −2l = {better.value:.4f}")
            model = _restarted(model, better)
    raise SpecError("profile: better optima keep turning up; fit the model from other start= values.")


def _restarted(model: Fit, better: BetterOptimum) -> Fit:
    criterion = build_criterion(model.spec, model._work.own_design(), model._work.criterion().equations)
    start = better.theta
    if better.joint and not criterion.joint:
        start = model._work.criterion().jointly().relative(start)
    optimum = optimise(criterion, model.control, start)
    return Fit.from_optimum(
        model.spec, model.schema, model.design, criterion, optimum, engine=model.engine,
        control=model.control, notes=model.notes, inputs=model.inputs,
    )  # fmt: skip


def _follow_all(
    model: Fit, chosen: list[str], cutoff: float
) -> tuple[dict[str, tuple[float, Profile]], list[str]]:
    criterion, theta = model._work.criterion(), model.optimum.theta
    parameters = {p.name: p for p in reported_parameters(criterion, theta)}
    columns, estimable = model.design.fixed.columns, model.design.fixed.estimable
    found: dict[str, tuple[float, Profile]] = {}
    notes = []
    for name in chosen:
        if name in parameters:
            estimate, points = _covariance_profile(criterion, theta, parameters[name], cutoff, model)
        elif columns.index(name) in estimable:
            path = FixedPath(model, columns.index(name))
            estimate, points = path.estimate, follow(path, cutoff)
        else:
            estimate, points = np.nan, _no_profile("aliased with earlier columns")
        found[name] = estimate, points
        if points.note:
            notes.append(f"{name}: {points.note}")
    return found, notes


def _no_profile(reason: str) -> Profile:
    return Profile(np.empty(0), np.empty(0), np.nan, np.nan, reason)


def _covariance_profile(
    criterion: LinearCriterion, theta: Array, parameter: Reported, cutoff: float, model: Fit
) -> tuple[float, Profile]:
    natural = criterion.natural(theta)
    if parameter.kind == "angle" and not _regular(parameter, natural.values):
        return np.nan, _no_profile("a correlation with an effect of variance zero is not determined")
    path = CovariancePath(criterion.jointly(), criterion.absolute(theta), parameter, criterion.value(theta))
    points = follow(path, cutoff)
    shown = np.array([parameter.shown(value) for value in points.values])
    low, high = parameter.shown(points.low), parameter.shown(points.high)
    if points.low == path.lower and parameter.kind in ("sd", "log", "unit"):
        low = 0.0
    if points.high == path.upper and parameter.kind in ("log", "unit"):
        high = inf if parameter.kind == "log" else 1.0
    note = points.note
    if high == inf:
        note = note.replace("upper limit at the boundary", "no upper limit: −2l does not rise by so much")
    return parameter.shown(path.estimate), Profile(shown, points.zeta, low, high, note)


def covariance_limits(
    fit: Fit, parameters: Sequence[Reported], level: float
) -> tuple[Array, tuple[str, ...]]:
    """Return profile limits (k, 2) of covariance parameters by the likelihood of the fit itself, and notes."""
    cutoff = float(special.ndtri((1 + level) / 2))
    notes: tuple[str, ...] = ()
    model = fit
    for _ in range(_RESTARTS):
        criterion, theta = model._work.criterion(), model.optimum.theta
        try:
            found = [_covariance_profile(criterion, theta, p, cutoff, model)[1] for p in parameters]
        except BetterOptimum as better:
            notes = (f"restarted from a better optimum found on the way, −2l = {better.value:.4f}",)
            model = _restarted(model, better)
            continue
        remarks = (f"{p.name}: {one.note}" for p, one in zip(parameters, found, strict=True) if one.note)
        return np.array([(one.low, one.high) for one in found]).reshape(-1, 2), (*notes, *remarks)
    raise SpecError("profile: better optima keep turning up; fit the model from other start= values.")
