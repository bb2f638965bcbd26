"""How estimated means and contrasts are printed, grouped and lettered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formats import value_text
from ..table import Table
from ..typing import Labels


def grouped_text(table: Table, by: Labels, groups: Sequence[NDArray[np.intp]]) -> str:
    """Return a table as text in blocks, one per group of rows, headed by what the group has in common."""
    if not by:
        return str(table)
    inner = {name: table[name] for name in table if name not in by}
    header, *rows = Table(inner, formats=table.formats).to_text().split("\n")
    lines = [table.title] if table.title else []
    for group in groups:
        heading = ", ".join(f"{name} = {value_text(table[name][group[0]])}" for name in by)
        lines += [f"{heading}:", header, *(rows[i] for i in group), ""]
    return "\n".join([*lines, *table.notes])


def compact_letters(differs: NDArray[np.bool_]) -> list[str]:
    """Return letters such that two means share one exactly when they do not differ, `differs` (k, k).

    Notes
    -----
    The insert-and-absorb algorithm of Piepho (2004): start with one column holding every mean, split it at
    each significant pair, drop columns contained in others.

    Examples
    --------
    >>> differs = np.zeros((3, 3), bool); differs[0, 2] = differs[2, 0] = True
    >>> compact_letters(differs)
    ['a ', 'ab', ' b']
    """
    k = len(differs)
    columns = [frozenset(range(k))]
    for i in range(k):
        for j in range(i + 1, k):
            if not differs[i, j]:
                continue
            split: list[frozenset[int]] = []
            for column in columns:
                split += [column - {i}, column - {j}] if i in column and j in column else [column]
            columns = _absorb(split)
    columns.sort(key=lambda column: sorted(column))
    letters = [_letter(c) for c in range(len(columns))]
    return [
        "".join(letter if i in column else " " for letter, column in zip(letters, columns, strict=True))
        for i in range(k)
    ]


def _absorb(columns: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    distinct = list(dict.fromkeys(columns))
    return [column for column in distinct if not any(column < other for other in distinct)]


def _letter(index: int) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return alphabet[index] if index < 26 else alphabet[index % 26].upper() if index < 52 else f"[{index + 1}]"


def level_formats(levels: Mapping[str, NDArray[np.object_]]) -> dict[str, str]:
    """Return formats that set levels which read as numbers to the right."""
    return {
        name: "aligned" if all(map(_reads_as_number, values)) else "text" for name, values in levels.items()
    }


def as_objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Return values as a vector of objects, (k,)."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def level_value(value: Any) -> object:
    """Return a level or a value of a covariate in the data's own type, as a plain Python value; dates as text."""
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, (str, bool, int, float)) else value_text(value)


def _reads_as_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True
