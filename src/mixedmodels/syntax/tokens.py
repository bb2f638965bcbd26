"""Formula text cut into tokens that remember where they stood, so that an error can point."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import NoReturn

from ..errors import SpecError, caret
from .functions import MOST_CHARACTERS, MOST_NESTED


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    QUOTED = "back-ticked name"
    NUMBER = "number"
    STRING = "string"
    OPERATOR = "operator"
    OPEN = "opening bracket"
    CLOSE = "closing bracket"
    COMMA = "comma"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of formula text and its place: `text` stood at characters `start:stop`."""

    kind: Kind
    text: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """The column a name stands for, without its back-ticks; two of them stand for one inside."""
        return self.text[1:-1].replace("``", "`") if self.kind is Kind.QUOTED else self.text

    def is_operator(self, *texts: str) -> bool:
        """Return whether this is one of the operators `texts`."""
        return self.kind is Kind.OPERATOR and self.text in texts


Tokens = Sequence[Token]
EVERYTHING = "."
"""The term that stands for all columns of the data but those of the response."""

_PATTERN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<quoted>`(?:``|[^`])+`)
  | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?L?)
  | (?P<name>(?:[^\W\d]|\.(?=[^\W\d]))[\w.]*|\.(?![\w.]))
  | (?P<operator>%in%|%/%|%%|\*\*|\|\||==|!=|<=|>=|//|[~+\-*/:^|=<>&%!])
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<comma>,)
    """,
    re.VERBOSE,
)
_KINDS = {kind.name.lower(): kind for kind in Kind}
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


def fail(message: str, text: str, start: int, stop: int | None = None) -> NoReturn:
    """Raise `SpecError` with `text` and a line of carets under the characters `start:stop`."""
    flat = re.sub(r"[\n\r\t]", " ", text)
    raise SpecError(f"{message}\n\n{caret(flat, start, stop)}")


def fail_at(message: str, text: str, tokens: Tokens) -> NoReturn:
    """Raise `SpecError` pointing at a run of tokens, at the end of the text if there are none."""
    if not tokens:
        fail(message, text, len(text.rstrip()))
    fail(message, text, tokens[0].start, tokens[-1].stop)


@lru_cache(maxsize=1024)
def tokenize(text: str) -> tuple[Token, ...]:
    """Return the tokens of formula text, brackets checked to balance.

    Examples
    --------
    >>> [token.text for token in tokenize("y ~ (1 | g)")]
    ['y', '~', '(', '1', '|', 'g', ')']
    """
    if len(text) > MOST_CHARACTERS:
        raise SpecError(f"a formula has at most {MOST_CHARACTERS:,} characters; this text has {len(text):,}.")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            _fail_unreadable(text, position)
        group = str(match.lastgroup)
        if group != "space":
            tokens.append(Token(_KINDS[group], match.group(), match.start(), match.end()))
        position = match.end()
    _check_balance(text, tokens)
    _check_joined(text, tokens)
    return tuple(tokens)


def _fail_unreadable(text: str, position: int) -> NoReturn:
    character = text[position]
    if character in "\"'":
        message = "this quotation mark is never closed."
    elif character == "`":
        message = "this back-tick is never closed."
    else:
        message = f"{character!r} cannot be read here; put unusual column names in back-ticks (`a name`)."
    fail(message, text, position)


def _check_balance(text: str, tokens: Tokens) -> None:
    stack: list[Token] = []
    for token in tokens:
        if token.kind is Kind.OPEN:
            stack.append(token)
            if len(stack) > MOST_NESTED:
                fail(f"brackets stand inside one another at most {MOST_NESTED} deep.", text, token.start)
        elif token.kind is Kind.CLOSE:
            if not stack:
                fail(
                    f"{token.text!r} closes nothing; remove it or open a bracket before it.",
                    text,
                    token.start,
                )
            opener = stack.pop()
            if _CLOSERS[opener.text] != token.text:
                fail(f"{token.text!r} does not close {opener.text!r}.", text, token.start)
    if stack:
        opener = stack[-1]
        fail(f"{opener.text!r} is never closed; add {_CLOSERS[opener.text]!r}.", text, opener.start)


def _check_joined(text: str, tokens: list[Token]) -> None:
    """Raise `SpecError` where two operands stand side by side, as in `x z`; `name(` and `)(` are calls."""
    operands = (Kind.NAME, Kind.QUOTED, Kind.NUMBER, Kind.STRING)
    for left, right in pairwise(tokens):
        side_by_side = left.kind in (*operands, Kind.CLOSE) and right.kind in operands
        called = left.kind in (Kind.QUOTED, Kind.NUMBER, Kind.STRING) and right.kind is Kind.OPEN
        if side_by_side or called:
            words = left.kind is Kind.NAME and right.kind is Kind.NAME
            quoted = (
                f" A name with spaces is written in back-ticks: `{left.text} {right.text}`." if words else ""
            )
            fail(
                f"an operator is missing between {left.text!r} and {right.text!r}.{quoted}",
                text,
                right.start,
                right.stop,
            )


def closing(tokens: Tokens, opener: int) -> int:
    """Return the index of the bracket that closes the one at index `opener`."""
    depth = 0
    for index in range(opener, len(tokens)):
        depth += (tokens[index].kind is Kind.OPEN) - (tokens[index].kind is Kind.CLOSE)
        if depth == 0:
            return index
    raise ValueError("unbalanced brackets")


def outside_brackets(tokens: Tokens) -> list[int]:
    """Return the indices of the tokens that stand outside every bracket."""
    depth = 0
    found = []
    for index, token in enumerate(tokens):
        if token.kind is Kind.OPEN:
            depth += 1
        elif token.kind is Kind.CLOSE:
            depth -= 1
        elif depth == 0:
            found.append(index)
    return found


def split_at_commas(tokens: Tokens) -> list[Tokens]:
    """Return the runs of tokens between the commas that stand outside every bracket."""
    runs: list[Tokens] = []
    begin = 0
    for index in outside_brackets(tokens):
        if tokens[index].kind is Kind.COMMA:
            runs.append(tokens[begin:index])
            begin = index + 1
    runs.append(tokens[begin:])
    return runs


def strip_parentheses(tokens: Tokens) -> Tokens:
    """Return the tokens without the parentheses that enclose all of them."""
    while len(tokens) > 1 and tokens[0].text == "(" and closing(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def find_name(text: str, name: str) -> tuple[int, int] | None:
    """Return where the column `name` first stands in formula text, or None."""
    try:
        tokens = tokenize(text)
    except SpecError:
        return None
    for token in tokens:
        if token.kind in (Kind.NAME, Kind.QUOTED) and token.name == name:
            return token.start, token.stop
    return None
