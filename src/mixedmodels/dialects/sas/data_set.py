"""Data sets as SAS has them: columns of numbers or of text, a missing number NaN, a missing text empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, SpecError, suggest
from ...frame.column import Column
from ...frame.readers import Source, open_source
from ...table import Backend, Table

EPOCH = np.datetime64("1960-01-01", "D")
"""Day 0 of SAS."""
MOST_ROWS = 1_000_000
"""Rows that a DATA step may write, or read from several data sets."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Columns of one length.

    Parameters
    ----------
    columns
        Name → float64 (n,), NaN where missing, or objects (n,) that are text, empty where missing.
    n
        Rows.
    backend
        The data-frame library that tables go back to.
    levels
        Levels in the order of their owner, of columns that came as categories.
    """

    columns: Mapping[str, NDArray[Any]]
    n: int
    backend: Backend = "dict"
    levels: Mapping[str, tuple[str, ...]] | None = None

    def name_of(self, word: str) -> str | None:
        """Return the column a word names, without regard to case, None for none."""
        if word in self.columns:
            return word
        folded = {name.lower(): name for name in self.columns}
        return folded.get(word.lower())

    def find(self, word: str) -> str:
        """Return the column a word names; `SpecError` for none."""
        name = self.name_of(word)
        if name is None:
            known = ", ".join(list(self.columns)[:30])
            raise SpecError(
                f"{word!r} is no variable of the data.{suggest(word, self.columns)} Variables: {known}."
            )
        return name

    def is_text(self, name: str) -> bool:
        return self.columns[name].dtype == object

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return which rows of a column are missing, (n,)."""
        values = self.columns[name]
        if values.dtype == object:
            return np.array([not str(value).strip() for value in values], dtype=bool)
        return np.asarray(np.isnan(values))

    def take(self, rows: NDArray[Any]) -> DataSet:
        """Return some rows, by place or by truth."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        n = int(np.count_nonzero(rows)) if rows.dtype == bool else len(rows)
        return replace(self, columns=columns, n=n)

    def with_columns(self, added: Mapping[str, NDArray[Any]]) -> DataSet:
        """Return the data set with columns added or replaced."""
        return replace(self, columns={**self.columns, **added})

    def to_frame(self) -> Any:
        """Return the columns as a frame of the caller's library."""
        return Table(dict(self.columns), backend=self.backend).to_frame()


def read_data(data: Any) -> DataSet:
    """Return a caller's frame as a data set."""
    if isinstance(data, DataSet):
        return data
    source = open_source(data)
    columns: dict[str, NDArray[Any]] = {}
    levels: dict[str, tuple[str, ...]] = {}
    for name in source.names:
        column = source.read(name)
        columns[name] = _values(column)
        if column.levels is not None and not column.text and columns[name].dtype == object:
            levels[name] = tuple(str(level) for level in column.levels)
    return DataSet(columns, source.n, source.backend, levels or None)


def _values(column: Column) -> NDArray[Any]:
    if column.levels is not None:
        own = [level_text(level) for level in column.levels]
        if column.levels.dtype.kind in "biuf":
            numbers = np.append(np.asarray(column.levels, dtype=float), np.nan)
            return np.asarray(numbers[column.values])
        return np.asarray(np.array([*own, ""], dtype=object)[column.values])
    if column.values.dtype.kind == "M":
        days = (column.values.astype("datetime64[D]") - EPOCH).astype(float)
        days[np.isnat(column.values)] = np.nan
        return np.asarray(days)
    if column.values.dtype.kind not in "biuf":
        raise DataError(f"column {column.name!r} holds {column.kind()}, which a program of SAS cannot read.")
    return np.asarray(column.values.astype(float))


def level_text(value: Any) -> str:
    """Return a level as SAS prints it: whole numbers without a point.

    Examples
    --------
    >>> level_text(2.0), level_text(0.25), level_text("a ")
    ('2', '0.25', 'a')
    """
    if isinstance(value, (float, np.floating)):
        return "." if np.isnan(value) else f"{value:.12g}"
    return str(value).rstrip()


@dataclass(frozen=True, slots=True)
class ModelData:
    """A data set whose CLASS variables are factors with SAS's levels: what a model is fitted to."""

    data: DataSet
    factors: Mapping[str, tuple[Any, ...]]

    def as_source(self) -> Source:
        """Return the columns as the package reads them."""
        return Source(tuple(self.data.columns), self.data.n, self.data.backend, self._column)

    def _column(self, name: str) -> Column:
        values = self.data.columns[name]
        missing = self.data.missing(name)
        some = missing if missing.any() else None
        if name not in self.factors:
            if values.dtype == object:
                return Column(name, *_codes(values, tuple(sorted(set(values[~missing])))), missing=some)
            return Column(name, values, missing=some)
        return Column(name, *_codes(values, self.factors[name]), missing=some)


def distinct(values: NDArray[Any]) -> tuple[list[Any], NDArray[np.intp]]:
    """Return the distinct values of a column, and the place among them of each row, (n,).

    Examples
    --------
    >>> own, where = distinct(np.array([2.0, 1.0, 2.0]))
    >>> own, where.tolist()
    ([1.0, 2.0], [1, 0, 1])
    """
    if values.dtype.kind in "biuf":
        own, where = np.unique(values, return_inverse=True)
        return own.tolist(), where
    place: dict[Any, int] = {}
    found = [place.setdefault(value, len(place)) for value in values.tolist()]
    return list(place), np.array(found, dtype=np.intp)


def _codes(values: NDArray[Any], levels: Sequence[Any]) -> tuple[NDArray[np.int32], NDArray[Any]]:
    place = {level: code for code, level in enumerate(levels)}
    own, where = distinct(values)
    codes = np.array([place.get(value, -1) for value in own], dtype=np.int32)[where]
    texts = np.empty(len(levels), dtype=object)
    texts[:] = [level_text(level) for level in levels]
    return codes, texts
