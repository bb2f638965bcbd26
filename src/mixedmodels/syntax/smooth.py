"""Smooth terms as written: `spline(x, degree=, knots=)`, `s(x, bs=, k=, …)`, `te ti t2`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from ..errors import suggest
from ..spec import Order, SmoothKind, SmoothSpec, SplineSpec, quoted
from .expressions import read_expression
from .functions import LARGEST_CONSTANT, LARGEST_INTEGER
from .rendering import render
from .tokens import Kind, Tokens, closing, fail_at, split_at_commas, tokenize
from .tree import columns_of

LARGEST_DEGREE: Final = 20
"""Degree of a spline."""
MOST_ARGUMENTS: Final = 5
"""Arguments of a smooth."""
SMALLEST_K: Final = 2
"""Dimension of a basis; how many a basis needs at least it says itself."""
LARGEST_ORDER: Final = 10
"""Order of a penalty."""
BASES: Final = (
    "tp",
    "ts",
    "cr",
    "cs",
    "cc",
    "ps",
    "cp",
    "bs",
    "ad",
    "gp",
    "re",
    "fs",
    "sz",
    "mrf",
    "rsmooth",
)
"""Names of bases in `bs=`."""
OPTIONS: Final = ("bs", "k", "m", "by", "fx", "id", "knots", "select", "xt", "d", "full")
IN_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sp": "smoothing parameters are estimated; hold a variance by hold={'var(s(x))': value}",
        "np": "margins are always those of function values where that can be computed",
        "pc": "smooths are centred over the data",
        "ord": "t2 keeps the products of every order",
        "mp": "every margin has a penalty of its own",
    }
)
"""Options of mgcv that are not taken, and what to do."""
ONLY: Final = (
    ("d", ("te", "ti", "t2"), "it says how many columns each margin takes"),
    ("full", ("t2",), "it gives each unpenalised column of a margin a variance of its own"),
)
"""Options of some kinds of smooth alone."""

Value: TypeAlias = "float | str | bool | tuple[Value, ...] | None"


def read_smooth(text: str, tokens: Tokens, functions: frozenset[str]) -> SplineSpec | SmoothSpec:
    """Return the smooth that `name(…)` asks for; `functions` are names of the caller's own.

    Raises
    ------
    SpecError
        With a caret under what cannot be read, or is beyond the limits of the language.

    Examples
    --------
    >>> from .tokens import tokenize
    >>> print(read_smooth("", tokenize("te(x, z, k=c(5, 6), bs='cr')"), frozenset()))
    te(x, z, bs='cr', k=[5, 6])
    """
    if tokens[0].text == "spline":
        return _spline(text, tokens)
    kind = cast(SmoothKind, tokens[0].text)
    arguments: list[str] = []
    given: dict[str, tuple[Tokens, Tokens]] = {}
    for run in split_at_commas(tokens[2:-1]):
        if not run:
            fail_at(f"an argument of {kind} is missing: {_example(kind)}.", text, tokens)
        if len(run) > 1 and run[0].kind is Kind.NAME and run[1].is_operator("="):
            _check_option(text, kind, run, given)
            given[run[0].text] = (run[:1], run[2:])
        elif given:
            fail_at("columns come before options.", text, run)
        else:
            arguments.append(_argument(text, kind, run, functions))
    _check_arguments(text, kind, tokens, arguments)
    reader = _Options(text, kind, len(arguments), given)
    return SmoothSpec(
        kind,
        tuple(arguments),
        reader.basis(),
        reader.k(),
        reader.m(),
        reader.by(),
        reader.flag("fx"),
        reader.id(),
        reader.knots(),
        reader.flag("select"),
        reader.margin(),
        reader.dimensions,
        reader.flag("full"),
    )


def selecting(text: str) -> str:
    """Return a formula whose smooths can all vanish: `select=True` in each that does not say.

    Examples
    --------
    >>> selecting("y ~ a + s(x, k=5) + te(u, v)")
    'y ~ a + s(x, k=5, select=True) + te(u, v, select=True)'
    """
    tokens = tokenize(text)
    ends = []
    for at, token in enumerate(tokens[:-1]):
        if token.kind is Kind.NAME and token.text in ("s", "te", "ti", "t2") and tokens[at + 1].text == "(":
            last = closing(tokens, at + 1)
            if not any(own.text == "select" for own in tokens[at:last]):
                ends.append(tokens[last].start)
    for end in sorted(ends, reverse=True):
        text = f"{text[:end]}, select=True{text[end:]}"
    return text


def _example(kind: str) -> str:
    return "s(x, bs='cr', k=10)" if kind == "s" else f"{kind}(x, z, k=[5, 5])"


def _check_option(text: str, kind: str, run: Tokens, given: Mapping[str, object]) -> None:
    name = run[0].text
    if name in IN_WORDS:
        fail_at(f"{kind} has no option {name!r}: {IN_WORDS[name]}.", text, run[:1])
    if name not in OPTIONS:
        listed = ", ".join(f"{one}=" for one in OPTIONS)
        fail_at(f"{kind} has no option {name!r}.{suggest(name, OPTIONS)} It takes {listed}.", text, run[:1])
    if name in given:
        fail_at(f"{name}= is given twice.", text, run)
    if len(run) == 2:
        fail_at(f"{name}= has no value.", text, run)


def _argument(text: str, kind: str, run: Tokens, functions: frozenset[str]) -> str:
    if run[0].kind is Kind.STRING or run[0].text in ("True", "False", "TRUE", "FALSE"):
        fail_at(f"{kind} takes columns, then options by name: {_example(kind)}.", text, run)
    if len(run) == 1 and run[0].kind in (Kind.NAME, Kind.QUOTED):
        return quoted(run[0].name)
    if not columns_of(read_expression(text, run, functions)):
        fail_at(f"this reads no column of the data; options go by name: {_example(kind)}.", text, run)
    return render(run)


def _check_arguments(text: str, kind: str, tokens: Tokens, arguments: list[str]) -> None:
    if not arguments:
        fail_at(f"{kind} takes a column first: {_example(kind)}.", text, tokens)
    if len(arguments) > MOST_ARGUMENTS:
        fail_at(f"a smooth has at most {MOST_ARGUMENTS} arguments.", text, tokens)
    if len(set(arguments)) < len(arguments):
        fail_at("a smooth takes each column once.", text, tokens)
    if kind in ("te", "t2") and len(arguments) < 2:
        fail_at(f"{kind} takes two columns or more: {_example(kind)}; for one write s(x).", text, tokens)


class _Options:
    """The options of one smooth, each read once."""

    def __init__(self, text: str, kind: str, count: int, given: Mapping[str, tuple[Tokens, Tokens]]) -> None:
        self.text, self.kind, self.given = text, kind, given
        for name, kinds, why in ONLY:
            if name in given and kind not in kinds:
                self._fail(name, f"is an option of {' and '.join(kinds)} alone: {why}.")
        self.dimensions = self._dimensions(count)
        self.margins = 1 if kind == "s" else len(self.dimensions) or count

    def _dimensions(self, count: int) -> tuple[int, ...]:
        """Return how many columns each margin takes; empty for one each."""
        value = self._value("d")
        if value is None:
            return ()
        values = value if isinstance(value, tuple) else (value,)
        if not all(_is_number(v) and v == int(cast(float, v)) and cast(float, v) >= 1 for v in values):
            self._fail("d", "is how many columns each margin takes, for example d=[2, 1].")
        found = tuple(int(cast(float, v)) for v in values)
        if sum(found) != count:
            self._fail("d", f"adds up to {sum(found)}, and there are {count} columns.")
        return () if set(found) == {1} else found

    def _value(self, name: str) -> Value:
        return literal(self.text, self.given[name][1]) if name in self.given else None

    def _fail(self, name: str, message: str) -> None:
        fail_at(f"{name}= {message}", self.text, self.given[name][1])

    def _each(self, name: str) -> tuple[Value, ...]:
        """Return one value, or one for each margin."""
        value = self._value(name)
        if value is None:
            return ()
        values = value if isinstance(value, tuple) else (value,)
        if len(values) not in (1, self.margins):
            self._fail(name, f"has {len(values)} values; give one{self._or_each()}.")
        return values

    def _or_each(self) -> str:
        return "" if self.margins == 1 else f", or one for each of {self.margins} columns"

    def basis(self) -> tuple[str, ...]:
        names = self._each("bs")
        for name in names:
            if not isinstance(name, str) or name not in BASES:
                hint = suggest(name, BASES) if isinstance(name, str) else ""
                self._fail("bs", f"is one of {', '.join(map(repr, BASES))}.{hint}")
        return cast("tuple[str, ...]", names)

    def k(self) -> tuple[int, ...]:
        values = self._each("k")
        if values == (-1.0,):
            return ()
        for value in values:
            if not _is_number(value) or value != int(cast(float, value)):
                self._fail("k", f"is a whole number of basis functions{self._or_each()}, for example k=10.")
            if not SMALLEST_K <= cast(float, value) <= LARGEST_INTEGER:
                self._fail("k", f"is from {SMALLEST_K} to {LARGEST_INTEGER:,}.")
        return tuple(int(cast(float, value)) for value in values)

    def m(self) -> tuple[Order, ...]:
        value = self._value("m")
        if value is None:
            return ()
        values = value if isinstance(value, tuple) else (value,)
        if self.margins == 1:
            values = (values,)
        found = tuple(one if isinstance(one, tuple) else (one,) for one in values)
        if len(found) not in (1, self.margins):
            self._fail("m", f"has {len(found)} values; give one{self._or_each()}.")
        for one in found:
            if not all(_is_number(v) and abs(cast(float, v)) <= LARGEST_ORDER for v in one) or not one:
                self._fail("m", f"is an order of a penalty, a number up to {LARGEST_ORDER}, for example m=2.")
        return cast("tuple[Order, ...]", found)

    def by(self) -> str | None:
        if "by" not in self.given:
            return None
        run = self.given["by"][1]
        if len(run) != 1 or run[0].kind not in (Kind.NAME, Kind.QUOTED):
            self._fail("by", "names a column, a factor or a number: s(x, by=group).")
        return None if run[0].text in ("NA", "None", "NULL") else run[0].name

    def flag(self, name: str) -> bool:
        value = self._value(name)
        if value is not None and not isinstance(value, bool):
            self._fail(name, "is True or False.")
        return bool(value)

    def margin(self) -> str:
        """Return the basis inside `fs` and `sz`: `xt='cr'` or `xt=list(bs='cr')`."""
        if "xt" not in self.given:
            return ""
        run = self.given["xt"][1]
        plain = len(run) == 6 and [t.text for t in (run[0], run[2], run[3])] == ["list", "bs", "="]
        value = literal(self.text, run[4:5] if plain else run)
        if not isinstance(value, str) or value not in BASES:
            self._fail(
                "xt",
                "names the basis inside fs and sz: xt='cr'; neighbours of mrf go in known={'region': W}.",
            )
        if self.basis()[:1] not in (("fs",), ("sz",)):
            self._fail(
                "xt", "names the basis inside bs='fs' and bs='sz'; give bs= itself for another smooth."
            )
        return cast(str, value)

    def id(self) -> str | None:
        value = self._value("id")
        if value is None:
            return None
        if not (isinstance(value, str) or _is_number(value)):
            self._fail("id", "is a name or a number that several smooths share.")
        return value if isinstance(value, str) else f"{value:g}"

    def knots(self) -> tuple[tuple[float, ...], ...]:
        value = self._value("knots")
        if value is None:
            return ()
        nested = isinstance(value, tuple) and any(isinstance(one, tuple) for one in value)
        rows = cast("tuple[Value, ...]", value if nested else (value,))
        if len(rows) not in (1, self.margins):
            self._fail("knots", f"has {len(rows)} lists; give one{self._or_each()}.")
        for row in rows:
            if not isinstance(row, tuple) or len(row) < 2 or not all(map(_is_number, row)):
                self._fail("knots", "takes a list of numbers, for example knots=[0, 2.5, 5, 10].")
            if any(later <= earlier for earlier, later in itertools.pairwise(cast("Order", row))):
                self._fail("knots", "must increase.")
        return cast("tuple[tuple[float, ...], ...]", rows)


def _is_number(value: Value) -> bool:
    return isinstance(value, float)


def literal(text: str, tokens: Tokens) -> Value:
    """Return a number, a string, a flag, or a list of them, `[1, 2]`, `c(1, 2)` or `list(…)`.

    Examples
    --------
    >>> from .tokens import tokenize
    >>> literal("", tokenize("c(1, -2.5)"))
    (1.0, -2.5)
    """
    first = tokens[0]
    opener = 1 if first.text in ("c", "list") and len(tokens) > 1 else 0
    if tokens[opener].text in ("[", "(") and closing(tokens, opener) == len(tokens) - 1:
        runs = [run for run in split_at_commas(tokens[opener + 1 : -1]) if run]
        return tuple(literal(text, run) for run in runs)
    if first.kind is Kind.STRING and len(tokens) == 1:
        return first.text[1:-1]
    if first.text in ("True", "TRUE", "False", "FALSE") and len(tokens) == 1:
        return first.text.lower() == "true"
    if first.text in ("None", "NULL", "NA") and len(tokens) == 1:
        return None
    sign = -1.0 if first.is_operator("-") else 1.0
    rest = tokens[1:] if first.is_operator("-", "+") else tokens
    if len(rest) != 1 or rest[0].kind is not Kind.NUMBER:
        fail_at("a number, a text in quotation marks, True, False or a list is expected here.", text, tokens)
    value = sign * float(rest[0].text.removesuffix("L"))
    if abs(value) > LARGEST_CONSTANT:
        fail_at(f"constants are at most {LARGEST_CONSTANT:g} in size.", text, tokens)
    return value


def _spline(text: str, tokens: Tokens) -> SplineSpec:
    """Return `spline(x, degree=2, knots=20)` read into a `SplineSpec`."""
    runs = split_at_commas(tokens[2:-1])
    first = runs[0]
    if len(first) != 1 or first[0].kind not in (Kind.NAME, Kind.QUOTED):
        fail_at("spline takes a numeric column first: spline(x, degree=2, knots=20).", text, first or tokens)
    degree = 2
    knots: int | tuple[float, ...] = 20
    for run in runs[1:]:
        if len(run) < 3 or not run[1].is_operator("=") or run[0].text not in ("degree", "knots"):
            fail_at("spline knows the options degree= and knots=.", text, run or tokens)
        if run[0].text == "knots" and run[-1].kind is Kind.CLOSE:
            knots = _knot_list(text, run[2:])
        elif len(run) != 3 or not run[2].text.isdecimal() or int(run[2].text[:20]) < 1:
            fail_at(f"{run[0].text}= takes a positive whole number.", text, run[2:])
        elif int(run[2].text[:20]) > (LARGEST_INTEGER if run[0].text == "knots" else LARGEST_DEGREE):
            most = LARGEST_INTEGER if run[0].text == "knots" else LARGEST_DEGREE
            fail_at(f"{run[0].text}= is at most {most:,}.", text, run[2:])
        elif run[0].text == "knots":
            knots = int(run[2].text)
        else:
            degree = int(run[2].text)
    return SplineSpec(first[0].name, degree, knots)


def _knot_list(text: str, tokens: Tokens) -> tuple[float, ...]:
    opener = 1 if tokens[0].text == "c" else 0
    try:
        knots = tuple(float(render(run).replace(" ", "")) for run in split_at_commas(tokens[opener + 1 : -1]))
    except ValueError:
        fail_at(
            "knots= takes a number of knots or a list of numbers, for example knots=[1, 2.5, 4].",
            text,
            tokens,
        )
    if any(abs(knot) > LARGEST_CONSTANT for knot in knots):
        fail_at(f"constants are at most {LARGEST_CONSTANT:g} in size.", text, tokens)
    if any(later <= earlier for earlier, later in itertools.pairwise(knots)):
        fail_at("knots must increase.", text, tokens)
    return knots
