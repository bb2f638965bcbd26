"""The algebra of model terms: sums, interactions, nesting and powers expanded into a list of terms.

Order of terms and rules are formulaic's, except that `b %in% a` is R's `b:a`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn, TypeAlias

from ..spec import quoted
from .expressions import read_call
from .functions import LARGEST_POWER, MOST_NESTED, MOST_PRODUCTS, MOST_TERMS
from .rendering import render
from .tokens import Kind, Token, Tokens, closing, fail, fail_at, tokenize
from .tree import Call, Coding, Flag, Items, Node, Variable, columns_of, constant_value


@dataclass(frozen=True, slots=True)
class Atom:
    """What stands in a product: a column, or a function of columns.

    Parameters
    ----------
    label
        What is printed: `"sex"`, `"C(age)"`, `"log(x)"`.
    expression
        The tree it is computed from, for `C(x)` that of x.
    categorical
        Whether its values are levels by what is written; a column may hold levels without.
    coding, levels
        The coding and the order of levels that `C(x, contr.sum, levels=…)` gives, None where it says nothing.
    """

    label: str
    expression: Node
    categorical: bool = False
    coding: Coding | None = None
    levels: tuple[object, ...] | None = None

    def __hash__(self) -> int:
        # a text remembers its hash, a tree does not
        return hash(self.label)

    @property
    def variable(self) -> str:
        """The column, where the atom is one or stands for the levels of one; empty for anything else."""
        return self.expression.name if isinstance(self.expression, Variable) else ""

    @property
    def is_column(self) -> bool:
        """Whether the atom is a column as it is."""
        return isinstance(self.expression, Variable) and not self.categorical

    @property
    def text(self) -> str:
        """The atom as it is written in a formula."""
        return (
            quoted(self.expression.name)
            if isinstance(self.expression, Variable) and self.is_column
            else self.label
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """The columns it is computed from."""
        return columns_of(self.expression)


Term: TypeAlias = tuple[Atom, ...]
"""Atoms multiplied together; the empty tuple is the intercept."""
_Sum: TypeAlias = "dict[frozenset[Atom], Term]"

_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "%in%": 3, ":": 4, "**": 5, "^": 5}


def column(name: str, *, categorical: bool = False) -> Atom:
    """Return the atom of a column."""
    return Atom(column_label(name), Variable(name), categorical)


def column_label(name: str) -> str:
    """Return a column as it is printed: in back-ticks where it would be read as something else.

    Examples
    --------
    >>> column_label("body weight"), column_label("a:b")
    ('body weight', '`a:b`')
    """
    misread = any(c in "`:()[]{}\0" for c in name) or not any(c.isalpha() or c == "_" for c in name)
    misread = misread or name == "Intercept" or _NUMBER.fullmatch(name) is not None
    return "`" + name.replace("`", "``") + "`" if misread else name


_NUMBER = re.compile(r"[\d.]+(?:[eE][+-]?\d+)?L?")


@lru_cache(maxsize=1024)
def expand(text: str) -> tuple[Term, ...]:
    """Return the terms of canonical text by degree.

    Names of functions that the language does not have are taken for the caller's own; whoever evaluates them looks
    nowhere but in what the caller gave.

    Examples
    --------
    >>> [":".join(atom.label for atom in term) or "1" for term in expand("1 + a * b - a")]
    ['1', 'b', 'a:b']
    """
    return read_terms(text, tokenize(text), None)


def read_terms(text: str, tokens: Tokens, functions: frozenset[str] | None = frozenset()) -> tuple[Term, ...]:
    """Return the terms of a sum by degree; `SpecError` with a caret under what is none.

    Parameters
    ----------
    text, tokens
        The text and its tokens, or a part of them.
    functions
        Names of the caller's own functions; None takes every name that is no function of the language for one.
    """
    reader = _Reader(text, tokens, functions)
    terms = reader.sum(0)
    if (left := reader.peek()) is not None:
        reader.refuse(left)
    return tuple(sorted(terms.values(), key=len))


class _Reader:
    """Precedence climbing over tokens; every method returns a set of terms in order."""

    def __init__(self, text: str, tokens: Tokens, functions: frozenset[str] | None) -> None:
        self.text = text
        self.tokens = tokens
        self.functions = functions
        self.position = 0
        self.depth = 0
        self.products = 0

    def peek(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def refuse(self, token: Token) -> NoReturn:
        if token.kind is Kind.COMMA:
            message = "a comma separates arguments of a function; add terms with '+'."
        elif token.text == "{":
            message = "braces are not part of the language; write I(…) around arithmetic."
        elif token.is_operator("|", "||"):
            message = "a random term stands in parentheses: (1 | g)."
        elif token.is_operator("~"):
            message = "a formula has one '~'."
        elif token.kind in (Kind.NUMBER, Kind.STRING):
            message = (
                f"{token.text} is no term; write I(…) around arithmetic, 1 for an intercept and 0 for none."
            )
        elif token.kind is Kind.OPERATOR:
            message = f"{token.text!r} joins no terms; write I(…) around arithmetic."
        else:
            message = f"{token.text!r} cannot stand here."
        fail(message, self.text, token.start, token.stop)

    def sum(self, binding: int) -> _Sum:
        left = self.atom()
        while (token := self.peek()) is not None and token.kind is Kind.OPERATOR:
            strength = _BINDING.get(token.text)
            if strength is None:
                self.refuse(token)
            if strength <= binding:
                break
            self.position += 1
            if strength == 5:
                left = self.power(left, self.exponent(), token)
                continue
            self.depth += 1
            if self.depth > 4 * MOST_NESTED:
                fail("the formula is nested too deeply.", self.text, token.start, token.stop)
            left = self.combine(token, left, self.sum(strength))
            self.depth -= 1
        return left

    def exponent(self) -> int:
        token = self.peek()
        if token is None or not token.text.isdecimal() or int(token.text[:20]) < 1:
            fail_at("a sum of terms is raised to a whole number; write I(x^2) for the square of a column.",
                    self.text, self.tokens[self.position - 1 : self.position + 1])  # fmt: skip
        if len(token.text) > 4 or int(token.text) > LARGEST_POWER:
            fail(
                f"terms are raised to at most {LARGEST_POWER}; write I(x^2) for the square of a column.",
                self.text, token.start, token.stop,
            )  # fmt: skip
        self.position += 1
        return int(token.text)

    def atom(self) -> _Sum:
        token = self.peek()
        if token is None:
            fail_at("nothing follows this.", self.text, self.tokens[-1:])
        if token.kind is Kind.OPERATOR:
            fail(f"nothing stands before {token.text!r}.", self.text, token.start, token.stop)
        self.position += 1
        if token.text == "(":
            return self.parentheses()
        if token.kind is Kind.NUMBER and token.text in ("0", "1"):
            return _of(()) if token.text == "1" else {}
        if token.kind is Kind.QUOTED:
            return _of((column(token.name),))
        if token.kind is Kind.NAME:
            return self.name(token)
        self.refuse(token)
        return None

    def parentheses(self) -> _Sum:
        stop = closing(self.tokens, self.position - 1)
        inside = self.tokens[self.position : stop]
        if not inside:
            fail_at(
                "there is nothing in these parentheses.", self.text, self.tokens[self.position - 1 : stop + 1]
            )
        for place, token in enumerate(inside[1:], 1):
            removed = token.text == "0" and inside[place - 1].is_operator("+")
            if removed or (token.text == "1" and inside[place - 1].is_operator("-")):
                fail(
                    "the intercept is left out outside parentheses: y ~ x - 1.",
                    self.text,
                    token.start,
                    token.stop,
                )
        if inside[0].text == "0" and len(inside) > 1:
            fail_at("the intercept is left out outside parentheses: y ~ 0 + x.", self.text, inside[:1])
        reader = _Reader(self.text, inside, self.functions)
        reader.depth, reader.products = self.depth, self.products
        found = reader.sum(0)
        self.products = reader.products
        if (left := reader.peek()) is not None:
            self.refuse(left)
        self.position = stop + 1
        return found

    def name(self, token: Token) -> _Sum:
        following = self.peek()
        if following is None or following.text != "(":
            return _of((column(token.text),))
        begin = self.position - 1
        node, self.position = read_call(self.text, self.tokens, begin, self.functions)
        label = render(self.tokens[begin : self.position])
        if isinstance(node, Items) or not columns_of(node):
            fail_at(
                f"{label} reads no column, so that it is no term.",
                self.text,
                self.tokens[begin : self.position],
            )
        return _of((_atom(label, node),))

    def power(self, base: _Sum, exponent: int, token: Token) -> _Sum:
        found = base
        for _ in range(exponent - 1):
            found = self.interactions(found, base, token)
        return found

    def interactions(self, left: _Sum, right: _Sum, token: Token) -> _Sum:
        self.products += len(left) * len(right)
        if self.products > MOST_PRODUCTS:
            message = f"expanding this takes more than {MOST_PRODUCTS:,} products of terms."
            fail(message, self.text, token.start, token.stop)
        out: _Sum = {}
        for first in left.values():
            for second in right.values():
                product = _times(first, second)
                out.setdefault(frozenset(product), product)
                if len(out) > MOST_TERMS:
                    fail(f"this makes more than {MOST_TERMS:,} terms.", self.text, token.start, token.stop)
        return out

    def combine(self, token: Token, left: _Sum, right: _Sum) -> _Sum:
        operator = token.text
        if operator == "-":
            return {key: term for key, term in left.items() if key not in right}
        if operator == "+":
            found = _union(left, right)
        elif operator == "*":
            found = _union(left, right, self.interactions(left, right, token))
        elif operator == "/":
            common = _times(*left.values())
            found = _union(left, _of(*(_times(common, term) for term in right.values())))
        else:
            found = self.interactions(left, right, token)
        if len(found) > MOST_TERMS:
            fail(f"this makes more than {MOST_TERMS:,} terms.", self.text, token.start, token.stop)
        return found


def _atom(label: str, node: Node) -> Atom:
    """Return the atom of a call; `C(x, …)` is taken apart."""
    if not isinstance(node, Call) or node.function != "C":
        return Atom(label, node, categorical=isinstance(node, Call) and node.function == "cut")
    coding, levels = node.argument("contrasts"), node.argument("levels")
    return Atom(
        label,
        node.argument("x"),
        True,
        coding if isinstance(coding, Coding) else None,
        tuple(map(_plain, levels.values)) if isinstance(levels, Items) else None,
    )


def _plain(node: Node) -> object:
    """Return the value of a constant in the tree, whole numbers as integers."""
    number = constant_value(node)
    if number is not None:
        return int(number) if number == int(number) else number
    return getattr(node, "value", None) if not isinstance(node, Flag) else bool(node.value)


def _of(*terms: Term) -> _Sum:
    out: _Sum = {}
    for term in terms:
        out.setdefault(frozenset(term), term)
    return out


def _times(*terms: Term) -> Term:
    return tuple(dict.fromkeys(atom for term in terms for atom in term))


def _union(*sums: _Sum) -> _Sum:
    out: _Sum = {}
    for terms in sums:
        for key, term in terms.items():
            out.setdefault(key, term)
    return out
