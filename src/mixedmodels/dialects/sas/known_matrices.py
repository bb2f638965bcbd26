"""Matrices given as data: G of `gdata=`, and those of which TYPE=LIN is the sum, `ldata=`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...typing import Array
from .data_set import DataSet, level_text
from .model_statements import Random
from .options import Option
from .to_spec import Asked

if TYPE_CHECKING:
    from .run import Session

LARGEST = 5_000
"""Rows of a matrix."""


def known_matrices(session: Session, asked: Asked) -> dict[str, Any]:
    """Return the known matrices of a model by the names its terms have for them."""
    out: dict[str, Any] = {}
    for spec, statement, _ in asked.random:
        if spec.cov is None:
            if "ldata" in statement.options:
                statement.options["ldata"].fail("ldata= belongs to type=lin(…).")
            continue
        levels = [level_text(level) for level in asked.factors[spec.group[-1]]]
        if "gdata" in statement.options:
            option = statement.options["gdata"]
            matrix = _matrix(_data(session, option), len(levels), option)
        else:
            option = _ldata(statement)
            which = int(spec.cov.rpartition("_")[2])
            matrix = _of_parameter(_data(session, option), which, len(levels), option)
        out[spec.cov] = (matrix, levels)
    repeated = asked.model.repeated
    if repeated is not None and repeated.covariance.name == "lin":
        assert asked.residual is not None
        option = _ldata(repeated)
        levels = [level_text(level) for level in asked.factors[asked.residual.position[0]]]
        data = _data(session, option)
        for which in range(1, (repeated.covariance.order or (1,))[0] + 1):
            out[f"LIN_{which}"] = (_of_parameter(data, which, len(levels), option), levels)
    elif repeated is not None and "ldata" in repeated.options:
        repeated.options["ldata"].fail("ldata= belongs to type=lin(…).")
    return out


def _ldata(statement: Random) -> Option:
    if "ldata" not in statement.options:
        statement.options["type"].fail("type=lin(…) needs its matrices, ldata=data set.")
    return statement.options["ldata"]


def _data(session: Session, option: Option) -> DataSet:
    data = session.find(option.text)
    if data is None:
        option.fail(f"there is no data set {option.text!r}: {', '.join(session.names())}.")
    return data


def _of_parameter(data: DataSet, which: int, size: int, option: Option) -> Array:
    """Return the matrix of one parameter of TYPE=LIN, by the column `parm`."""
    parm = data.name_of("parm")
    if parm is None:
        option.fail("ldata= has the columns 'parm' and 'row', and 'col' and 'value', or 'col1', 'col2' ….")
    own = np.asarray(data.columns[parm] == which, dtype=bool)
    if not own.any():
        option.fail(f"ldata= has no rows for parm {which}.")
    return _matrix(data.take(own), size, option)


def _matrix(data: DataSet, size: int, option: Option) -> Array:
    """Return a symmetric matrix (m, m) given row by row, or element by element; elements not given are zero."""
    row, col, value = (data.name_of(name) for name in ("row", "col", "value"))
    what = f"{option.name}="
    if size > LARGEST:
        option.fail(f"a matrix has at most {LARGEST:,} rows, and the effect {size:,} levels.")
    out = np.zeros((size, size))
    if row is None:
        option.fail(f"{what} has a column 'row', and 'col' and 'value', or 'col1', 'col2' ….")
    rows = _places(data, row, size, option)
    if col is not None and value is not None:
        cols = _places(data, col, size, option)
        out[rows, cols] = data.columns[value]
        out[cols, rows] = data.columns[value]
    else:
        for j in range(size):
            name = data.name_of(f"col{j + 1}")
            if name is None:
                option.fail(f"{what} has no column col{j + 1}.")
            out[rows, j] = data.columns[name]
    if not np.isfinite(out).all():
        option.fail(f"{what} has missing values.")
    if not np.allclose(out, out.T):
        option.fail(f"{what} is not symmetric.")
    return out


def _places(data: DataSet, name: str, size: int, option: Option) -> Any:
    """Return the rows or columns that a column of the data counts, from 0."""
    values = data.columns[name]
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        option.fail(f"{name} of {option.name}= is not a number in every row.")
    places = values.astype(int) - 1
    if places.size and not (places.min() >= 0 and places.max() < size):
        option.fail(
            f"{option.name}= has a {name} {int(places.max()) + 1}, and the effect {size} levels."
            if places.min() >= 0
            else f"{name} of {option.name}= counts from 1."
        )
    return places
