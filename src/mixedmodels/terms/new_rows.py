"""New data encoded exactly as the data of the fit were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError
from ..frame.column import Column
from ..frame.ingest import predictor_columns, read_columns
from ..frame.readers import open_source, spread_scalars
from ..frame.schema import FrameSchema
from ..spec import ModelSpec
from ..syntax.tree import columns_of
from ..table import Backend
from ..typing import Array, Codes
from .design import Design
from .encoding import Encoding, encoding_of
from .random import RandomEncoding
from .residual import NewErrors


@dataclass(frozen=True, slots=True)
class NewRows:
    """The numbers of m new rows.

    Parameters
    ----------
    matrix
        X with every column of the formula, (m, p), for checking estimability.
    x
        X with the columns kept at the fit, (m, rank).
    offset
        Sum of the offsets (m,), None if the model has none.
    codes
        Per random term the level of each row, (m,), −1 for a level that was not in the fit.
    values
        Per random term the Z values (m, p_k), None for a single column of ones; zeros at a point of space
        without data.
    sets
        Per random term the parameter set of each row, (m,), −1 where the `by` column of a new level does not
        say.
    points
        Per random term the coordinates of each row, (m, d), None for terms without coordinates.
    weights
        The weights column (m,) if the model has one and the new data hold it, otherwise None.
    complete
        Which rows miss nothing that X, Z or the offset need, (m,); the numbers of the others are NaN, their
        codes −1.
    backend
        The library the new data came in.
    """

    matrix: Array
    x: Array
    offset: Array | None
    codes: tuple[Codes, ...]
    values: tuple[Array | None, ...]
    sets: tuple[Codes, ...]
    points: tuple[Array | None, ...]
    weights: Array | None
    complete: NDArray[np.bool_]
    backend: Backend

    def __len__(self) -> int:
        return len(self.matrix)


def encode_new(
    spec: ModelSpec,
    schema: FrameSchema,
    design: Design,
    newdata: Any,
    *,
    random: bool = True,
    grouping: bool = True,
) -> NewRows:
    """Return X, Z and offsets for new data, with the levels, knots and transforms learned at the fit.

    Parameters
    ----------
    spec, schema, design
        Those of the fit.
    newdata
        Any frame `build_frame` reads; the response need not be in it.
    random
        Whether to encode all random terms; otherwise smooths alone, which are part of the mean of the population, and
        other terms have no values and levels that are not in the fit.
    grouping
        Whether grouping factors must be in `newdata`; levels of those that are not are none of the fit.

    Raises
    ------
    DataError
        When a column is absent or of another kind than at the fit, or when a factor of the fixed part or of a
        random slope has a level that was not in the data of the fit.
    """
    encoding = _encoding(design)
    source = open_source(spread_scalars(newdata))
    # random terms of predictors beside the mean have no part in it
    others = design.random[len(encoding.random) :]
    terms = list(zip(design.random, encoding.random, strict=False))
    read = [one for term, one in terms if random or term.smooth]
    columns = read_columns(spec, source, _needed(spec, encoding, read, source.names, grouping))
    levels = {name for one in read for name in (*one.group, one.by) if name in columns}
    inside = _predictors(encoding, read)
    for name in inside:
        _check_kind(schema, columns[name])
    complete = _complete([columns[name] for name in inside], source.n)
    kept = np.flatnonzero(complete)
    m = len(kept)
    data = {name: column.take(kept) if name in inside else column for name, column in columns.items()}
    offset = [one.values(data, m) for one in encoding.offsets]
    matrix = _of_mean(design, _spread(encoding.fixed.matrix(data, m), complete))
    whole = {name: columns[name] for name in levels}
    none = np.full(source.n, -1, np.int32)
    codes = [
        np.where(complete, one.codes(term, whole, source.n), np.int32(-1))
        if one in read and set(one.group) <= set(whole)
        else none
        for term, one in terms
    ]
    sets = [one.sets(term, own, whole) for (term, one), own in zip(terms, codes, strict=True)]
    values = [one.values(data, m) if one in read else None for _, one in terms]
    points = [one.points(data) if one in read else None for _, one in terms]
    zero = np.zeros(source.n, np.int32)
    return NewRows(
        matrix=matrix,
        x=matrix if design.fixed.rank == matrix.shape[1] else matrix[:, list(design.fixed.estimable)],
        offset=_spread(np.sum(offset, axis=0), complete) if offset else None,
        codes=(*codes, *(zero for _ in others)),
        values=(
            *(None if value is None else _spread(value, complete) for value in values),
            *(np.zeros((source.n, term.n_columns)) for term in others),
        ),
        sets=(*sets, *(zero for _ in others)),
        points=(
            *(None if point is None else _spread(point, complete) for point in points),
            *(None for _ in others),
        ),
        weights=columns[spec.weights].number() if spec.weights in columns else None,
        complete=complete,
        backend=source.backend,
    )


def _of_mean(design: Design, matrix: Array) -> Array:
    """Return rows of the mean's own columns among those of all predictors, zero elsewhere."""
    components = design.fixed.components
    if not components:
        return matrix
    places = [j for j, component in enumerate(components) if component == "mean"]
    if len(places) > matrix.shape[1]:
        raise SpecError(
            "a response of unordered categories has a linear predictor for each of them; means at new rows and grids "
            "are not computed for it."
        )
    if len(places) < matrix.shape[1]:
        # thresholds take the place of the intercept, the first column
        matrix = matrix[:, matrix.shape[1] - len(places) :]
    wide = np.zeros((len(matrix), len(components)))
    wide[:, places] = matrix
    return wide


def encode_errors(
    spec: ModelSpec, design: Design, newdata: Any, *, required: bool = False
) -> NewErrors | None:
    """Return the error side of new rows; None without structured errors, or where `newdata` lacks a column.

    With `required` a missing column is an error that names it; so it is where `newdata` gives the cluster and
    position of each row, and thereby says which responses are missing, but not what their variance depends on.
    """
    encoding = _encoding(design).residual
    if encoding is None or design.residual is None:
        return None
    source = open_source(newdata)
    lacking = [name for name in encoding.columns if name not in source.names]
    if lacking and not required:
        placed = encoding.positions.names and {*encoding.cluster, *encoding.positions.names} <= set(
            source.names
        )
        if not placed:
            return None
        raise DataError(
            f"newdata gives {', '.join(map(repr, encoding.cluster + encoding.positions.names))} and lacks "
            f"{', '.join(map(repr, lacking))}, which the errors of missing responses depend on; add it, or use "
            "level='population'."
        )
    columns = read_columns(spec, source, encoding.columns)
    return encoding.encode(design.residual, columns, source.n)


def _encoding(design: Design) -> Encoding:
    encoding = encoding_of(design)
    if encoding is None:
        raise DataError("this design was not built from data, so new data cannot be encoded like it.")
    return encoding


def _predictors(encoding: Encoding, random: Sequence[RandomEncoding]) -> set[str]:
    """Return the columns that X, offsets and the Z values of some random terms are computed from."""
    names = set(encoding.fixed.variables)
    for number in encoding.offsets:
        names |= set(columns_of(number.expression))
    for one in random:
        names |= set(one.basis.variables)
    return names


def _needed(
    spec: ModelSpec,
    encoding: Encoding,
    random: Sequence[RandomEncoding],
    available: tuple[str, ...],
    grouping: bool,
) -> list[str]:
    inside = _predictors(encoding, random)
    groups = {name for one in random for name in one.group if grouping or name in available}
    # a column of `by=` is needed only for levels that were not in the fit
    sets = {one.by for one in random} & set(available)
    names = [name for name in predictor_columns(spec) if name in inside or name in groups or name in sets]
    return [*names, spec.weights] if spec.weights in available and spec.weights not in names else names


def _check_kind(schema: FrameSchema, column: Column) -> None:
    """Numbers may stand for the levels of a factor; text cannot stand for numbers."""
    if schema.kind(column.name) == "number" and not column.is_number:
        raise DataError(
            f"column {column.name!r} held numbers at the fit and holds {column.examples()} now; "
            "convert it first."
        )


def _complete(columns: list[Column], n: int) -> NDArray[np.bool_]:
    complete = np.ones(n, bool)
    for column in columns:
        if column.missing is not None:
            complete &= ~column.missing
    return complete


def _spread(values: Array, complete: NDArray[np.bool_]) -> Array:
    """Return computed rows at their places among all rows, NaN elsewhere."""
    if len(values) == len(complete):
        return values
    out = np.full((len(complete), *values.shape[1:]), np.nan)
    out[complete] = values
    return out
