"""R tokens → statements: calls, formulas, operators, assignments; anything else of R is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ...errors import SpecError
from .lex import Kind, Source, Token, tokenize
from .tree import Argument, Assign, Binary, Call, Name, Node, Number, Part, Program, Text, Unary

MOST_NESTED = 60
"""Brackets and operators inside one another."""
MOST_STATEMENTS = 2_000

# R's precedence, the tightest highest
_BINARY = {
    "^": 14, ":": 12, "|>": 11, "*": 10, "/": 10, "+": 9, "-": 9, "<": 8, ">": 8, "<=": 8, ">=": 8, "==": 8, "!=": 8,
    "&": 6, "&&": 6, "|": 5, "||": 5, "~": 4,
}  # fmt: skip
_UNARY = {"-": 13, "+": 13, "!": 7, "~": 4}
_REFUSED = {
    "$": "right of $ stands the name of a part, summary(m)$tTable",
    "@": "slots of objects are not taken out with @",
    "[": 'brackets [ ] are not read; take a part by $name or [["name"]], and index the table in Python',
    "{": "blocks { } are not read; this is a language of model calls",
    "<<-": "write name <- value",
    "->": "write name <- value",
    "->>": "write name <- value",
    "?": "help is not read",
    ":::": "internal functions of packages are not read",
}
_KEYWORDS = frozenset(("function", "if", "else", "for", "while", "repeat", "break", "next"))


def parse(source: Source) -> Program:
    """Return the statements of R text.

    Examples
    --------
    >>> program = parse(Source("(m <- lme(Y ~ age, data = d)); VarCorr(m)"))
    >>> [type(statement).__name__ for statement in program.statements]
    ['Assign', 'Call']
    """
    tokens = tokenize(source)
    return Program(source, tokens, _Reader(source, tokens).statements())


def parse_expression(text: str, argument: str) -> tuple[Program, Node]:
    """Return the one expression that the text of an argument holds, with the program it belongs to.

    Examples
    --------
    >>> parse_expression("corAR1(form = ~ t | id)", "correlation")[1].function
    'corAR1'
    """
    source = Source(text, argument)
    program = parse(source)
    if len(program.statements) != 1:
        raise source.error(f"{argument}= holds one R expression; this text has {len(program.statements)}.", 0)
    return program, program.statements[0]


class _Reader:
    """A cursor over tokens."""

    def __init__(self, source: Source, tokens: tuple[Token, ...]) -> None:
        self.source, self.tokens = source, tokens
        self.at, self.depth = 0, 0

    def statements(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while self.at < len(self.tokens):
            if self.tokens[self.at].kind is Kind.END:
                self.at += 1
                continue
            if len(found) == MOST_STATEMENTS:
                raise self.error(
                    f"a program has at most {MOST_STATEMENTS:,} statements.", self.tokens[self.at]
                )
            found.append(self.statement())
            if self.at < len(self.tokens) and self.tokens[self.at].kind is not Kind.END:
                raise self.unexpected(self.tokens[self.at])
        return tuple(found)

    def statement(self) -> Node:
        """Return `name <- value`, `name = value`, or an expression."""
        first = self.at
        name, sign = self.peek(0), self.peek(1)
        assigned = sign is not None and sign.is_operator("<-", "=")
        if name is not None and name.kind is Kind.NAME and assigned:
            self.at += 2
            self.skip_lines()
            value = self.nested(self.statement)
            return Assign(name.value, value, first, self.at - 1)
        return self.expression(0)

    def expression(self, least: int) -> Node:
        """Return an expression of operators that bind at least as tightly as `least`."""
        first = self.at
        left = self.nested(self.operand)
        while (token := self.peek(0)) is not None and token.kind is Kind.OPERATOR:
            strength = 11 if token.text.startswith("%") else _BINARY.get(token.text)
            if strength is None:
                if token.is_operator("=", "<-"):
                    break
                raise self.unexpected(token)
            if strength < least:
                break
            self.at += 1
            self.skip_lines()
            tighter = strength if token.text == "^" else strength + 1
            right = self.nested(partial(self.expression, tighter))
            left = self.joined(token, left, right, first)
        return left

    def joined(self, token: Token, left: Node, right: Node, first: int) -> Node:
        if token.text not in ("|>", "%>%"):
            return Binary(token.text, left, right, first, self.at - 1)
        if not isinstance(right, Call):
            raise self.error(
                f"right of {token.text} stands a call, for example {token.text} summary().", token
            )
        return replace(right, arguments=(Argument(None, left), *right.arguments), first=first)

    def operand(self) -> Node:
        """Return a number, a text, a name, a call, a bracketed expression, or an operator with its operand."""
        self.skip_lines()
        token = self.peek(0)
        if token is None:
            raise self.ended()
        first = self.at
        self.at += 1
        if token.kind is Kind.NUMBER:
            return Number(float(token.text.rstrip("L")), first, first)
        if token.kind is Kind.TEXT:
            return self.called(Text(token.value, first, first))
        if token.kind is Kind.NAME:
            return self.named(token, first)
        if token.text == "(":
            inside = self.nested(self.statement)
            self.closed(")")
            if isinstance(inside, Assign):
                return replace(inside, first=first, last=self.at - 1, printed=True)
            return replace(inside, first=first, last=self.at - 1)
        if token.kind is Kind.OPERATOR and token.text in _UNARY:
            value = self.nested(partial(self.expression, _UNARY[token.text]))
            return Unary(token.text, value, first, self.at - 1)
        raise self.unexpected(token)

    def named(self, token: Token, first: int) -> Node:
        if token.text in _KEYWORDS:
            raise self.error(
                f"{token.text} is not read; this is a language of model calls, not R itself.", token
            )
        after, name = self.peek(0), self.peek(1)
        if after is not None and after.is_operator("::"):
            if name is None or name.kind is not Kind.NAME:
                raise self.error("right of :: stands the name of a function.", after)
            self.at += 2
            token = name
        return self.called(Name(token.value, first, self.at - 1))

    def called(self, name: Name | Text) -> Node:
        """Return a call where a bracket follows a name, else the name."""
        after = self.peek(0)
        if after is None or after.text not in ("(", "[", "$"):
            return name
        if after.text != "(":
            if isinstance(name, Text):
                raise self.unexpected(after)
            return self.parts(name)
        if isinstance(name, Text):
            raise self.error(
                "a text is not called; write the name of the function without quotation marks.", after
            )
        self.at += 1
        arguments = self.arguments()
        call = Call(name.value, tuple(arguments), name.first, self.at - 1)
        if (more := self.peek(0)) is not None and more.text == "(":
            raise self.unexpected(more)
        return self.parts(call)

    def parts(self, value: Node) -> Node:
        """Return a value with the parts that follow it, `$name` and `[["name"]]`."""
        while (token := self.peek(0)) is not None and token.text in ("$", "["):
            double, name = token.text == "[", self.peek(1)
            if double:
                if name is None or name.text != "[":
                    raise self.unexpected(token)
                name = self.peek(2)
            if name is None or name.kind not in ((Kind.TEXT,) if double else (Kind.NAME, Kind.TEXT)):
                raise self.error(
                    f"right of {'[[' if double else '$'} stands the name of a part"
                    f"{', in quotation marks' if double else ''}.",
                    token,
                )
            self.at += 3 if double else 2
            if double:
                self.closed("]")
                self.closed("]")
            value = Part(value, name.value, value.first, self.at - 1)
        return value

    def arguments(self) -> list[Argument]:
        found: list[Argument] = []
        if self.closes(")"):
            return found
        while True:
            found.append(self.nested_argument())
            if self.closes(")"):
                return found
            token = self.peek(0)
            if token is None or token.kind is not Kind.COMMA:
                raise self.unexpected(token)
            self.at += 1
            if (after := self.peek(0)) is not None and (after.text == ")" or after.kind is Kind.COMMA):
                raise self.error("an argument is missing here.", after)

    def nested_argument(self) -> Argument:
        token, sign = self.peek(0), self.peek(1)
        if (
            token is not None
            and token.kind in (Kind.NAME, Kind.TEXT)
            and sign is not None
            and sign.is_operator("=")
        ):
            self.at += 2
            return Argument(token.value, self.expression(0))
        return Argument(None, self.expression(0))

    def closes(self, bracket: str) -> bool:
        token = self.peek(0)
        if token is not None and token.text == bracket and token.kind is Kind.CLOSE:
            self.at += 1
            return True
        return False

    def closed(self, bracket: str) -> None:
        if not self.closes(bracket):
            raise self.unexpected(self.peek(0))

    def nested(self, read: Callable[[], Node]) -> Node:
        """Return what `read` finds, one level deeper."""
        self.depth += 1
        if self.depth > MOST_NESTED * 4:
            token = self.tokens[min(self.at, len(self.tokens) - 1)]
            raise self.error(
                f"brackets and operators stand inside one another at most {MOST_NESTED} deep.", token
            )
        node = read()
        self.depth -= 1
        return node

    def peek(self, ahead: int) -> Token | None:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def skip_lines(self) -> None:
        """Go over line ends after an operator: the expression goes on."""
        while (token := self.peek(0)) is not None and token.kind is Kind.END and token.text == "\n":
            self.at += 1

    def unexpected(self, token: Token | None) -> SpecError:
        """Return the error that says why a token cannot stand where it stands."""
        if token is None:
            return self.ended()
        reason = _REFUSED.get(token.text)
        if reason is not None:
            return self.error(f"{reason}.", token)
        before = self.tokens[self.at - 1] if self.at and self.tokens[self.at - 1] is not token else None
        if before is not None and token.kind in (Kind.NAME, Kind.NUMBER, Kind.TEXT):
            between = f"between {before.text!r} and {token.text!r}"
            return self.error(f"an operator or a comma is missing {between}.", token)
        shown = "the end of the line" if token.text == "\n" else repr(token.text)
        return self.error(f"{shown} is not expected here.", token)

    def ended(self) -> SpecError:
        """Return the error of a text that breaks off."""
        end = len(self.source.text.rstrip())
        return self.source.error("the text ends where an expression goes on.", max(end - 1, 0))

    def error(self, message: str, token: Token) -> SpecError:
        """Return an error that points at a token."""
        return self.source.error(message, token.start, token.stop)
