"""Levels of a column that is read in batches: a code for every value, in order of first appearance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..typing import Codes
from .column import Column
from .levels import object_array
from .readers import EXACT

WIDEST = 1 << 28
"""Range of whole numbers up to which a table has the code of each."""
DENSE = 1 << 20
"""Range of whole numbers that is marked in a table whatever their number."""
MOST_LEVELS = (1 << 31) - 2
"""Codes are 32 bits wide."""


class Dictionary:
    """The levels of one column so far; `whole` says that numbers without decimals are integers."""

    def __init__(self, name: str, *, whole: bool = False) -> None:
        self.name, self.whole = name, whole
        self._values: list[NDArray[Any]] = []
        self._low = 0
        self._table: Codes = np.empty(0, dtype=np.int32)
        self._codes: dict[Any, int] = {}
        self._count = 0
        self._kind = ""

    def __len__(self) -> int:
        return self._count

    def codes(self, column: Column) -> Codes:
        """Return the code of every row, (n,); none may be missing."""
        kind = "text" if column.is_factor else column.values.dtype.kind.replace("u", "i").replace("b", "i")
        if self._kind and kind != self._kind:
            raise DataError(
                f"column {self.name!r} holds text in some batches and numbers in others; read it as one type."
            )
        self._kind = kind
        if column.levels is not None:
            used: NDArray[np.bool_] = np.bincount(column.values, minlength=len(column.levels)) > 0
            place: Codes = np.full(len(column.levels), -1, dtype=np.int32)
            place[used] = self._hashed(column.levels[used])
            return np.asarray(place[column.values], dtype=np.int32)
        values = column.values
        if kind == "i":
            low, high = int(values.min()), int(values.max())
            if self._fits(low, high):
                return self._by_table(values, low, high)
        levels, where = np.unique(values, return_inverse=True)
        return np.asarray(self._hashed(levels)[where.reshape(-1)], dtype=np.int32)

    def _fits(self, low: int, high: int) -> bool:
        """Return whether a table goes over all whole numbers so far; where none does any more, it is given up."""
        if self._codes:
            return False
        if len(self._table):
            low, high = min(low, self._low), max(high, self._low + len(self._table) - 1)
        if high - low < WIDEST:
            return True
        if self._count:
            every = np.concatenate(self._values)
            self._codes = {value: j for j, value in enumerate(every.tolist())}
            self._table = np.empty(0, dtype=np.int32)
        return False

    def _by_table(self, values: NDArray[Any], low: int, high: int) -> Codes:
        if not len(self._table):
            self._low, self._table = low, np.full(high - low + 1, -1, dtype=np.int32)
        first, last = self._low, self._low + len(self._table) - 1
        if low < first or high > last:
            # a table that grows one batch at a time grows by half
            room = max(1, len(self._table) // 2)
            start = min(low, first) - (room if low < first else 0)
            stop = max(high, last) + (room if high > last else 0)
            table = np.full(stop - start + 1, -1, dtype=np.int32)
            table[first - start : first - start + len(self._table)] = self._table
            self._low, self._table = start, table
        place = values.astype(np.int64) - self._low if values.dtype.kind == "u" else values - self._low
        codes = self._table[place]
        if (codes < 0).any():
            new = _distinct(values[codes < 0].astype(np.int64), low, high)
            self._table[new - self._low] = self._count + np.arange(len(new), dtype=np.int32)
            self._append(new)
            codes = self._table[place]
        return codes

    def _hashed(self, levels: NDArray[Any]) -> Codes:
        """Return the codes of distinct levels, those not seen before appended."""
        keys = levels.tolist()
        found = [self._codes.get(key, -1) for key in keys]
        new = [j for j, code in enumerate(found) if code < 0]
        for i, j in enumerate(new):
            found[j] = self._codes[keys[j]] = self._count + i
        if new:
            self._append(levels[new])
        return np.array(found, dtype=np.int32)

    def _append(self, values: NDArray[Any]) -> None:
        self._count += len(values)
        if self._count > MOST_LEVELS:
            raise DataError(
                f"column {self.name!r} has more than {MOST_LEVELS:,} levels, which codes of 32 bits do not count."
            )
        self._values.append(values)

    def levels(self) -> NDArray[Any]:
        """Return the levels in order of their codes, (q,), in the data's own type."""
        if not self._values:
            return np.empty(0, dtype=object)
        found = np.concatenate(self._values)
        if (
            found.dtype.kind == "f"
            and self.whole
            and (found == np.round(found)).all()
            and np.abs(found).max() < EXACT
        ):
            # a CSV file's whole numbers are read as numbers that may have decimals
            return found.astype(np.int64)
        return object_array(list(found)) if found.dtype == object else found


def _distinct(values: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    """Return the distinct ones of whole numbers between two, in order: marked in a table where that is not too wide."""
    if high - low > 4 * len(values) + DENSE:
        return np.unique(values)
    seen = np.zeros(high - low + 1, dtype=bool)
    seen[values - low] = True
    return np.asarray(np.flatnonzero(seen) + low, dtype=np.int64)
