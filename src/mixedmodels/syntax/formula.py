"""Formula text → `ModelSpec`: random terms, smooths and offsets are told from the fixed part."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np

from ..covariance import bind
from ..errors import SpecError, suggest
from ..spec import (
    MOMENTS,
    Bounds,
    Method,
    ModelSpec,
    Moments,
    NaAction,
    RandomSpec,
    ResidualSpec,
    SmoothSpec,
    SplineSpec,
    StructureSpec,
    VarianceSpec,
    quoted,
)
from ..typing import Ddf
from .expressions import read_coding_text, read_expression
from .functions import CODING_KINDS, LARGEST_CONSTANT, SPELLINGS, TERMS_OF_THEIR_OWN
from .rendering import render
from .smooth import read_smooth
from .spelling import Piece, canonical_sum, split_sum
from .start_values import StartValues, read_pairs, read_start
from .structure_call import BarCall, plain_names, read_call, read_residual, read_variance
from .tokens import (
    EVERYTHING,
    Kind,
    Tokens,
    closing,
    fail,
    fail_at,
    outside_brackets,
    split_at_commas,
    strip_parentheses,
    tokenize,
)
from .tree import columns_of

_LOGICAL = ("I", "C", "factor", "where", "ifelse")
"""Transforms whose argument may hold a logical "or"; a bar in any other call makes it a random term."""


@dataclass(frozen=True, slots=True)
class Formula:
    """What one formula says, before the arguments beside it are added."""

    response: str
    fixed: str
    random: tuple[RandomSpec, ...]
    smooths: tuple[SplineSpec | SmoothSpec, ...]
    offsets: tuple[str, ...]


def read_formula(
    formula: str,
    *,
    residual: str | ResidualSpec | None = None,
    variance: str | VarianceSpec | tuple[VarianceSpec, ...] | None = None,
    weights: Any = None,
    method: Method | Moments = "reml",
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    bounds: Bounds = "psd",
    start: StartValues = None,
    hold: Mapping[str, float] | Iterable[str] | str | None = None,
    ddf: Ddf = "auto",
    context: Mapping[str, Any] | None = None,
) -> ModelSpec:
    """Return the `ModelSpec` that a formula and the arguments beside it ask for.

    Parameters
    ----------
    formula
        `"y ~ fixed + (effects | group)"`; see the formula guide for every form.
    residual, variance
        Residual structure `"ar1(week | id)"` and variance function `"ident(sex) * power(age)"`, as text or
        read.
    weights
        The column of known precision weights. Weights given as an array are data: they go to `build_frame`.
    contrasts
        Coding of factors by name: `"treatment"`, `"sas"`, `"sum"`, `"helmert"`, `"poly"`, `"diff"`, one of these with
        its options (`"treatment('b')"`), or a matrix with a row for every level.
    start, hold
        Natural-scale values by parameter name; names alone in `hold` are held at their starting values.
    context
        The caller's own functions by name; the spec keeps the names of those that the formula calls.

    Raises
    ------
    SpecError
        With the formula and a caret under the part that cannot be read.

    Examples
    --------
    >>> spec = read_formula("Reaction ~ Days + (Days | Subject)")
    >>> spec.response, spec.fixed, str(spec.random[0])
    ('Reaction', '1 + Days', '(1 + Days | Subject)')
    """
    if not isinstance(formula, str):
        raise SpecError(f"formula must be text such as 'y ~ x + (1 | g)', not {type(formula).__name__}.")
    for argument, value, example in (
        ("residual", residual, "'ar1(week | id)'"),
        ("variance", variance, "'ident(sex)'"),
    ):
        if value is not None and not isinstance(value, (str, ResidualSpec, VarianceSpec, tuple)):
            raise SpecError(f"{argument}={value!r} must be text such as {example}.")
    parsed = parse_formula(formula, check_functions(context))
    first, starts = read_start(start)
    return ModelSpec(
        response=parsed.response,
        fixed=parsed.fixed,
        random=parsed.random,
        smooths=parsed.smooths,
        offsets=parsed.offsets,
        residual=read_residual(residual) if isinstance(residual, str) else residual,
        variance=_read_variance(variance),
        weights=weights if isinstance(weights, str) else None,
        method=cast(Method, _likelihood_of(method)),
        moments=method.lower() if isinstance(method, str) and method.lower() in MOMENTS else None,
        contrasts=_read_contrasts(contrasts),
        na=na,
        bounds=bounds,
        ddf=_read_ddf(ddf),
        start=first,
        starts=starts,
        hold=_read_hold(hold),
        formula=formula,
        functions=_functions_used(formula, context),
    )


def _read_variance(
    variance: str | VarianceSpec | tuple[VarianceSpec, ...] | None,
) -> tuple[VarianceSpec, ...]:
    if isinstance(variance, str):
        return read_variance(variance)
    if isinstance(variance, VarianceSpec):
        return (variance,)
    return variance or ()


def _likelihood_of(method: Any) -> Any:
    """Return the likelihood of a method in small letters, as R and SAS do not write it: moments have REML's."""
    if not isinstance(method, str):
        return method
    return "reml" if method.lower() in MOMENTS else method.lower()


def _read_ddf(ddf: Any) -> Any:
    """Return a method by name as it is, and degrees of freedom that are given as plain tuples."""
    if isinstance(ddf, Mapping):
        return tuple((str(name), value) for name, value in ddf.items())
    if isinstance(ddf, (list, np.ndarray)):
        return tuple(value if value is None else float(value) for value in ddf)
    return ddf


def _read_contrasts(contrasts: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise SpecError(f"contrasts={contrasts!r} must map factors to codings, for example {{'sex': 'sum'}}.")
    return tuple((factor, _coding_text(factor, coding)) for factor, coding in (contrasts or {}).items())


def _coding_text(factor: str, coding: Any) -> str:
    """Return a coding as text: its name with its options, or the rows of its matrix."""
    if not isinstance(coding, str):
        return _matrix_text(factor, coding)
    plain = coding.lower().removeprefix("contr.")
    if plain in CODING_KINDS:
        return plain
    try:
        found = read_coding_text(coding)
    except SpecError as error:
        allowed = ", ".join(map(repr, CODING_KINDS))
        raise SpecError(
            f"contrasts: coding {coding!r} of {factor!r} is not known.{suggest(plain, CODING_KINDS)} "
            f"Use one of {allowed}, or a matrix.\n\n{error}"
        ) from None
    return coding if found.options or found.matrix else found.kind


def _matrix_text(factor: str, matrix: Any) -> str:
    labels = list(getattr(matrix, "index", [])) if hasattr(matrix, "columns") else []
    if labels != list(range(len(labels))):
        shown = ", ".join(map(str, labels[:3])) + (" …" if len(labels) > 3 else "")
        raise SpecError(
            f"contrasts: the matrix of {factor!r} has rows labelled {shown}, but rows go by the order of the levels; "
            "put them in that order and give its numbers, frame.to_numpy()."
        )
    try:
        rows = np.asarray(matrix, dtype=float)
    except (TypeError, ValueError):
        rows = np.empty(0)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.size == 0 or not (np.abs(rows) <= LARGEST_CONSTANT).all():
        raise SpecError(
            f"contrasts: {factor!r} is coded by a name such as 'sum' or by a matrix with a row of numbers for every "
            "level."
        )
    return str(rows.tolist())


def _read_hold(
    hold: Mapping[str, float] | Iterable[str] | str | None,
) -> tuple[str, ...] | tuple[tuple[str, float], ...]:
    if hold is None:
        return ()
    if isinstance(hold, str):
        return (hold,)
    return read_pairs("hold", hold) if isinstance(hold, Mapping) else tuple(str(name) for name in hold)


def check_functions(context: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names of the functions in `context=`; `SpecError` for what is no function or no new name."""
    if context is None:
        return frozenset()
    if not isinstance(context, Mapping):
        raise SpecError(f"context={context!r} must map names to functions, for example context={{'f': f}}.")
    for name, function in context.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise SpecError(f"context: {name!r} is no name of a function.")
        if (
            name in SPELLINGS
            or name in TERMS_OF_THEIR_OWN
            or name in CODING_KINDS
            or name in ("c", "np", "contr")
        ):
            raise SpecError(
                f"context: {name!r} is a word of the formula language; give your function another name."
            )
        if not callable(function):
            raise SpecError(f"context: {name!r} is {type(function).__name__} and no function.")
    return frozenset(context)


def _functions_used(formula: str, context: Mapping[str, Any] | None) -> tuple[str, ...]:
    if not context:
        return ()
    tokens = tokenize(formula)
    called = {a.text for a, b in itertools.pairwise(tokens) if a.kind is Kind.NAME and b.text == "("}
    return tuple(name for name in context if name in called)


@lru_cache(maxsize=1024)
def parse_formula(text: str, functions: frozenset[str] = frozenset()) -> Formula:
    """Return the parts of a two-sided formula, `functions` the names of the caller's own; cached on both."""
    tokens = tokenize(text)
    response, right = _sides(text, tokens, functions)
    fixed: list[Piece] = []
    random: list[RandomSpec] = []
    smooths: list[SplineSpec | SmoothSpec] = []
    offsets: list[str] = []
    for piece in split_sum(text, right):
        kind = _kind_of(text, piece.tokens)
        if kind != "fixed":
            _refuse_everything(text, piece.tokens)
        if kind != "fixed" and not piece.positive:
            fail_at("this term cannot be subtracted.", text, piece.tokens)
        if kind == "random":
            random += _random_terms(text, piece.tokens, functions)
        elif kind == "smooth":
            smooths.append(read_smooth(text, piece.tokens, functions))
        elif kind == "offset":
            offsets.append(_expression(text, piece.tokens[2:-1], functions))
        else:
            fixed.append(piece)
    _check_repeats(text, random)
    written = canonical_sum(text, fixed, functions)
    return Formula(response, written, tuple(random), tuple(smooths), tuple(offsets))


def _refuse_everything(text: str, tokens: Tokens) -> None:
    for token in tokens:
        if token.kind is Kind.NAME and token.text == EVERYTHING:
            message = "'.' stands for all other columns in the fixed part alone; name the columns here."
            fail(message, text, token.start, token.stop)


def _sides(text: str, tokens: Tokens, functions: frozenset[str]) -> tuple[str, Tokens]:
    tildes = [i for i in outside_brackets(tokens) if tokens[i].is_operator("~")]
    if not tildes:
        fail_at("a formula needs '~' between response and terms, for example y ~ x + (1 | g).", text, tokens)
    if len(tildes) > 1:
        fail("a formula has one '~'.", text, tokens[tildes[1]].start)
    left, right = tokens[: tildes[0]], tokens[tildes[0] + 1 :]
    if not left:
        fail("name the response left of '~'.", text, tokens[tildes[0]].start)
    if not right:
        fail("nothing follows '~'; write 1 for a model with an intercept only.", text, tokens[tildes[0]].stop)
    if not _only_inside_transforms(left):
        fail_at("random terms stand right of '~'.", text, left)
    return _expression(text, strip_parentheses(left), functions), right


def _expression(text: str, tokens: Tokens, functions: frozenset[str]) -> str:
    if not tokens:
        fail_at("an expression is expected here.", text, tokens)
    if any(t.kind is Kind.OPERATOR for t in (tokens[-1],)):
        fail_at(f"nothing stands after {tokens[-1].text!r}.", text, tokens[-1:])
    node = read_expression(text, tokens, functions)
    if not columns_of(node):
        fail_at("this reads no column of the data.", text, tokens)
    return render(tokens)


def _kind_of(text: str, tokens: Tokens) -> str:
    """Classify one summand of the right-hand side as "random", "smooth", "offset" or "fixed"."""
    bars = [t for t in tokens if t.is_operator("|", "||")]
    called = tokens[0].kind is Kind.NAME and len(tokens) > 2 and tokens[1].text == "("
    if called and tokens[0].text in TERMS_OF_THEIR_OWN and closing(tokens, 1) == len(tokens) - 1:
        return "offset" if tokens[0].text == "offset" else "smooth"
    for index, token in enumerate(tokens[:-1]):
        if token.text in TERMS_OF_THEIR_OWN and token.kind is Kind.NAME and tokens[index + 1].text == "(":
            fail_at(f"{token.text}(...) is a term of its own and cannot enter a product.", text, tokens)
    if not bars or _only_inside_transforms(tokens):
        return "fixed"
    if tokens[0].text == "(" and closing(tokens, 0) == len(tokens) - 1:
        if _has_own_bar(tokens[1:-1]):
            return "random"
        fail_at("a random term stands on its own: y ~ x + (1 | g).", text, tokens)
    if tokens[-1].text == ")" and called and _is_call_chain(tokens):
        return "random"
    for index in outside_brackets(tokens):
        if tokens[index] in bars:
            fail(
                "a random term stands in parentheses: (1 | g).", text, tokens[index].start, tokens[index].stop
            )
    fail_at("a random term cannot enter a product; add it with '+'.", text, tokens)
    return None


def _has_own_bar(tokens: Tokens) -> bool:
    return any(tokens[i].is_operator("|", "||") for i in outside_brackets(tokens))


def _is_call_chain(tokens: Tokens) -> bool:
    """Return whether tokens are `name(...)` or `name(...)(...)` and nothing else."""
    stop = closing(tokens, 1)
    if stop < len(tokens) - 1 and tokens[stop + 1].text == "(":
        stop = closing(tokens, stop + 1)
    return stop == len(tokens) - 1


def _only_inside_transforms(tokens: Tokens) -> bool:
    """Return whether every bar is a logical "or" inside a transform such as `I(a > 0 | b > 0)`."""
    covered = -1
    for index, token in enumerate(tokens):
        if index <= covered:
            continue
        following = tokens[index + 1].text if index + 1 < len(tokens) else ""
        transform = token.text in _LOGICAL or token.text.startswith("np.")
        if transform and following == "(":
            covered = closing(tokens, index + 1)
        elif token.is_operator("|", "||"):
            return False
    return True


def _random_terms(text: str, tokens: Tokens, functions: frozenset[str]) -> list[RandomSpec]:
    call = read_call(text, tokens)
    if (call.cov or call.precision) and len(call.groups) > 1:
        fail_at(
            "a known covariance belongs to one grouping factor; write the nested terms separately.",
            text,
            tokens,
        )
    if call.by is not None and (call.cov or call.precision):
        fail_at("by= cannot be combined with cov= or precision=.", text, tokens)
    if call.bar is None:
        fail_at("a random term needs a bar: exp(x, y | field), or (… | 1) for one group.", text, tokens)
    if call.neighbours is not None:
        named, group = call.structure or "exp", ":".join(call.groups[-1]) or "1"
        fail_at(
            "neighbours= belongs to residual=, where the field and the errors of the rows are one covariance: "
            f"residual='{named}({render(call.left)} | {group}, nugget=True, "
            f"neighbours={call.neighbours})' is this term with its errors as the nugget.",
            text,
            tokens,
        )
    structure, effects, coordinates = _effects(text, call, functions)
    return [
        RandomSpec(effects, group, structure, call.by, call.cov, call.precision, coordinates)
        for group in call.groups
    ]


def _effects(text: str, call: BarCall, functions: frozenset[str]) -> tuple[StructureSpec, str, bool]:
    """Return the structure, the canonical left side, and whether that side holds coordinates."""
    if call.bar is not None and call.bar.text == "||":
        if call.structure is not None:
            message = f"'||' means uncorrelated and {call.structure} says how they correlate; use one bar."
            fail(message, text, call.bar.start, call.bar.stop)
        return StructureSpec("diag"), _effects_text(text, call.left, functions), False
    spec = call.structure or StructureSpec("us")
    if spec.name == "kron":
        return spec, _pair_of_factors(text, spec, call.left), False
    structure = bind(spec, dimension=len(split_at_commas(call.left)))
    if structure.r_side_only:
        fail_at(f"{spec} describes residuals; give it as residual=.", text, call.left)
    if structure.needs_coordinates:
        names = plain_names(call.left)
        if not names:
            example = f"{spec}(x, y | field)"
            fail_at(f"{spec} takes coordinate columns left of the bar: {example}.", text, call.left)
        return spec, ", ".join(map(quoted, names)), True
    if structure.over_positions:
        return spec, _ordered_effects(text, spec, call.left, functions), False
    return spec, _effects_text(text, call.left, functions), False


def _pair_of_factors(text: str, spec: StructureSpec, tokens: Tokens) -> str:
    names = plain_names(tokens)
    if names is None or len(names) != len(spec.parts):
        fail_at(f"{spec} takes one factor per structure, separated by commas: trait, week.", text, tokens)
    return ", ".join(map(quoted, names))


def _effects_text(text: str, tokens: Tokens, functions: frozenset[str]) -> str:
    for index in outside_brackets(tokens):
        if tokens[index].kind is Kind.COMMA:
            fail(
                "columns of a random term are added with '+'; commas separate coordinates.",
                text,
                tokens[index].start,
            )
    effects = canonical_sum(text, split_sum(text, tokens), functions)
    if effects == "0":
        fail_at("a random term without columns has no effect; write (1 | g).", text, tokens)
    return effects


def _ordered_effects(text: str, spec: StructureSpec, tokens: Tokens, functions: frozenset[str]) -> str:
    pieces = split_sum(text, tokens)
    if any(piece.positive and render(piece.tokens) == "1" for piece in pieces):
        fail_at(f"{spec} takes positions and no intercept: {spec}(0 + week | plot).", text, tokens)
    # positions span the intercept: the implicit one of the grammar would make their order meaningless
    return "0" + _effects_text(text, tokens, functions)[1:]


def _check_repeats(text: str, random: list[RandomSpec]) -> None:
    for index, term in enumerate(random):
        if term in random[:index]:
            raise SpecError(f"the random term {term} is written twice; remove one.\n\n{text}")
