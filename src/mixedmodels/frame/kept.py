"""The columns of a model as they were at the fit: what tools ask of the data afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import DataError
from ..table import Backend
from .column import Column
from .readers import Source, open_source


@dataclass(frozen=True, slots=True, eq=False)
class KeptData:
    """The model's columns over all n rows given, in memory of their own.

    `given` are the caller's data, in which `update` may find further columns as long as nothing of the model's has
    changed there; they are left behind by pickling.
    """

    columns: Mapping[str, Column]
    n: int
    backend: Backend
    index: Any = None
    given: Any = None

    def as_source(self) -> Source:
        """Return a source of these columns, and of others in the caller's data while those are what they were."""
        names = tuple(self.columns)
        if self.given is None:
            return Source(names, self.n, self.backend, self.columns.__getitem__, self.index)
        try:
            source = open_source(self.given)
        except DataError:  # the caller has since made them no data; what the fit keeps is as it was
            return self.without_given().as_source()
        unchanged: list[bool] = []

        def read(name: str) -> Column:
            if name in self.columns:
                return self.columns[name]
            if not unchanged:
                unchanged.append(self._agrees(source))
            if not unchanged[0]:
                raise DataError(
                    f"column {name!r} is not one of those the fit keeps ({', '.join(names)}), and the data it was "
                    "given have been changed since; give data=."
                )
            return source.read(name)

        every = tuple(dict.fromkeys((*names, *source.names)))
        return Source(every, self.n, self.backend, read, self.index)

    def without_given(self) -> KeptData:
        """Return the model's columns alone."""
        return replace(self, given=None)

    def _agrees(self, source: Source) -> bool:
        if source.n != self.n or not set(self.columns) <= set(source.names):
            return False
        return all(_same(column, source.read(name)) for name, column in self.columns.items())


def _same(one: Column, other: Column) -> bool:
    if (one.levels is None) != (other.levels is None) or one.values.dtype.kind != other.values.dtype.kind:
        return False
    values = np.array_equal(one.values, other.values, equal_nan=one.values.dtype.kind in "fM")
    if one.levels is None or other.levels is None:
        return values
    return values and np.array_equal(one.levels, other.levels)
