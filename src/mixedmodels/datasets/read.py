"""A data set as a frame of the caller's library."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..errors import DataError, SpecError, suggest
from .catalogue import Column, Dataset, data_folder, describe

Values = np.ndarray[Any, np.dtype[Any]]


def load(name: str, *, backend: str | None = None) -> Any:
    """Return a data set as a frame whose factors keep their level order.

    Parameters
    ----------
    name
        One of `datasets.list()`.
    backend
        `"pandas"`, `"polars"`, `"pyarrow"` or `"dict"` (NumPy arrays, factors as strings); without it
        the first of these that is installed.

    Returns
    -------
    frame
        Factors are `Categorical` in pandas, `Enum` in polars (which has no ordered kind), dictionary arrays
        in pyarrow. Whole-number columns are int64, all others float64.

    Notes
    -----
    *Same as* `data(sleepstudy)` in R.

    Examples
    --------
    >>> frame = load("sleepstudy", backend="dict")
    >>> frame["Reaction"].shape, frame["Days"].dtype
    ((180,), dtype('int64'))
    >>> load("sleepstud")
    Traceback (most recent call last):
    ...
    mixedmodels.errors.SpecError: unknown data set 'sleepstud'. Did you mean 'sleepstudy'? Available: ...
    """
    dataset = describe(name)
    build = BACKENDS[_choose_backend(backend)]
    values = _read_packed(dataset) if dataset.file.endswith(".bin.gz") else _read_text(dataset)
    return build(dataset, values)


def _choose_backend(backend: str | None) -> str:
    if backend is None:
        return next(known for known in BACKENDS if known == "dict" or find_spec(known) is not None)
    if backend not in BACKENDS:
        near = suggest(str(backend), BACKENDS)
        raise SpecError(f"backend={backend!r} is not known.{near} Allowed: {', '.join(BACKENDS)}.")
    if backend != "dict" and find_spec(backend) is None:
        raise SpecError(
            f"backend={backend!r} is not installed: `pip install {backend}` or use backend='dict'."
        )
    return backend


def _read_text(dataset: Dataset) -> dict[str, Values]:
    """Return codes (factors) or numbers by column, from comma-separated text without quoting."""
    text = gzip.decompress((data_folder() / dataset.file).read_bytes()).decode("utf-8")
    header, *rows = (line.split(",") for line in text.splitlines())
    if header != [column.name for column in dataset.columns] or len(rows) != dataset.rows:
        raise DataError(
            f"{dataset.file} does not match the record of {dataset.name!r}; reinstall the package."
        )
    return {column.name: _parse(column, texts) for column, *texts in zip(dataset.columns, *rows, strict=True)}


def _parse(column: Column, texts: list[str]) -> Values:
    if column.is_factor:
        code = {level: position for position, level in enumerate(column.levels)}
        return np.array([code[text] for text in texts], dtype=np.int32)
    return np.array(texts, dtype=np.int64 if column.kind == "integer" else np.float64)


def _read_packed(dataset: Dataset) -> dict[str, Values]:
    """Return codes or numbers by column, from one block of little-endian unsigned integers per column."""
    block = gzip.decompress((data_folder() / dataset.file).read_bytes())
    values: dict[str, Values] = {}
    start = 0
    for column in dataset.columns:
        little_endian = np.dtype(column.stored).newbyteorder("<")
        stored = np.frombuffer(block, dtype=little_endian, count=dataset.rows, offset=start)
        start += stored.nbytes
        values[column.name] = stored.astype(np.int32 if column.is_factor else np.int64)
    return values


def _build_pandas(dataset: Dataset, values: Mapping[str, Values]) -> Any:
    import pandas as pd

    def series(column: Column) -> Any:
        if not column.is_factor:
            return values[column.name]
        return pd.Categorical.from_codes(
            values[column.name], categories=list(column.levels), ordered=column.kind == "ordered"
        )

    return pd.DataFrame({column.name: series(column) for column in dataset.columns})


def _build_polars(dataset: Dataset, values: Mapping[str, Values]) -> Any:
    import polars as pl

    def series(column: Column) -> Any:
        if not column.is_factor:
            return pl.Series(column.name, values[column.name])
        labels = np.array(column.levels, dtype=object)[values[column.name]]
        return pl.Series(column.name, labels.tolist(), dtype=pl.Enum(column.levels))

    return pl.DataFrame([series(column) for column in dataset.columns])


def _build_pyarrow(dataset: Dataset, values: Mapping[str, Values]) -> Any:
    import pyarrow as pa

    def array(column: Column) -> Any:
        if not column.is_factor:
            return pa.array(values[column.name])
        return pa.DictionaryArray.from_arrays(
            pa.array(values[column.name]), pa.array(column.levels), ordered=column.kind == "ordered"
        )

    return pa.table({column.name: array(column) for column in dataset.columns})


def _build_dict(dataset: Dataset, values: Mapping[str, Values]) -> dict[str, Values]:
    return {
        column.name: np.array(column.levels)[values[column.name]] if column.is_factor else values[column.name]
        for column in dataset.columns
    }


# In order of preference; every builder takes the record and the codes or numbers by column.
BACKENDS: dict[str, Callable[[Dataset, Mapping[str, Values]], Any]] = {
    "pandas": _build_pandas,
    "polars": _build_polars,
    "pyarrow": _build_pyarrow,
    "dict": _build_dict,
}
