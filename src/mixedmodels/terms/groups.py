"""Levels of grouping factors: columns crossed into one factor, and parameter sets of `by=`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frame.column import Column
from ..frame.levels import cross, match_levels
from ..typing import Codes, Labels


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A grouping factor bound to rows.

    `names` are the columns crossed, `codes` (n,) the level of each row, `parts` for each column the values of
    the q levels; `sets` (q,) and `set_labels` are the parameter sets of `by=`.
    """

    names: Labels
    codes: Codes
    parts: tuple[NDArray[Any], ...]
    n_levels: int
    sets: Codes
    set_labels: Labels = ("",)

    @property
    def label(self) -> str:
        return ":".join(self.names) if self.names else "all"


def bind_group(names: Labels, by: str | None, factors: Mapping[str, Column], n: int) -> Group:
    """Return the factor that crosses `names`, split further by `by` where that varies inside a level."""
    group = _crossed(names, factors, n)
    if by is None:
        return group
    sets = factors[by]
    assert sets.levels is not None
    labels = tuple(str(level) for level in sets.levels)
    owner = np.zeros(group.n_levels, np.int32)
    owner[group.codes] = sets.values
    if np.array_equal(owner[group.codes], sets.values):
        return Group(group.names, group.codes, group.parts, group.n_levels, owner, labels)
    codes, first, second = cross(group.codes, group.n_levels, sets.values, len(sets.levels))
    parts = (*(part[first] for part in group.parts), sets.levels[second])
    return Group((*names, by), codes, parts, len(first), second, labels)


def _crossed(names: Labels, factors: Mapping[str, Column], n: int) -> Group:
    if not names:
        return Group((), np.zeros(n, np.int32), (), 1, np.zeros(1, np.int32))
    column = factors[names[0]]
    assert column.levels is not None
    codes = column.values
    parts: tuple[NDArray[Any], ...] = (column.levels,)
    for name in names[1:]:
        other = factors[name]
        assert other.levels is not None
        codes, first, second = cross(codes, len(parts[0]), other.values, len(other.levels))
        parts = (*(part[first] for part in parts), other.levels[second])
    return Group(names, codes, parts, len(parts[0]), np.zeros(len(parts[0]), np.int32))


def find_levels(parts: tuple[NDArray[Any], ...], columns: list[Column]) -> Codes:
    """Return the level of each row of new data, (n,), −1 for a combination of values not among `parts`."""
    combined: NDArray[np.int64] | None = None
    table = np.zeros(len(parts[0]), np.int64)
    unknown = np.zeros(len(columns[0].values), bool)
    for part, column in zip(parts, columns, strict=True):
        distinct, place = (
            np.unique(part, return_inverse=True) if len(parts) > 1 else (part, np.arange(len(part)))
        )
        codes = match_codes(column, distinct)
        unknown |= codes < 0
        combined = codes.astype(np.int64) if combined is None else combined * len(distinct) + codes
        table = table * len(distinct) + place
    assert combined is not None
    order = np.argsort(table, kind="stable")
    place = np.searchsorted(table, combined, sorter=order)
    at = order[np.minimum(place, len(order) - 1)]
    found = (table[at] == combined) & ~unknown
    return np.where(found, at, -1).astype(np.int32)


def match_codes(column: Column, levels: NDArray[Any]) -> Codes:
    """Return for each row its place among `levels`, (n,), −1 for another value or a missing one."""
    own = column.factor()
    assert own.levels is not None
    codes: Codes = np.append(match_levels(own.levels, levels), np.int32(-1))[own.values]
    return codes
