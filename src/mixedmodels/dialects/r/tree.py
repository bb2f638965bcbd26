"""What R text says: numbers, texts, names, calls, operators, assignments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ...errors import SpecError
from .lex import Kind, Source, Token


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Text:
    """A text in quotation marks."""

    value: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Name:
    """A name."""

    value: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a call: its name, None without one, and its value."""

    name: str | None
    value: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A call; `first` and `last` are the tokens it begins and ends with."""

    function: str
    arguments: tuple[Argument, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Unary:
    """An operator before its operand."""

    operator: str
    operand: Node
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between two operands."""

    operator: str
    left: Node
    right: Node
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Assign:
    """`name <- value`; in parentheses it prints."""

    target: str
    value: Node
    first: int
    last: int
    printed: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what an expression gives: `value$name`, `value[["name"]]`."""

    value: Node
    name: str
    first: int
    last: int


Node: TypeAlias = Number | Text | Name | Call | Unary | Binary | Assign | Part


@dataclass(frozen=True, slots=True)
class Program:
    """R text as statements, with the tokens they are made of."""

    source: Source
    tokens: Sequence[Token]
    statements: tuple[Node, ...]

    def text(self, node: Node) -> str:
        """Return the text of a node on one line, without comments."""
        parts, end = [], None
        for token in self.tokens[node.first : node.last + 1]:
            if token.kind is Kind.END:
                continue
            if end is not None and token.start > end:
                parts.append(" ")
            parts.append(token.text)
            end = token.stop
        return "".join(parts)

    def start(self, node: Node) -> int:
        """Return the character a node begins with."""
        return self.tokens[node.first].start

    def stop(self, node: Node) -> int:
        """Return the character after a node."""
        return self.tokens[node.last].stop

    def line(self, node: Node) -> int:
        """Return the line a node begins on, from 1."""
        return self.source.place(self.start(node))[0]

    def error(self, message: str, node: Node) -> SpecError:
        """Return an error that points at a node."""
        raise self.source.error(message, self.start(node), self.stop(node))
