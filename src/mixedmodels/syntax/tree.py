"""The tree that arithmetic in a formula is read into."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .functions import FUNCTIONS


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A level of a factor, or the name of a choice."""

    value: str


@dataclass(frozen=True, slots=True)
class Flag:
    """True, False, or None for an option left out."""

    value: bool | None


@dataclass(frozen=True, slots=True)
class Variable:
    """A column of the data."""

    name: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list of constants, levels or lists of them."""

    values: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Coding:
    """The coding of a factor: its kind with its options, or a matrix (k, m) of the columns for k levels."""

    kind: str
    options: tuple[tuple[str, Node], ...] = ()
    matrix: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with one or two operands."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the list with an argument for each of its parameters."""

    function: str
    arguments: tuple[Node, ...]

    def argument(self, name: str) -> Node:
        """Return the argument of a parameter."""
        names = [parameter.name for parameter in FUNCTIONS[self.function].parameters]
        return self.arguments[names.index(name)]


@dataclass(frozen=True, slots=True)
class UserCall:
    """A function that the caller gave as `context=`."""

    function: str
    arguments: tuple[Node, ...]
    options: tuple[tuple[str, Node], ...] = ()


Node: TypeAlias = Number | Text | Flag | Variable | Items | Coding | Operation | Call | UserCall


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    yield node
    below: tuple[Node, ...] = ()
    if isinstance(node, Operation):
        below = node.operands
    elif isinstance(node, (Call, UserCall)):
        below = node.arguments
    elif isinstance(node, Items):
        below = node.values
    for one in below:
        yield from walk(one)


def columns_of(node: Node) -> tuple[str, ...]:
    """Return the columns an expression reads, in order of appearance."""
    return tuple(dict.fromkeys(one.name for one in walk(node) if isinstance(one, Variable)))


def constant_value(node: Node) -> float | None:
    """Return the value of an expression of numbers alone, None where it reads a column."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Call) and node.function == "I":
        return constant_value(node.arguments[0])
    if not isinstance(node, Operation):
        return None
    values = [constant_value(one) for one in node.operands]
    numbers = [value for value in values if value is not None]
    return _apply(node.operator, numbers) if len(numbers) == len(values) else None


def _apply(operator: str, values: list[float]) -> float | None:
    try:
        if len(values) == 1:
            return -values[0] if operator == "-" else values[0] if operator == "+" else None
        a, b = values
        if operator == "+":
            return a + b
        if operator == "-":
            return a - b
        if operator == "*":
            return a * b
        if operator == "/":
            return a / b
        if operator == "**":
            return math.pow(a, b)
    except (OverflowError, ZeroDivisionError, ValueError):
        return math.inf
    return None
