"""The formula of `update(m, . ~ . + x)`."""

from __future__ import annotations

from .tree import Binary, Name, Node, Unary
from .values import FormulaText, Room


def updated_formula(room: Room, old: str, node: Node) -> str:
    """Return a formula in which `.` stands for the side of the old one.

    Examples
    --------
    >>> from .parse import parse_expression
    >>> from .values import Room
    >>> program, node = parse_expression(". ~ . + sex", "r")
    >>> updated_formula(Room(program, {}), "Y ~ age", node)
    'Y ~ age + sex'
    """
    left, _, right = old.partition("~")
    program = room.program
    if isinstance(node, Name) and isinstance(found := room.names.get(node.value), FormulaText):
        return found.text
    if isinstance(node, Unary) and node.operator == "~":
        sides = left.strip(), _with(room, node.operand, right.strip())
    elif isinstance(node, Binary) and node.operator == "~":
        sides = _with(room, node.left, left.strip()), _with(room, node.right, right.strip())
    else:
        raise program.error("update() takes a formula, . ~ . + x.", node)
    return f"{sides[0]} ~ {sides[1]}"


def _with(room: Room, node: Node, old: str) -> str:
    """Return the text of a side with each `.` replaced."""
    parts: list[str] = []
    end = None
    for token in room.program.tokens[node.first : node.last + 1]:
        if token.text == "\n":
            continue
        if end is not None and token.start > end:
            parts.append(" ")
        first = not parts
        plain = first or old.replace(".", "").replace("_", "").isalnum()
        parts.append((old if plain else f"({old})") if token.text == "." else token.text)
        end = token.stop
    return "".join(parts)
