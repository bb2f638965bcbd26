"""Columns of data → columns of X or Z, laid out directly with NumPy.

An encoder is learned once at the fit (levels, names, column order) and then applied to any rows; it holds no
rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..frame.column import Column
from ..syntax.algebra import Atom, Term
from ..typing import Array, Labels
from .coding import CODINGS, coded_names
from .scoping import scope

INTERCEPT = "(Intercept)"


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
        start = 0
        for block in self.blocks:
            stop = start + _width(block)
            _fill_block(out[:, start:stop], block, data)
            start = stop


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


def _fill_block(out: Array, block: tuple[Part, ...], data: Mapping[str, Column]) -> None:
    weight: Array | float = 1.0
    factors = [part for part in block if part.levels is not None]
    for part in block:
        if part.levels is None:
            values = atom_values(part.atom, data)
            weight = values if isinstance(weight, float) else weight * values
    if not factors:
        out[:, 0] = weight
    elif all(part.coding in ("full", "treatment") for part in factors):
        _scatter(out, factors, weight, data)
    else:
        _multiply(out, factors, weight, data)


def _scatter(out: Array, factors: list[Part], weight: Array | float, data: Mapping[str, Column]) -> None:
    """Write `weight` into the column that a row's levels select; rows at a reference level stay zero."""
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
    rows = np.arange(len(column)) if skipped is None else np.flatnonzero(~skipped)
    at = column if skipped is None else column[rows]
    out[rows, at] = weight if isinstance(weight, float) or skipped is None else weight[rows]


def _multiply(out: Array, factors: list[Part], weight: Array | float, data: Mapping[str, Column]) -> None:
    product_columns = np.ones((out.shape[0], 1))
    for part in factors:
        assert part.levels is not None
        coded = CODINGS[part.coding](len(part.levels))[_codes(part, data)]
        product_columns = (coded[:, :, None] * product_columns[:, None, :]).reshape(out.shape[0], -1)
    out[:] = product_columns * (weight if isinstance(weight, float) else weight[:, None])


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
