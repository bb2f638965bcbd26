"""Known sampling variances of estimates, as meta-analyses and area-level models are given them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError, SpecError, suggest
from ..frame.align import aligned
from ..frame.readers import Source
from ..typing import Array

SYMMETRIC = 1e-8
"""Largest asymmetry of V accepted, relative to its largest element."""


def read_sampling(source: Source, variance: Any, *, matrix: bool = True) -> Array:
    """Return the sampling variances of the rows (n,) or, where `matrix` allows it, their covariance matrix (n, n).

    `variance` is a column, or values matched with the rows by label where both have labels.

    Raises
    ------
    DataError, SpecError
        Where a variance is missing or not positive, a shape is wrong, or a matrix is not a covariance.
    """
    if isinstance(variance, str):
        if variance not in source.names:
            raise DataError(
                f"variance={variance!r} is not in the data.{suggest(variance, source.names)} Give the column of "
                f"sampling variances{', or their matrix' if matrix else ''}."
            )
        values = source.read(variance).number()
    else:
        values = np.asarray(_in_order(variance, source.index), dtype=float)
    square = (source.n, source.n)
    if values.shape != (source.n,) and not (matrix and values.shape == square):
        got = f"is of shape {values.shape}" if matrix else f"has {values.size} values"
        other = f", or a matrix of shape {square}" if matrix else ""
        raise SpecError(f"variance= {got} for {source.n} rows of data; give a value for each row{other}.")
    if values.ndim == 1:
        if not np.all((values > 0) & np.isfinite(values)):
            bad = values[~((values > 0) & np.isfinite(values))][0]
            raise DataError(
                f"variance: {bad:g} is no sampling variance; all must be positive, finite and none missing. Drop such "
                "rows."
            )
        return np.asarray(values, dtype=np.float64)
    return _checked(values)


def _in_order(variance: Any, index: Any) -> Any:
    """Return variances, or a matrix whose rows and columns have the same labels, in the order of the data's labels."""
    if not hasattr(variance, "iloc") or not hasattr(variance, "columns"):
        return aligned(variance, index, "variance")
    if not variance.index.sort_values().equals(variance.columns.sort_values()):
        return variance
    rows = aligned(variance.index.to_series(), index, "variance").index
    return variance.loc[rows, rows]


def _checked(matrix: Array) -> Array:
    if not np.isfinite(matrix).all():
        raise DataError("variance: the matrix holds values that are missing or infinite.")
    gap = float(np.abs(matrix - matrix.T).max())
    if gap > SYMMETRIC * float(np.abs(matrix).max()):
        raise DataError(f"variance: the matrix is not symmetric (elements differ by {gap:.3g}).")
    matrix = 0.5 * (matrix + matrix.T)
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(matrix)[0])
        raise DataError(
            f"variance: the matrix is not positive definite (smallest eigenvalue {least:.3g}); check its "
            "correlations."
        ) from None
    return matrix
