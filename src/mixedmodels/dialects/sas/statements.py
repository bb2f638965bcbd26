"""Tokens as statements and steps: what stands between semicolons, and between PROC, DATA and RUN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from .lex import Kind, Token
from .program import Program

GLOBAL = frozenset(
    {"title", "footnote", "options", "option", "ods", "goptions", "symbol", "axis", "legend", "pattern"}
)
"""Statements that stand between steps or inside them, and belong to none."""
FILES = frozenset({"libname", "filename", "x", "systask", "endsas", "dm", "lock"})
"""Statements about files and the machine."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its tokens without the semicolon, lines of data after it, and the program it is of."""

    program: Program
    tokens: tuple[Token, ...]
    lines: Token | None = None

    @property
    def word(self) -> str:
        """Its first word in small letters."""
        return self.tokens[0].word

    @property
    def line(self) -> int:
        """Line of the program where it begins."""
        return self.program.place(self.tokens[0].start)[0]

    def reader(self, skip: int = 1) -> Reader:
        """Return a reader of its tokens, by default those after the first word."""
        return Reader(self.program, self.tokens, skip)

    def fail(self, message: str, at: int = 0) -> NoReturn:
        """Raise `SpecError` at one of its tokens."""
        token = self.tokens[min(at, len(self.tokens) - 1)]
        self.program.fail(message, token.start, token.stop - token.start)


class Reader:
    """Tokens taken one after the other, with messages that know where it stands."""

    __slots__ = ("at", "program", "tokens")

    def __init__(self, program: Program, tokens: Sequence[Token], at: int = 0) -> None:
        self.program, self.tokens, self.at = program, tokens, at

    def __bool__(self) -> bool:
        return self.at < len(self.tokens)

    def peek(self, ahead: int = 0) -> Token | None:
        """Return the next token without taking it, None at the end."""
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def next(self, wanted: str = "something") -> Token:
        """Return the next token."""
        if not self:
            self.fail(f"{wanted} is expected after this.")
        self.at += 1
        return self.tokens[self.at - 1]

    def is_mark(self, *marks: str) -> bool:
        """Return whether the next token is one of these marks."""
        token = self.peek()
        return token is not None and token.is_mark(*marks)

    def is_word(self, *words: str) -> bool:
        """Return whether the next token is one of these words."""
        token = self.peek()
        return token is not None and token.word in words and bool(token.word)

    def take_mark(self, *marks: str) -> bool:
        """Take the next token if it is one of these marks."""
        found = self.is_mark(*marks)
        self.at += found
        return found

    def take_word(self, *words: str) -> bool:
        """Take the next token if it is one of these words."""
        found = self.is_word(*words)
        self.at += found
        return found

    def mark(self, mark: str) -> Token:
        """Take a mark that must stand here."""
        if not self.is_mark(mark):
            self.fail(f"{mark!r} is expected here.")
        return self.next()

    def name(self, what: str = "a name") -> Token:
        """Take a name that must stand here."""
        token = self.peek()
        if token is None or token.kind is not Kind.NAME:
            self.fail(f"{what} is expected here.")
        return self.next()

    def signed(self, what: str = "a number") -> float:
        """Take a number with its sign."""
        sign = -1.0 if self.is_mark("-") else 1.0
        self.take_mark("-", "+")
        token = self.peek()
        if token is None or token.kind is not Kind.NUMBER:
            self.fail(f"{what} is expected here.")
        return sign * self.next().number

    def is_number(self) -> bool:
        """Return whether a number, perhaps with a sign, comes next."""
        token, after = self.peek(), self.peek(1)
        if token is None:
            return False
        if token.kind is Kind.NUMBER:
            return True
        return token.is_mark("-", "+") and after is not None and after.kind is Kind.NUMBER

    def group(self) -> tuple[Token, ...]:
        """Take `( … )` and return what stands inside."""
        opened = self.mark("(")
        level, begin = 1, self.at
        while level:
            if not self:
                self.program.fail("this parenthesis is not closed.", opened.start)
            token = self.next()
            level += token.is_mark("(") - token.is_mark(")")
        return tuple(self.tokens[begin : self.at - 1])

    def until(self, *marks: str) -> tuple[Token, ...]:
        """Take the tokens up to one of these marks outside parentheses, or to the end."""
        level, begin = 0, self.at
        while self:
            if level == 0 and self.is_mark(*marks):
                break
            token = self.next()
            level += token.is_mark("(", "[", "{") - token.is_mark(")", "]", "}")
        return tuple(self.tokens[begin : self.at])

    def inner(self, tokens: Sequence[Token]) -> Reader:
        """Return a reader of some of the tokens."""
        return Reader(self.program, tokens)

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        """Raise `SpecError` at a token, by default the next one."""
        if token is None:
            token = self.peek() or (self.tokens[-1] if self.tokens else None)
        if token is None:
            self.program.fail(message, 0)
        self.program.fail(message, token.start, token.stop - token.start)


@dataclass(frozen=True, slots=True)
class RawStep:
    """One step not yet read: `"proc"`, `"data"` or `"global"`, its first statement and those after it."""

    kind: str
    head: Statement
    body: tuple[Statement, ...] = ()


def split_statements(program: Program, tokens: Sequence[Token]) -> Iterator[Statement]:
    """Yield the statements of a program; the last may lack its semicolon."""
    begin, at = 0, 0
    while at < len(tokens):
        if tokens[at].kind is Kind.STOP:
            lines = tokens[at + 1] if at + 1 < len(tokens) and tokens[at + 1].kind is Kind.LINES else None
            if at > begin:
                yield Statement(program, tuple(tokens[begin:at]), lines)
            at += 1 + (lines is not None)
            begin = at
        else:
            at += 1
    if begin < len(tokens):
        yield Statement(program, tuple(tokens[begin:]))


def split_steps(program: Program, tokens: Sequence[Token]) -> list[RawStep]:
    """Return the steps of a program; a step ends at RUN, QUIT, the next PROC or DATA, or the end of the text."""
    steps: list[RawStep] = []
    head: Statement | None = None
    body: list[Statement] = []
    for statement in split_statements(program, tokens):
        if statement.tokens[0].kind is not Kind.NAME:
            statement.fail("a statement begins with a word.")
        word = statement.word
        if _refused_everywhere(statement):
            statement.fail(
                f"{word.upper()}: a program opens no file and runs no command; give data in data=."
            )
        if word in ("run", "quit") or word == "proc" or (word == "data" and not _assigns(statement)):
            if head is not None:
                steps.append(RawStep(head.word, head, tuple(body)))
            head, body = (None if word in ("run", "quit") else statement), []
        elif head is not None:
            body.append(statement)
        elif _is_global(word):
            steps.append(RawStep("global", statement))
        else:
            statement.fail(
                f"{statement.tokens[0].text!r} stands outside a step; begin one with PROC or DATA."
            )
    if head is not None:
        steps.append(RawStep(head.word, head, tuple(body)))
    return steps


def _is_global(word: str) -> bool:
    return word.rstrip("0123456789") in GLOBAL


def _assigns(statement: Statement) -> bool:
    return len(statement.tokens) > 1 and statement.tokens[1].is_mark("=")


def _refused_everywhere(statement: Statement) -> bool:
    if statement.word not in FILES or len(statement.tokens) == 1:
        return statement.word in FILES and len(statement.tokens) == 1 and statement.word != "x"
    follows = statement.tokens[1]
    if statement.word == "x":
        return follows.kind is Kind.TEXT
    return not follows.is_mark("=", "+", "[", "{")
