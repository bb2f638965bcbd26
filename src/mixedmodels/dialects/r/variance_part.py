"""nlme's `weights=` read as residual variance functions: varFunc constructors."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import suggest
from ...spec import quoted
from .arguments import at_bar, matched, number, right_side
from .tree import Binary, Call, Name, Node, Number, Program, Unary

FUNCTIONS = {
    "varIdent": "ident",
    "varPower": "power",
    "varExp": "exp",
    "varConstPower": "const_power",
    "varFixed": "fixed",
}
_HELD = {"power": "power", "exp": "expon"}


@dataclass(frozen=True, slots=True)
class VariancePart:
    """A product of variance functions as text, known precision weights, and what to start from or to hold."""

    variance: tuple[str, ...] = ()
    weights: str | None = None
    start: dict[str, float] = field(default_factory=dict)
    hold: dict[str, float] = field(default_factory=dict)

    def times(self, other: VariancePart, program: Program, node: Node) -> VariancePart:
        """Return the product with another."""
        if self.weights and other.weights:
            raise program.error("two known weights; multiply them in a column of the data.", node)
        return VariancePart(
            self.variance + other.variance,
            self.weights or other.weights,
            self.start | other.start,
            self.hold | other.hold,
        )


def read_weights(program: Program, node: Node) -> VariancePart:
    """Return the variance functions that `weights=` of nlme asks for.

    Examples
    --------
    >>> from .parse import parse_expression
    >>> text = "varComb(varIdent(form = ~ 1 | sex), varPower(form = ~ age))"
    >>> read_weights(*parse_expression(text, "weights")).variance
    ('ident(sex)', 'power(age)')
    >>> read_weights(*parse_expression("varFixed(~ 1/w)", "weights")).weights
    'w'
    """
    if isinstance(node, Unary) and node.operator == "~":
        return _fixed(program, node)
    if isinstance(node, Call) and node.function == "varComb":
        if not node.arguments:
            raise program.error(
                "varComb() takes variance functions, varComb(varIdent(form = ~ 1 | g), varPower()).", node
            )
        found = VariancePart()
        for argument in node.arguments:
            found = found.times(read_weights(program, argument.value), program, argument.value)
        return found
    if not isinstance(node, Call) or node.function not in FUNCTIONS:
        shown = node.function if isinstance(node, Call) else program.text(node)
        known = (*FUNCTIONS, "varComb")
        raise program.error(
            f"weights = {shown} is no variance function.{suggest(shown, known)} Known: {', '.join(known)}.",
            node,
        )
    if node.function == "varFixed":
        given = matched(program, node, ("value",))
        if "value" not in given:
            raise program.error("varFixed() takes a formula, varFixed(~ x).", node)
        return _fixed(program, given["value"])
    return _function(program, node, FUNCTIONS[node.function])


def _fixed(program: Program, node: Node) -> VariancePart:
    """Return variances proportional to a column, or to 1/column, which are precision weights."""
    side = right_side(program, node, "varFixed")
    if isinstance(side, Name):
        return VariancePart((f"fixed({quoted(side.value)})",))
    inverse = isinstance(side, Binary) and side.operator == "/" and isinstance(side.left, Number)
    if (
        isinstance(side, Binary)
        and inverse
        and isinstance(side.right, Name)
        and program.text(side.left) == "1"
    ):
        return VariancePart((), side.right.value)
    raise program.error("varFixed takes ~ x, or ~ 1/w for precisions w; make anything else a column.", node)


def _function(program: Program, call: Call, name: str) -> VariancePart:
    first = ("const", "power") if name == "const_power" else ("value",)
    given = matched(program, call, (*first, "form", "fixed"))
    if name == "ident":
        form = given.get("form")
        strata = _strata(program, form) if form is not None else None
        if form is None or strata is None:
            raise program.error("varIdent() needs its groups, form = ~ 1 | g.", call)
        written = f"ident({', '.join(quoted(column) for column in strata)})"
    else:
        written = f"{name}({_covariate(program, given.get('form'), name)})"
    start, hold = _values(program, call, name, given, written)
    return VariancePart((written,), None, start, hold)


def _strata(program: Program, form: Node) -> tuple[str, ...] | None:
    """Return the columns whose crossing gives the groups of `~ 1 | a * b`."""
    left, right = at_bar(right_side(program, form, "form"))
    if not (isinstance(left, Number) and left.value == 1):
        raise program.error("the form of varIdent() is ~ 1 | g.", form)
    names: list[str] = []
    node = right
    while isinstance(node, Binary) and node.operator in ("*", ":"):
        names.append(_column(program, node.right))
        node = node.left
    return None if node is None else (*reversed([*names, _column(program, node)]),)


def _covariate(program: Program, form: Node | None, name: str) -> str:
    if form is None:
        return "fitted"
    left, right = at_bar(right_side(program, form, "form"))
    fitted = isinstance(left, Call) and left.function == "fitted" and len(left.arguments) == 1
    if isinstance(left, Call) and left.function == "resid":
        raise program.error("variances that depend on residuals are not fitted; use ~ fitted(.).", left)
    column = "fitted" if fitted else quoted(_column(program, left))
    return column if right is None else f"{column}, by={quoted(_column(program, right))}"


def _column(program: Program, node: Node) -> str:
    if isinstance(node, Name):
        return node.value
    raise program.error("a form takes columns; make anything else a column of the data.", node)


def _values(
    program: Program, call: Call, name: str, given: dict[str, Node], written: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what to start from and what to hold of a function with one parameter."""
    fixed, values = given.get("fixed"), [key for key in ("value", "const", "power") if key in given]
    if fixed is None and not values:
        return {}, {}
    place = fixed if fixed is not None else given[values[0]]
    if name not in _HELD or ", by=" in written or (fixed is not None and values):
        raise program.error(f"values of {call.function}() are not given here; leave them out.", place)
    read = {f"{written}: {_HELD[name]}": number(program, place, "fixed" if fixed is not None else "value")}
    return ({}, read) if fixed is not None else (read, {})
