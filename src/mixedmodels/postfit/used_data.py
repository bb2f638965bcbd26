"""The data of a fit, at the rows it used."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..errors import DataError, SpecError
from ..fit import Fit
from ..frame.column import Column
from ..frame.ingest import model_columns
from ..frame.readers import open_source


def read_data(fit: Fit) -> dict[str, Column]:
    """Return the columns of the data the fit was given, at the rows used."""
    if fit.inputs is None:
        raise SpecError(
            "this fit does not hold its data (it was unpickled or refitted); use fit.update(data=...)."
        )
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
    rows = fit.design.rows
    return columns if rows is None else {name: column.take(rows) for name, column in columns.items()}


def used_columns(fit: Fit) -> dict[str, NDArray[Any]]:
    """Return the values of the columns the model names, at the rows used."""
    data = read_data(fit)
    assert fit.inputs is not None
    names = model_columns(fit.spec, open_source(fit.inputs.data))
    return {name: column_values(data[name]) for name in names}


def column_values(column: Column) -> NDArray[Any]:
    """Return the values of a column, levels in place of codes, (n,)."""
    return column.values if column.levels is None else column.levels[column.values]
