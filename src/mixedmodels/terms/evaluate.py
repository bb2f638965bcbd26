"""The tree of an expression walked over columns: arithmetic, listed functions, and what they learn from the data.

Nothing is looked up and no text is evaluated: a node is a number, a column, an operator of `OPERATORS`, a function of
`ROWS` or `SUMMARIES`, a transform below, or a function that the caller gave.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError
from ..frame.column import Column
from ..syntax.functions import FUNCTIONS
from ..syntax.tree import Call, Coding, Flag, Items, Node, Number, Operation, Text, UserCall, Variable
from ..typing import Array
from .bases import Basis, compute_basis
from .functions import NO_FUNCTIONS, OwnFunctions


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What expressions learned from the data of the fit, by node, and the caller's own functions."""

    states: Mapping[Node, Any] = field(default_factory=dict)
    functions: OwnFunctions = NO_FUNCTIONS


@dataclass(slots=True, eq=False)
class Evaluation:
    """Expressions over n rows of some columns.

    With `learning` the states of nodes are computed from these rows and kept in `states`; without, they are those of
    the fit.
    """

    data: Mapping[str, Column]
    n: int
    functions: OwnFunctions = NO_FUNCTIONS
    states: dict[Node, Any] = field(default_factory=dict)
    learning: bool = False

    @classmethod
    def of(cls, learned: Learned, data: Mapping[str, Column], n: int) -> Evaluation:
        """Return the evaluation of rows by what was learned at the fit."""
        return cls(data, n, learned.functions, dict(learned.states))

    def learned(self) -> Learned:
        """Return what was learned."""
        return Learned(dict(self.states), self.functions)

    def column(self, node: Node, label: str) -> Array:
        """Return the values of an expression, (n,) in float64; `DataError` where it is no column."""
        with np.errstate(all="ignore"):
            values = self.value(node)
        if isinstance(values, Basis):
            if values.values.shape[1] != 1:
                raise SpecError(
                    f"{label} gives {values.values.shape[1]} columns where one number per row is needed."
                )
            values = values.values[:, 0]
        found = np.asarray(values, dtype=np.float64)
        return np.full(self.n, float(found)) if found.ndim == 0 else found

    def basis(self, node: Call, label: str) -> Basis:
        """Return the columns of a basis."""
        x = self.column(node.arguments[0], label)
        names = [parameter.name for parameter in FUNCTIONS[node.function].parameters[1:]]
        options = {name: _plain(one) for name, one in zip(names, node.arguments[1:], strict=True)}
        state = self.states.setdefault(node, {}) if self.learning else dict(self.states.get(node, {}))
        return compute_basis(node.function, label, x, options, state)

    def levels(self, node: Node) -> Column:
        """Return the values of an expression as codes and levels."""
        if isinstance(node, Variable):
            return self.data[node.name].factor()
        if isinstance(node, Call) and node.function == "cut":
            return self._cut(node)
        with np.errstate(all="ignore"):
            values = np.asarray(self.value(node))
        values = np.broadcast_to(values, (self.n,))
        return Column("the expression", values, missing=None).factor()

    def value(self, node: Node) -> Any:
        """Return a number, an array (n,), or a `Basis`."""
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Variable):
            return self._number(node.name)
        if isinstance(node, Operation):
            return self._operation(node)
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, UserCall):
            arguments = [self._own_argument(one) for one in node.arguments]
            options = {name: self._own_argument(one) for name, one in node.options}
            return self.functions.call(node.function, arguments, options, self.n)
        if isinstance(node, Flag) and node.value is not None:
            return float(node.value)
        raise SpecError(f"{_plain(node)!r} is no number.")

    def _number(self, name: str) -> Array:
        if name not in self.data:
            raise DataError(f"column {name!r} is not in the data.")
        return self.data[name].number()

    def _own_argument(self, node: Node) -> Any:
        if isinstance(node, Variable) and self.data[node.name].is_factor:
            column = self.data[node.name]
            assert column.levels is not None
            return column.levels[column.values]
        if isinstance(node, Flag):
            return node.value
        value = self.value(node)
        # a copy: what the caller's function does to its arguments must not reach the data
        return np.array(value) if isinstance(value, np.ndarray) else value

    def _operation(self, node: Operation) -> Any:
        if node.operator == "%in%" or any(isinstance(one, Text) for one in node.operands):
            return self._compare_levels(node)
        values = [_numeric(self._single(one)) for one in node.operands]
        return UNARY[node.operator](*values) if len(values) == 1 else OPERATORS[node.operator](*values)

    def _single(self, node: Node) -> Any:
        value = self.value(node)
        if isinstance(value, Basis):
            raise SpecError(
                "a basis of several columns cannot stand inside arithmetic; make it a term of its own."
            )
        return value

    def _compare_levels(self, node: Operation) -> NDArray[np.bool_]:
        """Return where a column has a level, or one of several, (n,)."""
        first, second = node.operands
        if isinstance(first, Text):
            first, second = second, first
        wanted = second.values if isinstance(second, Items) else (second,)
        if not isinstance(first, Variable):
            numbers = np.asarray(self._single(first))
            return np.broadcast_to(np.isin(numbers, [float(_plain(one)) for one in wanted]), (self.n,))
        column = self.data[first.name].factor()
        assert column.levels is not None
        known = {_level_text(level): code for code, level in enumerate(column.levels.tolist())}
        codes = [known[text] for one in wanted if (text := _level_text(_plain(one))) in known]
        if self.learning and len(codes) < len(wanted):
            missing = [str(_plain(one)) for one in wanted if _level_text(_plain(one)) not in known]
            shown = ", ".join(list(known)[:10]) + (" …" if len(known) > 10 else "")
            raise DataError(f"{missing[0]!r} is no level of column {first.name!r}. Levels: {shown}.")
        found = np.isin(column.values, codes)
        return ~found if node.operator == "!=" else found

    def _call(self, node: Call) -> Any:
        function = FUNCTIONS[node.function]
        if function.kind == "basis":
            return self.basis(node, node.function)
        if function.kind == "factor":
            raise SpecError(f"{node.function}(…) gives levels and cannot stand inside arithmetic.")
        first = self._single(node.arguments[0])
        if function.kind == "summary":
            return self._learn(
                node, lambda: SUMMARIES[node.function](_every(first, self.n), *self._options(node))
            )
        if function.kind == "learned":
            centre, scale = self._learn(
                node, lambda: _standard(node.function, _every(first, self.n), self._options(node))
            )
            return (first - centre) / scale
        if function.kind == "order":
            return _lag(_every(first, self.n), int(self._options(node)[0]))
        others = [
            None if isinstance(one, Flag) and one.value is None else self._single(one)
            for one in node.arguments[1:]
        ]
        return ROWS[node.function](first, *others)

    def _options(self, node: Call) -> list[Any]:
        return [_plain(one) for one in node.arguments[1:]]

    def _learn(self, node: Node, compute: Callable[[], Any]) -> Any:
        if self.learning and node not in self.states:
            self.states[node] = compute()
        return self.states[node]

    def _cut(self, node: Call) -> Column:
        x = _every(self._single(node.arguments[0]), self.n)
        breaks, right = (
            np.unique(np.array(_plain(node.arguments[1]), dtype=float)),
            bool(_plain(node.arguments[2])),
        )
        if len(breaks) < 2:
            raise SpecError("cut: breaks are two numbers or more.")
        codes = np.searchsorted(breaks, x, side="left" if right else "right") - 1
        outside = (codes < 0) | (codes >= len(breaks) - 1)
        if outside.any():
            value = float(x[outside][0])
            raise DataError(
                f"cut: {value:.6g} lies outside the breaks, {breaks[0]:.6g} to {breaks[-1]:.6g}; add one."
            )
        open_, close = ("(", "]") if right else ("[", ")")
        names = np.empty(len(breaks) - 1, object)
        names[:] = [f"{open_}{a:.6g},{b:.6g}{close}" for a, b in itertools.pairwise(breaks)]
        return Column("cut", codes.astype(np.int32), names)


def _every(value: Any, n: int) -> Array:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (n,))


def _plain(node: Node) -> Any:
    """Return the value of a constant of the tree."""
    if isinstance(node, Items):
        return [_plain(one) for one in node.values]
    if isinstance(node, (Number, Text, Flag)):
        return node.value
    assert isinstance(node, (Coding, Variable, Operation, Call, UserCall))
    return None


def _level_text(level: Any) -> str:
    if isinstance(level, float) and level == int(level):
        level = int(level)
    return str(level)


def _standard(function: str, x: Array, options: list[Any]) -> tuple[Any, Any]:
    """Return what is subtracted from x and what it is divided by then."""
    centre, scale, ddof = (True, False, 0) if function == "center" else options
    shift = float(np.mean(x)) if centre is True else 0.0 if centre is False else float(centre)
    if scale is False:
        return shift, 1.0
    if scale is not True:
        return shift, float(scale)
    size = float(np.sqrt(np.sum((x - shift) ** 2) / max(len(x) - ddof, 1)))
    if size == 0:
        raise DataError(f"{function}: the values do not vary, so that they cannot be scaled.")
    return shift, size


def _lag(x: Array, k: int) -> Array:
    out = np.full(len(x), np.nan)
    if k >= 0:
        out[k:] = x[: max(len(x) - k, 0)]
    else:
        out[:k] = x[-k:]
    return out


def _log(x: Any, base: float | None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _round(x: Any, digits: float) -> Any:
    return np.round(x, int(digits))


ROWS: Mapping[str, Callable[..., Any]] = {
    **{
        name: getattr(np, name)
        for name in (
            "log2", "log10", "log1p", "exp", "exp2", "expm1", "sqrt", "cbrt", "square", "reciprocal", "abs", "sign",
            "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh",
            "floor", "ceil", "trunc", "radians", "degrees", "isfinite", "minimum", "maximum", "power", "hypot",
            "arctan2", "mod", "clip", "where",
        )
    },
    "log": _log,
    "round": _round,
    "exp10": lambda x: np.power(10.0, x),
    "logit": lambda p: np.log(p / (1.0 - p)),
    "expit": lambda x: 1.0 / (1.0 + np.exp(-np.asarray(x))),
    "I": lambda x: x,
}  # fmt: skip
"""Functions of the values of a row."""

SUMMARIES: Mapping[str, Callable[..., Any]] = {
    "mean": lambda x: float(np.mean(x)),
    "median": lambda x: float(np.median(x)),
    "std": lambda x, ddof: float(np.std(x, ddof=int(ddof))),
    "sd": lambda x: float(np.std(x, ddof=1)),
    "min": lambda x: float(np.min(x)),
    "max": lambda x: float(np.max(x)),
    "quantile": lambda x, q: float(np.quantile(x, q)),
}
"""Functions that give one number of the data of the fit."""


def _numeric(x: Any) -> Any:
    """Return truth as 1.0 and 0.0, which NumPy would add as truth."""
    return x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype.kind == "b" else x


def _truth(x: Any) -> NDArray[np.bool_]:
    return np.asarray(np.asarray(x) != 0, dtype=np.bool_)


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.true_divide, "//": np.floor_divide, "%": np.mod,
    "**": lambda a, b: np.power(np.asarray(a, dtype=np.float64), b),
    "==": np.equal, "!=": np.not_equal, "<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal,
    "&": lambda a, b: _truth(a) & _truth(b), "|": lambda a, b: _truth(a) | _truth(b),
}  # fmt: skip
"""Operators of two operands. Truth is a number, 1 or 0, wherever arithmetic meets it."""
UNARY: Mapping[str, Callable[[Any], Any]] = {
    "-": lambda x: np.negative(np.asarray(x, dtype=np.float64)), "+": lambda x: x, "!": lambda x: ~_truth(x),
}  # fmt: skip
