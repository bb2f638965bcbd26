"""Vectors and matrices that carry the names of their entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .errors import SpecError, suggest
from .table import Backend, Table, read_only
from .typing import Array, Labels


@read_only
class LabelledVector(NDArrayOperatorsMixin, dict[str, Any]):
    """A vector with named entries: NumPy reads it as an array, pandas as a column with an index, Python as a dict.

    Parameters
    ----------
    names
        The k names.
    array
        The values, (k,).
    backend
        The data-frame library `to_frame` answers in by default.

    Notes
    -----
    Arithmetic, comparisons and NumPy's element-wise functions give labelled vectors. Two labelled vectors, or one and
    a pandas Series, are matched by name whatever their order; arrays by place.

    Examples
    --------
    >>> beta = LabelledVector(("(Intercept)", "Days"), np.array([251.405, 10.467]))
    >>> beta["Days"], dict(beta), np.asarray(beta) / 2
    (10.467, {'(Intercept)': 251.405, 'Days': 10.467}, array([125.7025,   5.2335]))
    >>> beta / 2
    name           value
    (Intercept)  125.703
    Days           5.234
    >>> beta[beta < 100].names
    ('Days',)
    """

    __slots__ = ("array", "backend", "names")
    __pandas_priority__ = 5000
    # a comparison is one of entries, so that vectors are no keys
    __hash__ = None

    def __init__(self, names: Labels, array: np.ndarray[Any, Any], backend: Backend = "pandas") -> None:
        self.names, self.array, self.backend = tuple(names), array, backend
        dict.update(self, zip(self.names, array.tolist(), strict=True))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.names, self.array, self.backend)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.array[_place(key, self.names, "entry", "Entries")].item()
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            return self.array[key].item()
        chosen = np.arange(len(self.names))[_places(key, self.names)]
        return LabelledVector(tuple(self.names[i] for i in chosen), self.array[chosen], self.backend)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.array, dtype=dtype, copy=True if copy is None else copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            return NotImplemented
        arrays = [_matched(value, self.names) for value in inputs]
        found = getattr(ufunc, method)(*arrays, **options)
        if method != "__call__" or ufunc.signature is not None:
            return found
        return self._like(found) if isinstance(found, np.ndarray) else tuple(map(self._like, found))

    def __round__(self, digits: int = 0) -> LabelledVector:
        return self.round(digits)

    def __bool__(self) -> bool:
        # numbers are true where there are some, as a dict is; pandas asks
        if self.dtype == bool and len(self) > 1:
            raise ValueError("a vector of several entries is neither true nor false; use .all() or .any().")
        return bool(self.array[0]) if self.dtype == bool and len(self) else len(self) > 0

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def _like(self, array: Any) -> Any:
        same = isinstance(array, np.ndarray) and array.shape == self.array.shape
        return LabelledVector(self.names, array, self.backend) if same else array

    @property
    def index(self) -> np.ndarray[Any, Any]:
        """The names as an array, for the index of a Series."""
        return np.array(self.names, dtype=object)

    @property
    def shape(self) -> tuple[int]:
        """The number of entries, as NumPy gives it."""
        return (len(self.names),)

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.names)

    @property
    def ndim(self) -> int:
        """1."""
        return 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        kind: np.dtype[Any] = self.array.dtype
        return kind

    def round(self, decimals: int = 0, out: None = None) -> LabelledVector:
        """Return the entries rounded to so many decimals."""
        return LabelledVector(self.names, self.array.round(decimals), self.backend)

    def abs(self) -> LabelledVector:
        """Return absolute values."""
        return LabelledVector(self.names, np.abs(self.array), self.backend)

    def sum(self, axis: int | None = None, out: None = None) -> float:
        """Return the sum of the entries."""
        return float(self.array.sum())

    def mean(self, axis: int | None = None, dtype: Any = None, out: None = None) -> float:
        """Return the mean of the entries."""
        return float(self.array.mean())

    def min(self, axis: int | None = None, out: None = None) -> float:
        """Return the smallest entry."""
        return float(self.array.min())

    def max(self, axis: int | None = None, out: None = None) -> float:
        """Return the largest entry."""
        return float(self.array.max())

    def all(self, axis: int | None = None, out: None = None) -> bool:
        """Return whether every entry is true."""
        return bool(self.array.all())

    def any(self, axis: int | None = None, out: None = None) -> bool:
        """Return whether some entry is true."""
        return bool(self.array.any())

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """Return the values as an array, (k,)."""
        return np.array(self.array)

    def tolist(self) -> list[Any]:
        """Return the values as a list."""
        return list(self.array.tolist())

    def to_series(self) -> Any:
        """Return the entries as a pandas Series, names as its index."""
        try:
            import pandas as pd
        except ImportError as error:
            raise SpecError("to_series needs pandas: `pip install pandas`, or use to_numpy().") from error
        return pd.Series(self.to_numpy(), index=pd.Index(self.names))

    def table(self) -> Table:
        """Return the entries as a `Table` with columns `name value`."""
        return Table({"name": list(self.names), "value": self.array}, backend=self.backend)

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Return the entries as a data frame with columns `name value`."""
        return self.table().to_frame(backend)


@read_only
class LabelledMatrix(NDArrayOperatorsMixin, dict[str, Any]):
    """A matrix with named rows and columns: NumPy reads it as an array, pandas as a frame with both names.

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
    >>> sigma["a", "b"], dict(sigma["b"])
    (1.0, {'a': 1.0, 'b': 3.0})
    >>> sigma
    Covariance
             a        b
    a  2.00000  1.00000
    b  1.00000  3.00000
    """

    __slots__ = ("array", "backend", "columns", "rows", "title")
    __hash__ = None

    def __init__(
        self, rows: Labels, columns: Labels, array: Array, title: str = "", backend: Backend = "pandas"
    ) -> None:
        self.rows, self.columns, self.array = tuple(rows), tuple(columns), array
        self.title, self.backend = title, backend
        dict.update(
            self,
            {
                name: dict(zip(self.rows, array[:, j].tolist(), strict=True))
                for j, name in enumerate(self.columns)
            },
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.rows, self.columns, self.array, self.title, self.backend)

    def __getitem__(self, names: Any) -> Any:
        if isinstance(names, str):
            column = self.array[:, _place(names, self.columns, "column", "Columns")]
            return LabelledVector(self.rows, column, self.backend)
        row, name = names
        place = _place(row, self.rows, "row or column", "Names")
        return float(self.array[place, _place(name, self.columns, "row or column", "Names")])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.array, dtype=dtype, copy=True if copy is None else copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [value.array if isinstance(value, LabelledMatrix) else value for value in inputs]
        if "out" in options or any(isinstance(value, LabelledVector) for value in arrays):
            return NotImplemented
        found = getattr(ufunc, method)(*arrays, **options)
        plain = method != "__call__" or ufunc.signature is not None or np.shape(found) != self.shape
        return found if plain else LabelledMatrix(self.rows, self.columns, found, self.title, self.backend)

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().to_html()

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.rows), len(self.columns)

    def round(self, decimals: int = 0, out: None = None) -> LabelledMatrix:
        """Return the entries rounded to so many decimals."""
        return LabelledMatrix(self.rows, self.columns, self.array.round(decimals), self.title, self.backend)

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """Return the values as an array."""
        return np.array(self.array)

    def table(self) -> Table:
        """Return a `Table` whose first column, headed by nothing, holds the row names."""
        columns: dict[str, Any] = {"": list(self.rows)}
        columns.update((name, self.array[:, j]) for j, name in enumerate(self.columns))
        formats = dict.fromkeys(self.columns, "entry")
        return Table(columns, title=self.title, backend=self.backend, formats=formats)

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Return the matrix as a data frame; the first column, `name`, holds the row names."""
        columns: dict[str, Any] = {"name": list(self.rows)}
        columns.update((name, self.array[:, j]) for j, name in enumerate(self.columns))
        return Table(columns, backend=self.backend).to_frame(backend)


def _place(name: str, names: Labels, what: str, listed: str) -> int:
    if name not in names:
        raise SpecError(f"no {what} {name!r}.{suggest(str(name), names)} {listed}: {', '.join(names)}.")
    return names.index(name)


def _places(key: Any, names: Labels) -> Any:
    """Return what selects entries of an array: a slice or mask as it is, names as their places."""
    if isinstance(key, slice):
        return key
    chosen = np.asarray(_matched(key, names))
    if chosen.dtype.kind in "UOT":
        return [_place(str(name), names, "entry", "Entries") for name in chosen]
    return chosen


def _matched(value: Any, names: Labels) -> Any:
    """Return an operand as NumPy takes it; what carries names is put in the order of `names`."""
    if isinstance(value, LabelledVector):
        own: Sequence[Any] = value.names
    elif hasattr(value, "index") and hasattr(value, "to_numpy"):
        own = list(value.index)
    else:
        return value
    array = np.asarray(value)
    if tuple(own) == names:
        return array
    if len(own) != len(names) or set(own) != set(names):
        shown = ", ".join(map(str, own[:5])) + (" …" if len(own) > 5 else "")
        raise SpecError(
            f"entries {shown} do not match {', '.join(names[:5])}{' …' if len(names) > 5 else ''}; "
            "use to_numpy() to combine by place."
        )
    return array[[own.index(name) for name in names]]
