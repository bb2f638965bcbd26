"""Profiles of the parameters of a fit by name: which likelihood they follow, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from scipy import special

from ..errors import SpecError, suggest
from ..fit import Fit
from ..optimise.newton import optimise
from ..registry import check_choice
from ..typing import Array
from ..workings import build_criterion
from .other_method import by_method
from .paths import BetterOptimum, CoefficientPath, CovariancePath, FixedPath, Path, Surroundings
from .profile import Profile, follow
from .progress import counted
from .reported import Reported, is_regular, reported_parameters

LIKELIHOODS = ("ml", "reml")
GROUPS = ("all", "fixed", "covariance")
_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class NamedProfile:
    """The profile of one parameter on the scale it is reported on, and the estimate that stands beside it."""

    estimate: float
    points: Profile


def profiles_of(
    fit: Fit,
    terms: str | Iterable[str] | None,
    level: float,
    likelihood: str | None,
    *,
    progress: bool | None = None,
    points: bool = False,
) -> tuple[dict[str, NamedProfile], tuple[str, ...]]:
    """Return profiles by name, covariance parameters first, and notes.

    Covariance parameters follow the likelihood of the fit itself, fixed effects that of maximum likelihood; or all
    the one asked for.
    """
    fit._refuse_moments("a profile")
    fit._refuse_restricted("profiles")
    if fit.optimum.noise:
        raise SpecError(
            f"profiles compare values of -2 log L, which this fit knows to ±{fit.optimum.noise:.1g} only (iterative "
            "engine); use method='wald', or, where its tail fits, control=mm.Control(engine='blocked')."
        )
    chosen = _chosen(fit, terms, likelihood)
    fixed = set(fit.design.fixed.columns)
    groups = [[name for name in chosen if name not in fixed], [name for name in chosen if name in fixed]]
    if likelihood is not None or fit.spec.method == "ml":
        groups = [chosen]
    notes = [_which(fit, groups, likelihood)] if chosen and fit.spec.method == "reml" else []
    found: dict[str, NamedProfile] = {}
    for names in groups:
        if names:
            by_ml = likelihood == "ml" or (likelihood is None and names[0] in fixed)
            model = by_method(fit, "ml") if by_ml else fit
            profiles, remarks = _without_better(model, names, level, progress, points)
            found |= profiles
            notes += remarks
    if likelihood is None:
        estimates = dict(zip(fit.design.fixed.columns, fit.beta, strict=True))
        found = {
            name: replace(one, estimate=estimates.get(name, one.estimate)) for name, one in found.items()
        }
    return found, tuple(notes)


def _chosen(fit: Fit, terms: str | Iterable[str] | None, likelihood: str | None) -> list[str]:
    if likelihood is not None:
        check_choice("likelihood", likelihood, LIKELIHOODS)
    covariance = [p.name for p in reported_parameters(fit._work.parameters(), fit.optimum.theta)]
    if likelihood != "reml":
        return choose(terms, covariance, list(fit.design.fixed.columns))
    if fit.spec.method == "ml":
        raise SpecError("likelihood='reml' needs a REML fit; this one is by maximum likelihood.")
    terms = "all" if terms is None else terms if isinstance(terms, str) else list(terms)
    asked = {terms} if isinstance(terms, str) else set(terms)
    if asked & {"fixed", *fit.design.fixed.columns}:
        raise SpecError(
            "likelihood='reml': fixed effects are no part of the restricted likelihood; profile them by "
            "likelihood='ml'."
        )
    return choose(terms, covariance, [])


def _which(fit: Fit, groups: list[list[str]], likelihood: str | None) -> str:
    """Return the note on the likelihoods that the profiles of a REML fit follow."""
    if likelihood == "ml":
        return "REML fit: profiled by maximum likelihood"
    if likelihood == "reml" or not groups[1]:
        return "profiled by the restricted likelihood"
    if not groups[0]:
        return "fixed effects profiled by maximum likelihood"
    return "covariance parameters profiled by the restricted likelihood, fixed effects by maximum likelihood"


def choose(terms: str | Iterable[str] | None, covariance: Sequence[str], fixed: Sequence[str]) -> list[str]:
    """Return the names asked for, in the order of the table."""
    known = [*covariance, *fixed]
    terms = "all" if terms is None else terms
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


def _without_better(
    model: Fit, names: list[str], level: float, progress: bool | None, points: bool
) -> tuple[dict[str, NamedProfile], list[str]]:
    """Return the profiles of one fit, followed anew from a better optimum where one is found on the way."""
    notes: list[str] = []
    cutoff = float(special.ndtri((1 + level) / 2))
    for _ in range(_RESTARTS):
        try:
            found = _follow_all(model, names, cutoff, progress, points)
        except BetterOptimum as better:
            notes.append(f"restarted from a better optimum found on the way, −2l = {better.value:.4f}")
            model = _restarted(model, better)
            continue
        remarks = [f"{name}: {one.points.note}" for name, one in found.items() if one.points.note]
        return found, [*notes, *remarks]
    raise SpecError("profile: better optima keep turning up; fit the model from other start= values.")


def _restarted(model: Fit, better: BetterOptimum) -> Fit:
    if model._work.integrated:
        raise SpecError(
            f"profile: a better optimum than that of the fit turned up on the way, −2l = {better.value:.4f} instead of "
            f"{model.criterion:.4f}; fit the model again from other start= values."
        )
    criterion = build_criterion(model.spec, model._work.own_design(), model._work.criterion().equations)
    start = better.theta
    if better.joint and not criterion.joint:
        start = model._work.criterion().jointly().relative(start)
    optimum = optimise(criterion, model.control, start)
    return Fit.from_optimum(
        model.spec, model.schema, model.design, model._work.rows(), criterion, optimum, engine=model.engine,
        control=model.control, notes=model.notes, inputs=model.inputs,
    )  # fmt: skip


def _follow_all(
    model: Fit, names: list[str], cutoff: float, progress: bool | None, points: bool
) -> dict[str, NamedProfile]:
    parameters = {p.name: p for p in reported_parameters(model._work.parameters(), model.optimum.theta)}
    columns, estimable = model.design.fixed.columns, model.design.fixed.estimable
    joint = model._work.integrated or any(name in parameters for name in names)
    around = Surroundings.of(model) if joint else None
    found: dict[str, NamedProfile] = {}
    for name in counted(names, "profile", progress):
        if name in parameters:
            assert around is not None
            found[name] = _covariance_profile(around, parameters[name], cutoff, points)
        elif columns.index(name) in estimable:
            path = _coefficient_path(model, around, columns.index(name))
            found[name] = NamedProfile(path.estimate, follow(path, cutoff, points=points))
        else:
            found[name] = NamedProfile(np.nan, _no_profile("aliased with earlier columns"))
    return found


def _coefficient_path(model: Fit, around: Surroundings | None, column: int) -> Path:
    """Return the path along one estimable coefficient."""
    if around is None or not model._work.integrated:
        return FixedPath(model, column)
    at = model.design.fixed.estimable.index(column)
    rank = len(model.design.fixed.estimable)
    row = model.solution.basis.coefficients(np.eye(rank))[at]
    return CoefficientPath(around, model._work.likelihood().of_beta, row)


def _no_profile(reason: str) -> Profile:
    return Profile(np.empty(0), np.empty(0), np.nan, np.nan, reason)


def _covariance_profile(
    around: Surroundings, parameter: Reported, cutoff: float, points: bool = False
) -> NamedProfile:
    natural = around.criterion.natural(around.theta)
    if parameter.kind == "angle" and not is_regular(parameter, natural.values):
        return NamedProfile(
            np.nan, _no_profile("a correlation with an effect of variance zero is not determined")
        )
    path = CovariancePath(around, parameter)
    found = follow(path, cutoff, points=points)
    shown = np.array([parameter.shown(value) for value in found.values])
    low, high = parameter.shown(found.low), parameter.shown(found.high)
    if found.low == path.lower and parameter.kind in ("sd", "log", "unit"):
        low = 0.0
    if found.high == path.upper and parameter.kind in ("log", "unit"):
        high = inf if parameter.kind == "log" else 1.0
    note = found.note
    if high == inf:
        note = note.replace("upper limit at the boundary", "no upper limit: −2l does not rise by so much")
    return NamedProfile(parameter.shown(path.estimate), Profile(shown, found.zeta, low, high, note))


def covariance_limits(
    fit: Fit, parameters: Sequence[Reported], level: float
) -> tuple[Array, tuple[str, ...]]:
    """Return profile limits (k, 2) of covariance parameters by the likelihood of the fit itself, and notes."""
    cutoff = float(special.ndtri((1 + level) / 2))
    notes: tuple[str, ...] = ()
    model = fit
    for _ in range(_RESTARTS):
        around = Surroundings.of(model)
        try:
            found = [_covariance_profile(around, p, cutoff).points for p in parameters]
        except BetterOptimum as better:
            notes = (f"restarted from a better optimum found on the way, −2l = {better.value:.4f}",)
            model = _restarted(model, better)
            continue
        remarks = (f"{p.name}: {one.note}" for p, one in zip(parameters, found, strict=True) if one.note)
        return np.array([(one.low, one.high) for one in found]).reshape(-1, 2), (*notes, *remarks)
    raise SpecError("profile: better optima keep turning up; fit the model from other start= values.")
