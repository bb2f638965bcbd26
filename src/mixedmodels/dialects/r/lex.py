"""R text cut into tokens that remember where they stood."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ...errors import SpecError, caret

MOST_CHARACTERS = 100_000
"""Characters of a program."""


class Kind(Enum):
    """What a token is."""

    NUMBER = "number"
    TEXT = "text"
    NAME = "name"
    OPERATOR = "operator"
    OPEN = "opening bracket"
    CLOSE = "closing bracket"
    COMMA = "comma"
    END = "end of a statement"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of R text: `text` stood at characters `start:stop`; `value` is the name or the text it means."""

    kind: Kind
    text: str
    start: int
    stop: int
    value: str = ""

    def is_operator(self, *texts: str) -> bool:
        """Return whether this is one of the operators `texts`."""
        return self.kind is Kind.OPERATOR and self.text in texts


@dataclass(frozen=True, slots=True)
class Source:
    """R text and what to call it in messages: `""` for a program, `"random"` for the text of an argument."""

    text: str
    argument: str = ""

    def place(self, at: int) -> tuple[int, int]:
        """Return line and column, both from 1, of a character."""
        before = self.text[:at]
        return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1

    def error(self, message: str, start: int, stop: int | None = None) -> SpecError:
        """Return an error with line and column, and with the line above carets."""
        return SpecError(self.located(message, start, stop))

    def located(self, message: str, start: int, stop: int | None = None) -> str:
        """Return a message with line and column in front and the line above carets below."""
        line, column = self.place(start)
        where = f"line {line}, column {column}"
        whole = self.text.split("\n")[line - 1]
        shown = re.sub(r"[\t\r\f]", " ", whole)
        end = None if stop is None else min(column - 1 + stop - start, len(shown))
        pointed = shown if len(shown) > 400 else caret(shown, column - 1, end)
        head = f"{self.argument}=, {where}" if self.argument else where
        return f"{head}: {message}\n\n{pointed}"


_PATTERN = re.compile(
    r"""
    (?P<blank>[ \t\f\r\u00a0]+|\#[^\n]*)
  | (?P<newline>\n)
  | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<quoted>`(?:[^`\\]|\\.)+`)
  | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?L?)
  | (?P<name>(?:[^\W\d_]|\.(?!\d))[\w.]*)
  | (?P<operator>%[^%\n]*%|<<-|->>|:::|::|<-|->|<=|>=|==|!=|\|>|\|\||&&|[~+\-*/^<>=!&|:$@?])
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<comma>,)
  | (?P<semicolon>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "text": Kind.TEXT, "quoted": Kind.NAME, "number": Kind.NUMBER, "name": Kind.NAME, "operator": Kind.OPERATOR,
    "open": Kind.OPEN, "close": Kind.CLOSE, "comma": Kind.COMMA, "semicolon": Kind.END, "newline": Kind.END,
}  # fmt: skip
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def tokenize(source: Source) -> tuple[Token, ...]:
    """Return the tokens of R text without blanks and comments; line ends inside brackets are blanks.

    Raises
    ------
    SpecError
        With line and column, where the text cannot be read or brackets do not match.

    Examples
    --------
    >>> [token.text for token in tokenize(Source("f(y ~ x, # a comment\\n  data = d)"))]
    ['f', '(', 'y', '~', 'x', ',', 'data', '=', 'd', ')']
    """
    text = source.text
    if len(text) > MOST_CHARACTERS:
        raise source.error(f"R text has at most {MOST_CHARACTERS:,} characters; this has {len(text):,}.", 0)
    tokens: list[Token] = []
    open_brackets: list[Token] = []
    position = 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            raise _unreadable(source, position)
        group = str(match.lastgroup)
        position = match.end()
        inside = bool(open_brackets) and open_brackets[-1].text != "{"
        if group == "blank" or (group == "newline" and inside):
            continue
        token = Token(_KINDS[group], match[0], match.start(), match.end(), _value(group, match[0]))
        _match_brackets(source, token, open_brackets)
        tokens.append(token)
    if open_brackets:
        opener = open_brackets[-1]
        raise source.error(f"{opener.text!r} is never closed; add {_CLOSERS[opener.text]!r}.", opener.start)
    return tuple(tokens)


def _value(group: str, text: str) -> str:
    if group not in ("text", "quoted"):
        return text
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)


def _match_brackets(source: Source, token: Token, open_brackets: list[Token]) -> None:
    if token.kind is Kind.OPEN:
        open_brackets.append(token)
    elif token.kind is Kind.CLOSE:
        if not open_brackets:
            raise source.error(
                f"{token.text!r} closes nothing; remove it or open a bracket before it.", token.start
            )
        opener = open_brackets.pop()
        if _CLOSERS[opener.text] != token.text:
            raise source.error(f"{token.text!r} does not close {opener.text!r}.", token.start)


def _unreadable(source: Source, position: int) -> SpecError:
    character = source.text[position]
    if character in "\"'`":
        message = f"this {character} is never closed."
    elif character in "“”‘’„":
        message = f"{character} is a typographic quotation mark; R takes ' and \"."
    elif character in "–—−":
        message = f"{character} is a dash or a minus sign of print; R takes -."
    else:
        message = f"{character!r} cannot be read here."
    return source.error(message, position)
