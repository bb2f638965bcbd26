"""The variables the fixed part is computed from, as they were in the data of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..fit import SHARED_PREDICTORS, Fit
from ..frame.column import Column
from ..frame.ingest import read_columns
from ..frame.readers import open_source
from ..syntax.tree import columns_of
from ..terms.design import Design
from ..terms.encoder import DirectEncoder
from ..terms.encoding import encoding_of
from ..terms.predictors import parts_of


def predictors(fit: Fit) -> dict[str, Column]:
    """Return the columns of the fixed part and its offsets at the rows used, factors as codes and levels.

    A numeric column that enters as `C(x)` counts as a factor.
    """
    return fit._work.keep("predictors", lambda: _read(fit, (fit.design,)))


def all_predictors(fit: Fit) -> dict[str, Column]:
    """Return the columns of the fixed parts of all components of a generalised model, those of the mean first."""
    parts = tuple(part.design for part in parts_of(fit.design, fit._work.rows()))
    return fit._work.keep("all predictors", lambda: _read(fit, (fit.design, *parts[1:])))


def share_predictors(fit: Fit, source: Fit, rows: NDArray[np.intp] | None = None) -> Fit:
    """Return a fit that finds its predictors with another one: the same rows, or some of them, (n,)."""
    fit._work.keep(SHARED_PREDICTORS, lambda: (source, rows))
    return fit


def _nothing_shared() -> tuple[Fit, NDArray[np.intp] | None]:
    raise LookupError("kept by share_predictors")


def _read(fit: Fit, designs: Sequence[Design]) -> dict[str, Column]:
    if fit.inputs is None and fit._work.holds(SHARED_PREDICTORS):
        source, rows = fit._work.keep(SHARED_PREDICTORS, _nothing_shared)
        columns = predictors(source) if len(designs) == 1 else all_predictors(source)
        return columns if rows is None else {name: column.take(rows) for name, column in columns.items()}
    encodings = [encoding for design in designs if (encoding := encoding_of(design)) is not None]
    if fit.inputs is None or not encodings:
        raise fit._work.no_data(
            "anova of types 2 and 3, as emmeans, emtrends and joint_tests, of a model with factors"
        )
    names: dict[str, None] = {}
    for encoding in encodings:
        names.update(dict.fromkeys(encoding.fixed.variables))
        names.update(dict.fromkeys(name for smooth in encoding.smooths for name in smooth.curve.variables))
        offsets = (name for number in encoding.offsets for name in columns_of(number.expression))
        names.update(dict.fromkeys(offsets))
    columns = read_columns(fit.spec, open_source(fit.inputs.data), list(names))
    used = fit._work.rows().used
    if used is not None:
        columns = {name: column.take(used) for name, column in columns.items()}
    else:
        columns = {name: replace(column, missing=None) for name, column in columns.items()}
    categorical = {name for encoding in encodings for name in _categorical(encoding.fixed.encoder)}
    return {
        name: column.factor().without_unused()[0] if column.is_factor or name in categorical else column
        for name, column in columns.items()
    }


def _categorical(encoder: DirectEncoder) -> set[str]:
    """Return the variables an encoder reads as levels."""
    return {atom.variable for atom in encoder.factors if atom.variable}


def row_weights(fit: Fit) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the known weight of each row, of a generalised model times how many rows it stands for, (n,)."""
    known = fit.distribution
    if known is not None:
        times = 1.0 if known.responses.frequency is None else known.responses.frequency
        return np.asarray(known.responses.weights_or_one * times)
    weights = fit._work.rows().weights
    return np.ones(fit.design.n) if weights is None else weights
