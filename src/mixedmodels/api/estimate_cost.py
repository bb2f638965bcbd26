"""`mm.estimate_cost`: what a fit would take, asked of the planner that fits ask."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..control import Control
from ..engines import Considered, Layout, choose_engine, considered, engine_that_comes_near
from ..engines.plan import PER_SECOND, check_parameters
from ..errors import SpecError
from ..fit import Inputs
from ..frame.ingest import model_columns
from ..frame.stream import Stream, open_stream
from ..spec import Bounds, Method, ModelSpec, NaAction
from ..syntax.formula import read_formula
from ..table import Table
from ..terms.design import Design
from ..workings import own_columns
from .run import read_model
from .streamed import LARGEST, VALUE, small_table

EVALUATIONS = 7
"""Evaluations of the likelihood in a search that goes as most do."""
PASSES = 40.0
"""Operations for each value of X and Z beside what an engine counts: reading, coding, moments, predictions."""
HELD = 2.0
"""Copies of X, Z and y at the peak: as written, and in coordinates of their own."""
ROW = 30.0
"""Bytes of a row beside its values: the response, fitted values, residuals, the data as read and kept."""


def estimate_cost(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    weights: Any = None,
    method: Method = "reml",
    known: Mapping[str, Any] | None = None,
    bounds: Bounds = "psd",
    hold: Mapping[str, float] | Iterable[str] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Table:
    """Return what a fit by `lmm` would take of time and memory by every engine, without fitting it.

    Parameters
    ----------
    formula, data, residual, variance, weights, method, known, bounds, hold, contrasts, na, subset, context, control
        As for `lmm`. `control` says how much memory a fit may plan to take.

    Returns
    -------
    Table
        A row for every engine: `engine`, whether it is `chosen`, `seconds` of one processor, `memory_bytes` at the
        peak beside the data, `evaluations` of the likelihood, and the `reason` an engine cannot take the model, or
        why none is chosen.

    Raises
    ------
    SpecError, DataError
        As `lmm` does before an engine is chosen: columns, points or parameters beyond what can be worked with.

    Notes
    -----
    It counts operations as the choice of an engine does, at 2·10⁹ a second. Of fits of 100,000 to 2,000,000 rows
    seconds and bytes were right within a factor of four; fields, and structures that are searched from several starts,
    take longer.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> cost = mm.estimate_cost("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> cost["engine"][cost["chosen"]].tolist(), cost["evaluations"][cost["chosen"]].tolist()
    (['blocked'], [7])
    """
    control = control or Control()
    spec = read_formula(
        formula,
        residual=residual,
        variance=variance,
        weights=weights,
        method=method,
        bounds=bounds,
        hold=hold,
        contrasts=contrasts,
        na=na,
        context=context,
    )
    array = None if isinstance(weights, str) else weights
    stream = open_stream(data)
    if stream is not None:
        data = _in_memory(stream, spec, control)
    _, design, rows = read_model(spec, Inputs(data, array, known, subset, context), control)
    check_parameters(design, control)
    own, own_rows = own_columns(spec, design, rows, control)
    layout = Layout.of(own)
    asked = list(considered(layout, own_rows, control))
    chosen, refused = "", ""
    try:
        chosen = choose_engine(layout, own_rows, control).name
    except SpecError as error:
        refused = str(error)
    names = ("engine", "chosen", "seconds", "memory_bytes", "evaluations", "reason")
    found = [_row(one, chosen, refused, own) for one in asked]
    notes = ["seconds of one processor; bytes at the peak, beside the data"]
    engine = next((one.engine for one in asked if one.engine.name == chosen), None)
    near = None if engine is None else engine_that_comes_near(layout, own_rows, control, engine)
    if near is not None:
        first, saved = near
        notes.append(
            f"the search begins by simulation (the {first.name} engine) and ends by the {chosen} engine: about "
            f"{saved / PER_SECOND:,.0f} seconds less than are shown"
        )
    return Table(
        {name: [row[j] for row in found] for j, name in enumerate(names)},
        "What a fit would take",
        tuple(notes),
    )


def _in_memory(stream: Stream, spec: ModelSpec, control: Control) -> Any:
    """Return the columns of a model that a stream has; `SpecError` where they would be summed in batches."""
    names = model_columns(spec, stream.as_source())
    most = control.room * LARGEST / (VALUE * max(len(names), 1))
    table, _ = small_table(stream, names, most)
    if table is None:
        raise SpecError(
            f"{stream.label} has more than {most:,.0f} rows, which are read in batches: levels, on which the cost "
            "depends, are not known before. One grouping factor takes 0.15 µs a row where rows stand by its levels, up "
            "to 1 µs where they do not, and 400 bytes a level; see the guide to huge data."
        )
    return table


def _row(
    one: Considered, chosen: str, refused: str, design: Design
) -> tuple[str, bool, float, float, int, str]:
    """Return the row of an engine."""
    reason = one.reason
    if reason:
        return one.engine.name, False, math.nan, math.nan, 0, reason
    evaluations = EVALUATIONS if design.random or design.residual is not None else 1
    columns = len(design.fixed.columns) + sum(term.n_columns for term in design.random)
    values = float(design.n) * (columns + 1)
    operations = evaluations * one.operations + values * (PASSES + len(design.fixed.columns))
    size = 8.0 * HELD * values + ROW * design.n + one.size
    return one.engine.name, one.engine.name == chosen, operations / PER_SECOND, size, evaluations, refused
