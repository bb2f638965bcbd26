"""The algebra of model terms: sums, interactions, nesting and powers expanded into a list of terms.

Covers formulas whose atoms are columns, `C(column)`, `log(column)` and the like, and `I(column ** 2)`;
anything else (transforms that learn from the data, literals) is left to formulaic, whose order of terms and
rules are followed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TypeAlias

from .tokens import Kind, Token, Tokens, closing, outside_brackets, tokenize


@dataclass(frozen=True, slots=True)
class Atom:
    """A column in a formula, plain or changed value by value.

    `label` is what is printed (`"sex"`, `"C(age)"`, `"log(x)"`), `variable` the column read; `categorical`
    says that its values are levels; `function` names an elementwise function, or `"power"` with its
    `exponent`.
    """

    label: str
    variable: str
    categorical: bool = False
    function: str = ""
    exponent: int = 0


ELEMENTWISE = frozenset(["log", "log10", "log2", "log1p", "exp", "expm1", "sqrt", "abs"])
"""Functions of one column that need no state: the same in every row, at the fit and afterwards."""

Term: TypeAlias = tuple[Atom, ...]
"""Atoms multiplied together; the empty tuple is the intercept."""
_Sum: TypeAlias = "dict[frozenset[str], Term]"

_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "%in%": 2, ":": 3, "**": 4}


class _NotPlain(Exception):
    """The text holds something this algebra leaves to formulaic."""


@lru_cache(maxsize=1024)
def expand(text: str) -> tuple[Term, ...] | None:
    """Return the terms of canonical text by degree, or None when it holds more than this algebra knows.

    Examples
    --------
    >>> [":".join(atom.label for atom in term) or "1" for term in expand("1 + a * b - a")]
    ['1', 'b', 'a:b']
    >>> expand("1 + scale(x)") is None
    True
    """
    reader = _Reader(tokenize(text))
    try:
        terms = reader.sum(0)
    except _NotPlain:
        return None
    if reader.position < len(reader.tokens):
        return None
    return tuple(sorted(terms.values(), key=len))


def single_atom(text: str) -> Atom | None:
    """Return the atom that an arithmetic expression consists of, None if it is more than one.

    Examples
    --------
    >>> single_atom("log(y)").variable, single_atom("y ** 2"), single_atom("y / x")
    ('y', None, None)
    """
    tokens = tokenize(text)
    if any(tokens[i].kind is Kind.OPERATOR for i in outside_brackets(tokens)):
        return None
    terms = expand(text)
    return terms[0][0] if terms and len(terms[0]) == 1 and not terms[0][0].categorical else None


class _Reader:
    """Precedence climbing over tokens; every method returns a set of terms in order."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.position = 0

    def peek(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def sum(self, binding: int) -> _Sum:
        left = self.atom()
        while (token := self.peek()) is not None and token.kind is Kind.OPERATOR:
            strength = _BINDING.get(token.text, 0)
            if strength <= binding:
                break
            self.position += 1
            if token.text == "**":
                left = _power(left, self.exponent())
            else:
                left = _combine(token.text, left, self.sum(strength))
        return left

    def exponent(self) -> int:
        token = self.peek()
        if token is None or not token.text.isdecimal() or int(token.text) < 1:
            raise _NotPlain
        self.position += 1
        return int(token.text)

    def atom(self) -> _Sum:
        token = self.peek()
        if token is None:
            raise _NotPlain
        self.position += 1
        if token.text == "(":
            inside = self.sum(0)
            if (closer := self.peek()) is None or closer.text != ")":
                raise _NotPlain
            self.position += 1
            return inside
        if token.kind is Kind.NUMBER and self.position == 1 and token.text in ("0", "1"):
            return _of(()) if token.text == "1" else {}
        if token.kind is Kind.QUOTED:
            return _of((Atom(token.text[1:-1], token.text[1:-1]),))
        if token.kind is Kind.NAME:
            return self.name(token)
        raise _NotPlain

    def name(self, token: Token) -> _Sum:
        following = self.peek()
        if following is None or following.text != "(":
            return _of((Atom(token.text, token.text),))
        stop = closing(self.tokens, self.position)
        inside = self.tokens[self.position + 1 : stop]
        self.position = stop + 1
        return _of((_call(token.text, inside),))


def _call(function: str, inside: Tokens) -> Atom:
    """Return the atom of `C(x)`, `log(x)` or `I(x ** 2)`."""
    if not inside or inside[0].kind not in (Kind.NAME, Kind.QUOTED):
        raise _NotPlain
    written = inside[0].text
    variable = written.strip("`")
    if len(inside) == 1 and function == "C":
        return Atom(f"C({written})", variable, categorical=True)
    if len(inside) == 1 and function in ELEMENTWISE:
        return Atom(f"{function}({written})", variable, function=function)
    if len(inside) == 3 and function == "I" and inside[1].text == "**" and inside[2].text.isdecimal():
        exponent = int(inside[2].text)
        return Atom(f"I({written} ** {exponent})", variable, function="power", exponent=exponent)
    raise _NotPlain


def _of(*terms: Term) -> _Sum:
    out: _Sum = {}
    for term in terms:
        out.setdefault(frozenset(atom.label for atom in term), term)
    return out


def _times(*terms: Term) -> Term:
    return tuple({atom.label: atom for term in terms for atom in term}.values())


def _union(*sums: _Sum) -> _Sum:
    out: _Sum = {}
    for terms in sums:
        for key, term in terms.items():
            out.setdefault(key, term)
    return out


def _interactions(*sums: _Sum) -> _Sum:
    return _union(*(_of(_times(*terms)) for terms in product(*(s.values() for s in sums))))


def _power(base: _Sum, exponent: int) -> _Sum:
    return _interactions(*[base] * exponent)


def _combine(operator: str, left: _Sum, right: _Sum) -> _Sum:
    if operator == "+":
        return _union(left, right)
    if operator == "-":
        return {key: term for key, term in left.items() if key not in right}
    if operator == "*":
        return _union(left, right, _interactions(left, right))
    if operator == ":":
        return _interactions(left, right)
    parents, nested = (left, right) if operator == "/" else (right, left)
    common = _times(*parents.values())
    return _union(parents, _of(*(_times(common, term) for term in nested.values())))
