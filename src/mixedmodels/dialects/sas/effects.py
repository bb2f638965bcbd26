"""Effects as SAS writes them: `a`, `x*a`, `b(a)`, `a|b@2`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from .lex import Kind, Token
from .statements import Reader

MOST = 2000
"""Effects of one statement."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect: variables that are crossed, and those they are nested in; none of either is the intercept."""

    crossed: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """All its variables, as written."""
        return (*self.crossed, *(name for name in self.nested if name not in self.crossed))

    @property
    def is_intercept(self) -> bool:
        return not self.crossed

    def classes(self, factors: Collection[str]) -> tuple[str, ...]:
        """Return those of its variables that are CLASS variables."""
        return tuple(name for name in self.variables if name in factors)

    def numbers(self, factors: Collection[str]) -> tuple[str, ...]:
        """Return those that are not, a power by as many mentions."""
        return tuple(name for name in self.crossed if name not in factors)

    def __str__(self) -> str:
        if self.is_intercept:
            return "Intercept"
        return "*".join(self.crossed) + (f"({' '.join(self.nested)})" if self.nested else "")


INTERCEPT = Effect()


def read_effects(reader: Reader, resolve: Callable[[Token], str], *stops: str) -> list[Effect]:
    """Return the effects up to one of the marks `stops` or the end, bars written out.

    Parameters
    ----------
    resolve
        Column of the data that a token names.
    """
    found: list[Effect] = []
    while reader and not reader.is_mark(*stops):
        begin = reader.peek()
        found += [one for one in _bar(reader, resolve) if one not in found]
        if len(found) > MOST:
            reader.fail(f"a statement has at most {MOST:,} effects.", begin)
    return found


def read_effect(reader: Reader, resolve: Callable[[Token], str]) -> Effect:
    """Return one effect without bars."""
    crossed = [_name(reader, resolve)]
    while reader.take_mark("*"):
        crossed.append(_name(reader, resolve))
    nested: list[str] = []
    if reader.is_mark("("):
        inner = reader.inner(reader.group())
        while inner:
            nested.append(_name(inner, resolve))
            inner.take_mark("*")
    return Effect(tuple(crossed), tuple(nested))


def _name(reader: Reader, resolve: Callable[[Token], str]) -> str:
    return resolve(reader.name("a variable"))


def _bar(reader: Reader, resolve: Callable[[Token], str]) -> list[Effect]:
    """Return `a|b|c@2` written out in SAS's order, or the run `x1-x5`, or one effect."""
    first, after, last = reader.peek(), reader.peek(1), reader.peek(2)
    if first and after and last and first.kind is last.kind is Kind.NAME and after.is_mark("-"):
        reader.at += 3
        return [Effect((name,)) for name in numbered(reader, first, last, resolve)]
    begin = first
    parts = [read_effect(reader, resolve)]
    while reader.take_mark("|"):
        parts.append(read_effect(reader, resolve))
        if len(parts) > 12:
            reader.fail("at most 12 effects are joined by bars.", begin)
    most = MOST
    if reader.take_mark("@"):
        token = reader.next("a number")
        if token.kind is not Kind.NUMBER or not token.text.isdecimal() or int(token.text[:6]) < 1:
            reader.fail("@ takes a whole number: a|b|c@2.", token)
        most = int(token.text[:6])
    out: list[Effect] = []
    for part in parts:
        out += [part, *(_joined(one, part) for one in tuple(out))]
    return list(dict.fromkeys(one for one in out if len(one.variables) <= most))


def _joined(one: Effect, other: Effect) -> Effect:
    nested = tuple(dict.fromkeys((*one.nested, *other.nested)))
    crossed = (*one.crossed, *other.crossed)
    return Effect(crossed, tuple(name for name in nested if name not in crossed))


def numbered(reader: Reader, first: Token, last: Token, resolve: Callable[[Token], str]) -> list[str]:
    """Return the columns of a run `x1-x5`."""
    stem = first.text.rstrip("0123456789")
    ends = first.text[len(stem) :], last.text[len(last.text.rstrip("0123456789")) :]
    same = last.text.rstrip("0123456789").lower() == stem.lower()
    if not same or not all(ends) or max(map(len, ends)) > 6 or int(ends[0]) > int(ends[1]):
        reader.fail(f"{first.text}-{last.text} is no run of numbered names such as x1-x5.", first)
    width = len(ends[0]) if ends[0].startswith("0") else 0
    names = [f"{stem}{number:0{width}d}" for number in range(int(ends[0]), int(ends[1]) + 1)]
    if len(names) > MOST:
        reader.fail(f"a run has at most {MOST:,} names.", first)
    return [resolve(Token(Kind.NAME, name, first.start, last.stop)) for name in names]


def combinations_of(levels: list[int]) -> list[tuple[int, ...]]:
    """Return all combinations of places, the last fastest."""
    return list(itertools.product(*(range(k) for k in levels)))
