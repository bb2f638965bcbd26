"""A DATA step as it runs: one row, and where it goes."""

from __future__ import annotations

import math
from typing import Any

from .data_input import EndOfData, Item, read_record
from .data_read import Next, StepReader, Stop
from .data_set import MOST_ROWS
from .expressions import Row

MOST_STATEMENTS = 5_000_000
"""Statements that one step may run."""


class Values(dict[str, Any]):
    """The values of one row; a variable without one is missing."""

    def __missing__(self, key: str) -> float:
        return math.nan


class Runner:
    """Runs the actions of a step over its rows."""

    def __init__(self, step: StepReader) -> None:
        self.step = step
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in step.targets}
        self.turns = 0
        self.notes: list[str] = []
        self.finished = False

    def run(self) -> None:
        """Run the step until its data are done, once where it reads none."""
        step = self.step
        row: Row = Values()
        for key, value in step.retained.items():
            if value is not None:
                row[key] = value
        if any(value is None for value in step.retained.values()):
            for key in step.retained:
                if key in step.texts:
                    row.setdefault(key, "")
        count = 0
        while not self.finished:
            count += 1
            self._renew(row, count)
            try:
                for action in step.actions:
                    self.count()
                    action(self, row)
            except Next:
                pass
            except (Stop, EndOfData):
                break
            else:
                if not step.outputs:
                    self.write(row, step.targets)
            if not step.reads:
                break
        if step.lines is not None:
            self.notes += step.lines.notes

    def _renew(self, row: Row, count: int) -> None:
        """Make variables missing that are neither retained nor read from a data set."""
        kept = self.step.retained.keys() | self.step.sources
        for key in list(row):
            if key not in kept and not key.startswith(("first.", "last.")):
                row[key] = "" if key in self.step.texts else math.nan
        for key in self.step.texts:
            row.setdefault(key, "")
        row["_n_"] = float(count)
        row["_error_"] = 0.0

    def count(self) -> None:
        """Count one statement run."""
        self.turns += 1
        if self.turns > MOST_STATEMENTS:
            self.step.raw.head.fail(
                f"the DATA step runs more than {MOST_STATEMENTS:,} statements; is there a loop without end?"
            )

    def assign(self, row: Row, key: str, value: Any) -> None:
        """Give a variable a value; a text is cut to the variable's length, as in SAS."""
        if isinstance(value, str) and key in self.step.lengths:
            length = self.step.lengths[key]
            if len(value.rstrip()) > length:
                self.notes.append(
                    f"{self.step.names.get(key, key)} has length {length}, and longer texts are cut; give LENGTH first"
                )
            value = value[:length]
        row[key] = value

    def write(self, row: Row, names: list[str]) -> None:
        """Write the row to data sets."""
        self.count()
        kept = {key: row[key] for key in self.step.names}
        for name in names:
            rows = self.rows[name]
            if len(rows) >= MOST_ROWS:
                self.step.raw.head.fail(f"the DATA step writes more than {MOST_ROWS:,} rows.")
            rows.append(kept)

    def read_line(self, row: Row, items: list[Item]) -> None:
        """Read a record of the lines of data."""
        lines = self.step.lines
        if lines is None:
            self.step.raw.head.fail("INPUT has no lines of data: DATALINES is missing.")
        for key, value in read_record(lines, items).items():
            self.assign(row, key, value)
