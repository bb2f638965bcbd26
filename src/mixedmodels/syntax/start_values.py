"""`start=`: natural values by parameter name, one set of them or a grid (PARMS)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import SpecError

StartValues: TypeAlias = (
    Mapping[str, float | Sequence[float]] | Sequence[Mapping[str, float | Sequence[float]]] | None
)
"""Natural values by parameter name; several for a name make a grid, several mappings several rows of it."""
Pairs: TypeAlias = tuple[tuple[str, float], ...]

LARGEST_GRID = 10_000
"""Rows of a grid at most; each costs one evaluation of the likelihood."""
SEVERAL = (list, tuple, range, np.ndarray)


def read_start(start: Any) -> tuple[Pairs, tuple[Pairs, ...]]:
    """Return one set of values, or none and every row of the grid asked for.

    Examples
    --------
    >>> read_start({"var(a)": 2})
    ((('var(a)', 2.0),), ())
    >>> read_start({"var(a)": [1, 2], "var(b)": 3})[1]
    ((('var(a)', 1.0), ('var(b)', 3.0)), (('var(a)', 2.0), ('var(b)', 3.0)))
    """
    if isinstance(start, (list, tuple)):
        if not all(isinstance(given, Mapping) for given in start):
            raise SpecError(
                f"start={start!r} must map parameter names to numbers, for example {{'var(Residual)': 1.0}}, or be "
                "a list of such mappings."
            )
        rows = [row for given in start for row in _combinations(given)]
    else:
        rows = _combinations(start)
        if len(rows) == 1:
            return rows[0], ()
    _check_size(len(rows))
    return (), tuple(rows)


def read_pairs(argument: str, values: Any) -> Pairs:
    """Return the items of a mapping from names to numbers."""
    if not values:
        return ()
    try:
        return tuple((str(name), float(value)) for name, value in values.items())
    except (AttributeError, TypeError, ValueError):
        raise SpecError(f"{argument}={values!r} must map parameter names to numbers.") from None


def _combinations(values: Any) -> list[Pairs]:
    """Return all combinations of the values of a mapping, the last name varying fastest."""
    if not isinstance(values, Mapping) or not any(isinstance(v, SEVERAL) for v in values.values()):
        return [read_pairs("start", values)]
    columns = [list(v) if isinstance(v, SEVERAL) else [v] for v in values.values()]
    for name, column in zip(values, columns, strict=True):
        if not column:
            raise SpecError(f"start={{{name!r}: []}} has no value; give one or more.")
    _check_size(math.prod(len(column) for column in columns))
    return [read_pairs("start", dict(zip(values, row, strict=True))) for row in itertools.product(*columns)]


def _check_size(rows: int) -> None:
    if rows > LARGEST_GRID:
        raise SpecError(
            f"start= has {rows:,} combinations of values, more than {LARGEST_GRID:,}; give fewer values."
        )
