"""glmmTMB's language: its call read, and a fitted model written as the call that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ..api.generalised import WITH_TRIALS
from ..api.glmm import glmm
from ..control import Control
from ..errors import SpecError
from ..fit import Fit
from ..spec import NaAction, RandomSpec
from ..syntax.spelling import variables
from ..syntax.tokens import Kind, closing, tokenize
from .asked import Asked
from .r_text import family_in_r, in_r, name_in_r, read_family, response_in_r

FAMILIES = {
    "gaussian": "gaussian",
    "binomial": "binomial",
    "poisson": "poisson",
    "gamma": "Gamma",
    "lognormal": "lognormal",
    "nb2": "nbinom2",
    "nb1": "nbinom1",
    "genpois": "genpois",
    "compois": "compois",
    "beta": "beta_family",
    "ordered_beta": "ordbeta",
    "betabinomial": "betabinomial",
    "tweedie": "tweedie",
    "t": "t_family",
    "truncated_poisson": "truncated_poisson",
    "truncated_nb1": "truncated_nbinom1",
    "truncated_nb2": "truncated_nbinom2",
}
STRUCTURES = {
    "us": "us",
    "diag": "diag",
    "homdiag": "homdiag",
    "hcs": "cs",
    "cs": "homcs",
    "ar1": "ar1",
    "htoep": "toep",
}
"""Structures by their names there: its `cs` and `toep` have a variance for every column."""


READ = {"cs": "hcs", "homcs": "cs", "toep": "htoep", "homtoep": "toep", "hetar1": "har1"}
"""Its names of structures that have other names here."""


def glmmTMB(
    formula: str,
    data: Any,
    family: str = "gaussian",
    ziformula: str = "~0",
    dispformula: str = "~1",
    *,
    REML: bool = False,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    control: Control | None = None,
) -> Fit:
    """Return the model that `glmmTMB::glmmTMB(formula, data, family, ziformula = …, dispformula = …)` fits.

    Parameters
    ----------
    formula
        As in glmmTMB; structures are written `ar1(0 + week | plot)`, `cs(0 + f | g)` …
    data
        As for `glmm`.
    family
        glmmTMB's name, with its link: `"nbinom2"`, `"beta_family"`, `'binomial(link = "probit")'`.
    ziformula, dispformula
        `"~ 0"` for no structural zeros; beside a truncated family the zeros are those of a hurdle.
    REML
        Laplace's approximation over the fixed effects too.
    weights
        As in glmmTMB: trials of a binomial proportion, otherwise how often a row counts in the log-likelihood.
    offset, contrasts, na, subset, control
        As for `glmm`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.datasets.load("salamanders")
    >>> fit = mm.glmmTMB("count ~ spp + mined + (1 | site)", data, "poisson", ziformula="~ mined")
    >>> round(fit.loglik, 3)
    -886.764
    """
    formula, ziformula, dispformula = map(_renamed, (formula, ziformula, dispformula))
    name, link = read_family(family)
    counted = name in WITH_TRIALS
    zeros = None if _same(ziformula, "~0") else ziformula
    truncated = name.startswith("truncated_")
    return glmm(
        formula,
        data,
        name,
        link,
        dispersion=None if _same(dispformula, "~1") else dispformula,
        zero_inflation=None if truncated else zeros,
        hurdle=zeros if truncated else None,
        reml=REML,
        trials=weights if counted else None,
        frequency=None if counted else weights,
        offset=offset,
        contrasts=contrasts,
        na=na,
        subset=subset,
        control=control,
    )


def _renamed(text: str) -> str:
    """Return a formula with glmmTMB's structures under their names here; its `cs` and `toep` have own variances."""
    if not isinstance(text, str):
        return text
    tokens = tokenize(text)
    for place in reversed(range(len(tokens) - 1)):
        token = tokens[place]
        name = READ.get(token.text)
        if name is None or token.kind is not Kind.NAME or tokens[place + 1].text != "(":
            continue
        inside = tokens[place + 2 : closing(tokens, place + 1)]
        if any(one.is_operator("|") for one in inside):
            text = text[: token.start] + name + text[token.stop :]
    return text


def _same(text: Any, other: str) -> bool:
    return isinstance(text, str) and "".join(text.split()) == other


def to_glmmtmb(fit: Fit) -> str:
    """Return the model as an R call of `glmmTMB`, or raise `SpecError` saying why it cannot be written there.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.datasets.load("salamanders")
    >>> fit = mm.glmm("count ~ spp + mined + (1 | site)", data, "poisson", zero_inflation="~ mined")
    >>> print(fit.to_glmmtmb())
    glmmTMB(count ~ 1 + spp + mined + (1 | site), data = data, family = poisson(), ziformula = ~1 + mined)
    """
    return write_glmmtmb(Asked.of_fit(fit))


def write_glmmtmb(asked_for: Asked) -> str:
    """Return the call; `SpecError` with the reason where glmmTMB does not have the model."""
    spec = asked_for.spec
    asked = spec.likelihood
    if asked is not None and asked.approximation != "laplace":
        _refuse(f"method={asked.approximation!r}: glmmTMB has Laplace's approximation alone")
    if spec.residual is not None or spec.variance:
        _refuse("residual= and variance= have no counterpart")
    if spec.smooths or spec.hold:
        _refuse("splines and held parameters have no counterpart")
    if spec.weights or (asked_for.weighted and (asked is None or not asked.pseudo)):
        _refuse("weights there multiply log-densities; known precisions have no counterpart")
    if spec.bounds == "none":
        _refuse("covariance matrices stay positive semidefinite there, and bounds='none' does not")
    mean = _sum(asked_for, spec.fixed, spec.offsets, spec.random)
    arguments = [f"{response_in_r(spec)} ~ {mean}", "data = data"]
    if asked is None:
        arguments += [] if spec.method == "ml" else ["REML = TRUE"]
    else:
        components = {part.component: part for part in asked.parts}
        name = _truncated(asked.family) if "hurdle" in components else asked.family
        family = family_in_r(name, asked.link, FAMILIES)
        if family is None:
            _refuse(f"family={asked.family!r} is not among its families")
        arguments.append(f"family = {family}")
        for component, argument in (
            ("zero", "ziformula"),
            ("hurdle", "ziformula"),
            ("dispersion", "dispformula"),
        ):
            if (part := components.get(component)) is not None:  # type: ignore[call-overload]
                arguments.append(f"{argument} = ~{_sum(asked_for, part.fixed, part.offsets, part.random)}")
        arguments += ["REML = TRUE"] if spec.method == "reml" else []
        if asked.frequency:
            arguments.append(f"weights = {name_in_r(asked.frequency)}")
    if spec.contrasts:
        codings = ", ".join(f'{name_in_r(name)} = "contr.{coding}"' for name, coding in spec.contrasts)
        arguments.append(f"contrasts = list({codings})")
    return f"glmmTMB({', '.join(arguments)})"


def _truncated(family: str) -> str:
    """Return the family of a response without zeros: `ziGamma` and its like are the family itself there."""
    return f"truncated_{family}" if f"truncated_{family}" in FAMILIES else family


def _sum(asked_for: Asked, fixed: str, offsets: tuple[str, ...], random: tuple[RandomSpec, ...]) -> str:
    terms = [in_r(fixed), *(f"offset({in_r(text)})" for text in offsets)]
    return " + ".join(terms + [_bar(asked_for, term) for term in random])


def _bar(asked_for: Asked, term: RandomSpec) -> str:
    if term.by or term.cov or term.precision or term.coordinates or term.structure.nugget:
        _refuse(f"{term}: by=, cov=, precision=, coordinates and nugget= are not written")
    structure = STRUCTURES.get(term.structure.name)
    if structure is None or term.structure.order or term.structure.parts:
        _refuse(f"{term}: of the structures {', '.join(STRUCTURES)} are written")
    effects = in_r(term.effects)
    position = effects.removeprefix("0 + ")
    if structure in ("ar1", "toep", "cs", "homcs") and position in map(name_in_r, variables(term.effects)):
        # its positions are levels of a factor
        effects = f"0 + factor({position})"
    inside = f"({effects} | {':'.join(name_in_r(name) for name in term.group) or '1'})"
    return inside if structure == "us" else f"{structure}{inside}"


def _refuse(reason: str) -> NoReturn:
    raise SpecError(f"this model cannot be written for glmmTMB: {reason}.")
