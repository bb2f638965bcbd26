"""Anything tabular → `ModelFrame`: the columns a model names, complete rows only, typed and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import DataError, Severity, SpecError, Status, caret, suggest
from ..spec import ModelSpec, SmoothSpec
from ..syntax.algebra import expand
from ..syntax.spelling import variables
from ..syntax.tokens import find_name
from ..typing import Array
from .align import aligned
from .column import Column
from .kept import KeptData
from .missing import check_finite, complete_rows
from .model_frame import ModelFrame
from .readers import Source, open_source, read_values
from .schema import ColumnSchema, FrameSchema
from .subset import choose_rows

FITTED = "fitted"
"""What a variance function of the fitted mean is written of."""
WEIGHTS = "weights"
"""The name under which weights given as an array appear in messages."""


def build_frame(
    spec: ModelSpec,
    data: Any,
    *,
    weights: Any = None,
    known: Mapping[str, Any] | None = None,
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> ModelFrame:
    """Return the typed columns that `spec` names, over the rows where none of them is missing.

    Parameters
    ----------
    spec
        What was asked.
    data
        A pandas, polars or pyarrow frame, any other frame narwhals knows, or a dict of arrays; n rows.
    weights
        Known precision weights (n,), when they are not a column named by `spec.weights`.
    known
        Covariance or precision matrices by name, for `cov=` and `precision=`.
    subset
        Rows to use: booleans (n,), the name of a column of them, or places of rows; all by default.
    context
        The caller's own functions by name.
    beside
        Further arrays (n,) by the name of their argument: `"trials"`, `"frequency"`, `"offset"`.

    Raises
    ------
    DataError
        When a column is unknown, missing throughout or infinite somewhere, when no complete row is left, or
        when a weight is not positive.

    Notes
    -----
    Columns are copied, so that what is done to the data afterwards changes nothing. Weights and a subset
    that carry row labels of pandas are matched with the data.
    """
    source = open_source(data)
    if source.n == 0:
        raise DataError("the data have no rows.")
    _check_constant(spec, source)
    columns = {
        name: column.owned()
        for name, column in read_columns(spec, source, model_columns(spec, source)).items()
    }
    kept = KeptData(dict(columns), source.n, source.backend, source.index, _origin(data))
    if weights is not None and not isinstance(weights, str):
        columns[WEIGHTS_KEY] = _given_column(weights, source, WEIGHTS)
    for argument, values in (beside or {}).items():
        columns[HIDDEN + argument] = _given_column(values, source, argument)
    chosen, noted = choose_rows(subset, source)
    given = source.n
    if chosen is not None:
        columns, given = {name: column.take(chosen) for name, column in columns.items()}, len(chosen)
    clusters = _count_clusters(spec, columns)
    missing = {c.name: c.missing for c in columns.values() if c.missing is not None}
    rows, notes = complete_rows(missing, given, spec.na)
    if rows is not None:
        columns = {name: column.take(rows) for name, column in columns.items()}
    check_finite(columns.values())
    columns, unused = _drop_unused_levels(columns)
    used = columns.pop(WEIGHTS_KEY, None) or (columns[spec.weights] if spec.weights else None)
    given_beside = {
        argument: np.ascontiguousarray(columns.pop(HIDDEN + argument).number()) for argument in beside or ()
    }
    n = given if rows is None else len(rows)
    if chosen is not None:
        rows = chosen if rows is None else chosen[rows]
    return ModelFrame(
        n=n,
        columns=columns,
        factors={name: columns[name].factor() for name in group_columns(spec) if name in columns},
        schema=FrameSchema(_describe(columns.values()), source.backend, source.n, n, source.index),
        weights=None if used is None else positive_weights(used),
        rows=rows,
        known=known or {},
        kept=_with_subset(kept, source, subset),
        notes=noted + notes + unused + _text_notes(spec, columns),
        clusters_given=clusters,
        context={name: function for name, function in (context or {}).items() if name in spec.functions},
        beside=given_beside,
    )


def _origin(data: Any) -> Any:
    """Return the caller's data, also where a fit is made from the columns another one keeps."""
    return data.given if isinstance(data, KeptData) else data


def _with_subset(kept: KeptData, source: Source, subset: Any) -> KeptData:
    """Return what is kept with the column that says which rows are used."""
    if not isinstance(subset, str) or subset in kept.columns:
        return kept
    return replace(kept, columns={**kept.columns, subset: source.read(subset).owned()})


def _count_clusters(spec: ModelSpec, columns: Mapping[str, Column]) -> int:
    """Return the clusters of the residual structure before rows are dropped: what SAS counts as subjects."""
    if spec.residual is None or not spec.residual.cluster:
        return 0 if spec.residual is None else 1
    factors = [columns[name].factor() for name in spec.residual.cluster]
    codes = np.column_stack([factor.values for factor in factors])
    complete = codes[(codes >= 0).all(axis=1)]
    return len(np.unique(complete, axis=0)) if len(factors) > 1 else len(np.unique(complete))


HIDDEN = "\0"
"""Begins the keys of arrays given beside the data; no column can be called so."""
WEIGHTS_KEY = HIDDEN + WEIGHTS


def response_columns(spec: ModelSpec) -> tuple[str, ...]:
    """Return the columns the response is computed from."""
    if spec.likelihood is None or spec.likelihood.beside is None:
        return variables(spec.response)
    return tuple(dict.fromkeys((*variables(spec.response), *variables(spec.likelihood.beside))))


def predictor_columns(spec: ModelSpec) -> list[str]:
    """Return the columns that X, Z and offsets need, grouping factors included, in order of appearance."""
    names: dict[str, None] = {}
    texts = [spec.fixed, *spec.offsets, *(term.effects for term in spec.random)]
    texts += [text for smooth in spec.smooths for text in smooth.arguments]
    for part in spec.parts:
        texts += [part.fixed, *part.offsets, *(term.effects for term in part.random)]
    for text in texts:
        names.update(dict.fromkeys(variables(text)))
    by = (smooth.by for smooth in spec.smooths if isinstance(smooth, SmoothSpec))
    names.update(dict.fromkeys(name for name in by if name))
    names.update(dict.fromkeys(group_columns(spec)))
    return list(names)


def group_columns(spec: ModelSpec) -> list[str]:
    """Return the columns used as factors: grouping factors, `by=`, clusters of the residual."""
    names: dict[str, None] = {}
    for term in (*spec.random, *(term for part in spec.parts for term in part.random)):
        names.update(dict.fromkeys(term.group))
        names.update({term.by: None} if term.by else {})
    if spec.residual is not None:
        names.update(dict.fromkeys(spec.residual.cluster))
        names.update({spec.residual.by: None} if spec.residual.by else {})
    for function in spec.variance:
        names.update(dict.fromkeys(function.arguments if function.name == "ident" else ()))
        names.update({function.by: None} if function.by else {})
    return list(names)


def model_columns(spec: ModelSpec, source: Source) -> list[str]:
    """Return every column the model reads; `all` names the single group when no column is called so."""
    names = dict.fromkeys([*response_columns(spec), *predictor_columns(spec)])
    if spec.residual is not None:
        names.update(dict.fromkeys(spec.residual.position))
    for function in spec.variance:
        found = variables(function.arguments[0]) if function.name == "log_linear" else function.arguments
        names.update(dict.fromkeys(name for name in found if name != FITTED))
    beside = (spec.likelihood.trials, spec.likelihood.frequency) if spec.likelihood else ()
    names.update(dict.fromkeys(name for name in (spec.weights, *beside) if name))
    return [name for name in names if name != "all" or name in source.names]


def read_columns(spec: ModelSpec, source: Source, names: Iterable[str]) -> dict[str, Column]:
    """Return some columns of the data, rows not yet dropped; `DataError` for a column that is not there."""
    columns = {}
    have = set(source.names)
    for name in names:
        if name not in have:
            _fail_unknown(spec, source, name)
        column = source.read(name)
        if len(column.values) != source.n:
            raise DataError(f"column {name!r} has {len(column.values)} values for {source.n} rows.")
        columns[name] = column
    return columns


def _check_constant(spec: ModelSpec, source: Source) -> None:
    """Raise `SpecError` where `pi` inside a function could be the constant or a column of the data."""
    texts = (spec.response, spec.fixed, *spec.offsets, *(term.effects for term in spec.random))
    if "pi" in source.names and any("np.pi" in text for text in texts) and "np.pi" not in spec.formula:
        raise SpecError(
            "'pi' is 3.14159… inside a function, and a column of the data; write np.pi for the number or `pi` in "
            f"back-ticks for the column.\n\n{spec.formula}"
        )


def _fail_unknown(spec: ModelSpec, source: Source, name: str) -> None:
    names = [str(n) for n in source.names]
    shown = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
    parts = (part.formula for part in spec.parts)
    texts = (spec.formula, *parts, *map(str, (spec.residual or (), *spec.variance)))
    places = ((text, find_name(text, name)) for text in texts)
    pointer = next((f"\n\n{caret(text, *place)}" for text, place in places if place), "")
    raise DataError(
        f"column {name!r} is not in the data.{suggest(name, names)}{_split(names)} Columns: {shown}.{pointer}"
    )


def _split(names: Sequence[str]) -> str:
    """Return what to say of names that hold the separators of a file."""
    for mark in (";", "\t"):
        if any(name.count(mark) > 1 for name in names):
            comma = ", and decimal=',' where numbers have commas" if mark == ";" else ""
            return f" Names of columns hold {mark!r}: read the file with sep={mark!r}{comma}."
    return ""


def _given_column(values: Any, source: Source, argument: str) -> Column:
    n = source.n
    column = read_values(argument, aligned(values, source.index, argument))
    if len(column.values) != n:
        raise DataError(f"{argument} has {len(column.values)} values for {n} rows of data; give one per row.")
    return column


def positive_weights(column: Column) -> Array:
    """Return weights, (n,); `DataError` where some are not positive."""
    weights = column.number()
    if not (weights > 0).all():
        count = int((weights <= 0).sum())
        raise DataError(
            f"weights must be positive; {column.name!r} has {count} values that are not "
            f"(smallest {weights.min():.6g}). Drop those rows to leave them out."
        )
    return np.ascontiguousarray(weights)


def _drop_unused_levels(columns: Mapping[str, Column]) -> tuple[dict[str, Column], tuple[Status, ...]]:
    kept = {}
    notes = []
    for key, column in columns.items():
        kept[key], unused = column.without_unused()
        if len(unused):
            shown = ", ".join(str(level) for level in unused[:5]) + (" …" if len(unused) > 5 else "")
            notes.append(
                Status(Severity.NOTE, f"{len(unused)} unused levels of {column.name} dropped: {shown}")
            )
    return kept, tuple(notes)


def _text_notes(spec: ModelSpec, columns: Mapping[str, Column]) -> tuple[Status, ...]:
    """Return a note for each predictor that came as text of numbers or of dates and is taken for a factor."""
    texts = [
        spec.fixed,
        *(term.effects for term in spec.random if not (term.coordinates or term.structure.parts)),
    ]
    used = {atom.variable: None for text in texts for term in expand(text) for atom in term if atom.is_column}
    found = []
    for column in (columns[name] for name in used if name in columns):
        if column.levels is None or not (column.reads_as_numbers or column.reads_as_dates):
            continue
        name, count = column.name, len(column.levels)
        what, how = "numbers", column.conversion()
        if column.reads_as_dates:
            what = "dates"
            how = f"make it days since the first, day = pandas.to_datetime(data[{name!r}]), (day - day.min()).dt.days"
        message = f"{name} is text that reads as {what}, taken as a factor of {count} levels"
        hint = f"For a slope {how}; write factor({name}) if it is a factor"
        found.append(Status(Severity.NOTE, message, hint))
    return tuple(found)


def _describe(columns: Iterable[Column]) -> tuple[ColumnSchema, ...]:
    return tuple(
        ColumnSchema(c.name, "factor" if c.is_factor else "number" if c.is_number else "date")
        for c in columns
    )
