"""Where rows stand in the plane or space of several variables: distinct places, and a choice of them as knots."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, eigsh

from ..errors import DataError, SpecError
from ..typing import Array, Codes
from .base import Given, counted

MOST_KNOTS = 2_000
"""Most distinct places that a basis of eigenvectors is made from; more are thinned to these."""
SEED = 1
DENSE = 200
"""Order up to which all eigenvectors are computed."""


def stacked(x: tuple[Array | Codes, ...], given: Given) -> Array:
    """Return the variables side by side, (n, d), or raise `DataError` where a value is not finite."""
    out = np.column_stack([np.asarray(v, dtype=np.float64) for v in x])
    if not np.isfinite(out).all():
        raise DataError(
            f"{given.label}: the variable is not finite in every row; check what it is computed from."
        )
    return out


def knot_places(points: Array, given: Given, k: int) -> Array:
    """Return the distinct places, (K, d), thinned where there are more than `MOST_KNOTS`, or those given.

    Notes
    -----
    One variable is thinned to quantiles of its distinct values, several to a seeded sample of their distinct places,
    which are sorted first: neither depends on the order of the rows.
    """
    if given.knots is not None:
        knots = np.unique(np.asarray(given.knots, dtype=np.float64).reshape(len(given.knots), -1), axis=0)
        if knots.shape[1] != points.shape[1]:
            raise SpecError(
                f"{given.label}: knots= has {knots.shape[1]} coordinates for {points.shape[1]} variables; "
                "give a row for each knot."
            )
        if len(knots) < k:
            raise SpecError(f"{given.label}: knots= has {len(knots)} distinct places, fewer than k={k}.")
        return knots
    distinct: Array = np.unique(points[:, 0])[:, None] if points.shape[1] == 1 else np.unique(points, axis=0)
    if len(distinct) < k:
        raise DataError(
            f"{given.label}: the data have {counted(len(distinct))}, too few for k={k}, which needs {k}; give a "
            "smaller k= or put the variable in as a polynomial or a factor."
        )
    if len(distinct) <= MOST_KNOTS:
        return distinct
    if points.shape[1] == 1:
        chosen = np.linspace(0, len(distinct) - 1, MOST_KNOTS).round().astype(np.int64)
    else:
        chosen = np.sort(np.random.default_rng(SEED).choice(len(distinct), MOST_KNOTS, replace=False))
    out: Array = distinct[chosen]
    return out


def distances(a: Array, b: Array) -> Array:
    """Return Euclidean distances, (len(a), len(b)), from differences: exact zeros where places are equal."""
    if a.shape[1] == 1:
        out: Array = np.abs(np.subtract.outer(a[:, 0], b[:, 0]))
        return out
    total: Array = np.zeros((len(a), len(b)))
    for v in range(a.shape[1]):
        difference = np.subtract.outer(a[:, v], b[:, v])
        total += difference * difference
    return np.sqrt(total, out=total)


def leading(matrix: Array | LinearOperator, count: int) -> tuple[Array, Array]:
    """Return the `count` eigenvalues of largest size and their vectors: from the largest to the most negative.

    Notes
    -----
    Lanczos with a fixed start for larger matrices, so that a fit is the same each time it is made.
    """
    n = matrix.shape[0]
    if not isinstance(matrix, LinearOperator) and (n <= DENSE or count > n // 4):
        values, vectors = linalg.eigh(matrix)
    else:
        values, vectors = eigsh(matrix, k=count, which="LM", v0=np.linspace(1.0, 2.0, n))
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    order = order[np.argsort(-values[order], kind="stable")]
    values, vectors = values[order], vectors[:, order]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(count)]
    return values, vectors * np.where(largest < 0, -1.0, 1.0)
