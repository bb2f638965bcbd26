"""Aliased columns of X: which columns are linear combinations of earlier ones, and which."""

from __future__ import annotations

import numpy as np

from ..typing import Array

CHUNK_BYTES = 1 << 20
"""Rows are centred in chunks of about this size, so that no second copy of X is ever made."""
NOISE = 1e-13
"""Residual fractions below this are rounding error of the cross-products: the column is aliased."""
SAFE = 1e-7
"""Residual fractions above this cannot be an artefact of the cross-products: the column is kept."""


def null_space(matrix: Array, tolerance: float = 1e-10) -> tuple[tuple[int, ...], Array]:
    """Return the columns kept by in-order pivoting and a basis of the null space of `matrix` (n, p).

    Parameters
    ----------
    matrix
        X, (n, p).
    tolerance
        A column is aliased when its residual sum of squares on the columns kept before it is below this
        fraction of its own (about its mean when a column before it is constant).

    Returns
    -------
    estimable
        Indices of the r columns kept, in order.
    null_basis
        N, (p, p − r), with XN = 0: one column per aliased column j, 1 in place j and minus its coefficients
        above.

    Notes
    -----
    A Cholesky factorisation in the order of the columns of the Gram matrix, centred and scaled to unit
    diagonal. Cross-products square the condition number, so a column whose pivot is small but not nil is
    decided by its actual residuals, orthogonalised twice (corrected seminormal equations).

    Examples
    --------
    >>> x = np.array([[1.0, 0.0, 2.0], [1.0, 1.0, 3.0], [1.0, 2.0, 4.0]])
    >>> estimable, null_basis = null_space(x)
    >>> estimable, null_basis.ravel()
    ((0, 1), array([-2., -1.,  1.]))
    """
    n, p = matrix.shape
    centred = _leads_with_constant(matrix)
    if p == int(centred):
        return tuple(range(p)), np.zeros((p, 0))
    gram, mean = _gram(matrix, centre=centred)
    scale = np.sqrt(np.diagonal(gram).copy())
    spread = np.sqrt(np.diagonal(gram) + n * mean**2)
    scale[scale <= np.sqrt(tolerance) * 1e-3 * spread] = 0.0
    unit = np.divide(1.0, scale, out=np.zeros(p), where=scale > 0)
    gram *= unit[:, None] * unit
    factor = np.zeros((p, p))  # row k: the k-th kept column's Cholesky row
    kept: list[int] = []
    aliased: list[int] = []
    coefficients: list[Array] = []
    for j in range(int(centred), p):
        row = factor[: len(kept), j]
        pivot = float(1.0 - row @ row) if scale[j] > 0 else 0.0
        if NOISE < pivot < SAFE:
            pivot = _residual_fraction(matrix, j, kept, factor, unit, mean, n)
        if pivot < max(tolerance, NOISE):
            aliased.append(j)
            solution = _back_substitute(factor, kept, row)
            coefficients.append(solution)
            continue
        _append(factor, gram, kept, j, pivot)
    null_basis = np.zeros((p, len(aliased)))
    for column, (j, scaled) in enumerate(zip(aliased, coefficients, strict=True)):
        own = kept[: len(scaled)]
        null_basis[own, column] = -np.where(np.abs(scaled) < 1e-9, 0.0, scaled) * scale[j] * unit[own]
        null_basis[j, column] = 1.0
        if centred:
            null_basis[0, column] = _constant_part(mean, null_basis[:, column])
    return tuple([0, *kept] if centred else kept), null_basis


def _leads_with_constant(matrix: Array) -> bool:
    """Return whether the first column is constant and not zero, so that the others may be centred."""
    return matrix.size > 0 and matrix[0, 0] != 0 and bool((matrix[:, 0] == matrix[0, 0]).all())


def _gram(matrix: Array, *, centre: bool) -> tuple[Array, Array]:
    """Return X'X about the column means and the means, or X'X and zeros."""
    n, p = matrix.shape
    if not centre:
        return matrix.T @ matrix, np.zeros(p)
    rows = min(n, max(64, CHUNK_BYTES // (8 * p)))
    ones = np.ones(rows)
    origin = ones @ matrix[:rows] / rows
    gram, total = np.zeros((p, p)), np.zeros(p)
    buffer = np.empty((p, rows))  # columns lie contiguous here: NumPy is slow along short rows
    for start in range(0, n, rows):
        chunk = matrix[start : start + rows]
        centred = buffer[:, : len(chunk)]
        for j in range(p):
            np.subtract(chunk[:, j], origin[j], out=centred[j])
        gram += centred @ centred.T
        total += centred @ ones[: len(chunk)]
    shift = total / n
    gram -= n * np.outer(shift, shift)
    np.fill_diagonal(gram, np.maximum(np.diagonal(gram), 0.0))
    return gram, origin + shift


def _append(factor: Array, gram: Array, kept: list[int], j: int, pivot: float) -> None:
    k = len(kept)
    root = np.sqrt(pivot)
    factor[k, j + 1 :] = (gram[j, j + 1 :] - factor[:k, j] @ factor[:k, j + 1 :]) / root
    factor[k, j] = root
    kept.append(j)


def _back_substitute(factor: Array, kept: list[int], right: Array) -> Array:
    """Solve R c = right with R the kept columns of the upper triangular factor."""
    k = len(kept)
    solution = np.zeros(k)
    for i in range(k - 1, -1, -1):
        tail = factor[i, kept[i + 1 :]] @ solution[i + 1 :]
        solution[i] = (right[i] - tail) / factor[i, kept[i]]
    return solution


def _residual_fraction(
    matrix: Array, j: int, kept: list[int], factor: Array, unit: Array, mean: Array, n: int
) -> float:
    """Return the fraction of column j's variation that the kept columns leave, from its residuals."""
    residual = (matrix[:, j] - mean[j]) * unit[j]
    triangle = factor[: len(kept)][:, kept]
    for _ in range(2):
        right = _cross(matrix, residual, mean)[kept] * unit[kept]
        half = np.linalg.solve(triangle.T, right) if kept else right
        solution = np.zeros(len(unit))
        solution[kept] = (np.linalg.solve(triangle, half) if kept else half) * unit[kept]
        residual -= matrix @ solution - mean @ solution
        if mean.any():
            residual -= residual.mean()
    return float(residual @ residual)


def _cross(matrix: Array, residual: Array, mean: Array) -> Array:
    product: Array = matrix.T @ residual - mean * residual.sum()
    return product


def _constant_part(mean: Array, null_vector: Array) -> float:
    """Return the coefficient of the leading constant that completes a null vector, 0 if rounding error."""
    products = mean[1:] * null_vector[1:]
    level = products.sum()
    return 0.0 if abs(level) <= 1e-12 * np.abs(products).sum() else float(-level / mean[0])
