"""lme4's language: `lmer(formula, data)` read, and a fitted model written as the R call that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ..api import lmm
from ..control import Control
from ..errors import SpecError
from ..fit import Fit
from ..spec import NaAction, RandomSpec
from ..syntax.spelling import variables
from ..syntax.start_values import StartValues
from ..syntax.tokens import Kind, Token, tokenize

SAME_IN_R = frozenset((
    "I", "poly", "scale", "log", "log10", "log2", "log1p", "exp", "expm1", "sqrt", "abs", "sin", "cos", "tan",
    "floor", "sign",
))  # fmt: skip
RENAMED_IN_R = {"ceil": "ceiling", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
CONSTANTS_IN_R = {"True": "TRUE", "False": "FALSE", "None": "NULL"}


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
    """Return the model as an R call of `lmer` (or `lm`), or raise `SpecError` saying why lme4 cannot fit it.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + I(Days^2) + (Days || Subject)", mm.datasets.load("sleepstudy"))
    >>> print(fit.to_lme4())
    lmer(Reaction ~ 1 + Days + I(Days ^ 2) + (1 + Days || Subject), data = data)
    """
    spec = fit.spec
    if spec.splines:
        _refuse(f"{spec.splines[0]} has no counterpart")
    if spec.bounds == "none":
        _refuse("lme4 keeps covariance matrices positive semidefinite, and bounds='none' does not")
    if spec.residual is not None:
        _refuse(f"residual={str(spec.residual)!r}: errors in lme4 are independent")
    if spec.variance:
        what = " * ".join(map(str, spec.variance))
        _refuse(f"variance={what!r}: errors in lme4 have one variance, or known weights")
    if spec.hold:
        _refuse("parameters cannot be held at given values")
    terms = [_in_r(spec.fixed), *(f"offset({_in_r(text)})" for text in spec.offsets)]
    terms += [_random_in_r(fit, term) for term in spec.random]
    arguments = [f"{_in_r(spec.response)} ~ {' + '.join(terms)}", "data = data"]
    if spec.weights:
        arguments.append(f"weights = {_name_in_r(spec.weights)}")
    elif fit.design.weighted:
        _refuse("weights were given as an array; make them a column of the data")
    if spec.contrasts:
        codings = ", ".join(f'{_name_in_r(name)} = "contr.{coding}"' for name, coding in spec.contrasts)
        arguments.append(f"contrasts = list({codings})")
    if spec.random and spec.method == "ml":
        arguments.append("REML = FALSE")
    return f"{'lmer' if spec.random else 'lm'}({', '.join(arguments)})"


def _random_in_r(fit: Fit, term: RandomSpec) -> str:
    if term.by or term.cov or term.precision:
        _refuse(f"{term}: by=, cov= and precision= have no counterpart")
    if term.structure.name not in ("us", "diag"):
        _refuse(f"{term}: of the structures only `us` and `diag` are written")
    group = ":".join(_name_in_r(name) for name in term.group)
    if term.group in ((), ("all",)):
        _refuse(f"{term} has a single group")
    bar = "|"
    if term.structure.name == "diag" and term.effects != "1":
        factors = [name for name in variables(term.effects) if fit.schema.kind(name) != "number"]
        if factors:
            _refuse(
                f"{term}: `||` in lme4 keeps the correlations among the columns of a factor ({factors[0]})"
            )
        bar = "||"
    return f"({_in_r(term.effects)} {bar} {group})"


def _in_r(text: str) -> str:
    """Return canonical formula text in R's spelling."""
    tokens = tokenize(text)
    out, end = [], 0
    for index, token in enumerate(tokens):
        out.append(text[end : token.start])
        out.append(_token_in_r(tokens, index))
        end = token.stop
    return "".join(out)


def _token_in_r(tokens: tuple[Token, ...], index: int) -> str:
    token = tokens[index]
    if token.is_operator("**"):
        return "^"
    if token.kind is not Kind.NAME:
        return token.text
    if index + 1 == len(tokens) or tokens[index + 1].text != "(":
        name = CONSTANTS_IN_R.get(token.text, token.text)
        return f"factor({name})" if _is_coded(tokens, index - 2) else name
    name = token.text.removeprefix("np.")
    if name == "C":
        return "C" if _is_coded(tokens, index) else "factor"
    if name not in SAME_IN_R and name not in RENAMED_IN_R:
        _refuse(f"{token.text}() is not the same function in R")
    return RENAMED_IN_R.get(name, name)


def _is_coded(tokens: tuple[Token, ...], index: int) -> bool:
    """Return whether `C(x, coding)` starts at a token; `C(x)` alone is `factor(x)` in R."""
    if index < 0 or index + 3 >= len(tokens) or tokens[index].text != "C":
        return False
    return tokens[index + 1].text == "(" and tokens[index + 3].kind is Kind.COMMA


def _name_in_r(name: str) -> str:
    return (
        name if name.replace("_", "a").replace(".", "a").isalnum() and not name[0].isdigit() else f"`{name}`"
    )


def _refuse(reason: str) -> NoReturn:
    raise SpecError(f"this model cannot be written for lme4: {reason}.")
