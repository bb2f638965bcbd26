"""Aliased columns of X: which columns are linear combinations of earlier ones, and which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..kernels import column_moments
from ..typing import Array

NOISE = 1e-13
"""Residual fractions below this are rounding error of the cross-products: the column is aliased."""
SAFE = 1e-7
"""Residual fractions above this cannot be an artefact of the cross-products: the column is kept."""


@dataclass(frozen=True, slots=True)
class ColumnMoments:
    """Moments of the columns of a matrix (n, p) over its rows.

    `mean` (p,); `gram` (p, p) the cross-products about the means; `constant` (p,) the columns that hold one
    value.
    """

    mean: Array
    gram: Array
    constant: NDArray[np.bool_]

    @classmethod
    def of(cls, matrix: Array, threads: int = 1) -> ColumnMoments:
        """Return the moments of the columns of `matrix`, from one pass over its rows."""
        p = matrix.shape[1]
        mean, constant, gram = column_moments(matrix, threads)
        return cls(mean, gram.reshape(p, p), constant)

    def take(self, columns: tuple[int, ...]) -> ColumnMoments:
        """Return the moments of some columns."""
        kept = np.array(columns, dtype=np.intp)
        return ColumnMoments(self.mean[kept], self.gram[np.ix_(kept, kept)], self.constant[kept])


def null_space(
    matrix: Array, tolerance: float = 1e-10, moments: ColumnMoments | None = None
) -> tuple[tuple[int, ...], Array]:
    """Return the columns kept by in-order pivoting and a basis of the null space of `matrix` (n, p).

    Parameters
    ----------
    matrix
        X, (n, p).
    tolerance
        A column is aliased when its residual sum of squares on the columns kept before it is below this
        fraction of its own (about its mean when a column before it is constant).
    moments
        Its moments, where they are known already.

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
    if p == 0:
        return (), np.zeros((0, 0))
    moments = ColumnMoments.of(matrix) if moments is None else moments
    centred = bool(moments.constant[0] and moments.mean[0] != 0)
    if p == int(centred):
        return tuple(range(p)), np.zeros((p, 0))
    gram, mean = moments.gram.copy(), moments.mean
    if not centred:
        gram += n * np.outer(mean, mean)
        mean = np.zeros(p)
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
