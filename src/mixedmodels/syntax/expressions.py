"""Arithmetic inside a formula as a tree: columns, numbers, operators and the functions of the closed list.

Whatever is not in `functions.py` is refused where it stands, so that a tree can be walked and nothing else happens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

from .arguments import bind_arguments, read_coding, refuse_function
from .functions import CONSTANTS, LARGEST_CONSTANT, MOST_NESTED, SPELLINGS, TERMS_OF_THEIR_OWN
from .tokens import EVERYTHING, Kind, Token, Tokens, closing, fail, fail_at, split_at_commas, tokenize
from .tree import Coding, Flag, Items, Node, Number, Operation, Text, UserCall, Variable, constant_value

_BINDING = {
    "|": 1, "&": 2, "==": 4, "!=": 4, "<": 4, ">": 4, "<=": 4, ">=": 4, "+": 5, "-": 5,
    "*": 6, "/": 6, "%": 6, "%%": 6, "//": 6, "%/%": 6, "%in%": 7, "**": 9, "^": 9,
}  # fmt: skip
"""How strongly operators bind, R's order."""
_COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
_NOT, _SIGN = 3, 8
_SAME = {"^": "**", "%%": "%", "%/%": "//"}
_FLAGS = {"True": True, "TRUE": True, "False": False, "FALSE": False, "None": None, "NULL": None}


def read_expression(text: str, tokens: Tokens, functions: frozenset[str] | None = frozenset()) -> Node:
    """Return the tree of an arithmetic expression.

    Parameters
    ----------
    text, tokens
        The text and its tokens, or a part of them.
    functions
        Names of the caller's own functions; None takes every name that is no function of the language for one.

    Raises
    ------
    SpecError
        With a caret under what is not in the language, or beyond its limits.

    Examples
    --------
    >>> from .tokens import tokenize
    >>> read_expression("x^2", tokenize("x^2"))
    Operation(operator='**', operands=(Variable(name='x'), Number(value=2.0)))
    """
    reader = _Reader(text, tokens, functions)
    node = reader.binary(0)
    if (left := reader.peek()) is not None:
        fail(f"{left.text!r} cannot stand here.", text, left.start, left.stop)
    return node


def read_call(
    text: str, tokens: Tokens, place: int, functions: frozenset[str] | None = frozenset()
) -> tuple[Node, int]:
    """Return the call that starts at the name `tokens[place]`, and the place after it."""
    reader = _Reader(text, tokens, functions, place)
    node = reader.call(tokens[place])
    return node, reader.position


@lru_cache(maxsize=256)
def read_coding_text(text: str) -> Coding:
    """Return the coding of a factor written `sum`, `contr.treatment('b')` or `[[1, 0], [0, 1], [-1, -1]]`.

    Examples
    --------
    >>> read_coding_text("contr.sum")
    Coding(kind='sum', options=(), matrix=None)
    """
    tokens = tokenize(text)
    if not tokens:
        fail("a coding is expected here, for example sum.", text, 0)
    found = read_coding(_Reader(text, tokens, frozenset()), tokens)
    if not isinstance(found, Coding):
        fail_at("a coding is expected here, for example sum.", text, tokens)
    return found


@dataclass(slots=True)
class _Reader:
    """Precedence climbing over tokens."""

    text: str
    tokens: Tokens
    functions: frozenset[str] | None
    position: int = 0
    depth: int = field(default=0)

    def peek(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def fail_at(self, message: str, *tokens: Token) -> NoReturn:
        fail_at(message, self.text, tokens)

    def deeper(self, token: Token) -> None:
        self.depth += 1
        if self.depth > 2 * MOST_NESTED:
            self.fail_at("the expression is nested too deeply; compute it as a column of the data.", token)

    def binary(self, binding: int) -> Node:
        begin = self.position
        left = self.operand()
        while (token := self.peek()) is not None and token.kind is Kind.OPERATOR:
            strength = _BINDING.get(token.text)
            if strength is None:
                self.refuse_operator(token)
            if strength <= binding and not (strength == binding == 9):
                break
            self.position += 1
            self.deeper(token)
            right = self.binary(strength if strength != 9 else _SIGN)
            if token.text in _COMPARISONS and _is_comparison(left):
                self.fail_at("a chain of comparisons is written (0 < x) & (x < 1).", token)
            left = self.checked(Operation(_SAME.get(token.text, token.text), (left, right)), begin)
            self.depth -= 1
        return left

    def checked(self, node: Operation, begin: int) -> Node:
        """Return an operation whose operands go together and whose constant is not too large."""
        for one in node.operands:
            if isinstance(one, Coding):
                fail_at(
                    "contrasts stand only in C(x, contr.sum).", self.text, self.tokens[begin : self.position]
                )
            levels = isinstance(one, (Text, Items)) and node.operator not in ("==", "!=", "%in%")
            if levels or isinstance(one, Flag):
                fail_at("numbers are needed on both sides.", self.text, self.tokens[begin : self.position])
        if node.operator == "%in%" and not isinstance(node.operands[1], Items):
            fail_at(
                "right of %in% stands a list, c('a', 'b').", self.text, self.tokens[begin : self.position]
            )
        if node.operator != "%in%" and any(isinstance(one, Items) for one in node.operands):
            fail_at("a list stands only right of %in%.", self.text, self.tokens[begin : self.position])
        self.check_size(node, begin)
        return node

    def check_size(self, node: Node, begin: int) -> None:
        value = constant_value(node)
        if value is not None and not abs(value) <= LARGEST_CONSTANT:
            fail_at(
                f"constants are at most {LARGEST_CONSTANT:g} in size.",
                self.text,
                self.tokens[begin : self.position],
            )

    def refuse_operator(self, token: Token) -> NoReturn:
        if token.text == ":":
            self.fail_at("':' makes interactions of terms; inside a function write '*' for a product.", token)
        if token.text == "||":
            self.fail_at("write one bar for a logical or.", token)
        if token.text == "=":
            self.fail_at("'=' gives an option its value; write '==' to compare.", token)
        if token.text == "~":
            self.fail_at("a formula has one '~'.", token)
        self.fail_at(f"{token.text!r} cannot stand here.", token)

    def operand(self) -> Node:
        token = self.peek()
        if token is None:
            fail_at("something is missing after this.", self.text, self.tokens[-1:])
        begin = self.position
        self.position += 1
        if token.is_operator("-", "+", "!"):
            self.deeper(token)
            inside = self.binary(_NOT if token.text == "!" else _SIGN)
            self.depth -= 1
            return self.checked(Operation(token.text, (inside,)), begin)
        if token.kind is Kind.NUMBER:
            return self.number(token)
        if token.kind is Kind.STRING:
            return Text(_unquoted(token.text))
        if token.kind is Kind.QUOTED:
            return Variable(token.name)
        if token.text == "(":
            return self.parentheses(token)
        if token.text == "[":
            return self.items(self.position - 1)
        if token.kind is Kind.NAME:
            return self.name(token)
        if token.text == "{":
            self.fail_at("braces are not part of the language; write I(…) around arithmetic.", token)
        if token.kind is Kind.OPERATOR:
            self.fail_at(f"nothing stands before {token.text!r}.", token)
        self.fail_at(f"{token.text!r} cannot stand here.", token)
        return None

    def number(self, token: Token) -> Number:
        value = float(token.text.removesuffix("L"))
        if not value <= LARGEST_CONSTANT:
            self.fail_at(f"constants are at most {LARGEST_CONSTANT:g} in size.", token)
        return Number(value)

    def parentheses(self, token: Token) -> Node:
        self.deeper(token)
        stop = closing(self.tokens, self.position - 1)
        inside = self.tokens[self.position : stop]
        if not inside:
            self.fail_at("there is nothing in these parentheses.", token)
        node = self.inner(inside)
        self.position = stop + 1
        self.depth -= 1
        return node

    def inner(self, tokens: Tokens) -> Node:
        """Return the tree of a run of tokens inside brackets."""
        reader = _Reader(self.text, tokens, self.functions, 0, self.depth)
        node = reader.binary(0)
        if (left := reader.peek()) is not None:
            what = (
                "a comma separates arguments of a function."
                if left.kind is Kind.COMMA
                else "this cannot stand here."
            )
            fail(what, self.text, left.start, left.stop)
        return node

    def items(self, opener: int) -> Node:
        """Return the list `[…]` or `c(…)` whose bracket stands at `opener`."""
        self.deeper(self.tokens[opener])
        stop = closing(self.tokens, opener)
        runs = split_at_commas(self.tokens[opener + 1 : stop])
        values = [self.inner(run) for run in runs if run]
        if len(values) < len(runs):
            fail_at("a value is missing in this list.", self.text, self.tokens[opener : stop + 1])
        for run, value in zip(runs, values, strict=True):
            if constant_value(value) is None and not isinstance(value, (Text, Flag, Items)):
                fail_at("a list holds numbers or levels.", self.text, run)
        self.position = stop + 1
        self.depth -= 1
        return Items(tuple(Number(v) if (v := constant_value(one)) is not None else one for one in values))

    def name(self, token: Token) -> Node:
        following = self.peek()
        if following is not None and following.text == "(":
            return self.call(token)
        if token.text == EVERYTHING:
            self.fail_at("'.' stands for all other columns as a term, not inside a function.", token)
        if token.text in _FLAGS:
            return Flag(_FLAGS[token.text])
        if token.text in CONSTANTS:
            return Number(CONSTANTS[token.text])
        if token.text.split(".")[0] in ("np", "contr") and "." in token.text:
            refuse_function(self.text, token)
        return Variable(token.text)

    def call(self, token: Token) -> Node:
        """Return the call whose name is `token`, its bracket at or after the position."""
        opener = self.position if self.peek() is not token else self.position + 1
        stop = closing(self.tokens, opener)
        if stop + 1 < len(self.tokens) and self.tokens[stop + 1].text in ("(", "[", "{"):
            self.fail_at("what a function gives cannot be called or indexed.", self.tokens[stop + 1])
        if token.text == "c":
            return self.items(opener)
        runs = list(split_at_commas(self.tokens[opener + 1 : stop]))
        runs = [] if runs == [self.tokens[0:0]] or (len(runs) == 1 and not runs[0]) else runs
        self.position = stop + 1
        if (function := SPELLINGS.get(token.text)) is not None:
            return bind_arguments(self, token, function, runs)
        if token.text in TERMS_OF_THEIR_OWN:
            self.fail_at(f"{token.text}(…) is a term of its own and cannot stand inside another.", token)
        known = self.functions is None or token.text in self.functions
        if not known or "." in token.text:
            refuse_function(self.text, token)
        return self.user_call(token, runs)

    def user_call(self, token: Token, runs: list[Tokens]) -> Node:
        arguments: list[Node] = []
        options: list[tuple[str, Node]] = []
        self.deeper(token)
        for run in runs:
            if len(run) > 2 and run[0].kind is Kind.NAME and run[1].is_operator("="):
                options.append((run[0].text, self.inner(run[2:])))
            elif not run or options:
                fail_at("values stand first and options such as k=2 after them.", self.text, run or [token])
            else:
                arguments.append(self.inner(run))
            last = (arguments if not options else [options[-1][1]])[-1]
            if isinstance(last, (Text, Items, Coding)):
                fail_at("a function of your own takes columns and numbers.", self.text, run)
        self.depth -= 1
        if not arguments:
            self.fail_at(f"{token.text} takes a column first.", token)
        return UserCall(token.text, tuple(arguments), tuple(options))


def _is_comparison(node: Node) -> bool:
    return isinstance(node, Operation) and node.operator in _COMPARISONS


def _unquoted(text: str) -> str:
    """Return the characters of a quoted text; a backslash stands for the character after it."""
    out, escaped = [], False
    for character in text[1:-1]:
        if character == "\\" and not escaped:
            escaped = True
            continue
        out.append(character)
        escaped = False
    return "".join(out)
