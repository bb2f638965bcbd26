"""Responses over the same rows of the same predictors: those that miss the same values share everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..fit import Inputs
from ..frame.column import Column
from ..frame.readers import Source
from ..spec import ModelSpec
from ..table import Backend
from .estimates import Estimates
from .singly import fit_singly
from .together import fit_together


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The predictors of some rows.

    Parameters
    ----------
    spec
        The model, whose response reads the column `hole`.
    columns
        All other columns it reads.
    backend, known, context, control
        As of a fit.
    """

    spec: ModelSpec
    hole: str
    columns: Mapping[str, Column]
    backend: Backend
    known: Mapping[str, Any] | None
    context: Mapping[str, Any] | None
    control: Control

    def take(self, rows: NDArray[np.intp]) -> Block:
        """Return the same for some rows."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return Block(self.spec, self.hole, columns, self.backend, self.known, self.context, self.control)

    def inputs(self, response: Column) -> Inputs:
        """Return what a fit of one response is given."""
        return Inputs(
            _Columns(dict(self.columns) | {self.hole: response}, self.backend),
            known=self.known,
            context=self.context,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Columns that are read already, as data."""

    columns: Mapping[str, Column]
    backend: Backend

    def as_source(self) -> Source:
        n = len(next(iter(self.columns.values())).values)
        return Source(tuple(self.columns), n, self.backend, self.columns.__getitem__)


def fit_block(block: Block, responses: Sequence[Column]) -> Iterator[Estimates]:
    """Yield the estimates of responses over the rows of a block."""
    usable = []
    n = len(responses[0].values)
    for column in responses:
        if column.is_number:
            usable.append(column)
        else:
            yield Estimates.failed(column.name, n, f"column {column.name!r} holds {column.kind()}")
    there = np.ones(n, dtype=bool)
    for column in block.columns.values():
        if column.missing is not None:
            there &= ~column.missing
    for rows, alike in _by_rows(usable, there):
        if not len(rows):
            for column in alike:
                yield Estimates.failed(column.name, 0, "no row has all values")
            continue
        own = block if len(rows) == n else block.take(rows)
        columns = alike if len(rows) == n else [column.take(rows) for column in alike]
        yield from _fit_complete(own, columns, len(rows))


def _by_rows(
    responses: Sequence[Column], there: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.intp], list[Column]]]:
    """Yield rows without missing values, and the responses that have just these."""
    found: dict[bytes, list[Column]] = {}
    for column in responses:
        key = b"" if column.missing is None else np.packbits(column.missing & there).tobytes()
        found.setdefault(key if key.strip(b"\0") else b"", []).append(column)
    for alike in found.values():
        missing = alike[0].missing
        yield np.flatnonzero(there if missing is None else there & ~missing), alike


def _fit_complete(block: Block, responses: list[Column], n: int) -> Iterator[Estimates]:
    """Yield the estimates of responses without missing values, together where that can be done."""
    left, quick = fit_together(block, responses)
    yield from quick
    if left:
        yield from fit_singly(block, left)
