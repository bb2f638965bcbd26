"""Predictions of rows that are read in batches, kept or written to a Parquet file as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, SpecError
from ..frame.meter import Meter
from ..frame.stream import AT_ONCE, Stream, arrow_table, open_stream
from ..table import Table, free_name
from ..typing import Array

NAMES = ("fit", "se", "lower", "upper")
"""Columns of predictions."""


def predict_batches(
    newdata: Any, to: str | Path | None, predict: Callable[[Any], Array | Table], show: bool | None
) -> Array | Table:
    """Return the predictions of a stream; with `to`, write its columns beside them to a Parquet file.

    Parameters
    ----------
    newdata
        A stream as `lmm` takes it, or with `to` a frame.
    to
        The file, which appears under its name when it is whole.
    predict
        Gives the predictions of a table of rows.
    show
        Whether to show how far it is.

    Returns
    -------
    ndarray or Table
        The predictions; of a file one row, `path rows`.
    """
    stream = open_stream(newdata)
    if stream is None:
        if newdata is None:
            raise SpecError("predict: to= writes the predictions of new rows beside them; give newdata=.")
        stream = _in_memory(arrow_table(newdata))
    meter = Meter("rows predicted", stream.count or 0, show)
    if to is None:
        parts = [predict(batch) for batch in _tables(stream, meter)]
        if not parts:
            raise DataError(f"{stream.label} has no rows.")
        return _joined(parts)
    return Table(
        {"path": [str(to)], "rows": [_write(stream, Path(to), predict, meter)]}, "Predictions written"
    )


def _tables(stream: Stream, meter: Meter) -> Iterator[Any]:
    """Yield the rows of a stream as tables of pyarrow."""
    import pyarrow as pa

    for batch in stream.read(stream.names, AT_ONCE):
        if len(batch):
            yield pa.Table.from_batches([batch])
            meter.add(len(batch))
    meter.close()


def _joined(parts: list[Array | Table]) -> Array | Table:
    first = parts[0]
    if not isinstance(first, Table):
        return np.concatenate([np.asarray(part) for part in parts])
    columns = {
        name: np.concatenate([np.asarray(part[name]) for part in parts if isinstance(part, Table)])
        for name in first
    }
    return Table(columns, first.title, first.notes, first.backend)


def _write(stream: Stream, target: Path, predict: Callable[[Any], Array | Table], meter: Meter) -> int:
    """Write rows and predictions, and return how many rows there were."""
    from pyarrow import parquet

    if target.suffix.lower() not in (".parquet", ".pq"):
        raise SpecError(
            f"predict: to={str(target)!r} must be the name of a Parquet file, for example 'x.parquet'."
        )
    if not target.parent.is_dir():
        raise SpecError(
            f"predict: to={str(target)!r}: there is no folder {str(target.parent)!r}; create it first."
        )
    part, writer, rows = target.with_name(target.name + ".part"), None, 0
    try:
        for table in _tables(stream, meter):
            found = predict(table)
            columns = dict(found) if isinstance(found, Table) else {"fit": found}
            for name, values in columns.items():
                table = table.append_column(free_name(name, stream.names), [np.asarray(values, dtype=float)])
            writer = writer or parquet.ParquetWriter(part, table.schema)
            writer.write_table(table.cast(writer.schema))
            rows += len(table)
        if writer is None:
            raise DataError(f"{stream.label} has no rows.")
        writer.close()
        writer = None
        part.replace(target)
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)
    return rows


def _in_memory(table: Any) -> Stream:
    kinds = dict.fromkeys(table.column_names, "")
    return Stream("newdata", kinds, len(table), "pyarrow", lambda names, rows: iter(table.to_batches(rows)))
