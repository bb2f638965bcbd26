"""Look-up of named implementations, with aliases and near-match suggestions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    if not isinstance(name, str):
        raise SpecError(f"{kind} {name!r} must be a name. Available: {', '.join(sorted(table))}.")
    folded = name.strip().lower()
    key = (aliases or {}).get(folded, folded)
    if key in table:
        return table[key]
    known = sorted(table)
    raise SpecError(
        f"unknown {kind} {name!r}.{suggest(name, [*known, *(aliases or {})])} Available: {', '.join(known)}."
    )


def check_choice(argument: str, value: object, allowed: Collection[str]) -> None:
    """Raise `SpecError` naming what is allowed unless `value` is among it.

    Examples
    --------
    >>> check_choice("method", "remll", ("reml", "ml"))
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: method='remll' is not known. Did you mean 'reml'? Allowed: 'reml', 'ml'.
    """
    if value not in allowed:
        known = ", ".join(map(repr, allowed))
        raise SpecError(f"{argument}={value!r} is not known.{suggest(str(value), allowed)} Allowed: {known}.")
