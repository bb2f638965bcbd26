"""The data of a study with other numbers of levels of a grouping factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, suggest

FEW = 12
"""Values up to which a column that does not change within levels tells kinds of them."""
Columns = Mapping[str, NDArray[Any]]


def along_levels(columns: Columns, along: str, size: int, groups: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the rows of `size` levels of a column: whole copies of those there are, then a balanced part of them.

    Parameters
    ----------
    columns
        Column → values, (n,).
    along, size
        The grouping column, and how many levels it shall have.
    groups
        Other grouping columns: those whose levels lie within one level of `along` get new levels in every copy.

    Notes
    -----
    A part of the levels has levels of every kind in proportion, kinds being told by columns of few values that do not
    change within levels, such as an arm; within a kind it is random, and always the same. The first copy keeps its
    names, the c-th has `"name.c"`. *Same as* `simr::extend(along=)`.
    """
    if along not in columns:
        raise SpecError(
            f"along={along!r} is no column of the model's data.{suggest(along, columns)} Columns: {', '.join(columns)}."
        )
    levels, codes = np.unique(_text(columns[along]), return_inverse=True)
    m = len(levels)
    order = _in_proportion(columns, codes, m)
    chosen = [(int(order[i % m]), i // m) for i in range(size)]
    rows = [np.flatnonzero(codes == level) for level, _ in chosen]
    copies = np.repeat([copy for _, copy in chosen], [len(own) for own in rows])
    place = np.concatenate(rows)
    renamed = {along, *(name for name in groups if name in columns and _within(columns[name], codes))}
    return {
        name: _copied(values[place], copies) if name in renamed else values[place]
        for name, values in columns.items()
    }


def _in_proportion(columns: Columns, codes: NDArray[np.intp], m: int) -> NDArray[np.intp]:
    """Return the levels in an order of which every beginning has all kinds of them in proportion, (m,)."""
    first = np.unique(codes, return_index=True)[1]
    keys = [np.zeros(m, dtype=np.intp)]
    for values in columns.values():
        _, own = np.unique(_text(values), return_inverse=True)
        if own.max() < FEW and np.array_equal(own, own[first][codes]):
            keys.append(own[first])
    _, kinds = np.unique(np.column_stack(keys), axis=0, return_inverse=True)
    kinds = kinds.reshape(-1)
    shuffled = np.random.default_rng(0).permutation(m)
    place = np.empty(m)
    for kind in range(int(kinds.max()) + 1):
        inside = shuffled[kinds[shuffled] == kind]
        place[inside] = (np.arange(len(inside)) + 0.5) / len(inside)
    return np.lexsort((kinds, place))


def _text(values: NDArray[Any]) -> NDArray[np.str_]:
    return np.array([str(value) for value in values.tolist()])


def _within(values: NDArray[Any], codes: NDArray[np.intp]) -> bool:
    """Return whether every level of a column lies within one level of another one, given by codes."""
    _, own = np.unique(_text(values), return_inverse=True)
    home = np.full(int(own.max()) + 1, -1)
    home[own] = codes
    return bool(np.array_equal(home[own], codes))


def _copied(values: NDArray[Any], copies: NDArray[np.intp]) -> NDArray[Any]:
    names = [
        str(value) if copy == 0 else f"{value}.{copy + 1}"
        for value, copy in zip(values.tolist(), copies.tolist(), strict=True)
    ]
    return np.array(names, dtype=object)
