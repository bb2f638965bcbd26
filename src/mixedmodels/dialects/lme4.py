"""lme4's language: `lmer(formula, data)` read, and a fitted model written as the R call that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ..api import lmm
from ..control import Control
from ..errors import SpecError
from ..fit import Fit
from ..spec import LikelihoodSpec, NaAction, RandomSpec
from ..syntax.spelling import variables
from ..syntax.start_values import StartValues
from .asked import Asked
from .r_text import family_in_r, in_r, name_in_r, response_in_r

FAMILIES = {
    "binomial": "binomial",
    "poisson": "poisson",
    "gamma": "Gamma",
    "inverse_gaussian": "inverse.gaussian",
}


def lmer(
    formula: str,
    data: Any,
    REML: bool = True,
    *,
    weights: Any = None,
    start: StartValues = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the linear mixed model that `lme4::lmer(formula, data, REML, weights = …)` fits.

    Parameters
    ----------
    formula
        As in lme4; `(x || g)` removes correlations among the columns of factors too, as its authors intended.
    data
        As for `lmm`.
    REML
        Restricted rather than full maximum likelihood.
    weights, start, contrasts, na, subset, context, control
        As for `lmm`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> round(mm.lmer("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy")).criterion, 4)
    1743.6283
    """
    if not isinstance(REML, bool):
        raise SpecError(f"REML={REML!r} must be True or False.")
    return lmm(
        formula,
        data,
        method="reml" if REML else "ml",
        weights=weights,
        start=start,
        contrasts=contrasts,
        na=na,
        subset=subset,
        context=context,
        control=control,
    )


def to_lme4(fit: Fit) -> str:
    """Return the model as an R call of `lmer`, `glmer`, `lm` or `glm`, or raise `SpecError` saying why lme4 cannot.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + I(Days^2) + (Days || Subject)", mm.datasets.load("sleepstudy"))
    >>> print(fit.to_lme4())
    lmer(Reaction ~ 1 + Days + I(Days ^ 2) + (1 + Days || Subject), data = data)
    """
    return write_lme4(Asked.of_fit(fit))


def write_lme4(asked_for: Asked) -> str:
    """Return the call; `SpecError` with the reason where lme4 does not have the model."""
    spec = asked_for.spec
    if spec.likelihood is not None and spec.likelihood.pseudo:
        _refuse(f"method={spec.likelihood.approximation!r} is pseudo-likelihood, which is MASS::glmmPQL")
    if spec.smooths:
        _refuse(f"{spec.smooths[0]} has no counterpart")
    if spec.bounds == "none":
        _refuse("lme4 keeps covariance matrices positive semidefinite, and bounds='none' does not")
    if spec.residual is not None:
        _refuse(f"residual={str(spec.residual)!r}: errors in lme4 are independent")
    if spec.variance:
        what = " * ".join(map(str, spec.variance))
        _refuse(f"variance={what!r}: errors in lme4 have one variance, or known weights")
    if spec.hold:
        _refuse("parameters cannot be held at given values")
    terms = [in_r(spec.fixed), *(f"offset({in_r(text)})" for text in spec.offsets)]
    terms += [_random_in_r(asked_for, term) for term in spec.random]
    arguments = [f"{response_in_r(spec)} ~ {' + '.join(terms)}", "data = data"]
    if spec.likelihood is not None:
        arguments += _generalised(asked_for, spec.likelihood)
    if spec.weights:
        arguments.append(f"weights = {name_in_r(spec.weights)}")
    elif asked_for.weighted:
        _refuse("weights were given as an array; make them a column of the data")
    if spec.contrasts:
        codings = ", ".join(f'{name_in_r(name)} = "contr.{coding}"' for name, coding in spec.contrasts)
        arguments.append(f"contrasts = list({codings})")
    if spec.random and spec.method == "ml" and spec.likelihood is None:
        arguments.append("REML = FALSE")
    verb = ("" if spec.likelihood is None else "g") + ("lmer" if spec.random else "lm")
    return f"{verb}({', '.join(arguments)})"


def _generalised(asked_for: Asked, asked: LikelihoodSpec) -> list[str]:
    """Return the arguments of `glmer` that `lmer` does not have."""
    if asked.parts:
        _refuse(f"{asked.parts[0].component}= is a formula beside the mean; see to_glmmtmb()")
    family = family_in_r(asked.family, asked.link, FAMILIES)
    if family is None:
        _refuse(f"family={asked.family!r} is none of {', '.join(FAMILIES)}; see to_glmmtmb()")
        raise AssertionError
    if asked.frequency or "frequency" in asked_for.beside:
        _refuse("frequency= counts equal rows; repeat the rows")
    points = [] if asked_for.points is None else [f"nAGQ = {asked_for.points}"]
    return [f"family = {family}", *points]


def _random_in_r(asked_for: Asked, term: RandomSpec) -> str:
    if term.by or term.cov or term.precision:
        _refuse(f"{term}: by=, cov= and precision= have no counterpart")
    if term.structure.name not in ("us", "diag"):
        _refuse(f"{term}: of the structures only `us` and `diag` are written")
    group = ":".join(name_in_r(name) for name in term.group)
    if term.group in ((), ("all",)):
        _refuse(f"{term} has a single group")
    bar = "|"
    if term.structure.name == "diag" and term.effects != "1":
        factors = [name for name in variables(term.effects) if asked_for.kind(name) != "number"]
        if factors:
            _refuse(
                f"{term}: `||` in lme4 keeps the correlations among the columns of a factor ({factors[0]})"
            )
        bar = "||"
    return f"({in_r(term.effects)} {bar} {group})"


def _refuse(reason: str) -> NoReturn:
    raise SpecError(f"this model cannot be written for lme4: {reason}.")
