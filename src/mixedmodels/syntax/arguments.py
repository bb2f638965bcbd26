"""Arguments of the functions of the language: bound to their parameters, of the right kind, within the limits."""

from __future__ import annotations

from typing import NoReturn, Protocol

from ..errors import suggest
from .functions import (
    ADVICE,
    CODING_KINDS,
    CODING_SPELLINGS,
    FUNCTIONS,
    REQUIRED,
    CodingOption,
    Function,
    Parameter,
    allowed_functions,
)
from .tokens import Kind, Token, Tokens, closing, fail, fail_at, split_at_commas
from .tree import Call, Coding, Flag, Items, Node, Number, Text, constant_value


class Inner(Protocol):
    """What reads the runs of tokens between commas."""

    text: str

    def inner(self, tokens: Tokens) -> Node: ...
    def deeper(self, token: Token) -> None: ...

    depth: int


def refuse_function(text: str, token: Token) -> NoReturn:
    """Raise `SpecError` for a function or dotted name that is not in the language."""
    advice = ADVICE.get(token.text) or suggest(token.text, allowed_functions())
    if not advice:
        advice = " Functions of your own are given as context={'f': f}; the language has a closed list."
    fail(f"unknown function {token.text!r}.{advice}", text, token.start, token.stop)


def bind_arguments(reader: Inner, token: Token, function: str, runs: list[Tokens]) -> Node:
    """Return a call of a listed function with every parameter given its argument or its default."""
    listed = FUNCTIONS[function]
    reader.deeper(token)
    given: dict[str, Node] = {}
    for place, run in enumerate(runs):
        parameter, values = _parameter(reader, token, listed, place, run, given)
        given[parameter.name] = _argument(reader, listed, parameter, values)
    reader.depth -= 1
    for parameter in listed.parameters:
        if parameter.name in given:
            continue
        if parameter.default is REQUIRED:
            fail_at(f"{token.text} needs {parameter.name}: {signature(listed)}.", reader.text, [token])
        given[parameter.name] = _default(parameter)
    return Call(function, tuple(given[parameter.name] for parameter in listed.parameters))


def signature(function: Function) -> str:
    """Return how a function is called.

    Examples
    --------
    >>> signature(FUNCTIONS["poly"])
    'poly(x, degree=1, raw=False)'
    """
    shown = [p.name if p.default is REQUIRED else f"{p.name}={p.default}" for p in function.parameters]
    return f"{function.name}({', '.join(shown)})"


def _parameter(
    reader: Inner, token: Token, listed: Function, place: int, run: Tokens, given: dict[str, Node]
) -> tuple[Parameter, Tokens]:
    """Return the parameter that the run at a place between commas is for, and the tokens of its value."""
    if not run:
        fail_at(f"an argument of {token.text} is missing: {signature(listed)}.", reader.text, [token])
    if len(run) > 1 and run[0].kind is Kind.NAME and run[1].is_operator("="):
        names = {name: p for p in listed.parameters for name in (p.name, *p.also)}
        if run[0].text not in names:
            hint = suggest(run[0].text, names)
            fail_at(
                f"{token.text} has no option {run[0].text!r}.{hint} {signature(listed)}.",
                reader.text,
                run[:1],
            )
        parameter, values = names[run[0].text], run[2:]
    elif place >= len(listed.parameters):
        most = "one argument" if len(listed.parameters) == 1 else f"{len(listed.parameters)} arguments"
        fail_at(f"{token.text} has at most {most}: {signature(listed)}.", reader.text, run)
    else:
        parameter, values = listed.parameters[place], run
    if parameter.name in given:
        fail_at(f"{parameter.name} is given twice.", reader.text, run)
    if not values:
        fail_at(f"{parameter.name}= has no value.", reader.text, run)
    return parameter, values


def _argument(reader: Inner, listed: Function, parameter: Parameter, tokens: Tokens) -> Node:
    if parameter.takes == "coding":
        return read_coding(reader, tokens)
    node = reader.inner(tokens)
    name = f"{listed.name}: {parameter.name}"
    if isinstance(node, Flag) and node.value is None and parameter.default is None:
        return node
    if parameter.takes == "values":
        if isinstance(node, (Text, Items, Flag, Coding)):
            fail_at(f"{name} is a column or a number.", reader.text, tokens)
        return node
    number = constant_value(node)
    if parameter.takes in ("integer", "number") or (
        parameter.takes == "flag or number" and number is not None
    ):
        return _number(reader, name, parameter, number, tokens)
    if parameter.takes in ("flag", "flag or number"):
        if not isinstance(node, Flag) or node.value is None:
            fail_at(f"{name} is True or False.", reader.text, tokens)
        return node
    if parameter.takes == "choice":
        if not isinstance(node, Text) or node.value not in parameter.choices:
            hint = suggest(node.value, parameter.choices) if isinstance(node, Text) else ""
            fail_at(f"{name} is one of {', '.join(map(repr, parameter.choices))}.{hint}", reader.text, tokens)
        return node
    return _list(reader, name, parameter, node, tokens)


def _number(reader: Inner, name: str, parameter: Parameter, number: float | None, tokens: Tokens) -> Number:
    whole = parameter.takes == "integer"
    if number is None or (whole and number != int(number)):
        fail_at(f"{name} is a {'whole ' if whole else ''}number.", reader.text, tokens)
    if not parameter.least <= number <= parameter.most:
        fail_at(f"{name} is from {parameter.least:g} to {parameter.most:g}.", reader.text, tokens)
    return Number(float(number))


def _list(reader: Inner, name: str, parameter: Parameter, node: Node, tokens: Tokens) -> Items:
    values = node.values if isinstance(node, Items) else (node,)
    if parameter.takes == "numbers" and not all(isinstance(one, Number) for one in values):
        fail_at(f"{name} is a list of numbers, [1, 2.5].", reader.text, tokens)
    if parameter.takes == "levels" and not all(isinstance(one, (Number, Text, Flag)) for one in values):
        fail_at(f"{name} is a list of levels, ['a', 'b'].", reader.text, tokens)
    return Items(values)


def _default(parameter: Parameter) -> Node:
    value = parameter.default
    if value is None or isinstance(value, bool):
        return Flag(value)
    if isinstance(value, str):
        return Text(value)
    assert isinstance(value, (int, float))
    return Number(float(value))


def read_coding(reader: Inner, tokens: Tokens) -> Node:
    """Return the coding `contr.sum`, `Treatment('b')` or a matrix `[[1, 0], [0, 1], [-1, -1]]`."""
    first = tokens[0]
    if first.text in ("[", "c") or (first.text == "None" and len(tokens) == 1):
        node = reader.inner(tokens)
        return node if isinstance(node, Flag) else Coding("matrix", matrix=_matrix(reader, node, tokens))
    kind = CODING_SPELLINGS.get(first.text) or (first.text if first.text in CODING_KINDS else None)
    if first.kind is Kind.STRING:
        kind = CODING_SPELLINGS.get(first.text[1:-1]) or (
            first.text[1:-1] if first.text[1:-1] in CODING_KINDS else None
        )
    if kind is None:
        hint = suggest(first.text, [*CODING_SPELLINGS, *CODING_KINDS])
        if first.kind is Kind.NAME and len(tokens) > 1 and not hint:
            refuse_function(reader.text, first)
        known = ", ".join(CODING_SPELLINGS)
        fail_at(f"contrasts are one of {known}, or a matrix of numbers.{hint}", reader.text, tokens)
    if len(tokens) == 1:
        return Coding(kind)
    if tokens[1].text != "(" or closing(tokens, 1) != len(tokens) - 1:
        fail_at("contrasts are written contr.sum or contr.treatment('b').", reader.text, tokens)
    runs = [run for run in split_at_commas(tokens[2:-1]) if run]
    return Coding(kind, _coding_options(reader, kind, runs, tokens))


def _coding_options(
    reader: Inner, kind: str, runs: list[Tokens], tokens: Tokens
) -> tuple[tuple[str, Node], ...]:
    known = CODING_KINDS[kind].options
    found: dict[str, Node] = {}
    for place, run in enumerate(runs):
        named = len(run) > 2 and run[0].kind is Kind.NAME and run[1].is_operator("=")
        name = {"reference": "base"}.get(run[0].text, run[0].text) if named else ""
        option = (
            next((o for o in known if o.name == name), None)
            if named
            else (known[place : place + 1] or (None,))[0]
        )
        if option is None:
            allowed = ", ".join(o.name for o in known) or "no options"
            fail_at(f"{kind} contrasts take {allowed}.", reader.text, run)
        found[option.name] = _coding_value(reader, kind, option, run[2:] if named else run)
    return tuple(found.items())


def _coding_value(reader: Inner, kind: str, option: CodingOption, tokens: Tokens) -> Node:
    node = reader.inner(tokens)
    if option.takes == "flag" and isinstance(node, Flag) and node.value is not None:
        return node
    if option.takes == "level" and (isinstance(node, (Text, Flag)) or constant_value(node) is not None):
        value = constant_value(node)
        return node if value is None else Number(value)
    if (
        option.takes == "numbers"
        and isinstance(node, Items)
        and all(isinstance(v, Number) for v in node.values)
    ):
        return node
    what = {"flag": "True or False", "level": "a level", "numbers": "a list of numbers"}[option.takes]
    fail_at(f"{option.name}= of {kind} contrasts is {what}.", reader.text, tokens)
    return None


def _matrix(reader: Inner, node: Node, tokens: Tokens) -> tuple[tuple[float, ...], ...]:
    """Return the rows of `[[1, 0], [0, 1]]`; a plain list is one column."""
    assert isinstance(node, Items)
    rows = [one.values if isinstance(one, Items) else (one,) for one in node.values]
    numbers = [[v.value for v in row if isinstance(v, Number)] for row in rows]
    if not numbers or len({len(row) for row in numbers}) != 1 or [*map(len, numbers)] != [*map(len, rows)]:
        fail_at(
            "a contrast matrix has a list of numbers for every level, all of one length.", reader.text, tokens
        )
    return tuple(map(tuple, numbers))
