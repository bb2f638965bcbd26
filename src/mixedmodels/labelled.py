"""Vectors and matrices that carry the names of their entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import SpecError, suggest
from .table import Backend, Table
from .typing import Array, Labels


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LabelledVector(Mapping[str, float]):
    """A vector with named entries: a read-only mapping name → value that NumPy reads as an array.

    Parameters
    ----------
    names
        The k names.
    array
        The values, (k,).
    backend
        The data-frame library `to_frame` answers in by default.

    Examples
    --------
    >>> beta = LabelledVector(("(Intercept)", "Days"), np.array([251.405, 10.467]))
    >>> beta["Days"], dict(beta), np.asarray(beta) / 2
    (10.467, {'(Intercept)': 251.405, 'Days': 10.467}, array([125.7025,   5.2335]))
    """

    names: Labels
    array: Array
    backend: Backend = "pandas"

    def __getitem__(self, name: str) -> float:
        if name not in self.names:
            known = ", ".join(self.names)
            raise SpecError(f"no entry {name!r}.{suggest(str(name), self.names)} Entries: {known}.")
        return float(self.array[self.names.index(name)])

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.array, dtype=dtype, copy=True if copy is None else copy)

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Table:
        """Return the entries as a `Table` with columns `name value`."""
        return Table({"name": list(self.names), "value": self.array}, backend=self.backend)

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Return the entries as a data frame with columns `name value`."""
        return self.table().to_frame(backend)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LabelledMatrix:
    """A matrix with named rows and columns that NumPy reads as an array.

    Parameters
    ----------
    rows, columns
        Names of the rows and columns.
    array
        The values, (len(rows), len(columns)).
    title
        Printed above.
    backend
        The data-frame library `to_frame` answers in by default.

    Examples
    --------
    >>> sigma = LabelledMatrix(("a", "b"), ("a", "b"), np.array([[2.0, 1.0], [1.0, 3.0]]), title="Covariance")
    >>> sigma["a", "b"]
    1.0
    >>> sigma
    Covariance
             a        b
    a  2.00000  1.00000
    b  1.00000  3.00000
    """

    rows: Labels
    columns: Labels
    array: Array
    title: str = ""
    backend: Backend = "pandas"

    def __getitem__(self, names: tuple[str, str]) -> float:
        row, column = names
        return float(self.array[_position(row, self.rows), _position(column, self.columns)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.array, dtype=dtype, copy=True if copy is None else copy)

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().to_html()

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.rows), len(self.columns)

    def table(self) -> Table:
        """Return a `Table` whose first column, headed by nothing, holds the row names."""
        columns: dict[str, Any] = {"": list(self.rows)}
        columns.update((name, self.array[:, j]) for j, name in enumerate(self.columns))
        return Table(columns, title=self.title, backend=self.backend)

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Return the matrix as a data frame; the first column, `name`, holds the row names."""
        columns: dict[str, Any] = {"name": list(self.rows)}
        columns.update((name, self.array[:, j]) for j, name in enumerate(self.columns))
        return Table(columns, backend=self.backend).to_frame(backend)


def _position(name: str, names: Labels) -> int:
    if name not in names:
        raise SpecError(f"no row or column {name!r}.{suggest(str(name), names)} Names: {', '.join(names)}.")
    return names.index(name)
