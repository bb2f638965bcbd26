"""Values with row labels of pandas matched with rows by label: never by place where labels say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DataError


def aligned(values: Any, index: Any, what: str) -> Any:
    """Return values in the order of the rows labelled `index`, as they are unless a pandas Series.

    Parameters
    ----------
    values
        An array, list, or Series of any library.
    index
        Labels of the rows, or None where rows have places only, as in polars and dicts of arrays.
    what
        What the values are, for the message.

    Raises
    ------
    DataError
        Where a row's label is not among those of the values, or not just once.

    Notes
    -----
    Equal labels in equal order are matched by place, duplicates or not. A Series with more labels than there are rows
    gives the rows'; where both are numbered 0, 1, … by default, lengths must agree.
    """
    own = _index_of(values)
    if own is None or (index is not None and own.equals(index)):
        return values
    if index is None:
        if _by_default(own):
            return values
        raise DataError(
            f"{what} has row labels {_shown(own)}, and the data none to match them with; give {what} as an array "
            "(.to_numpy()) in the order of the rows."
        )
    numbered = _by_default(own) and _by_default(index)
    unclear = not (own.is_unique and index.is_unique)
    if numbered or unclear or not index.isin(own).all():
        why = (
            f"has {len(own)} values for {len(index)} rows"
            if numbered
            else f"has row labels {_shown(own)}, the data {_shown(index)}"
        )
        repeated = "; labels repeat, so that none can be matched" if unclear and not numbered else ""
        raise DataError(
            f"{what} {why}{repeated}. Give values with the labels of the data, or an array (.to_numpy()) in the order "
            "of its rows."
        )
    return values.reindex(index)


def common_index(columns: Mapping[str, Any]) -> Any:
    """Return the row labels of the first pandas Series among columns that has some of its own, None without one."""
    found = [index for values in columns.values() if (index := _index_of(values)) is not None]
    own = [index for index in found if not _by_default(index)]
    return own[0] if own else None


def _index_of(values: Any) -> Any:
    """Return the row labels of a pandas Series, None for anything else."""
    plain = type(values).__module__.partition(".")[0] == "pandas" and hasattr(values, "reindex")
    return values.index if plain and hasattr(values, "to_numpy") else None


def _by_default(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1


def _shown(index: Any) -> str:
    return ", ".join(map(repr, index[:3].tolist())) + (" …" if len(index) > 3 else "")
