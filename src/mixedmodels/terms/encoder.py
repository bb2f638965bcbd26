"""Columns of data → columns of X or Z, laid out directly with NumPy.

An encoder is learned once at the fit (levels, names, column order) and then applied to any rows; it holds no
rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..frame.column import Column
from ..syntax.algebra import Atom, Term
from ..typing import Array, Labels
from .coding import CODINGS, coded_names
from .scoping import scope

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
class Part:
    """One atom of a block: a number, or a factor in some coding of its levels."""

    atom: Atom
    coding: str = ""
    levels: NDArray[Any] | None = None

    def names(self) -> Labels:
        """Return the names of the part's columns."""
        return (
            (self.atom.label,)
            if self.levels is None
            else coded_names(self.atom.label, self.coding, list(self.levels))
        )


@dataclass(frozen=True, slots=True, eq=False)
class DirectEncoder(Encoder):
    """A model matrix of products of numbers and coded factors; each block is one product."""

    blocks: tuple[tuple[Part, ...], ...]

    def fill(self, out: Array, data: Mapping[str, Column]) -> None:
        writers, start = [], 0
        for block in self.blocks:
            stop = start + _width(block)
            writers.append((slice(start, stop), _writer(block, data)))
            start = stop
        step = max(64, CACHED // max(out.shape[1], 1))
        for first in range(0, len(out), step):
            rows = slice(first, first + step)
            for columns, write in writers:
                write(out[rows, columns], rows)


def learn_direct(
    terms: Sequence[Term], data: Mapping[str, Column], contrasts: Mapping[str, str]
) -> DirectEncoder:
    """Return the encoder of terms over plain columns, learned from `data`.

    Column order and names are formulaic's: the first factor of an interaction varies fastest.
    """
    blocks: list[tuple[Part, ...]] = []
    columns: list[str] = []
    assign: list[int] = []

    def is_factor(atom: Atom) -> bool:
        return atom.categorical or (data[atom.variable].is_factor and not atom.function)

    for index, scoped_blocks in enumerate(scope(terms, is_factor)):
        for scoped in scoped_blocks:
            block = tuple(_part(atom, reduced, is_factor(atom), data, contrasts) for atom, reduced in scoped)
            names = _block_names(block)
            blocks.append(block)
            columns += names
            assign += [index] * len(names)
    labels = tuple(":".join(atom.label for atom in term) or "1" for term in terms)
    variables = tuple(dict.fromkeys(atom.variable for term in terms for atom in term))
    return DirectEncoder(tuple(columns), labels, tuple(assign), variables, tuple(blocks))


def _part(
    atom: Atom, reduced: bool, factor: bool, data: Mapping[str, Column], contrasts: Mapping[str, str]
) -> Part:
    if not factor:
        return Part(atom)
    levels = data[atom.variable].factor().levels
    assert levels is not None
    if reduced and len(levels) < 2:
        raise DataError(
            f"factor {atom.label!r} has one level, {str(levels[0])!r}, so it has no effect to estimate; "
            "leave it out."
        )
    return Part(atom, contrasts.get(atom.variable, "treatment") if reduced else "full", levels)


def _block_names(block: tuple[Part, ...]) -> list[str]:
    if not block:
        return [INTERCEPT]
    reversed_names = product(*(part.names() for part in reversed(block)))
    return [":".join(reversed(names)) for names in reversed_names]


def _width(block: tuple[Part, ...]) -> int:
    return int(np.prod([len(part.names()) for part in block], initial=1))


def _writer(block: tuple[Part, ...], data: Mapping[str, Column]) -> Writer:
    """Return what writes some rows of a block into a place that holds zeros."""
    weight: Array | float = 1.0
    factors = [part for part in block if part.levels is not None]
    for part in block:
        if part.levels is None:
            values = atom_values(part.atom, data)
            weight = values if isinstance(weight, float) else weight * values
    if not factors:
        return partial(_put, weight)
    if all(part.coding in ("full", "treatment") for part in factors):
        return partial(_scatter, *_selected(factors, data), weight)
    coded = []
    for part in factors:
        assert part.levels is not None
        coded.append((CODINGS[part.coding](len(part.levels)), _codes(part, data)))
    return partial(_multiply, coded, weight)


def _put(weight: Array | float, out: Array, rows: slice) -> None:
    out[:, 0] = weight if isinstance(weight, float) else weight[rows]


def _selected(
    factors: list[Part], data: Mapping[str, Column]
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Return the column that each row's levels select, and which rows are at a reference level and select none."""
    column: NDArray[np.int64] | None = None
    skipped: NDArray[np.bool_] | None = None
    stride = 1
    for part in factors:
        codes = _codes(part, data)
        if part.coding == "treatment":
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
    coded: list[tuple[Array, NDArray[np.int32]]], weight: Array | float, out: Array, rows: slice
) -> None:
    product_columns = np.ones((len(out), 1))
    for coding, codes in coded:
        chosen = coding[codes[rows]]
        product_columns = (chosen[:, :, None] * product_columns[:, None, :]).reshape(len(out), -1)
    out[:] = product_columns * (weight if isinstance(weight, float) else weight[rows, None])


def _codes(part: Part, data: Mapping[str, Column]) -> NDArray[np.int32]:
    assert part.levels is not None
    return data[part.atom.variable].known_codes(part.levels)


def atom_values(atom: Atom, data: Mapping[str, Column]) -> Array:
    """Return the numbers an atom stands for, (n,); `DataError` where its function is not finite."""
    values = data[atom.variable].number()
    if not atom.function:
        return values
    with np.errstate(all="ignore"):
        if atom.function == "power":
            changed = values**atom.exponent
        else:
            changed = np.asarray(getattr(np, atom.function)(values), dtype=np.float64)
    check_finite_values(atom.label, changed)
    return changed


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
