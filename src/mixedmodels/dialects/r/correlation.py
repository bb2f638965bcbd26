"""nlme's `correlation=` read as a residual structure: corStruct constructors."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import suggest
from ...spec import quoted
from .arguments import at_bar, flag, grouping, matched, numbers, right_side, text, whole
from .tree import Binary, Call, Name, Node, Number, Program

SERIAL = {"corAR1": "ar1", "corARMA": "arma", "corSymm": "corr", "corNatural": "corr"}
"""Structures over positions 1, 2, 3 …"""
SPATIAL = {"corExp": "exp", "corGaus": "gau", "corLin": "lin_sp", "corRatio": "rq", "corSpher": "sph"}
"""Structures over distances."""
STRUCTURES = {**SERIAL, "corCAR1": "car1", "corCompSymm": "cs", **SPATIAL}
_STARTED = {"ar1": "correlation", "car1": "correlation", **dict.fromkeys(SPATIAL.values(), "range")}
"""Reported names of the one parameter that a value given is of."""
_RANKING = frozenset(("factor", "as.factor", "ordered", "as.ordered"))
_CODES = frozenset(("as.integer", "as.numeric"))


@dataclass(frozen=True, slots=True)
class Position:
    """A column that says where a row stands; `ranked` where its values are numbered in order, `factor(x)`."""

    column: str
    ranked: bool


@dataclass(frozen=True, slots=True)
class CorrelationPart:
    """A residual structure as text, what to start from or hold, and the position whose values must be consecutive."""

    residual: str
    start: dict[str, float] = field(default_factory=dict)
    hold: dict[str, float] = field(default_factory=dict)
    position: Position | None = None


def read_correlation(program: Program, node: Node, groups: tuple[str, ...]) -> CorrelationPart:
    """Return the residual structure that `correlation=` of nlme asks for.

    Parameters
    ----------
    groups
        The nested grouping factors of the random effects, from the outermost; empty for `gls`.

    Examples
    --------
    >>> from .parse import parse_expression
    >>> read_correlation(*parse_expression("corAR1(form = ~ t | id)", "correlation"), ()).residual
    'ar1(t | id)'
    >>> read_correlation(*parse_expression("corExp(form = ~ x + y, nugget = TRUE)", "correlation"), ("a", "b")).residual
    'exp(x, y | a:b, nugget=True)'
    """
    if not isinstance(node, Call) or node.function not in STRUCTURES:
        shown = node.function if isinstance(node, Call) else program.text(node)
        raise program.error(
            f"correlation = {shown} is no class of correlations.{suggest(shown, STRUCTURES)} Known: "
            f"{', '.join(STRUCTURES)}.",
            node,
        )
    name = STRUCTURES[node.function]
    spatial = node.function in SPATIAL
    own = ("nugget", "metric") if spatial else ("p", "q") if name == "arma" else ()
    given = matched(program, node, ("value", "form", *own, "fixed"))
    columns, group = _form(program, given.get("form"))
    positions = _positions(program, node, columns, several=spatial)
    cluster = _cluster(program, given.get("form", node), group, groups)
    options = _nugget(program, given, len(positions)) if spatial else ""
    order = _order(program, node, given) if name == "arma" else ""
    inside = ", ".join(quoted(position.column) for position in positions) or "1"
    start, hold = _values(program, node, name, given, bool(options))
    counted = positions[0] if node.function in SERIAL and positions else None
    return CorrelationPart(f"{name}({inside} | {cluster}{order}{options})", start, hold, counted)


def _form(program: Program, node: Node | None) -> tuple[Node | None, tuple[str, ...]]:
    """Return the covariates of a form and its groups."""
    if node is None:
        return None, ()
    left, right = at_bar(right_side(program, node, "form"))
    return left, () if right is None else grouping(program, right)


def _positions(program: Program, call: Call, node: Node | None, *, several: bool) -> list[Position]:
    if node is None or (isinstance(node, Number) and node.value == 1):
        if call.function in SPATIAL or call.function == "corCAR1":
            raise program.error(f"{call.function}() needs its coordinates or times, form = ~ x | g.", call)
        return []
    found: list[Position] = []
    while isinstance(node, Binary) and node.operator == "+":
        found.append(_position(program, node.right))
        node = node.left
    found.append(_position(program, node))
    if len(found) > 1 and not several:
        raise program.error(f"{call.function}() takes one covariate in its form.", node)
    return found[::-1]


def _position(program: Program, node: Node) -> Position:
    ranked = False
    while isinstance(node, Call) and node.function in _RANKING | _CODES and len(node.arguments) == 1:
        ranked = ranked or node.function in _RANKING
        node = node.arguments[0].value
    if not isinstance(node, Name):
        raise program.error("a form takes columns; make anything else a column of the data.", node)
    return Position(node.value, ranked)


def _cluster(program: Program, node: Node, group: tuple[str, ...], groups: tuple[str, ...]) -> str:
    if group and groups and group[: len(groups)] != groups:
        raise program.error(
            f"the groups of the correlation must be those of the random effects, | {'/'.join(groups)}, or divide them "
            "further.",
            node,
        )
    return ":".join(quoted(name) for name in group or groups) or "1"


def _nugget(program: Program, given: dict[str, Node], count: int) -> str:
    metric = given.get("metric")
    if metric is not None:
        name = text(program, metric, "metric")
        known = [whole for whole in ("euclidean", "maximum", "manhattan") if whole.startswith(name)]
        if known != ["euclidean"] and (count > 1 or len(known) != 1):
            raise program.error(
                f'metric = "{name}": distances of two coordinates are Euclidean here.', metric
            )
    nugget = given.get("nugget")
    return ", nugget=True" if nugget is not None and flag(program, nugget, "nugget") else ""


def _order(program: Program, call: Call, given: dict[str, Node]) -> str:
    p, q = (whole(program, given[key], key) if key in given else 0 for key in ("p", "q"))
    if p + q == 0:
        raise program.error("corARMA() needs an order, p = or q = 1 or more.", call)
    return f", p={p}, q={q}"


def _values(
    program: Program, call: Call, name: str, given: dict[str, Node], nugget: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what to start from and what to hold."""
    fixed = "fixed" in given and flag(program, given["fixed"], "fixed")
    value = given.get("value")
    if value is None:
        if fixed:
            raise program.error(
                f"fixed = TRUE holds the value that is given: {call.function}(0.5, …, fixed = TRUE).", call
            )
        return {}, {}
    read = numbers(program, value, "value")
    if name not in _STARTED or nugget or len(read) != 1:
        what = "held" if fixed else "started from"
        raise program.error(f"values of {call.function}() are not {what} here; leave value = out.", value)
    values = {f"{_STARTED[name]}(Residual)": read[0]}
    return ({}, values) if fixed else (values, {})
