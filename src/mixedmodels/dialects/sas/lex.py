"""A program of SAS as tokens, in time linear in its length."""

from __future__ import annotations

import re
from datetime import date
from enum import Enum
from typing import NamedTuple

from .program import Program

LONGEST_PROGRAM = 5_000_000
"""Characters of a program, macros resolved."""
INPUT_WORDS = frozenset({"datalines", "cards", "lines", "datalines4", "cards4", "lines4"})
EPOCH = date(1960, 1, 1)
"""Day 0 of SAS."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    NUMBER = "number"
    TEXT = "text"
    MARK = "mark"
    LINES = "lines"
    STOP = ";"


class Token(NamedTuple):
    """One token: its kind, its text (a name as written, a text without quotes), and where it begins and ends."""

    kind: Kind
    text: str
    start: int
    stop: int
    literal: bool = False

    @property
    def word(self) -> str:
        """The text of a name in small letters, empty for other tokens and for name literals in quotes."""
        return self.text.lower() if self.kind is Kind.NAME and not self.literal else ""

    def is_mark(self, *marks: str) -> bool:
        """Return whether the token is one of these marks."""
        return self.kind is Kind.MARK and self.text in marks

    @property
    def number(self) -> float:
        """The value of a number."""
        return float(self.text)


_SPACE = re.compile(r"[ \t\r\n\f\v\u00a0\u2007\u202f\ufeff]+")
_NAME = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_MARK = re.compile(r"\*\*|<=|>=|\^=|~=|¬=|!=|<>|><|\|\||!!|[-+*/=<>(),|&^~¬@:{}\[\]$!?#.%]")
_ANY = re.compile(
    rf"(?P<space>{_SPACE.pattern})|(?P<name>{_NAME.pattern})|(?P<number>{_NUMBER.pattern})|(?P<other>/\*|%|\*|;)"
    rf"|(?P<mark>{_MARK.pattern})"
)
_KINDS = {"name": Kind.NAME, "number": Kind.NUMBER, "mark": Kind.MARK}
_QUOTED = {"'": re.compile(r"'((?:[^']|'')*)'"), '"': re.compile(r'"((?:[^"]|"")*)"')}
_SUFFIX = re.compile(r"(?:dt|[dtnxb])(?!\w)", re.IGNORECASE)
_DATE = re.compile(r"(\d{1,2})([a-z]{3})(\d{4})", re.IGNORECASE)
_CURLY = "‘’“”„«»`´"


def tokenize(program: Program) -> list[Token]:
    """Return the tokens of a program; `SpecError` with line and column for what is none.

    Examples
    --------
    >>> [token.text for token in tokenize(Program("", "model y = a*b / s; * isn't;"))]
    ['model', 'y', '=', 'a', '*', 'b', '/', 's', ';']
    """
    if len(program.text) > LONGEST_PROGRAM:
        program.fail(f"the program has more than {LONGEST_PROGRAM:,} characters.", 0)
    return _Scanner(program).run()


class _Scanner:
    """The state of a scan: where it is, and whether a statement begins there."""

    def __init__(self, program: Program) -> None:
        self.program, self.text = program, program.text
        self.at = 0
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        match, text, tokens = _ANY.match, self.text, self.tokens
        while self.at < len(text):
            found = match(text, self.at)
            kind = None if found is None else found.lastgroup
            if found is None or kind == "other":
                self._token()
            elif kind == "space":
                self.at = found.end()
            else:
                start, self.at = self.at, found.end()
                tokens.append(Token(_KINDS[kind or ""], found.group(), start, self.at))
        return tokens

    def _statement_begins(self) -> bool:
        return not self.tokens or self.tokens[-1].kind in (Kind.STOP, Kind.LINES)

    def _comment(self, opening: str, closing: str) -> None:
        end = self.text.find(closing, self.at + len(opening))
        if end < 0 and closing == "*/":
            self.program.fail("this comment is not closed: */ is missing.", self.at, 2)
        self.at = len(self.text) if end < 0 else end + len(closing)

    def _token(self) -> None:
        first = self.text[self.at]
        if self.text.startswith("/*", self.at):
            self._comment("/*", "*/")
        elif self.text.startswith("%*", self.at) or (first == "*" and self._statement_begins()):
            self._comment("*", ";")
        elif first == ";":
            self._add(Kind.STOP, ";", self.at + 1)
            self._data_lines()
        elif first in _QUOTED:
            self._quoted(first)
        elif found := _MARK.match(self.text, self.at):
            self._add(Kind.MARK, found.group(), found.end())
        elif first in _CURLY:
            self.program.fail(f"{first} is a typographic quote; type ' or \" in its place.", self.at)
        else:
            self.program.fail(f"the character {first!r} means nothing in SAS; remove it.", self.at)

    def _add(self, kind: Kind, text: str, stop: int, literal: bool = False) -> None:
        self.tokens.append(Token(kind, text, self.at, stop, literal))
        self.at = stop

    def _quoted(self, quote: str) -> None:
        found = _QUOTED[quote].match(self.text, self.at)
        if found is None:
            self.program.fail(f"this quoted text is not closed: {quote} is missing.", self.at)
        inside = found.group(1).replace(quote * 2, quote)
        suffix = _SUFFIX.match(self.text, found.end())
        if suffix is None:
            self._add(Kind.TEXT, inside, found.end())
        elif suffix.group().lower() == "n":
            self._add(Kind.NAME, inside.strip(), suffix.end(), literal=True)
        elif suffix.group().lower() == "d":
            self._add(Kind.NUMBER, str(self._day(inside)), suffix.end())
        else:
            self.program.fail(
                f"constants {quote}…{quote}{suffix.group()} are not read; write a number.", self.at
            )

    def _day(self, text: str) -> int:
        found = _DATE.fullmatch(text.strip())
        try:
            if found is None:
                raise ValueError
            month = MONTHS.index(found.group(2).lower()) + 1
            return (date(int(found.group(3)), month, int(found.group(1))) - EPOCH).days
        except ValueError:
            self.program.fail(f"{text!r} is no date; write it as '31dec2020'd.", self.at)

    def _data_lines(self) -> None:
        """Take the lines after `datalines;` as one token, up to a line with a semicolon."""
        if len(self.tokens) < 2 or self.tokens[-2].word not in INPUT_WORDS:
            return
        if len(self.tokens) > 2 and self.tokens[-3].kind not in (Kind.STOP, Kind.LINES):
            return
        closing = ";;;;" if self.tokens[-2].word.endswith("4") else ";"
        begin = self.text.find("\n", self.at)
        begin = len(self.text) if begin < 0 else begin + 1
        end = self.text.find(closing, begin)
        if end < 0:
            self.program.fail(f"these lines of data have no end; close them with a line {closing}", self.at)
        line = max(self.text.rfind("\n", begin, end) + 1, begin)
        stop = line if self.text[line:end].strip() == "" else end
        self.tokens.append(Token(Kind.LINES, self.text[begin:stop], begin, end))
        self.at = end + len(closing)
