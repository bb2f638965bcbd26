"""Which rows are deleted together, and what each set of them is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError, suggest
from ..fit import Fit
from ..frame.readers import open_source
from ..typing import Codes
from .choose_term import grouping_factors
from .used_data import row_labels


@dataclass(frozen=True, slots=True)
class DeletionSets:
    """m disjoint sets of rows: the set of each row (n,) and the names of the sets, (m,)."""

    by: str
    codes: Codes
    levels: NDArray[Any]

    @property
    def count(self) -> int:
        return len(self.levels)

    @property
    def single(self) -> bool:
        """Whether every set is one row."""
        return self.count == len(self.codes)

    def sizes(self) -> NDArray[np.intp]:
        """Return the number of rows of each set, (m,)."""
        return np.bincount(self.codes, minlength=self.count)


def deletion_sets(fit: Fit, by: str) -> DeletionSets:
    """Return the rows one by one (`by="obs"`), or by level of a grouping factor or of a column of the data.

    Raises
    ------
    SpecError, DataError
        Where `by` is neither, or is missing in rows of the fit.
    """
    if not isinstance(by, str):
        raise SpecError(f"by={by!r} must be 'obs' or the name of a grouping factor, for example by='obs'.")
    if by == "obs":
        return DeletionSets(by, np.arange(fit.nobs, dtype=np.int32), _row_names(fit))
    factors = grouping_factors(fit, splines=False)
    for factor in factors:
        if factor.name == by:
            levels = factor.parts[0] if len(factor.parts) == 1 else np.array(factor.levels, dtype=object)
            return _occupied(by, factor.codes, levels)
    names = [factor.name for factor in factors]
    codes, levels = _column(fit, by, names)
    return _occupied(by, codes, levels)


def _occupied(by: str, codes: Codes, levels: NDArray[Any]) -> DeletionSets:
    """Return the sets of levels that have rows."""
    seen, own = np.unique(codes, return_inverse=True)
    return DeletionSets(by, own.reshape(-1).astype(np.int32), np.asarray(levels)[seen])


def _row_names(fit: Fit) -> NDArray[Any]:
    """Return the labels of the rows used: those of the data, or their place among all rows counted from 0."""
    rows = fit._work.rows().used
    labels = None if fit.schema.index is None else row_labels(fit)
    if labels is not None and len(labels) == fit.nobs:
        return np.asarray(labels)
    return np.arange(fit.nobs) if rows is None else np.asarray(rows)


def _column(fit: Fit, by: str, groups: list[str]) -> tuple[Codes, NDArray[Any]]:
    known = f"Grouping factors: {', '.join(groups) or 'none'}."
    if fit.inputs is None:
        raise SpecError(
            f"by={by!r} is no grouping factor of the model, and this fit no longer holds its data. {known}"
        )
    source = open_source(fit.inputs.data)
    if by not in source.names:
        near = suggest(by, ["obs", *groups, *source.names])
        raise SpecError(
            f"by={by!r} is neither 'obs' nor a grouping factor nor a column of the data the fit holds.{near} {known}"
        )
    column, rows = source.read(by), fit._work.rows().used
    own = (column if rows is None else column.take(rows)).factor()
    if (own.values < 0).any():
        raise DataError(f"by={by!r} is missing in rows of the fit; fill it in, or fit without those rows.")
    assert own.levels is not None
    return own.values, own.levels
