"""Arguments of R calls matched to parameters as R matches them, and read as plain values."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import suggest
from .tree import Binary, Call, Name, Node, Number, Program, Text, Unary

_FLAGS = {"TRUE": True, "FALSE": False, "T": True, "F": False}


def matched(program: Program, call: Call, parameters: Sequence[str]) -> dict[str, Node]:
    """Return the arguments of a call by parameter: by name, by the unique beginning of one, then by place.

    Parameters
    ----------
    parameters
        In R's order; those after `"..."` are matched by their whole name alone. Arguments that are `NULL` are left out.

    Examples
    --------
    >>> from .parse import parse_expression
    >>> program, call = parse_expression("gls(y ~ x, d, corr = corAR1())", "r")
    >>> sorted(matched(program, call, ("model", "data", "correlation", "weights")))
    ['correlation', 'data', 'model']
    """
    found: dict[str, Node] = {}
    places: list[Node] = []
    for argument in call.arguments:
        if argument.name is None:
            places.append(argument.value)
            continue
        name = _parameter(program, call, argument.name, argument.value, parameters)
        if name in found:
            raise program.error(f"{name} = is given twice in {call.function}().", argument.value)
        found[name] = argument.value
    free = [name for name in _before_dots(parameters) if name not in found]
    if len(places) > len(free):
        takes = ", ".join(name for name in parameters if name != "...")
        raise program.error(
            f"{call.function}() has no place for this argument; it takes {takes}.", places[len(free)]
        )
    found |= dict(zip(free, places, strict=False))
    return {name: node for name, node in found.items() if not is_null(node)}


def _before_dots(parameters: Sequence[str]) -> list[str]:
    names = list(parameters)
    return names[: names.index("...")] if "..." in names else names


def _parameter(program: Program, call: Call, name: str, value: Node, parameters: Sequence[str]) -> str:
    known = [parameter for parameter in parameters if parameter != "..."]
    if name in known:
        return name
    near = [parameter for parameter in _before_dots(parameters) if parameter.startswith(name)]
    if len(near) == 1:
        return near[0]
    if near:
        raise program.error(
            f"{name} = may be {' or '.join(near)} of {call.function}(); write one of them out.", value
        )
    raise program.error(
        f"{call.function}() has no argument {name!r} that is read here.{suggest(name, known)} "
        f"It takes {', '.join(known)}.",
        value,
    )


def is_null(node: Node) -> bool:
    """Return whether a node is `NULL`."""
    return isinstance(node, Name) and node.value == "NULL"


def flag(program: Program, node: Node, what: str) -> bool:
    """Return TRUE or FALSE."""
    if isinstance(node, Name) and node.value in _FLAGS:
        return _FLAGS[node.value]
    raise program.error(f"{what} is TRUE or FALSE.", node)


def text(program: Program, node: Node, what: str, allowed: Sequence[str] = ()) -> str:
    """Return a text in quotation marks, one of `allowed` where any are named."""
    if not isinstance(node, Text):
        raise program.error(f"{what} is a text in quotation marks.", node)
    if allowed and node.value not in allowed:
        listed = ", ".join(f'"{value}"' for value in allowed)
        raise program.error(
            f'{what} = "{node.value}" is not known.{suggest(node.value, allowed)} Use {listed}.', node
        )
    return node.value


def number(program: Program, node: Node, what: str) -> float:
    """Return a number, with its sign."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Unary) and node.operator in "+-" and isinstance(node.operand, Number):
        return -node.operand.value if node.operator == "-" else node.operand.value
    raise program.error(f"{what} is a number.", node)


def whole(program: Program, node: Node, what: str) -> int:
    """Return a whole number that is not negative."""
    value = number(program, node, what)
    if value != int(value) or value < 0 or value > 1_000:
        raise program.error(f"{what} is a whole number from 0 to 1,000.", node)
    return int(value)


def elements(node: Node) -> tuple[Node, ...] | None:
    """Return the elements of `c(…)`, a node alone as one; None where they have names."""
    if not (isinstance(node, Call) and node.function == "c"):
        return (node,)
    if any(argument.name is not None for argument in node.arguments):
        return None
    return tuple(argument.value for argument in node.arguments)


def numbers(program: Program, node: Node, what: str) -> list[float]:
    """Return the numbers of `c(…)`, `a:b`, or one number."""
    if isinstance(node, Binary) and node.operator == ":":
        low, high = number(program, node.left, what), number(program, node.right, what)
        if low != int(low) or high != int(high) or abs(high - low) > 10_000:
            raise program.error(f"{what} a:b takes whole numbers at most 10,000 apart.", node)
        step = 1 if high >= low else -1
        return [float(value) for value in range(int(low), int(high) + step, step)]
    found = elements(node)
    if found is None:
        raise program.error(f"{what} is c(…) of numbers without names.", node)
    return [value for one in found for value in _numbers_of(program, one, what)]


def _numbers_of(program: Program, node: Node, what: str) -> list[float]:
    if isinstance(node, Binary) and node.operator == ":":
        return numbers(program, node, what)
    return [number(program, node, what)]


def texts(program: Program, node: Node, what: str) -> list[str]:
    """Return the texts of `c(…)`, or one text; numbers stand for themselves."""
    found = elements(node)
    if found is None:
        raise program.error(f"{what} is c(…) of texts without names.", node)
    return [_text_or_number(program, one, what) for one in found]


def _text_or_number(program: Program, node: Node, what: str) -> str:
    if isinstance(node, Number):
        return str(int(node.value)) if node.value == int(node.value) else str(node.value)
    return text(program, node, what)


def right_side(program: Program, node: Node, what: str) -> Node:
    """Return the right side of a one-sided formula `~ x`."""
    if isinstance(node, Unary) and node.operator == "~":
        return node.operand
    raise program.error(f"{what} is a one-sided formula, for example ~ 1 | id.", node)


def at_bar(node: Node) -> tuple[Node, Node | None]:
    """Return what stands left and right of the bar of `x | g`."""
    if isinstance(node, Binary) and node.operator == "|":
        return node.left, node.right
    return node, None


def grouping(program: Program, node: Node) -> tuple[str, ...]:
    """Return the nested factors of `a/b/c`, from the outermost.

    Examples
    --------
    >>> from .parse import parse_expression
    >>> grouping(*parse_expression("a/b", "random"))
    ('a', 'b')
    """
    names: list[str] = []
    while isinstance(node, Binary) and node.operator in ("/", "%in%"):
        if node.operator == "%in%":
            raise program.error("write nested groups as a/b.", node)
        names.append(_column(program, node.right))
        node = node.left
    names.append(_column(program, node))
    return tuple(reversed(names))


def _column(program: Program, node: Node) -> str:
    if isinstance(node, Name):
        return node.value
    raise program.error("the grouping side takes columns joined by /; make anything else a column.", node)
