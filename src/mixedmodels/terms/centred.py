"""Powers and products of columns far from zero, taken about an origin near their mean.

κ x^a z^b … with x = c + u is a sum of products of powers of the small u. Where a model holds all of them, its columns
span the same in u as in x, and in u no digits are lost: a column x² at 1e6 spreads from zero keeps four digits of its
curvature, u² keeps all. Columns are then computed in u, and X_u = X T with the unit triangular T of binomial
coefficients, so that β of the columns as written is Tβ_u.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..syntax.algebra import Atom
from ..syntax.tree import Call, Node, Operation, constant_value
from ..typing import Array
from .evaluate import Evaluation
from .parts import Block, Part

FAR = 10.0
"""Mean over standard deviation from which on powers and products are taken about another origin."""
SHORT = 8.0
"""The origin is a multiple of the spread over this, in binary: differences from it are exact."""
MOST_CELLS = 4096
"""Combinations of levels over which the columns of factors are compared."""
Powers = tuple[tuple[Node, int], ...]
"""Bases and their degrees, in order of appearance."""


@dataclass(frozen=True, slots=True)
class Monomial:
    """κ·base^degree, what a numeric atom of one column is."""

    factor: float
    base: Node
    degree: int


def monomial(node: Node) -> Monomial:
    """Return an expression as a constant times a power; whatever is none is a base of its own.

    Examples
    --------
    >>> from mixedmodels.syntax.algebra import expand
    >>> found = monomial(expand("I(x^2 / 100)")[0][0].expression)
    >>> found.factor, found.degree
    (0.01, 2)
    """
    if isinstance(node, Call) and node.function == "I":
        return monomial(node.arguments[0])
    if isinstance(node, Call) and node.function == "square":
        inner = monomial(node.arguments[0])
        return Monomial(inner.factor**2, inner.base, 2 * inner.degree)
    exponent = node.operands[1] if isinstance(node, Operation) and node.operator == "**" else None
    if isinstance(node, Call) and node.function == "power":
        exponent = node.arguments[1]
    if exponent is not None and isinstance(node, (Operation, Call)):
        power = constant_value(exponent)
        base = node.operands[0] if isinstance(node, Operation) else node.arguments[0]
        if power is not None and power in range(1, 21):
            inner = monomial(base)
            return Monomial(inner.factor ** int(power), inner.base, inner.degree * int(power))
    if isinstance(node, Operation) and node.operator in ("*", "/") and len(node.operands) == 2:
        return _product(node)
    return Monomial(1.0, node, 1)


def _product(node: Operation) -> Monomial:
    first, second = node.operands
    a, b = constant_value(first), constant_value(second)
    if node.operator == "*" and a is not None and b is None and a != 0:
        inner = monomial(second)
        return Monomial(a * inner.factor, inner.base, inner.degree)
    if b is not None and a is None and b != 0:
        inner = monomial(first)
        return Monomial(inner.factor * (b if node.operator == "*" else 1.0 / b), inner.base, inner.degree)
    if node.operator == "*" and a is None and b is None:
        one, two = monomial(first), monomial(second)
        if one.base == two.base:
            return Monomial(one.factor * two.factor, one.base, one.degree + two.degree)
    return Monomial(1.0, node, 1)


def numeric(part: Part) -> bool:
    """Return whether a part is one column of numbers."""
    return part.levels is None and part.fields is None


def powers_of(block: Block) -> tuple[float, Powers]:
    """Return the constant and the powers of the numbers that a block multiplies."""
    factor, degrees = 1.0, dict[Node, int]()
    for part in block:
        if numeric(part):
            found = monomial(part.atom.expression)
            factor *= found.factor
            degrees[found.base] = degrees.get(found.base, 0) + found.degree
    return factor, tuple(degrees.items())


def choose_origins(blocks: Sequence[Block], evaluation: Evaluation) -> dict[Node, float]:
    """Return an origin for every base that stands far from zero in a power or a product.

    Only where every column is a sum of columns before it in the new powers: a model without x has x² as it is.
    """
    curved = {base for block in blocks if _degree(powers_of(block)[1]) > 1 for base, _ in powers_of(block)[1]}
    origins = {base: origin for base in curved if (origin := _origin(base, evaluation)) != 0.0}
    while origins:
        failed = _unmapped(blocks, origins)
        if failed is None:
            return origins
        origins = {base: origin for base, origin in origins.items() if base not in failed}
    return {}


def _degree(powers: Powers) -> int:
    return sum(degree for _, degree in powers)


def _origin(base: Node, evaluation: Evaluation) -> float:
    values = evaluation.column(base, "")
    mean, spread = (float(np.mean(values)), float(np.std(values))) if len(values) else (0.0, 0.0)
    if not (math.isfinite(mean) and spread > 0 and abs(mean) > FAR * spread):
        return 0.0
    step = 2.0 ** math.floor(math.log2(spread / SHORT))
    return float(round(mean / step) * step)


def _unmapped(blocks: Sequence[Block], origins: Mapping[Node, float]) -> set[Node] | None:
    """Return the bases of a block that is no sum of earlier ones, None where every block is."""
    for place, block in enumerate(blocks):
        if _columns_of(blocks, place, origins) is None:
            return {base for base, _ in powers_of(block)[1] if base in origins}
    return None


def written_map(blocks: Sequence[Block], origins: Mapping[Node, float], *, back: bool = False) -> Array:
    """Return T (p, p) with X_u = XT, or with `back` its inverse A, X = X_u A."""
    widths = [math.prod(len(part.names()) for part in block) for block in blocks]
    starts = np.concatenate([[0], np.cumsum(widths)]).astype(int)
    out = np.eye(int(starts[-1]))
    for place in range(len(blocks)):
        own = slice(starts[place], starts[place] + widths[place])
        sums = _columns_of(blocks, place, origins)
        assert sums is not None
        for coefficient, targets, weights in sums:
            rows = np.concatenate([np.arange(starts[t], starts[t] + widths[t]) for t in targets])
            sign = coefficient(1.0 if back else -1.0)
            out[rows, own] += sign * weights
    return out


@dataclass(frozen=True, slots=True)
class _Coefficient:
    """κ/κ' Π C(d, k) (±c)^(d−k)."""

    scale: float
    choices: tuple[tuple[int, float], ...]

    def __call__(self, sign: float) -> float:
        return self.scale * math.prod((sign * c) ** n for n, c in self.choices)


def _columns_of(
    blocks: Sequence[Block], place: int, origins: Mapping[Node, float]
) -> list[tuple[_Coefficient, list[int], Array]] | None:
    """Return the sums of columns of lower powers that a block differs by: a coefficient, blocks, and weights.

    None where the model does not have them before the block.
    """
    factor, powers = powers_of(blocks[place])
    moving = [(base, degree) for base, degree in powers if base in origins]
    fixed = {base: degree for base, degree in powers if base not in origins}
    found = []
    for lower in product(*(range(degree + 1) for _, degree in moving)):
        if all(k == degree for k, (_, degree) in zip(lower, moving, strict=True)):
            continue
        wanted = {**fixed, **{base: k for (base, _), k in zip(moving, lower, strict=True) if k}}
        targets = [t for t in range(place) if dict(powers_of(blocks[t])[1]) == wanted]
        found_here = _combine(blocks, place, targets)
        if found_here is None:
            return None
        used, weights = found_here
        binomial = math.prod(math.comb(d, k) for (_, d), k in zip(moving, lower, strict=True))
        choices = tuple((d - k, origins[base]) for (base, d), k in zip(moving, lower, strict=True))
        scales = np.repeat(
            [factor / powers_of(blocks[t])[0] for t in used], [_rest_width(blocks[t]) for t in used]
        )
        found.append((_Coefficient(float(binomial), choices), used, weights * scales[:, None]))
    return found


def _rest(block: Block) -> tuple[Part, ...]:
    return tuple(part for part in block if not numeric(part))


def _rest_width(block: Block) -> int:
    return math.prod(len(part.names()) for part in _rest(block))


def _combine(blocks: Sequence[Block], place: int, targets: list[int]) -> tuple[list[int], Array] | None:
    """Return blocks and weights that give the factors and bases of a block from those of others, None if none do."""
    own = _rest(blocks[place])
    factors = [part for part in own if part.levels is not None]
    bases = frozenset((part.atom, part.reduced) for part in own if part.fields is not None)
    names = {part.atom for part in factors}
    used = []
    for t in targets:
        rest = _rest(blocks[t])
        same = frozenset((part.atom, part.reduced) for part in rest if part.fields is not None) == bases
        if same and {part.atom for part in rest if part.levels is not None} <= names:
            used.append(t)
    cells = math.prod(len(_levels(part)) for part in factors)
    if not used or cells > MOST_CELLS:
        return None
    grid = {
        part.atom: codes
        for part, codes in zip(factors, _grid([len(_levels(p)) for p in factors]), strict=True)
    }
    table = _table(own, grid, cells)
    given = np.hstack([_table(_rest(blocks[t]), grid, cells) for t in used])
    weights = np.asarray(np.linalg.lstsq(given, table, rcond=None)[0], dtype=np.float64)
    near = np.round(weights)
    weights = np.where(np.abs(weights - near) < 1e-12, near, weights)
    return (used, weights) if np.allclose(given @ weights, table, rtol=0, atol=1e-10) else None


def _levels(part: Part) -> Sequence[object]:
    assert part.levels is not None
    return list(part.levels)


def _grid(sizes: list[int]) -> list[NDArray[np.intp]]:
    return [
        np.asarray(axis, dtype=np.intp).ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")
    ]


def _table(rest: tuple[Part, ...], grid: Mapping[Atom, NDArray[np.intp]], cells: int) -> Array:
    """Return the columns of factors at every combination of levels; bases stand for unit vectors of their own."""
    out = np.ones((cells, 1))
    for part in rest:
        if part.columns is None:
            width = len(part.names())
            eye = np.repeat(np.eye(width), len(out), axis=0)
            out = np.tile(out, (width, 1))
            out = (eye[:, :, None] * out[:, None, :]).reshape(len(out), -1)
            continue
        chosen = part.columns.matrix[np.resize(grid[part.atom], len(out))]
        out = (chosen[:, :, None] * out[:, None, :]).reshape(len(out), -1)
    return out
