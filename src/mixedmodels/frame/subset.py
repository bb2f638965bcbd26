"""The rows a model is to use, of all that the data have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, Severity, Status, suggest
from .align import aligned
from .readers import Source

ALLOWED = "give one true or false for each row, the name of such a column, or places of rows"


def choose_rows(subset: Any, source: Source) -> tuple[NDArray[np.intp] | None, tuple[Status, ...]]:
    """Return the places of the rows chosen, in order, None for all; and a note that counts them.

    Parameters
    ----------
    subset
        Booleans (n,), as an array or a Series, which is matched by row label; the name of a column that holds some; or
        the places of rows, each once.
    """
    if subset is None:
        return None, ()
    if isinstance(subset, str):
        if subset not in source.names:
            near = suggest(subset, source.names)
            raise DataError(
                f"subset={subset!r} is not a column of the data.{near} Compute a condition first: subset=data['x'] > 2."
            )
        subset = source.read(subset).values
    values = np.asarray(aligned(subset, source.index, "subset"))
    if values.dtype == object and all(isinstance(value, (bool, np.bool_)) for value in values):
        values = values.astype(bool)
    if values.dtype == object and values.ndim == 1 and all(map(_truth_or_missing, values)):
        raise DataError(
            "subset is missing in some rows; say true or false there, for example subset.fillna(False)."
        )
    if values.ndim != 1 or values.dtype.kind not in "biu":
        raise DataError(f"subset holds values of type {values.dtype}, {values.ndim} dimensions; {ALLOWED}.")
    rows = _from_booleans(values, source.n) if values.dtype.kind == "b" else _from_places(values, source.n)
    if len(rows) == 0:
        raise DataError("subset leaves no row; widen its condition.")
    return rows, (Status(Severity.NOTE, f"{len(rows)} of {source.n} rows chosen by subset"),)


def _truth_or_missing(value: object) -> bool:
    return isinstance(value, (bool, np.bool_)) or value is None or str(value) in ("nan", "<NA>")


def _from_booleans(values: NDArray[Any], n: int) -> NDArray[np.intp]:
    if len(values) != n:
        raise DataError(f"subset has {len(values)} values for {n} rows of data; {ALLOWED}.")
    return np.flatnonzero(values)


def _from_places(values: NDArray[Any], n: int) -> NDArray[np.intp]:
    rows = np.sort(values.astype(np.intp))
    if len(rows) and not (rows[0] >= 0 and rows[-1] < n):
        raise DataError(
            f"subset names rows {rows[0]} to {rows[-1]}, and places go from 0 to {n - 1}; {ALLOWED}."
        )
    if len(np.unique(rows)) < len(rows):
        raise DataError(f"subset names some rows twice; {ALLOWED}.")
    return rows
