"""What a fit remembers of its data: the kind of every column, never the values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..table import Backend


@dataclass(frozen=True, slots=True)
class ColumnSchema:
    """Name of a column and what it held: numbers, dates, or levels of a factor."""

    name: str
    kind: Literal["number", "date", "factor"]


@dataclass(frozen=True, slots=True)
class FrameSchema:
    """The columns a model read, in order, with the counts of rows given and used.

    Levels of factors are not repeated here; they stay with the terms that use them. `index` holds the row labels of
    pandas data (n_given), None for other libraries.
    """

    columns: tuple[ColumnSchema, ...]
    backend: Backend
    n_given: int
    n_used: int
    index: Any = field(default=None, compare=False, repr=False)

    def kind(self, name: str) -> str:
        """Return the kind of a column."""
        return next(column.kind for column in self.columns if column.name == name)
