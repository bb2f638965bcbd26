"""How large a model is: counted before anything large is built, and refused with what to do instead."""

from __future__ import annotations

from ..errors import DataError
from ..formats import size_text

MOST_FIXED = 2_000
"""Columns of X, whose cross-products, basis and aliasing are dense."""
MOST_COLUMNS = 5_000
"""Columns of one random term or of one factor's coding: their covariance is formed."""
MOST_POINTS = 4_000
"""Points of a field, whose covariance is formed and factored at every evaluation."""
COPIES = 3.0
"""Matrices of the size of Z or X held at once: as written, in coordinates of its own, and what is computed from it."""


def check_levels(label: str, count: int) -> None:
    """Raise `DataError` where a factor has more levels than can be coded by columns."""
    if count > MOST_COLUMNS:
        raise DataError(
            f"factor {label!r} has {count:,} levels, which would be as many columns (at most {MOST_COLUMNS:,}). Write "
            f"it as a random term, (1 | {label}); or combine levels."
        )


def check_matrix(what: str, n: int, columns: int, most: int, memory: float) -> None:
    """Raise `DataError` where a matrix (n, columns) has more columns than can be worked with, or takes more memory."""
    if columns > most:
        raise DataError(
            f"{what} has {columns:,} columns, more than the {most:,} that can be worked with. Write a factor of many "
            "levels as a random term, (1 | f); interactions of such factors as (1 | f:g); fewer knots or powers of a "
            "covariate; or combine levels."
        )
    size = COPIES * 8.0 * n * columns
    if size > memory:
        raise DataError(
            f"{what} has {columns:,} columns in {n:,} rows, which take {size_text(size)}, more than the "
            f"{size_text(memory)} of control.memory. Use fewer columns or rows, a machine with more memory, or "
            "control=mm.Control(memory=…)."
        )


def check_points(what: str, n: int, points: int, memory: float) -> None:
    """Raise `DataError` where a field has more points than its covariance can be formed for."""
    if points > MOST_POINTS:
        raise DataError(
            f"{what}: {points:,} distinct points, whose covariance of {size_text(8.0 * points**2)} is factored at "
            f"every evaluation (at most {MOST_POINTS:,} points). Round or bin the coordinates, or fit regions apart."
        )
    check_matrix(what, n, points, MOST_POINTS, memory)
