"""DATA steps: read once, run row by row under limits of statements and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..listing import Step
from .data_options import with_options
from .data_read import StepReader
from .data_run import Runner
from .data_set import DataSet
from .statements import RawStep, Reader

if TYPE_CHECKING:
    from .run import Session


def run_data_step(session: Session, raw: RawStep) -> list[Step]:
    """Run a DATA step and keep the data sets it makes."""
    targets = _targets(raw.head.reader())
    step = StepReader(session, raw, [name for name, _ in targets]).read()
    runner = Runner(step)
    runner.run()
    backend = step.backend
    notes = list(dict.fromkeys((*step.notes, *runner.notes)))
    for name, options in targets:
        if name == "_null_":
            continue
        made = _data_set(runner.rows[name], step, backend)
        for inner in options:
            inner.at = 0
            made = with_options(made, inner)
        session.put(name, made)
        notes.append(f"the data set {name.upper()} has {made.n} rows and {len(made.columns)} variables")
    return [Step("DATA step", raw.head.line, notes=tuple(notes))]


def _targets(reader: Reader) -> list[tuple[str, list[Reader]]]:
    """Return the data sets that a DATA statement names, with their options."""
    out: list[tuple[str, list[Reader]]] = []
    while reader:
        if reader.is_mark("/"):
            reader.fail("options of the DATA statement after '/' are not read.")
        name = reader.name("the name of a data set").text.lower()
        if reader.take_mark("."):
            name = reader.name().text.lower()
        options = [reader.inner(reader.group())] if reader.is_mark("(") else []
        out.append((name, options))
    return out or [("data1", [])]


def _data_set(rows: list[dict[str, float | str]], step: StepReader, backend: str) -> DataSet:
    """Return rows as a data set, variables in the order of their first mention, KEEP, DROP and RENAME done."""
    columns = {}
    for key, shown in step.names.items():
        if key in step.dropped or (step.kept and key not in step.kept) or key in step.hidden:
            continue
        values = [row.get(key) for row in rows]
        is_text = key in step.texts or any(isinstance(value, str) for value in values)
        if not is_text and not rows and key not in step.declared:
            values = []
        name = step.renamed.get(key, shown)
        if is_text:
            column = np.empty(len(values), dtype=object)
            column[:] = [value.rstrip() if isinstance(value, str) else "" for value in values]
            columns[name] = column
        else:
            columns[name] = np.array([np.nan if value is None else value for value in values], dtype=float)
    return DataSet(columns, len(rows), backend)  # type: ignore[arg-type]
