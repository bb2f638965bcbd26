"""The one shape of every printed result: labelled columns with notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Backend = Literal["pandas", "polars", "pyarrow", "dict"]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length, a title and notes; text, HTML, LaTeX and frames are renderings of it.

    Parameters
    ----------
    columns
        Column name → values, all of one length.
    title
        Printed above.
    notes
        Printed below, one line each (method used, rows not estimable …).
    backend
        The data-frame library `to_frame` answers in by default: the caller's own.
    formats
        Column name → one of `"estimate" "statistic" "df" "p" "integer" "text"`; unnamed columns are formatted by type.
    """

    columns: Mapping[str, Any]
    title: str = ""
    notes: tuple[str, ...] = ()
    backend: Backend = "pandas"
    formats: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of a table must have one length, not {lengths}")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return np.asarray(self.columns[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    @property
    def names(self) -> Sequence[str]:
        """Column names in order."""
        return tuple(self.columns)
