"""nlme's `random=` read as bars of a formula: formulas, lists and pdMat constructors."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import suggest
from ...spec import quoted
from .arguments import at_bar, grouping, matched, right_side, texts
from .tree import Call, Node, Program, Unary

MATRICES = {
    "pdSymm": "us",
    "pdLogChol": "us",
    "pdNatural": "us",
    "pdDiag": "diag",
    "pdIdent": "homdiag",
    "pdCompSymm": "cs",
}
"""nlme's classes of covariance matrices by structure."""
_PARAMETERS = ("value", "form", "nam", "data")
_GROUPED = (
    "name the group, for example ~ 1 | id or list(id = {}): the groups that a groupedData object carries are not "
    "known here"
)


@dataclass(frozen=True, slots=True)
class RandomPart:
    """The random terms as formula text, and the nested grouping factors from the outermost."""

    bars: tuple[str, ...]
    groups: tuple[str, ...]


def read_random(program: Program, node: Node) -> RandomPart:
    """Return the bars that `random=` of nlme asks for.

    Examples
    --------
    >>> from .parse import parse_expression
    >>> read_random(*parse_expression("~ 1 | a/b", "random"))
    RandomPart(bars=('(1 | a)', '(1 | a:b)'), groups=('a', 'b'))
    >>> read_random(*parse_expression("list(id = pdDiag(~ -1 + fem + male))", "random")).bars
    ('diag(-1 + fem + male | id)',)
    """
    if isinstance(node, Call) and node.function == "reStruct" and node.arguments:
        node = node.arguments[0].value
    if isinstance(node, Unary) and node.operator == "~":
        effects, group = at_bar(node.operand)
        if group is None:
            raise program.error(_GROUPED.format(program.text(node)) + ".", node)
        names = grouping(program, group)
        return _nested(program, [(name, [("us", effects)]) for name in names])
    if isinstance(node, Call) and node.function == "list":
        return _nested(
            program, [_level(program, argument.name, argument.value) for argument in node.arguments]
        )
    if isinstance(node, Call) and (node.function in MATRICES or node.function == "pdBlocked"):
        raise program.error(_GROUPED.format(program.text(node)) + ".", node)
    raise program.error(
        "random = is a formula ~ x | g, or list(g = …) of formulas and pdMat constructors.", node
    )


def _nested(program: Program, levels: list[tuple[str, list[tuple[str, Node]]]]) -> RandomPart:
    names = [name for name, _ in levels]
    bars = []
    for depth, (_, parts) in enumerate(levels, 1):
        group = ":".join(quoted(name) for name in names[:depth])
        for structure, effects in parts:
            columns = program.text(effects)
            inside = f"({columns} | {group})"
            # one column has one variance, whatever the class
            bars.append(inside if structure == "us" or columns == "1" else f"{structure}{inside}")
    return RandomPart(tuple(bars), tuple(names))


def _level(program: Program, name: str | None, node: Node) -> tuple[str, list[tuple[str, Node]]]:
    """Return a grouping factor and the structures and effects at its levels."""
    if name is None:
        raise program.error(
            "name the group of every element, as in list(id = ~ 1); no data carry their groups here.", node
        )
    return name, _blocks(program, node, "us")


def _blocks(program: Program, node: Node, default: str) -> list[tuple[str, Node]]:
    """Return the structures and effects of a formula, a pdMat, or the blocks of a pdBlocked."""
    if isinstance(node, Unary) and node.operator == "~":
        effects, group = at_bar(node.operand)
        if group is not None:
            raise program.error("inside list(g = …) the formula has no bar.", group)
        return [(default, effects)]
    if not isinstance(node, Call):
        raise program.error(
            "this is a formula such as ~ 1, or a pdMat constructor such as pdDiag(~ x).", node
        )
    if node.function == "pdBlocked":
        return _blocked(program, node)
    if node.function == "list" and len(node.arguments) == 1:
        return _blocks(program, node.arguments[0].value, default)
    structure = MATRICES.get(node.function)
    if structure is None:
        known = (*MATRICES, "pdBlocked")
        raise program.error(
            f"{node.function} is no class of covariance matrices.{suggest(node.function, known)} Known: "
            f"{', '.join(known)}.",
            node,
        )
    return [(structure, _formula_of(program, node))]


def _formula_of(program: Program, call: Call) -> Node:
    """Return the effects of `pdDiag(~ x)` or `pdDiag(form = ~ x)`."""
    given = matched(program, call, _PARAMETERS)
    form = given.get("form", given.get("value"))
    if form is None or (len(given) > 1 and "value" in given) or not isinstance(form, Unary):
        place = given.get("value", call)
        raise program.error(
            f"{call.function}() takes a formula alone, {call.function}(~ x); starting values are found here.",
            place,
        )
    effects, group = at_bar(right_side(program, form, "form"))
    if group is not None:
        raise program.error(f"the formula of {call.function}() has no bar.", group)
    return effects


def _blocked(program: Program, call: Call) -> list[tuple[str, Node]]:
    given = matched(program, call, ("value", "form", "nam", "data", "pdClass"))
    blocks = given.get("value", given.get("form"))
    if not (isinstance(blocks, Call) and blocks.function == "list"):
        raise program.error(
            "pdBlocked() takes a list, pdBlocked(list(pdIdent(~ 1), pdIdent(~ f - 1))).", call
        )
    classes = _classes(program, given.get("pdClass"), len(blocks.arguments))
    found: list[tuple[str, Node]] = []
    for argument, default in zip(blocks.arguments, classes, strict=True):
        found += _blocks(program, argument.value, default)
    return found


def _classes(program: Program, node: Node | None, count: int) -> list[str]:
    if node is None:
        return ["us"] * count
    names = texts(program, node, "pdClass")
    unknown = [name for name in names if name not in MATRICES]
    if unknown or len(names) not in (1, count):
        raise program.error(f"pdClass names one class, or one for each block: {', '.join(MATRICES)}.", node)
    return [MATRICES[name] for name in (names * count if len(names) == 1 else names)]
