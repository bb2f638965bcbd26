"""A file of a table → a frame of whichever library is installed."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, suggest
from .text_file import TextTable, read_delimited

MISSING = ("", "NA", "NaN", "nan", "null", "NULL", "N/A", "#N/A", "<NA>", ".")
"""Fields that stand for a missing value: R's, pandas', SQL's, Excel's and SAS's."""
STANDARD_INPUT = "-"


def read_file(path: str | Path, say: Callable[[str], None] | None = None) -> Any:
    """Return the table in a file as a frame.

    Parameters
    ----------
    path
        A text file with a header line (`.csv`, `.tsv`, `.txt`, any other name), whose encoding, separator and decimal
        sign are found out; `.parquet .feather .xlsx .xls .sas7bdat .xpt .dta .sav` by an installed reader; `"-"`
        for text from standard input. Fields `NA`, `NaN`, `null`, `.` and empty ones are missing.
    say
        Is told what was found out about a text file, where it is not UTF-8 separated by commas.

    Returns
    -------
    frame
        Of pandas, polars or pyarrow, the first installed; else a dict of NumPy arrays (text files only).

    Raises
    ------
    DataError
        When the file does not exist, is empty, is of a kind no installed library reads, or is no table.
    """
    if str(path) == STANDARD_INPUT:
        return _frame_of(read_delimited(sys.stdin.buffer.read(), "standard input"), say)
    file = Path(path)
    if not file.is_file():
        beside = [each.name for each in file.parent.iterdir()] if file.parent.is_dir() else []
        what = "is a folder" if file.is_dir() else "does not exist"
        raise DataError(f"file {str(path)!r} {what}; check the path.{suggest(file.name, beside)}")
    suffix = file.suffix.lower()
    if suffix in BINARY:
        return _read_binary(file, suffix, say)
    if suffix in UNREAD:
        raise DataError(f"file {file.name!r}: {UNREAD[suffix]}")
    return _frame_of(read_text(file), say)


def read_text(file: Path) -> TextTable:
    """Return the table in a text file."""
    return read_delimited(
        file.read_bytes(), file.name, "\t" if file.suffix.lower() in (".tsv", ".tab") else None
    )


def columns_of(table: TextTable) -> dict[str, NDArray[Any]]:
    """Return the columns of a text table: floats where every field is a number, else text."""
    point = str.replace if table.decimal == "," else None
    columns = zip(*table.rows, strict=True)
    return {name: _typed(list(fields), point) for name, fields in zip(table.header, columns, strict=True)}


def _typed(fields: list[str], point: Any) -> NDArray[Any]:
    try:
        return np.array(
            [
                np.nan if field.strip() in MISSING else float(point(field, ",", ".") if point else field)
                for field in fields
            ]
        )
    except ValueError:
        return np.array([None if field.strip() in MISSING else field for field in fields], dtype=object)


def _frame_of(table: TextTable, say: Callable[[str], None] | None) -> Any:
    if say is not None and table.remarks:
        say(f"{table.name}: {', '.join(table.remarks)}")
    library = next((name for name in READERS if find_spec(name) is not None), None)
    return columns_of(table) if library is None else READERS[library](table.normalised())


def _read_pandas(text: str) -> Any:
    import pandas as pd

    return pd.read_csv(
        io.StringIO(text), na_values=list(MISSING), keep_default_na=False, skip_blank_lines=False
    )


def _read_polars(text: str) -> Any:
    import polars as pl

    return pl.read_csv(io.BytesIO(text.encode()), null_values=list(MISSING), infer_schema_length=None)


def _read_pyarrow(text: str) -> Any:
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        io.BytesIO(text.encode()),
        convert_options=arrow_csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True),
    )


# In order of preference.
READERS: Mapping[str, Callable[[str], Any]] = {
    "pandas": _read_pandas,
    "polars": _read_polars,
    "pyarrow": _read_pyarrow,
}


def _read_binary(file: Path, suffix: str, say: Callable[[str], None] | None) -> Any:
    """Return the table in a file that is no text, by the first of its readers that is installed."""
    kind, readers = BINARY[suffix]
    for needed, read in readers:
        if all(find_spec(name) is not None for name in needed):
            try:
                return read(file, say)
            except Exception as error:
                lines = str(error).splitlines() or [type(error).__name__]
                reason = lines[0].partition(". ")[0].rstrip(".")
                raise DataError(
                    f"file {file.name!r} cannot be read as {kind} ({reason}); it is damaged, or of another kind."
                ) from error
    lacking = [name for name in readers[0][0] if find_spec(name) is None]
    raise DataError(
        f"file {file.name!r}: {kind} is read by {' and '.join(readers[0][0])}; "
        f"`pip install {' '.join(lacking)}`, or save it as .csv."
    )


Say = Callable[[str], None] | None
Read = Callable[[Path, Say], Any]


def _pandas(function: str) -> Read:
    def read(file: Path, say: Say) -> Any:
        import pandas as pd

        return getattr(pd, function)(file)

    return read


def _sas(file: Path, say: Say) -> Any:
    import pandas as pd

    # transport files say nothing of their encoding: SAS wrote them in that of the session, Latin-1 if in any doubt
    return pd.read_sas(file, encoding="infer" if file.suffix.lower() == ".sas7bdat" else "latin-1")


def _excel(file: Path, say: Say) -> Any:
    """Return the first sheet that is a table: what stands above its header, such as a title, is left out."""
    import pandas as pd

    with pd.ExcelFile(file) as book:
        filled = {
            name: book.parse(name, header=None).notna().sum(axis=1).to_numpy() for name in book.sheet_names
        }
        # a header is the first of the rows with most cells; one column alone is rather a remark
        tables = [
            (name, full) for name, full in filled.items() if len(full) and full.argmax() < len(full) - 1
        ]
        wide = [(name, full) for name, full in tables if full.max() > 1]
        if not tables:
            raise ValueError("no sheet has a header and rows")
        name, full = (wide or tables)[0]
        header = int(full.argmax())
        if say is not None and len(book.sheet_names) > 1:
            others = ", ".join(repr(other) for other in book.sheet_names if other != name)
            say(f"{file.name}: sheet {name!r} is read, not {others}")
        if say is not None and header:
            say(f"{file.name}: the header is in row {header + 1}")
        return book.parse(name, header=header)


def _polars(function: str) -> Read:
    def read(file: Path, say: Say) -> Any:
        import polars as pl

        return getattr(pl, function)(file)

    return read


def _arrow_parquet(file: Path, say: Say) -> Any:
    from pyarrow import parquet

    return parquet.read_table(file)


def _arrow_feather(file: Path, say: Say) -> Any:
    from pyarrow import feather

    return feather.read_table(file)


Reader = tuple[tuple[str, ...], Read]
_PARQUET: tuple[Reader, ...] = (
    (("pandas", "pyarrow"), _pandas("read_parquet")),
    (("polars",), _polars("read_parquet")),
    (("pyarrow",), _arrow_parquet),
)
_FEATHER: tuple[Reader, ...] = (
    (("pandas", "pyarrow"), _pandas("read_feather")),
    (("polars",), _polars("read_ipc")),
    (("pyarrow",), _arrow_feather),
)
BINARY: Mapping[str, tuple[str, tuple[Reader, ...]]] = {
    ".parquet": ("Parquet", _PARQUET),
    ".feather": ("Feather", _FEATHER),
    ".arrow": ("Feather", _FEATHER),
    ".xlsx": (
        "Excel's .xlsx",
        ((("pandas", "openpyxl"), _excel), (("polars", "fastexcel"), _polars("read_excel"))),
    ),
    ".xls": ("Excel's .xls", ((("pandas", "xlrd"), _excel),)),
    ".sas7bdat": ("SAS's .sas7bdat", ((("pandas",), _sas),)),
    ".xpt": ("SAS's transport format", ((("pandas",), _sas),)),
    ".dta": ("Stata's .dta", ((("pandas",), _pandas("read_stata")),)),
    ".sav": ("SPSS's .sav", ((("pandas", "pyreadstat"), _pandas("read_spss")),)),
}
"""Suffix → kind of file and its readers, each with the libraries it needs, in order of preference."""
UNREAD: Mapping[str, str] = {
    suffix: f"R's {suffix} is not read; write it by `write.csv(data, 'data.csv', row.names = FALSE)`."
    for suffix in (".rds", ".rda", ".rdata")
}
