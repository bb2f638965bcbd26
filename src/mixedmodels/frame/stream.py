"""Data read in batches: Parquet and CSV files, pyarrow data sets, DuckDB relations, lazy frames, Arrow streams.

A stream gives the columns that are asked for, batch by batch, as often as it can: a pipe is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob, has_magic
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import DataError, SpecError, suggest
from ..table import Backend
from .column import Column
from .files import MISSING
from .readers import Source, read_values

AT_ONCE = 1 << 18
"""Rows of a batch."""
TEXT = (".csv", ".tsv", ".txt")
PARQUET = (".parquet", ".pq")

Batch: TypeAlias = dict[str, Column]
Arrow: TypeAlias = Any
"""A record batch of pyarrow, or a `Batch`."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Columns in batches of rows.

    Parameters
    ----------
    label
        What messages call it.
    kinds
        For each column `"number"`, `"text"` (levels, categories included) or `"date"`.
    count
        Number of rows, None where nobody knows before they are read.
    backend
        The library in which tables go back.
    read
        Opens it: `(columns, rows of a batch)` gives record batches of Arrow, or columns as they are used here.
    again
        Whether it can be read more than once.
    whole
        Whether numbers without decimals are integers: those of a text file are read as if they might have some.
    """

    label: str
    kinds: Mapping[str, str]
    count: int | None
    backend: Backend
    read: Callable[[Sequence[str], int], Iterator[Arrow]]
    again: bool = True
    whole: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.kinds)

    def as_source(self) -> Source:
        """Return the names of the columns as a source, which reads none."""

        def refuse(name: str) -> Column:
            raise DataError(f"column {name!r} of {self.label} is read in batches.")

        return Source(self.names, self.count or 0, self.backend, refuse)

    def batches(self, names: Sequence[str], rows: int = AT_ONCE) -> Iterator[Batch]:
        """Yield the columns of one batch of rows after another; the next is read while one is worked on."""
        unknown = next((name for name in names if name not in self.kinds), None)
        if unknown is not None:
            shown = ", ".join(self.names[:12]) + (" …" if len(self.kinds) > 12 else "")
            raise DataError(
                f"column {unknown!r} is not in {self.label}.{suggest(unknown, self.names)} Columns: {shown}."
            )
        for batch in _ahead(self.read(names, rows)):
            if isinstance(batch, dict):
                yield batch
            elif len(batch):
                yield {name: read_values(name, _column(batch, name)) for name in names}


def _column(batch: Arrow, name: str) -> Any:
    return batch.column(batch.schema.get_field_index(name))


def open_stream(data: Any) -> Stream | None:
    """Return the stream of data that are read in batches, None for data that are in memory.

    Raises
    ------
    DataError
        Where a file does not exist, cannot be read, or differs from the others in its columns; or where pyarrow, which
        reads them all, is not installed.
    """
    if isinstance(data, Stream):
        return data
    library = type(data).__module__.partition(".")[0]
    if isinstance(data, (str, Path)):
        _need_pyarrow(str(data))
        return _open_files(data)
    if library == "polars" and type(data).__name__ == "LazyFrame":
        return _open_lazy(data)
    if library in ("duckdb", "_duckdb") and hasattr(data, "columns"):
        return _open_relation(data)
    if library == "pyarrow" and hasattr(data, "scanner"):
        return _open_dataset(data)
    if library == "pyarrow" and hasattr(data, "read_next_batch"):
        return _open_reader(data)
    known = library in ("pandas", "polars", "pyarrow", "narwhals") or isinstance(data, Mapping)
    if not known and hasattr(data, "__arrow_c_stream__") and not hasattr(data, "columns"):
        import pyarrow as pa

        return _open_reader(pa.RecordBatchReader.from_stream(data))
    return None


def is_dask(data: Any) -> bool:
    """Return whether data are a Dask frame."""
    module = type(data).__module__.partition(".")[0]
    return module in ("dask", "dask_expr") and hasattr(data, "to_delayed") and hasattr(data, "npartitions")


def arrow_table(data: Any) -> Any:
    """Return a frame in memory as a table of pyarrow."""
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    library = type(data).__module__.partition(".")[0]
    if library == "pandas":
        return pa.Table.from_pandas(data, preserve_index=False)
    if library == "polars":
        return data.to_arrow()
    if isinstance(data, Mapping):
        return pa.table(dict(data))
    raise DataError(
        f"data is a {type(data).__name__}; give a pandas, polars or pyarrow frame or a dict of arrays."
    )


def _need_pyarrow(what: str) -> None:
    if find_spec("pyarrow") is None:
        raise DataError(
            f"{what} is read by pyarrow, which is not installed: pip install 'mixedmodels[arrow]'."
        )


def _ahead(batches: Iterator[Arrow]) -> Iterator[Arrow]:
    """Yield what an iterator gives, the next in the making on another thread."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def kinds_of(schema: Any) -> dict[str, str]:
    """Return the kind of every column of an Arrow schema; lists and other nested ones are left out."""
    import pyarrow as pa

    kinds = {}
    for field in schema:
        kind = field.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind):
            continue
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        date = pa.types.is_temporal(kind)
        kinds[field.name] = "text" if text or pa.types.is_dictionary(kind) else "date" if date else "number"
    return kinds


# -- files ---------------------------------------------------------------------------------------------------
def _open_files(data: str | Path) -> Stream:
    files = matching_files(data)
    text = {file.suffix.lower() in TEXT for file in files}
    other = next((file for file in files if file.suffix.lower() not in TEXT + PARQUET), None)
    if other is not None:
        raise DataError(
            f"file {other.name!r} is neither Parquet nor CSV, which are read in batches ({', '.join(PARQUET + TEXT)})."
            " Read it into a frame first."
        )
    if len(text) > 1:
        raise DataError(f"{str(data)!r} matches Parquet and CSV files; give one kind.")
    return _open_text(files, str(data)) if text.pop() else _open_parquet(files, str(data))


def matching_files(data: str | Path) -> list[Path]:
    """Return the files of a path or glob in order of their names; `DataError` where there are none."""
    text = str(data)
    if has_magic(text):
        files = [Path(name) for name in sorted(glob(text, recursive=True)) if Path(name).is_file()]
        if not files:
            raise DataError(
                f"no file matches {text!r}; check the pattern and the working directory {Path.cwd()}."
            )
        return files
    path = Path(text)
    if path.is_dir():
        raise DataError(
            f"{text!r} is a folder; give the files in it by a pattern, {text.rstrip('/')}/*.parquet."
        )
    if not path.is_file():
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"file {text!r} does not exist; check the path.{suggest(path.name, beside)}")
    return [path]


def _open_parquet(files: list[Path], label: str) -> Stream:
    from pyarrow import parquet

    count = 0
    first: dict[str, str] = {}
    for file in files:
        try:
            with parquet.ParquetFile(file) as opened:
                kinds, rows = kinds_of(opened.schema_arrow), opened.metadata.num_rows
        except Exception as error:
            raise _broken(file, error) from error
        first = _agreed(first, kinds, files[0], file)
        count += rows

    def read(names: Sequence[str], rows: int) -> Iterator[Arrow]:
        for file in files:
            try:
                with parquet.ParquetFile(file, pre_buffer=False) as opened:
                    yield from opened.iter_batches(rows, columns=list(names))
            except Exception as error:
                raise _broken(file, error) from error

    return Stream(f"{label!r}", first, count, "pyarrow", read)


def _agreed(
    first: Mapping[str, str], kinds: Mapping[str, str], reference: Path, file: Path
) -> dict[str, str]:
    """Return the kinds of columns, which are those of the first file; `DataError` naming a file that differs."""
    if not first:
        return dict(kinds)
    for name, kind in first.items():
        if name not in kinds:
            raise DataError(f"file {file.name!r} has no column {name!r}, which {reference.name!r} has.")
        if kinds[name] != kind:
            raise DataError(
                f"column {name!r} holds {_said(kinds[name])} in {file.name!r} and {_said(kind)} in "
                f"{reference.name!r}; write the files with one type."
            )
    return dict(first)


def _said(kind: str) -> str:
    return {"number": "numbers", "text": "text", "date": "dates"}[kind]


def _broken(file: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return DataError(
        f"file {file.name!r} cannot be read ({reason}); it is damaged, cut short, or of another kind."
    )


def _open_text(files: list[Path], label: str) -> Stream:
    from pyarrow import csv

    def options(file: Path, names: Sequence[str] | None, types: Mapping[str, Any]) -> dict[str, Any]:
        tab = file.suffix.lower() == ".tsv"
        return {
            "parse_options": csv.ParseOptions(delimiter="\t" if tab else ","),
            "read_options": csv.ReadOptions(block_size=1 << 24),
            "convert_options": csv.ConvertOptions(
                include_columns=list(names or ()), null_values=list(MISSING), strings_can_be_null=True,
                column_types=dict(types),
            ),
        }  # fmt: skip

    first: dict[str, str] = {}
    types: dict[str, Any] = {}
    for file in files:
        try:
            with csv.open_csv(file, **options(file, None, {})) as opened:
                own = kinds_of(opened.schema)
                types = types or _wide(opened.schema)
        except Exception as error:
            raise _broken(file, error) from error
        first = _agreed(first, own, files[0], file)

    def read(names: Sequence[str], rows: int) -> Iterator[Arrow]:
        for file in files:
            try:
                with csv.open_csv(file, **options(file, names, {n: types[n] for n in names})) as opened:
                    yield from opened
            except Exception as error:
                raise _broken(file, error) from error

    return Stream(f"{label!r}", first, None, "pyarrow", read, whole=True)


def _wide(schema: Any) -> dict[str, Any]:
    """Return column types that later rows do not overflow: whole numbers of the first rows may have decimals later."""
    import pyarrow as pa

    return {
        field.name: pa.float64()
        if pa.types.is_integer(field.type) or pa.types.is_null(field.type)
        else field.type
        for field in schema
    }


# -- objects of other libraries ------------------------------------------------------------------------------
def _open_dataset(data: Any) -> Stream:
    def read(names: Sequence[str], rows: int) -> Iterator[Arrow]:
        scanner = data.scanner(columns=list(names), batch_size=rows, batch_readahead=2, fragment_readahead=1)
        yield from _named("the data set", scanner.to_batches())

    return Stream("the data set", kinds_of(data.schema), data.count_rows(), "pyarrow", read)


def _open_reader(data: Any) -> Stream:
    def read(names: Sequence[str], rows: int) -> Iterator[Arrow]:
        for batch in _named("the stream", data):
            yield batch.select(list(names))

    return Stream("the stream", kinds_of(data.schema), None, "pyarrow", read, again=False)


def _open_relation(data: Any) -> Stream:
    import pyarrow as pa

    def reader(names: Sequence[str], rows: int) -> Any:
        quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        chosen = data.project(quoted)
        return (getattr(chosen, "to_arrow_reader", None) or chosen.fetch_arrow_reader)(rows)

    schema = pa.schema(reader(data.columns, 1).schema)
    count = int(data.aggregate("count(*)").fetchall()[0][0])

    def read(names: Sequence[str], rows: int) -> Iterator[Arrow]:
        yield from _named("the relation", reader(names, rows))

    return Stream("the relation", kinds_of(schema), count, "pyarrow", read)


def _open_lazy(data: Any) -> Stream:
    import polars as pl

    _need_pyarrow("a lazy frame")
    schema = data.limit(0).collect().to_arrow().schema
    count = int(data.select(pl.len()).collect(engine="streaming").item())

    def read(names: Sequence[str], rows: int) -> Iterator[Arrow]:
        chosen = data.select(list(names))
        for frame in _named("the lazy frame", chosen.collect_batches(chunk_size=rows)):
            yield from frame.to_arrow().combine_chunks().to_batches()

    return Stream("the lazy frame", kinds_of(schema), count, "polars", read)


def _named(what: str, batches: Any) -> Iterator[Any]:
    """Yield batches; an error of the library that reads them says of what it is."""
    try:
        yield from batches
    except (DataError, SpecError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{what} could not be read to its end ({reason}).") from error
