"""Columns of data → columns of X or Z, laid out directly with NumPy.

An encoder is learned once at the fit (levels, names, column order) and then applied to any rows; it holds no
rows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError
from ..frame.column import Column
from ..frame.levels import match_levels, object_array
from ..syntax.algebra import Atom, Term
from ..syntax.expressions import read_coding_text
from ..syntax.functions import FUNCTIONS
from ..syntax.tree import Call, Coding, Node
from ..typing import Array, Labels
from .bases import Basis
from .centred import Monomial, choose_origins, monomial, written_map
from .coding import INDICATORS, TREATMENT, code_levels
from .evaluate import Evaluation, Learned
from .functions import NO_FUNCTIONS, OwnFunctions
from .parts import Block, Part
from .scoping import scope
from .size import MOST_COLUMNS, check_levels, check_matrix

INTERCEPT = "(Intercept)"
CACHED = 1 << 17
"""Numbers of a model matrix written at once, column by column, so that they stay in the processor's cache."""

Writer: TypeAlias = Callable[[Array, slice], None]
"""Writes the rows of a slice into their place."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoder(ABC):
    """The layout of a model matrix: p columns with their names, in terms.

    Parameters
    ----------
    columns
        Names of the p columns.
    terms
        Names of the model terms, `"1"` for the intercept.
    assign
        For each column the index of its term, (p,).
    variables
        Columns of data that are read.
    """

    columns: Labels
    terms: Labels
    assign: tuple[int, ...]
    variables: Labels

    @abstractmethod
    def fill(self, out: Array, data: Mapping[str, Column]) -> None:
        """Write the p columns into `out` (n, p), which holds zeros."""

    def matrix(self, data: Mapping[str, Column], n: int) -> Array:
        """Return the model matrix of n rows, (n, p)."""
        out = np.zeros((n, len(self.columns)))
        self.fill(out, data)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class DirectEncoder(Encoder):
    """A model matrix of products of numbers, coded factors and bases; each block is one product.

    `products` holds the atoms of each term, `learned` what their expressions took from the data of the fit, `origins`
    about what powers and products far from zero are taken, see `centred`.
    """

    blocks: tuple[Block, ...]
    products: tuple[Term, ...]
    learned: Learned
    origins: Mapping[Node, float] = field(default_factory=dict)

    def written(self) -> Array | None:
        """Return T (p, p), with which β of the columns as written is Tβ of those computed; None where they are one."""
        return written_map(self.blocks, self.origins) if self.origins else None

    def fill(self, out: Array, data: Mapping[str, Column]) -> None:
        self.write(out, Evaluation.of(self.learned, data, len(out)))

    def write(self, out: Array, evaluation: Evaluation) -> None:
        """Write the p columns into `out` (n, p), which holds zeros, from an evaluation of its rows."""
        values = _Values(evaluation, self.origins)
        writers, start = [], 0
        for block in self.blocks:
            stop = start + _width(block)
            writers.append((slice(start, stop), _writer(block, values)))
            start = stop
        step = max(64, CACHED // max(out.shape[1], 1))
        for first in range(0, len(out), step):
            rows = slice(first, first + step)
            for columns, write in writers:
                write(out[rows, columns], rows)

    def values_of(self, atom: Atom, data: Mapping[str, Column], n: int) -> Array:
        """Return the numbers of an atom that is no factor, (n, k), by what was learned at the fit."""
        values = _Values(Evaluation.of(self.learned, data, n), self.origins)
        if _is_basis(atom):
            found = values.basis(atom)
            part = next(p for block in self.blocks for p in block if p.atom == atom)
            return found.reduced().values if part.reduced else found.values
        return values.numbers(atom)[:, None]

    def codes_of(self, atom: Atom, data: Mapping[str, Column], n: int) -> NDArray[np.int32]:
        """Return the level of each row in a factor, (n,)."""
        part = next(p for block in self.blocks for p in block if p.atom == atom and p.levels is not None)
        return _Values(Evaluation.of(self.learned, data, n), self.origins).codes(part)

    def levels_of(self, atom: Atom) -> NDArray[Any]:
        """Return the levels of a factor."""
        found = next(
            p.levels for block in self.blocks for p in block if p.atom == atom and p.levels is not None
        )
        assert found is not None
        return found

    @property
    def factors(self) -> frozenset[Atom]:
        """Atoms that stand for levels."""
        return frozenset(part.atom for block in self.blocks for part in block if part.levels is not None)


def learn_direct(
    terms: Sequence[Term],
    data: Mapping[str, Column],
    n: int,
    contrasts: Mapping[str, str],
    functions: OwnFunctions = NO_FUNCTIONS,
    *,
    centred: bool = False,
) -> tuple[DirectEncoder, Evaluation]:
    """Return the encoder of terms learned from n rows of `data`, and the evaluation that learned.

    With `centred` powers and products of columns far from zero are taken about an origin near them. Column order and
    names are formulaic's: the first factor of an interaction varies fastest.
    """
    evaluation = Evaluation(data, n, functions, learning=True)
    blocks: list[Block] = []
    columns: list[str] = []
    assign: list[int] = []

    def is_factor(atom: Atom) -> bool:
        return atom.categorical or (atom.is_column and data[atom.variable].is_factor)

    def reducible(atom: Atom) -> bool:
        return is_factor(atom) or (_is_basis(atom) and _basis_of(atom, evaluation).spans_constant)

    for index, scoped_blocks in enumerate(scope(terms, reducible)):
        for scoped in scoped_blocks:
            block = tuple(
                _part(atom, reduced, is_factor(atom), evaluation, contrasts) for atom, reduced in scoped
            )
            check_matrix(
                ":".join(a.label for a in terms[index]),
                0,
                len(columns) + _width(block),
                MOST_COLUMNS,
                math.inf,
            )
            names = _block_names(block)
            blocks.append(block)
            columns += names
            assign += [index] * len(names)
    for atom in {part.atom for block in blocks for part in block if part.levels is None}:
        if not atom.is_column and not _is_basis(atom):
            _numbers(atom, evaluation)
    labels = tuple(":".join(atom.label for atom in term) or "1" for term in terms)
    variables = tuple(dict.fromkeys(name for term in terms for atom in term for name in atom.variables))
    encoder = DirectEncoder(
        tuple(columns), labels, tuple(assign), variables, tuple(blocks), tuple(terms), evaluation.learned()
    )
    if centred and (origins := choose_origins(blocks, evaluation)):
        encoder = replace(encoder, origins=origins)
    return encoder, evaluation


def _is_basis(atom: Atom) -> bool:
    node = atom.expression
    return not atom.categorical and isinstance(node, Call) and FUNCTIONS[node.function].kind == "basis"


def _basis_of(atom: Atom, evaluation: Evaluation) -> Basis:
    assert isinstance(atom.expression, Call)
    found = evaluation.basis(atom.expression, atom.label)
    check_finite_values(atom.label, found.values)
    return found


def _numbers(atom: Atom, evaluation: Evaluation) -> Array:
    changed = evaluation.column(atom.expression, atom.label)
    check_finite_values(atom.label, changed)
    return changed


def _part(
    atom: Atom, reduced: bool, factor: bool, evaluation: Evaluation, contrasts: Mapping[str, str]
) -> Part:
    if not factor:
        if not _is_basis(atom):
            return Part(atom)
        found = _basis_of(atom, evaluation)
        return Part(atom, fields=found.reduced().fields if reduced else found.fields, reduced=reduced)
    levels = _ordered_levels(atom, evaluation)
    check_levels(atom.label, len(levels))
    if reduced and len(levels) < 2:
        raise DataError(
            f"factor {atom.label!r} has one level, {str(levels[0])!r}, so it has no effect to estimate; "
            "leave it out."
        )
    coding = _coding(atom, contrasts) if reduced else INDICATORS
    # indicators of levels are written one per row, not multiplied out
    shortcut = "full" if coding == INDICATORS else "treatment" if coding == TREATMENT else ""
    return Part(atom, code_levels(coding, list(levels), atom.label), levels, shortcut)


def _coding(atom: Atom, contrasts: Mapping[str, str]) -> Coding:
    if atom.coding is not None:
        return atom.coding
    return read_coding_text(contrasts[atom.variable]) if atom.variable in contrasts else TREATMENT


def _ordered_levels(atom: Atom, evaluation: Evaluation) -> NDArray[Any]:
    """Return the levels of a factor in their order, that of `levels=` where it is given."""
    levels = evaluation.levels(atom.expression).levels
    assert levels is not None
    if atom.levels is None:
        return levels
    places = match_levels(object_array(list(atom.levels)), levels)
    unknown = [str(level) for level, place in zip(atom.levels, places, strict=True) if place < 0]
    left = [str(level) for j, level in enumerate(levels) if j not in places]
    if unknown or left or len(set(places.tolist())) < len(places):
        what = (
            f"{unknown[0]!r} is no level"
            if unknown
            else f"{left[0]!r} is missing"
            if left
            else "one stands twice"
        )
        raise SpecError(f"{atom.label}: levels= lists every level of the data once; {what}.")
    return levels[places]


class _Values:
    """The numbers and codes of atoms over the rows of an evaluation, each computed once."""

    def __init__(self, evaluation: Evaluation, origins: Mapping[Node, float]) -> None:
        self.evaluation = evaluation
        self.origins = origins
        self._found: dict[Atom, Any] = {}

    def numbers(self, atom: Atom) -> Array:
        if self.origins and (power := monomial(atom.expression)).base in self.origins:
            about: Array = self._once(atom, lambda: self._about(atom, power))
            return about
        if atom.is_column:
            return self.evaluation.data[atom.variable].number()
        found: Array = self._once(atom, lambda: _numbers(atom, self.evaluation))
        return found

    def _about(self, atom: Atom, power: Monomial) -> Array:
        _numbers(atom, self.evaluation)
        base = self.evaluation.column(power.base, atom.label)
        changed: Array = power.factor * (base - self.origins[power.base]) ** power.degree
        return changed

    def basis(self, atom: Atom) -> Basis:
        found: Basis = self._once(atom, lambda: _basis_of(atom, self.evaluation))
        return found

    def codes(self, part: Part) -> NDArray[np.int32]:
        """Return the level of each row; `DataError` naming those that were not in the data of the fit."""
        assert part.levels is not None
        levels = part.levels
        if part.atom.variable:
            return self.evaluation.data[part.atom.variable].known_codes(levels)

        def compute() -> NDArray[np.int32]:
            column = replace(self.evaluation.levels(part.atom.expression), name=part.atom.label)
            return column.known_codes(levels)

        found: NDArray[np.int32] = self._once(part.atom, compute)
        return found

    def _once(self, atom: Atom, compute: Callable[[], Any]) -> Any:
        if atom not in self._found:
            self._found[atom] = compute()
        return self._found[atom]


def _block_names(block: Block) -> list[str]:
    if not block:
        return [INTERCEPT]
    reversed_names = product(*(part.names() for part in reversed(block)))
    return [":".join(reversed(names)) for names in reversed_names]


def _width(block: Block) -> int:
    return math.prod(len(part.names()) for part in block)


def _writer(block: Block, values: _Values) -> Writer:
    """Return what writes some rows of a block into a place that holds zeros."""
    weight: Array | float = 1.0
    wide = [part for part in block if part.levels is not None or part.fields is not None]
    for part in block:
        if part.levels is None and part.fields is None:
            numbers = values.numbers(part.atom)
            weight = numbers if isinstance(weight, float) else weight * numbers
    if not wide:
        return partial(_put, weight)
    if all(part.indicators for part in wide):
        return partial(_scatter, *_selected(wide, values), weight)
    coded: list[tuple[Array, NDArray[np.int32] | None]] = []
    for part in wide:
        if part.columns is not None:
            coded.append((part.columns.matrix, values.codes(part)))
        else:
            found = values.basis(part.atom)
            coded.append((found.reduced().values if part.reduced else found.values, None))
    return partial(_multiply, coded, weight)


def _put(weight: Array | float, out: Array, rows: slice) -> None:
    out[:, 0] = weight if isinstance(weight, float) else weight[rows]


def _selected(factors: list[Part], values: _Values) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Return the column that each row's levels select, and which rows are at a reference level and select none."""
    column: NDArray[np.int64] | None = None
    skipped: NDArray[np.bool_] | None = None
    stride = 1
    for part in factors:
        codes = values.codes(part)
        if part.indicators == "treatment":
            codes = codes - np.int32(1)
            skipped = codes < 0 if skipped is None else skipped | (codes < 0)
        column = codes.astype(np.int64) if column is None else column + stride * codes.astype(np.int64)
        stride *= len(part.names())
    assert column is not None
    return column, skipped


def _scatter(
    column: NDArray[np.int64],
    skipped: NDArray[np.bool_] | None,
    weight: Array | float,
    out: Array,
    rows: slice,
) -> None:
    """Write `weight` into the selected columns; rows at a reference level stay zero."""
    own = column[rows]
    values = weight if isinstance(weight, float) else weight[rows]
    if skipped is None:
        out[np.arange(len(own)), own] = values
        return
    kept = np.flatnonzero(~skipped[rows])
    out[kept, own[kept]] = values if isinstance(values, float) else values[kept]


def _multiply(
    coded: list[tuple[Array, NDArray[np.int32] | None]], weight: Array | float, out: Array, rows: slice
) -> None:
    product_columns = np.ones((len(out), 1))
    for coding, codes in coded:
        chosen = coding[rows] if codes is None else coding[codes[rows]]
        product_columns = (chosen[:, :, None] * product_columns[:, None, :]).reshape(len(out), -1)
    out[:] = product_columns * (weight if isinstance(weight, float) else weight[rows, None])


def check_finite_values(label: str, values: Array) -> None:
    """Raise `DataError` when computed values (n,) or (n, p) are not all finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(values.sum()):
            return
    bad = ~np.isfinite(values) if values.ndim == 1 else ~np.isfinite(values).all(axis=1)
    if count := int(bad.sum()):
        raise DataError(
            f"{label} is not finite in {count} of {len(values)} rows (the first is complete row "
            f"{int(np.flatnonzero(bad)[0]) + 1}); check the values it is computed from."
        )
