"""Values turned into level codes: sorted levels, unused levels dropped, several columns crossed into one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..typing import Codes

DENSE_SPAN = 1 << 16
"""A table this long is cheap whatever the number of rows."""


def factorise(values: NDArray[Any]) -> tuple[Codes, NDArray[Any]]:
    """Return level codes (n,) and the sorted distinct values of an array without missing values.

    Whole numbers come back as integers even when stored as floating point (as a reader of CSV leaves them).

    Examples
    --------
    >>> codes, levels = factorise(np.array([30, 10, 30]))
    >>> codes, levels
    (array([1, 0, 1], dtype=int32), array([10, 30]))
    """
    kind = values.dtype.kind
    if kind == "b":
        codes, levels = factorise(values.view(np.uint8))
        return codes, levels.astype(bool)
    if kind in "iu":
        return _factorise_integers(values)
    if kind == "f" and (as_integers := _whole(values)) is not None:
        return _factorise_integers(as_integers)
    if kind == "O":
        return factorise_objects(values)
    levels, inverse = np.unique(values, return_inverse=True)
    return inverse.astype(np.int32), levels


def _whole(values: NDArray[Any]) -> NDArray[np.int64] | None:
    if len(values) == 0 or not np.all(np.abs(values) < 2**53):
        return None
    as_integers = values.astype(np.int64)
    return as_integers if np.array_equal(as_integers, values) else None


def _factorise_integers(values: NDArray[Any]) -> tuple[Codes, NDArray[Any]]:
    if len(values) == 0:
        return np.zeros(0, np.int32), values
    low, high = int(values.min()), int(values.max())
    span = high - low + 1
    if span > max(4 * len(values), DENSE_SPAN):
        levels, inverse = np.unique(values, return_inverse=True)
        return inverse.astype(np.int32), levels
    # a presence table costs one pass; sorting a million keys costs twenty
    offset = (values if low == 0 else values - values.dtype.type(low)).astype(np.intp, copy=False)
    present = np.zeros(span, bool)
    present[offset] = True
    levels = np.flatnonzero(present)
    if len(levels) == span:
        codes = offset.astype(np.int32)
    else:
        codes = (np.cumsum(present, dtype=np.int32) - np.int32(1))[offset]
    return codes, levels.astype(values.dtype) + values.dtype.type(low)


def factorise_objects(values: NDArray[Any]) -> tuple[Codes, NDArray[Any]]:
    """Return codes (n,) and sorted distinct values of an object array, with code −1 for None and NaN.

    Values of several types are sorted by type, then by value.
    """
    table: dict[Any, int] = {}
    codes = np.empty(len(values), np.int32)
    for row, value in enumerate(values):
        missing = value is None or (isinstance(value, float) and value != value)
        codes[row] = -1 if missing else table.setdefault(value, len(table))
    found = list(table)
    try:
        order = sorted(range(len(found)), key=found.__getitem__)
    except TypeError:
        order = sorted(range(len(found)), key=lambda i: (type(found[i]).__name__, str(found[i])))
    return _renumber(codes, np.array(order, np.intp)), object_array([found[i] for i in order])


def object_array(values: list[Any]) -> NDArray[Any]:
    """Return a one-dimensional object array, whatever the values are."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def sort_levels(codes: Codes, levels: NDArray[Any]) -> tuple[Codes, NDArray[Any]]:
    """Return codes and levels with the levels sorted; negative codes stay as they are."""
    order = np.argsort(levels, kind="stable")
    return _renumber(codes, order), levels[order]


def _renumber(codes: Codes, order: NDArray[np.intp]) -> Codes:
    rank = np.empty(len(order) + 1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rank[-1] = -1  # index −1 is the missing code
    return rank[codes]


def drop_unused(codes: Codes, levels: NDArray[Any]) -> tuple[Codes, NDArray[Any], NDArray[Any]]:
    """Return codes and levels without the levels that no row has, and those levels."""
    present = np.bincount(codes, minlength=len(levels)) > 0
    if present.all():
        return codes, levels, levels[:0]
    renumbered = np.cumsum(present, dtype=np.int32) - np.int32(1)
    return renumbered[codes], levels[present], levels[~present]


def cross(first: Codes, n_first: int, second: Codes, n_second: int) -> tuple[Codes, Codes, Codes]:
    """Return codes (n,) of the combinations that occur, and for each the code of either factor.

    Combinations are ordered by the first factor, then by the second. When the second is nested in the first
    (a class belongs to one school) its levels are the combinations and nothing is sorted over the rows.
    """
    owner = np.zeros(n_second, np.int32)
    owner[second] = first
    if np.array_equal(owner[second], first):
        order = np.argsort(owner, kind="stable").astype(np.int32)
        used = np.zeros(n_second, bool)
        used[second] = True
        order = order[used[order]]
        position = np.empty(n_second, np.int32)
        position[order] = np.arange(len(order), dtype=np.int32)
        return position[second], owner[order], order
    key = first.astype(np.int64) * n_second + second
    codes, keys = _factorise_integers(key)
    return codes, (keys // n_second).astype(np.int32), (keys % n_second).astype(np.int32)


def match_levels(values: NDArray[Any], known: NDArray[Any]) -> Codes:
    """Return for each value its position among `known` levels, −1 where it is not one of them.

    Text and numbers match by their text, so that a level `308` read as a number finds the category `"308"`.
    """
    if values is known:
        return np.arange(len(known), dtype=np.int32)
    table = {level: code for code, level in enumerate(known.tolist())}
    found = [table.get(value, -1) for value in values.tolist()]
    if -1 in found and (values.dtype.kind in "OUT") != (known.dtype.kind in "OUT"):
        by_text = {str(level): code for level, code in table.items()}
        found = [by_text.get(str(value), -1) for value in values.tolist()]
    return np.array(found, np.int32)
