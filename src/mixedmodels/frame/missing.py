"""Missing and infinite values: one decision for all parts of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, Severity, Status
from .column import Column


def complete_rows(
    missing: Mapping[str, NDArray[np.bool_]], n: int, action: str
) -> tuple[NDArray[np.intp] | None, tuple[Status, ...]]:
    """Return the rows where nothing is missing, None for all of them, and a note that counts the rest.

    `missing` maps the name of a column to its missing rows (n,). `DataError` when `action` is `"raise"`, when
    a column is missing throughout, or when no row is left.
    """
    if not missing:
        return None, ()
    counts = {name: int(mask.sum()) for name, mask in missing.items()}
    for name, count in counts.items():
        if count == n:
            raise DataError(f"column {name!r} is missing in every row; leave it out of the model.")
    listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
    if action == "raise":
        raise DataError(f"missing values in {listed} and na='raise'; drop or impute them, or use na='drop'.")
    dropped = np.logical_or.reduce(list(missing.values()))
    rows = np.flatnonzero(~dropped)
    kept = "; residuals, fitted values and augment hold their places" if action == "exclude" else ""
    if len(rows) == 0:
        raise DataError(f"no row is complete: missing values in {listed}.")
    message = f"{n - len(rows)} of {n} rows dropped: missing values in {', '.join(counts)}{kept}"
    return rows, (Status(Severity.NOTE, message),)


SMALLEST, LARGEST = 1e-75, 1e75
"""Squares of products of columns of other sizes under- or overflow."""


def check_finite(columns: Iterable[Column]) -> None:
    """Raise `DataError` naming every column that holds infinite values and how many, or one out of range."""
    found = []
    for column in columns:
        if column.levels is not None or column.values.dtype.kind != "f":
            continue
        size = max(abs(float(column.values.max())), abs(float(column.values.min())))
        if np.isfinite(size):
            if size > 0 and not SMALLEST < size < LARGEST:
                raise DataError(
                    f"column {column.name!r} has values of size {size:.3g}, whose squares floating-point numbers "
                    "cannot hold; change its unit."
                )
            continue
        if count := int(np.isinf(column.values).sum()):
            found.append(f"{column.name} ({count})")
    if found:
        raise DataError(f"infinite values in {', '.join(found)}; remove or recode them (NaN for missing).")
