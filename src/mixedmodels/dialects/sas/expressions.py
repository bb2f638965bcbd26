"""Expressions of DATA steps and of WHERE: read once, evaluated row by row."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from .functions import FUNCTIONS, READS_SEVERAL, call_function
from .lex import Kind, Token
from .statements import Reader

Value = float | str
Row = dict[str, Value]
Compiled = Callable[[Row], Value]
MISSING = math.nan
DEEPEST = 60
"""Parentheses within parentheses."""
COMPARISONS = {
    "=": "=", "eq": "=", "^=": "^=", "~=": "^=", "¬=": "^=", "!=": "^=", "ne": "^=", "<": "<", "lt": "<", ">": ">",
    "gt": ">", "<=": "<=", "le": "<=", ">=": ">=", "ge": ">=",
}  # fmt: skip


def is_missing(value: Value) -> bool:
    """Return whether a value is missing: NaN, or a text of blanks."""
    return not value.strip() if isinstance(value, str) else value != value


def is_true(value: Value) -> bool:
    """Return whether a condition holds: a number that is neither 0 nor missing."""
    return not isinstance(value, str) and value == value and value != 0


class ExpressionReader:
    """Reads one expression; `names` turns a token into the key of a row, `arrays` has the elements of arrays."""

    def __init__(
        self, reader: Reader, names: Callable[[Token], str], arrays: dict[str, Any] | None = None
    ) -> None:
        self.reader, self.names, self.arrays = reader, names, arrays or {}
        self.depth = 0

    def read(self) -> Compiled:
        """Return the expression that begins here."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.reader.fail(f"parentheses stand more than {DEEPEST} deep.")
        left = self._and()
        while self.reader.take_mark("|", "!") or self.reader.take_word("or"):
            left = _either(left, self._and())
        self.depth -= 1
        return left

    def _and(self) -> Compiled:
        left = self._comparison()
        while self.reader.take_mark("&") or self.reader.take_word("and"):
            left = _both(left, self._comparison())
        return left

    def _comparison(self) -> Compiled:
        if self.reader.is_word("not") or self.reader.is_mark("^", "~", "¬"):
            self.reader.next()
            self.depth += 1
            if self.depth > DEEPEST:
                self.reader.fail(f"negations stand more than {DEEPEST} deep.")
            inner = self._comparison()
            self.depth -= 1
            return lambda row: float(not is_true(inner(row)))
        left = self._concatenation()
        parts: list[Compiled] = []
        while True:
            token = self.reader.peek()
            sign = (
                ""
                if token is None
                else COMPARISONS.get(token.word or (token.text if token.kind is Kind.MARK else ""), "")
            )
            if sign and token is not None:
                self.reader.next()
                self.reader.take_mark(":")
                right = self._concatenation()
                parts.append(self._compared(sign, left, right, token))
                left = right
            elif (special := self._special(left)) is not None:
                return special
            else:
                break
        if not parts:
            return left
        if len(parts) == 1:
            return parts[0]
        return lambda row: float(all(is_true(part(row)) for part in parts))

    def _compared(self, sign: str, left: Compiled, right: Compiled, token: Token) -> Compiled:
        fail = self.reader.fail

        def compare(row: Row) -> Value:
            a, b = left(row), right(row)
            if isinstance(a, str) != isinstance(b, str):
                fail("a number is compared with a text; write both alike.", token)
            return float(holds(sign, a, b))

        return compare

    def _special(self, left: Compiled) -> Compiled | None:
        """Read `in (…)`, `between a and b`, `is missing`, `contains 'x'`, `like 'a%'`, and their negations."""
        at = self.reader.at
        negative = self.reader.take_word("not")
        made: Compiled | None = None
        if self.reader.take_word("in", "notin"):
            self.reader.at -= 1
            negative ^= self.reader.next().word == "notin"
            made = self._among(left)
        elif self.reader.take_word("between"):
            low = self._concatenation()
            if not self.reader.take_word("and"):
                self.reader.fail("between a and b needs 'and'.")
            high = self._concatenation()
            made = _between(left, low, high)
        elif self.reader.take_word("is"):
            negative ^= self.reader.take_word("not")
            if not self.reader.take_word("missing", "null"):
                self.reader.fail("is missing, or is null, is expected here.")
            made = lambda row: float(is_missing(left(row)))  # noqa: E731
        elif self.reader.take_word("contains", "like") or self.reader.take_mark("?"):
            self.reader.at -= 1
            like = self.reader.next().word == "like"
            made = _matching(left, self._concatenation(), like)
        if made is None:
            self.reader.at = at
            return None
        found = made
        return (lambda row: float(not is_true(found(row)))) if negative else found

    def _among(self, left: Compiled) -> Compiled:
        inner = self.reader.inner(self.reader.group())
        values: set[Value] = set()
        while inner:
            if inner.take_mark(","):
                continue
            if (one := inner.peek()) is not None and one.kind is Kind.TEXT:
                values.add(inner.next().text.rstrip())
            elif inner.take_mark("."):
                values.add(".")
            else:
                first = inner.signed("a number or a text in quotes")
                last = inner.signed() if inner.take_mark(":") else first
                if last - first > 100_000:
                    inner.fail("a run in a list has at most 100,000 numbers.")
                values.update(first + k for k in range(int(last - first) + 1))

        def among(row: Row) -> Value:
            value = left(row)
            if isinstance(value, str):
                return float(value.rstrip() in values)
            return float("." in values if value != value else value in values)

        return among

    def _concatenation(self) -> Compiled:
        left = self._sum()
        while self.reader.take_mark("||", "!!"):
            left = _joined(left, self._sum())
        return left

    def _sum(self) -> Compiled:
        left = self._product()
        while self.reader.is_mark("+", "-"):
            token = self.reader.next()
            left = self._arithmetic(token, left, self._product())
        return left

    def _product(self) -> Compiled:
        left = self._signed()
        while self.reader.is_mark("*", "/", "<>", "><"):
            token = self.reader.next()
            left = self._arithmetic(token, left, self._signed())
        return left

    def _signed(self) -> Compiled:
        signs = 0
        while self.reader.is_mark("-", "+"):
            signs += self.reader.next().text == "-"
        power = self._power()
        if signs % 2 == 0:
            return power
        return lambda row: -self._number(power(row))

    def _number(self, value: Value) -> float:
        if isinstance(value, str):
            self.reader.fail(f"the text {value!r} stands where a number is needed; convert it with input().")
        return value

    def _power(self) -> Compiled:
        base = self._atom()
        if not self.reader.is_mark("**"):
            return base
        token = self.reader.next()
        self.depth += 1
        if self.depth > DEEPEST:
            self.reader.fail(f"powers stand more than {DEEPEST} deep.")
        exponent = self._signed()
        self.depth -= 1
        return self._arithmetic(token, base, exponent)

    def _arithmetic(self, token: Token, left: Compiled, right: Compiled) -> Compiled:
        operate, fail = OPERATIONS[token.text], self.reader.fail

        def result(row: Row) -> Value:
            a, b = left(row), right(row)
            if isinstance(a, str) or isinstance(b, str):
                fail("a text stands where a number is needed; convert it with input().", token)
            return operate(a, b)

        return result

    def _atom(self) -> Compiled:
        token = self.reader.next("an expression")
        if token.kind is Kind.NUMBER:
            number = token.number
            return lambda row: number
        if token.kind is Kind.TEXT:
            text = token.text
            return lambda row: text
        if token.is_mark("("):
            inner = self.read()
            self.reader.mark(")")
            return inner
        if token.is_mark("."):
            return lambda row: MISSING
        if token.kind is not Kind.NAME:
            self.reader.fail("an expression is expected here.", token)
        return self._named(token)

    def _named(self, token: Token) -> Compiled:
        if token.word in ("first", "last") and self.reader.is_mark("."):
            self.reader.next()
            key = f"{token.word}.{self.reader.name().text.lower()}"
            fail = self.reader.fail

            def flag(row: Row) -> Value:
                if key not in row:
                    fail(f"{key} needs a BY statement.", token)
                return row[key]

            return flag
        if token.word in self.arrays and self.reader.is_mark("{", "[", "("):
            return self._element(token)
        if self.reader.is_mark("("):
            return self._call(token)
        key = self.names(token)
        return lambda row: row[key]

    def _element(self, token: Token) -> Compiled:
        opened = self.reader.next().text
        index = self.read()
        self.reader.mark({"{": "}", "[": "]", "(": ")"}[opened])
        keys: Sequence[str] = self.arrays[token.word]
        fail = self.reader.fail

        def element(row: Row) -> Value:
            place = index(row)
            if isinstance(place, str) or not (place == place and 1 <= place <= len(keys)):
                fail(f"array {token.text} has elements 1 to {len(keys)}, not {place}.", token)
            return row[keys[int(place) - 1]]

        return element

    def _call(self, token: Token) -> Compiled:
        word = token.word
        if word not in FUNCTIONS and not re.fullmatch(r"lag\d{0,3}|dif\d{0,3}", word):
            from ...errors import suggest

            self.reader.fail(f"function {token.text}() is not done.{suggest(word, FUNCTIONS)}", token)
        self.reader.mark("(")
        if self.reader.take_word("of"):
            if word not in READS_SEVERAL:
                self.reader.fail(f"{token.text}(of …) is not done.", token)
            arguments = self._listed()
        elif word in ("input", "put"):
            arguments = [self.read()]
            if self.reader.take_mark(","):
                self.reader.until(")")
        else:
            arguments = [] if self.reader.is_mark(")") else [self.read()]
            while self.reader.take_mark(","):
                if self.reader.take_word("of"):
                    arguments += self._listed()
                else:
                    arguments.append(self.read())
        self.reader.mark(")")
        return call_function(word, arguments, self.reader, token)

    def _listed(self) -> list[Compiled]:
        """Read `of a b d1-d4 x{*}`."""
        out: list[Compiled] = []
        while self.reader and not self.reader.is_mark(")", ","):
            token = self.reader.name("a variable")
            if token.word in self.arrays and self.reader.is_mark("{", "[", "("):
                self.reader.next()
                self.reader.mark("*")
                self.reader.next()
                keys = list(self.arrays[token.word])
            elif self.reader.is_mark("-"):
                from .effects import numbered

                self.reader.next()
                keys = numbered(self.reader, token, self.reader.name(), self.names)
            else:
                keys = [self.names(token)]
            out += [lambda row, key=key: row[key] for key in keys]  # type: ignore[misc]
        return out


def holds(sign: str, a: Any, b: Any) -> bool:
    """Return whether two values compare so; a missing number is smaller than any, blanks at the end do not count."""
    if isinstance(a, str):
        a, b = a.rstrip(), b.rstrip()
    elif a != a or b != b:
        a, b = (-math.inf if v != v else v for v in (a, b))
        if a == b == -math.inf:
            return sign in ("=", "<=", ">=")
    return bool({"=": a == b, "^=": a != b, "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[sign])


def _either(left: Compiled, right: Compiled) -> Compiled:
    return lambda row: float(is_true(left(row)) or is_true(right(row)))


def _both(left: Compiled, right: Compiled) -> Compiled:
    return lambda row: float(is_true(left(row)) and is_true(right(row)))


def _joined(left: Compiled, right: Compiled) -> Compiled:
    return lambda row: as_text(left(row)) + as_text(right(row))


def as_text(value: Value) -> str:
    """Return a value as text, a number as SAS writes it."""
    if isinstance(value, str):
        return value
    return "." if value != value else f"{value:.12g}"


def _between(value: Compiled, low: Compiled, high: Compiled) -> Compiled:
    return lambda row: float(holds(">=", value(row), low(row)) and holds("<=", value(row), high(row)))


def _matching(left: Compiled, right: Compiled, like: bool) -> Compiled:
    def match(row: Row) -> Value:
        text, pattern = as_text(left(row)), as_text(right(row))
        if not like:
            return float(pattern in text)
        parts = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern.rstrip())
        return float(re.fullmatch(re.sub(r"(?:\.\*)+", ".*", parts), text.rstrip()) is not None)

    return match


def _divide(a: float, b: float) -> float:
    return MISSING if b == 0 or a != a or b != b else a / b


def _raise(a: float, b: float) -> float:
    try:
        value = a**b
    except (OverflowError, ZeroDivisionError):
        return MISSING
    return value if isinstance(value, float) else MISSING


OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "**": _raise,
    "<>": lambda a, b: b if a != a else a if b != b else max(a, b),
    "><": lambda a, b: MISSING if a != a or b != b else min(a, b),
}
