"""Look-up of named implementations, with aliases and near-match suggestions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from .errors import SpecError, suggest

T = TypeVar("T")


def look_up(kind: str, name: str, table: Mapping[str, T], aliases: Mapping[str, str] | None = None) -> T:
    """Return the entry of `table` called `name`, or raise `SpecError` naming what exists.

    Examples
    --------
    >>> look_up("structure", "AR(1)", {"ar1": 1}, {"ar(1)": "ar1"})
    1
    """
    folded = name.strip().lower()
    key = (aliases or {}).get(folded, folded)
    if key in table:
        return table[key]
    known = sorted(table)
    raise SpecError(
        f"unknown {kind} {name!r}.{suggest(name, [*known, *(aliases or {})])} Available: {', '.join(known)}."
    )
