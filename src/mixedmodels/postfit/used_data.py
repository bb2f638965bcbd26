"""The data of a fit, at the rows it used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..fit import Fit
from ..frame.column import Column
from ..frame.ingest import model_columns
from ..frame.readers import open_source


def read_data(fit: Fit, *, every: bool = False) -> dict[str, Column]:
    """Return the columns of the data the fit was given, at the rows used or, with `every`, at all."""
    if fit.inputs is None:
        raise fit._work.no_data("this table or figure")
    source = open_source(fit.inputs.data)
    needed = set(model_columns(fit.spec, source))
    columns = {}
    for name in source.names:
        try:
            columns[name] = source.read(name)
        except DataError:
            # A column the model does not use may be of a kind no model can read.
            if name in needed:
                raise
    rows = None if every else fit._work.rows().used
    return columns if rows is None else {name: column.take(rows) for name, column in columns.items()}


def used_columns(fit: Fit) -> dict[str, NDArray[Any]]:
    """Return the values of the columns the model names, at the rows used; with `na="exclude"` at all."""
    data = read_data(fit, every=fit.spec.na == "exclude")
    assert fit.inputs is not None
    names = model_columns(fit.spec, open_source(fit.inputs.data))
    return {name: column_values(data[name]) for name in names}


def column_values(column: Column) -> NDArray[Any]:
    """Return the values of a column, levels in place of codes, (n,), None for a missing level."""
    if column.levels is None:
        return column.values
    if column.missing is None:
        return np.asarray(column.levels[column.values])
    return np.asarray(np.append(column.levels.astype(object), [None])[column.values])


def row_labels(fit: Fit) -> Any:
    """Return the row labels of the observations that `used_columns` gives; None where the data have none."""
    index, rows = fit.schema.index, fit._work.rows().used
    return index if index is None or rows is None or fit.spec.na == "exclude" else index[rows]
