"""A file of comma-separated values or Parquet → a frame of whichever library is installed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

MISSING = ("", "NA", "NaN", "nan", "null", ".")
"""Fields that stand for a missing value: R's, pandas', SQL's and SAS's."""


def read_file(path: str | Path) -> Any:
    """Return the table in a `.csv`, `.tsv` or `.parquet` file as a frame.

    Parameters
    ----------
    path
        The file. Text files have a header line; fields `NA`, `NaN`, `null`, `.` and empty ones are missing.

    Returns
    -------
    frame
        Of pandas, polars or pyarrow, the first installed; else a dict of NumPy arrays (text files only).
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"file {str(path)!r} does not exist; check the path.")
    library = next((name for name in READERS if find_spec(name) is not None), None)
    if file.suffix == ".parquet":
        if library is None:
            raise DataError(
                "reading Parquet needs pandas, polars or pyarrow: `pip install 'mixedmodels[arrow]'`."
            )
        return _read_parquet(library, file)
    separator = "\t" if file.suffix in (".tsv", ".tab") else ","
    return read_text(file, separator) if library is None else READERS[library](file, separator)


def read_text(file: Path, separator: str = ",") -> dict[str, NDArray[Any]]:
    """Return the columns of a delimited file: floats where every field is a number, else text."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.reader(lines, delimiter=separator))
    rows = [row for row in rows if row]
    if not rows:
        raise DataError(f"file {file.name!r} is empty; it needs a header line and rows.")
    header, body = rows[0], rows[1:]
    short = next((i for i, row in enumerate(body) if len(row) != len(header)), None)
    if short is not None:
        raise DataError(
            f"file {file.name!r}: row {short + 1} has {len(body[short])} fields, header {len(header)}."
        )
    return {name: _typed([row[j] for row in body]) for j, name in enumerate(header)}


def _typed(fields: list[str]) -> NDArray[Any]:
    try:
        return np.array([np.nan if field.strip() in MISSING else float(field) for field in fields])
    except ValueError:
        return np.array([None if field.strip() in MISSING else field for field in fields], dtype=object)


def _read_pandas(file: Path, separator: str) -> Any:
    import pandas as pd

    return pd.read_csv(file, sep=separator, na_values=list(MISSING))


def _read_polars(file: Path, separator: str) -> Any:
    import polars as pl

    return pl.read_csv(file, separator=separator, null_values=list(MISSING), infer_schema_length=None)


def _read_pyarrow(file: Path, separator: str) -> Any:
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        file,
        parse_options=arrow_csv.ParseOptions(delimiter=separator),
        convert_options=arrow_csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True),
    )


def _read_parquet(library: str, file: Path) -> Any:
    if library == "pandas":
        import pandas as pd

        return pd.read_parquet(file)
    if library == "polars":
        import polars as pl

        return pl.read_parquet(file)
    from pyarrow import parquet

    return parquet.read_table(file)


# In order of preference.
READERS: Mapping[str, Callable[[Path, str], Any]] = {
    "pandas": _read_pandas,
    "polars": _read_polars,
    "pyarrow": _read_pyarrow,
}
