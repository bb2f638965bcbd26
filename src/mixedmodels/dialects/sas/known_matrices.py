"""G given as data: `gdata=` with columns row, col, value, or row, col1, col2 …"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .data_set import DataSet, level_text
from .options import Option
from .to_spec import Asked

if TYPE_CHECKING:
    from .run import Session


def known_matrices(session: Session, asked: Asked) -> dict[str, Any]:
    """Return the known matrices of a model by the names its terms have for them."""
    out: dict[str, Any] = {}
    for spec, statement, _ in asked.random:
        for option in ("ldata",):
            if option in statement.options:
                statement.options[option].fail(
                    "ldata= is not done; lmm(residual='lin(…)', known=…) takes the matrices."
                )
        if spec.cov is None:
            continue
        option_ = statement.options["gdata"]
        data = session.find(option_.text)
        if data is None:
            option_.fail(f"there is no data set {option_.text!r}: {', '.join(session.names())}.")
        levels = [level_text(level) for level in asked.factors[spec.group[-1]]]
        out[spec.cov] = (_matrix(data, len(levels), option_), levels)
    if asked.model.repeated is not None and "ldata" in asked.model.repeated.options:
        asked.model.repeated.options["ldata"].fail(
            "ldata= is not done; lmm(residual='lin(…)', known=…) takes the matrices."
        )
    return out


def _matrix(data: DataSet, size: int, option: Option) -> Any:
    row, col, value = (data.name_of(name) for name in ("row", "col", "value"))
    out = np.zeros((size, size))
    if row is None:
        option.fail("gdata= has a column 'row', and 'col' and 'value', or 'col1', 'col2' ….")
    rows = data.columns[row].astype(int) - 1
    if rows.size and not (rows.min() >= 0 and rows.max() < size):
        option.fail(f"gdata= has rows up to {int(rows.max()) + 1}, and the effect {size} levels.")
    if col is not None and value is not None:
        cols = data.columns[col].astype(int) - 1
        if cols.size and not (cols.min() >= 0 and cols.max() < size):
            option.fail(f"gdata= has columns up to {int(cols.max()) + 1}, and the effect {size} levels.")
        out[rows, cols] = data.columns[value]
        out[cols, rows] = data.columns[value]
        return out
    for j in range(size):
        name = data.name_of(f"col{j + 1}")
        if name is None:
            option.fail(f"gdata= has no column col{j + 1}.")
        out[rows, j] = data.columns[name]
    return out
