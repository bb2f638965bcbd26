"""Data that are read in batches → a fit: in memory where they are small, by their cross-products where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..control import Control
from ..errors import DataError, Severity, SpecError, Status
from ..fit import Fit, Inputs
from ..formats import size_text
from ..frame.ingest import model_columns
from ..frame.stream import Stream
from ..spec import ModelSpec
from ..syntax.everything import with_everything
from .products import sum_stream
from .run import fit_model
from .stream_reader import not_streamed

SMALL, LARGEST = 1 / 50, 1 / 5
"""Shares of the memory allowed that the columns of a model may take to be read into it: of any model, and of one that
needs its rows."""
VALUE = 8.0
"""Bytes of a value."""


def fit_stream(spec: ModelSpec, stream: Stream, inputs: Inputs, control: Control) -> Fit:
    """Return the fit of a model to a stream."""
    spec = with_everything(spec, lambda: stream.names)
    names = tuple(model_columns(spec, stream.as_source()))
    reason = not_streamed(spec, inputs.known, inputs.subset, inputs.weights)
    most = control.room * (LARGEST if reason else SMALL) / (VALUE * max(len(names), 1))
    table, stream = small_table(stream, names, most)
    if table is not None:
        return fit_model(spec, replace(inputs, data=table), control)
    if reason:
        raise SpecError(
            f"{stream.label} takes more than {size_text(control.room * LARGEST)} in memory and is read in batches, "
            f"which this model cannot be: {reason}. Use a machine with more memory, control=mm.Control(memory=…), or "
            "some of the rows."
        )
    if control.engine not in ("auto", "blocked"):
        raise SpecError(
            f"control: engine={control.engine!r} needs rows in memory; data read in batches go to 'blocked'."
        )
    products = sum_stream(stream, spec, inputs.context, control)
    fit = products.fit(control=control)
    note = Status(
        Severity.NOTE,
        f"{products.n_given:,} rows of {stream.label} were read in batches and are not held: residuals, fitted values "
        "and whatever needs rows is not there, predict(newdata=) is",
    )
    return replace(fit, notes=(*fit.notes, note))


def small_table(stream: Stream, names: Sequence[str], most: float) -> tuple[Any, Stream]:
    """Return a table of the columns where there are at most so many rows, else None and the stream from its start."""
    import pyarrow as pa

    if stream.count is not None and stream.count > most:
        return None, stream
    missing = [name for name in names if name not in stream.kinds]
    if missing:
        # the message of what is unknown is that of any reading
        next(stream.batches(missing), None)
    rows, batches = 0, []
    source = stream.read(names, 1 << 16)
    for batch in source:
        batches.append(batch)
        rows += len(batch)
        if rows > most:
            return None, stream if stream.again else replace(
                stream, read=_Resumed(batches, source), again=False
            )
    if not batches:
        raise DataError(f"{stream.label} has no rows.")
    table = pa.Table.from_batches([batch.select(list(names)) for batch in batches])
    if stream.backend == "polars":
        import polars as pl

        return pl.from_arrow(table), stream
    return table, stream


class _Resumed:
    """The reading of a stream that can be read once, from the batches already taken on."""

    def __init__(self, taken: list[Any], rest: Iterator[Any]) -> None:
        self.taken, self.rest = taken, rest

    def __call__(self, names: Sequence[str], rows: int) -> Iterator[Any]:
        while self.taken:
            yield self.taken.pop(0)
        yield from self.rest
