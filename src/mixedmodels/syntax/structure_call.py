"""Structures as written: `ar1(week | id, by=sex)`, `toep(3)(visit | id)`, `ident(sex) * power(age)`.

The same reader serves random terms (inside the formula), `residual=` and `variance=`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from ..errors import SpecError, suggest
from ..spec import ResidualSpec, StructureSpec, VarianceSpec
from ..variance import variance_class
from .algebra import expand
from .functions import LARGEST_INTEGER
from .rendering import render
from .spelling import canonical_sum, split_sum
from .tokens import (
    Kind,
    Token,
    Tokens,
    closing,
    fail,
    fail_at,
    outside_brackets,
    split_at_commas,
    strip_parentheses,
    tokenize,
)

_VARIANCE_EXAMPLES = {"ident": "ident(sex)", "log_linear": "log_linear(age + sex)"}

_OPTIONS = ("by", "cov", "precision", "nugget", "neighbours", "q", "p")


@dataclass(frozen=True, slots=True)
class BarCall:
    """The parts of `structure(left | groups, options)`.

    `structure` is None for a plain bar; `bar` is the bar itself, None where there is none; `groups` holds one
    tuple of column names per grouping factor that the right side expands to.
    """

    structure: StructureSpec | None
    left: Tokens
    bar: Token | None
    groups: tuple[tuple[str, ...], ...]
    by: str | None = None
    cov: str | None = None
    precision: str | None = None
    neighbours: int | None = None


def read_residual(text: str) -> ResidualSpec:
    """Return the residual structure written as `structure(position | cluster, by=, neighbours=)`.

    Examples
    --------
    >>> read_residual("ar1(week | id)").cluster
    ('id',)
    """
    tokens = tokenize(text)
    if not tokens:
        raise SpecError("residual= is empty; write for example 'ar1(week | id)', or leave it out.")
    call = read_call(text, tokens)
    for option, value in (("cov", call.cov), ("precision", call.precision)):
        if value is not None:
            fail_at(f"{option}= belongs to a random term, not to the residual structure.", text, tokens)
    if call.structure is None:
        fail_at("name the residual structure, for example ar1(week | id).", text, tokens)
    if call.bar is None:
        fail_at(
            "name the cluster right of a bar, ar1(week | id), or 1 for one cluster of all rows.", text, tokens
        )
    if call.bar.text == "||":
        fail_at("'||' belongs to random terms; use one bar.", text, [call.bar])
    # a nested cluster a/b means the innermost units, as in nlme
    return ResidualSpec(
        call.structure, _positions(text, call.left), call.groups[-1], call.by, call.neighbours
    )


def _positions(text: str, tokens: Tokens) -> tuple[str, ...]:
    if render(tokens) == "1":
        return ()
    positions = plain_names(tokens)
    if positions is None:
        fail_at("left of the bar stands a column (or columns separated by commas), or 1.", text, tokens)
    return positions


def plain_names(tokens: Tokens) -> tuple[str, ...] | None:
    """Return the columns named by `x, y`, `x + y`, `0 + x` or `factor(x)`, None for anything else."""
    names: list[str] = []
    for run in split_at_commas(tokens):
        try:
            terms = expand(render(run)) if run else ()
        except SpecError:
            return None
        terms = tuple(term for term in terms if term)
        if not terms or any(len(term) != 1 or not term[0].variable for term in terms):
            return None
        names += [term[0].variable for term in terms]
    return tuple(names)


def read_variance(text: str) -> tuple[VarianceSpec, ...]:
    """Return the product of residual variance functions, `"ident(sex) * power(age)"`, as a tuple.

    Examples
    --------
    >>> [str(part) for part in read_variance("ident(sex) * power(age)")]
    ['ident(sex)', 'power(age)']
    """
    tokens = tokenize(text)
    bounds = [-1, *(i for i in outside_brackets(tokens) if tokens[i].is_operator("*")), len(tokens)]
    return tuple(
        _variance_function(text, tokens[begin + 1 : end]) for begin, end in itertools.pairwise(bounds)
    )


def _variance_function(text: str, tokens: Tokens) -> VarianceSpec:
    if not tokens or tokens[0].kind is not Kind.NAME:
        fail_at("a variance function is written ident(sex), power(age) or power(fitted).", text, tokens)
    try:
        kind = variance_class(tokens[0].text)
    except SpecError as error:
        fail_at(str(error), text, tokens[:1])
    name = kind.names[0]
    if len(tokens) < 4 or tokens[1].text != "(" or closing(tokens, 1) != len(tokens) - 1:
        example = _VARIANCE_EXAMPLES.get(name, f"{name}(fitted)")
        fail_at(f"say what the variance depends on, for example {example}.", text, tokens)
    runs, by = split_at_commas(tokens[2:-1]), None
    if len(runs[-1]) == 3 and runs[-1][0].text == "by" and runs[-1][1].is_operator("="):
        by = _column(text, runs[-1][2:])
        runs = runs[:-1]
    if name == "log_linear":
        return VarianceSpec(name, (_linear_predictor(text, runs, tokens),), by)
    arguments = tuple(_column(text, run) for run in runs)
    if not arguments:
        fail_at(f"say what the variance depends on, for example {name}(age, by=sex).", text, tokens)
    if kind.needs_covariate and len(arguments) > 1:
        fail_at(f"{name} takes one covariate; multiply functions of several with '*'.", text, tokens)
    return VarianceSpec(name, arguments, by)


def _linear_predictor(text: str, runs: list[Tokens], tokens: Tokens) -> str:
    if len(runs) != 1:
        fail_at("log_linear takes one formula without intercept, as in log_linear(age + sex).", text, tokens)
    return canonical_sum(text, split_sum(text, runs[0])).removeprefix("1 + ").removeprefix("0 + ")


def read_call(text: str, tokens: Tokens) -> BarCall:
    """Return the parts of `(left | right)`, `name(left | right)` or `name(order)(left | right)`."""
    if tokens[0].text == "(" and closing(tokens, 0) == len(tokens) - 1:
        opener, structure = 0, None
    else:
        opener = _last_opener(text, tokens)
        structure = read_structure(text, tokens[:opener])
    return _read_inside(text, tokens[opener:], structure)


def _last_opener(text: str, tokens: Tokens) -> int:
    openers = [
        i for i, token in enumerate(tokens) if token.text == "(" and closing(tokens, i) == len(tokens) - 1
    ]
    if not openers:
        fail_at("a structure is written name(position | cluster), for example ar1(week | id).", text, tokens)
    return openers[0]


def _read_inside(text: str, tokens: Tokens, structure: StructureSpec | None) -> BarCall:
    inside = tokens[1:-1]
    bars = [i for i in outside_brackets(inside) if inside[i].is_operator("|", "||")]
    if len(bars) > 1:
        fail("a term has one bar.", text, inside[bars[1]].start, inside[bars[1]].stop)
    options: list[Tokens] = []
    left: Tokens = inside
    right: Tokens = ()
    bar: Token | None = None
    if not bars:
        if structure is None:
            fail_at("a random term needs a bar: (1 | group).", text, tokens)
    else:
        bar = inside[bars[0]]
        left = inside[: bars[0]]
        right, *options = split_at_commas(inside[bars[0] + 1 :])
        if not right:
            fail(
                "name the grouping factor right of the bar, for example (1 | subject).",
                text,
                tokens[-1].start,
            )
    if not left:
        place = tokens[0].stop if bar is None else bar.start
        fail("the left side of the bar is empty; write 1 for an intercept.", text, place)
    call = BarCall(structure, left, bar, read_groups(text, right) if right else ((),))
    return _with_options(text, call, options)


def read_groups(text: str, tokens: Tokens) -> tuple[tuple[str, ...], ...]:
    """Return the grouping factors of the right side of a bar: `a/b` is a and a:b, `1` is everything."""
    inner = strip_parentheses(tokens)
    for index in outside_brackets(inner):
        if inner[index].is_operator("+"):
            fail("write crossed groups as separate terms: (1 | a) + (1 | b).", text, inner[index].start)
    try:
        terms = expand(render(inner))
    except SpecError:
        terms = ()
    if not terms or any(not atom.variable for term in terms for atom in term):
        fail_at(
            "the grouping side takes columns joined by ':' or '/'; make anything else a column.", text, tokens
        )
    return tuple(tuple(atom.variable for atom in term) for term in terms)


def _with_options(text: str, call: BarCall, options: list[Tokens]) -> BarCall:
    values: dict[str, str] = {}
    for run in options:
        if len(run) < 3 or run[0].kind is not Kind.NAME or not run[1].is_operator("="):
            fail_at(f"after the group come options such as by=sex; known: {', '.join(_OPTIONS)}.", text, run)
        name = run[0].text
        if name not in _OPTIONS:
            hint = suggest(name, _OPTIONS)
            fail_at(f"unknown option {name!r}.{hint} Available: {', '.join(_OPTIONS)}.", text, run[:1])
        if name in values:
            fail_at(f"{name}= is given twice.", text, run)
        values[name] = _option_value(text, name, run[2:])
    if "cov" in values and "precision" in values:
        fail_at("give cov= or precision=, not both.", text, options[-1])
    structure = _structure_with_options(text, call, values, options)
    if structure is not None:
        _check_structure(text, structure, call.left)
    return replace(
        call,
        structure=structure,
        by=values.get("by"),
        cov=values.get("cov"),
        precision=values.get("precision"),
        neighbours=_neighbours(text, structure, values, options),
    )


def _neighbours(
    text: str, structure: StructureSpec | None, values: Mapping[str, str], options: list[Tokens]
) -> int | None:
    """Return how many neighbours each row is given, None for all."""
    if "neighbours" not in values:
        return None
    from ..covariance import structure_class

    if structure is None or not structure_class(structure.name).on_pairs:
        named = "this term" if structure is None else structure.name
        fail_at(
            f"neighbours= belongs to a structure of distances such as exp(x, y | field); {named} has none.",
            text,
            options[0],
        )
    return int(values["neighbours"])


def _option_value(text: str, name: str, tokens: Tokens) -> str:
    if name in ("q", "p"):
        return str(_integer(text, tokens, 0))
    if name == "neighbours":
        return str(_integer(text, tokens))
    if name == "nugget":
        flag = {"True": "True", "TRUE": "True", "False": "", "FALSE": ""}.get(render(tokens))
        if flag is None:
            fail_at("nugget= is True or False.", text, tokens)
        return flag
    return _column(text, tokens)


def _structure_with_options(
    text: str, call: BarCall, values: Mapping[str, str], options: list[Tokens]
) -> StructureSpec | None:
    given = {key: int(values[key]) for key in ("p", "q") if key in values}
    order = tuple(given.values())
    if not order and not values.get("nugget"):
        return call.structure
    if call.structure is None:
        fail_at(
            "q=, p= and nugget= belong to a named structure such as fa(0 + trait | id, q=2).",
            text,
            options[0],
        )
    if order and call.structure.order:
        fail_at("the order is given twice.", text, options[0])
    order = _order(text, call.structure.name, given, options[0]) if order else call.structure.order
    return replace(call.structure, order=order, nugget=bool(values.get("nugget")))


def _order(text: str, name: str, given: Mapping[str, int], tokens: Tokens) -> tuple[int, ...]:
    """Return the order that p= and q= give; the part of `arma` that is not given is 0, as in nlme's corARMA."""
    if name == "arma":
        return given.get("p", 0), given.get("q", 0)
    if 0 in given.values():
        fail_at("a positive whole number is expected here.", text, tokens)
    return tuple(given[key] for key in ("p", "q") if key in given)


def _column(text: str, tokens: Tokens) -> str:
    if len(tokens) != 1 or tokens[0].kind not in (Kind.NAME, Kind.QUOTED):
        fail_at("a name is expected here.", text, tokens)
    return tokens[0].name


def _integer(text: str, tokens: Tokens, least: int = 1) -> int:
    written = render(tokens)
    if not written.isdecimal() or int(written[:20]) < least:
        fail_at("a positive whole number is expected here.", text, tokens)
    if int(written[:20]) > LARGEST_INTEGER:
        fail_at(f"whole numbers are at most {LARGEST_INTEGER:,} here.", text, tokens)
    return int(written)


def read_structure(text: str, tokens: Tokens) -> StructureSpec:
    """Return the structure written as `ar1`, `toep(3)`, `AR(1)` or `kron(us, ar1)`."""
    if tokens[0].kind is not Kind.NAME:
        fail_at("the name of a covariance structure is expected here.", text, tokens)
    name = tokens[0].text
    if len(tokens) == 1:
        return StructureSpec(_canonical(text, name, tokens[:1]))
    if (alias := _known_name(render(tokens).replace(" ", ""))) is not None:
        return StructureSpec(alias)
    if tokens[1].text != "(" or closing(tokens, 1) != len(tokens) - 1:
        fail_at("a structure is written name or name(order).", text, tokens)
    runs = split_at_commas(tokens[2:-1])
    canonical = _canonical(text, name, tokens[:1])
    if all(run and run[0].kind is Kind.NUMBER for run in runs):
        least = 0 if canonical == "arma" else 1
        return StructureSpec(canonical, order=tuple(_integer(text, run, least) for run in runs))
    named = [len(run) == 3 and run[0].text in ("p", "q") and run[1].is_operator("=") for run in runs]
    if all(named) and len({run[0].text for run in runs}) == len(runs):
        given = {run[0].text: _integer(text, run[2:], 0) for run in runs}
        return StructureSpec(canonical, order=_order(text, canonical, given, tokens[2:-1]))
    if canonical != "kron":
        fail_at(f"{name} takes whole numbers as its order, for example {name}(2).", text, tokens[2:-1])
    return StructureSpec(canonical, parts=tuple(read_structure(text, run) for run in runs))


def _canonical(text: str, name: str, tokens: Tokens) -> str:
    canonical = _known_name(name)
    if canonical is None:
        from ..covariance import structure_class

        try:
            structure_class(name)
        except SpecError as error:
            fail_at(str(error), text, tokens)
    return str(canonical)


@lru_cache(maxsize=256)
def _known_name(name: str) -> str | None:
    from ..covariance import structure_class

    try:
        return structure_class(name).names[0]
    except SpecError:
        return None


def _check_structure(text: str, spec: StructureSpec, tokens: Tokens) -> None:
    from ..covariance import bind

    try:
        if spec.name == "lin":  # its matrices come with the data
            if spec.order or spec.parts:
                raise SpecError(f"{spec}: lin takes no order; its matrices are those of known=.")
        elif spec.name == "kron":  # its sizes are the numbers of levels, which only the data know
            for part in spec.parts:
                bind(part, dimension=1)
        else:
            bind(spec, dimension=len(split_at_commas(tokens)))
    except (SpecError, ValueError) as error:
        fail_at(str(error), text, tokens)
