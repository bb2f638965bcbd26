"""Dense definition of `SparseSymmetric`: what the native class computes, in a few lines of NumPy.

Used by tests and for reading; order n³, so for small matrices only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from ..typing import Array, Codes
from . import NotPositiveDefinite


def sparse_product(
    start: NDArray[np.int64], column: Codes, values: Array, dense: Array, threads: int
) -> Array:
    """Return a sparse matrix, given by rows, times a dense one (m, c), (n, c).

    Parameters
    ----------
    start, column, values : (n + 1,) int64, (nnz,) int32, (nnz,)
        Where each row starts, and columns and values of its entries.
    dense : (m, c)
        The other matrix.
    threads : int
        Without effect here.

    Examples
    --------
    >>> start, column = np.array([0, 2, 2]), np.array([0, 1], dtype=np.int32)
    >>> sparse_product(start, column, np.array([2.0, 3.0]), np.eye(2), 1)
    array([[2., 3.],
           [0., 0.]])
    """
    out = np.zeros((len(start) - 1, dense.shape[1]))
    np.add.at(out, np.repeat(np.arange(len(out)), np.diff(start)), values[:, None] * dense[column])
    return out


class SparseSymmetric:
    """The factor C = P'LL'P, log|C|, C⁻¹b and entries of C⁻¹ for matrices C (n, n) with one pattern.

    Parameters
    ----------
    n : int
        Order of the matrix.
    indptr, indices : (n + 1,) int64, (nnz,) int32
        Compressed-column pattern: the lower triangle, or every entry of a symmetric pattern; of that the
        values in the lower triangle are read; entries given more than once add up.
    permutation : (n,) int32, optional
        Order of elimination; here as given where absent, in the native class by approximate minimum degree.
    threads : int
        Without effect here.

    Examples
    --------
    >>> pattern = np.array([0, 2, 3]), np.array([0, 1, 1], dtype=np.int32)
    >>> c = SparseSymmetric(2, *pattern)
    >>> round(float(np.exp(c.factor(np.array([4.0, 1.0, 3.0])))), 12)
    11.0
    >>> c.selected_inverse() * 11
    array([ 3., -1.,  4.])
    """

    def __init__(
        self,
        n: int,
        indptr: np.ndarray,
        indices: Codes,
        *,
        permutation: Codes | None = None,
        threads: int = 1,
    ) -> None:
        self.n = n
        self.rows = np.asarray(indices)
        self.cols = np.repeat(np.arange(n), np.diff(indptr))
        self.permutation = np.arange(n, dtype=np.int32) if permutation is None else permutation
        self._counts = self._column_counts()

    def _column_counts(self) -> np.ndarray:
        """Non-zeros of the columns of L: eliminating a column links all that it is linked to."""
        linked = np.zeros((self.n, self.n), dtype=bool)
        linked[self.rows, self.cols] = linked[self.cols, self.rows] = True
        linked = linked[np.ix_(self.permutation, self.permutation)]
        counts = np.ones(self.n)
        for j in range(self.n):
            below = np.flatnonzero(linked[j + 1 :, j]) + j + 1
            linked[np.ix_(below, below)] = True
            counts[j] += len(below)
        return counts

    @property
    def fill(self) -> int:
        """Non-zeros of L."""
        return int(self._counts.sum())

    @property
    def flops(self) -> float:
        """Additions and multiplications of one factorisation: Σ count²."""
        return float(np.square(self._counts).sum())

    def factor(self, values: Array) -> float:
        """Return log|C| for these values (nnz,); `NotPositiveDefinite` carries the column that failed."""
        lower = self.rows >= self.cols
        c = np.zeros((self.n, self.n))
        np.add.at(c, (self.rows[lower], self.cols[lower]), values[lower])
        c = np.tril(c) + np.tril(c, -1).T
        ordered = c[np.ix_(self.permutation, self.permutation)]
        self.lower, leading_minor = dpotrf(ordered, lower=1, clean=1)
        if leading_minor > 0:
            raise NotPositiveDefinite(int(self.permutation[leading_minor - 1]))
        self.inverse = np.linalg.inv(c)
        return float(2 * np.log(np.diag(self.lower)).sum())

    def half_solve(self, b: Array) -> Array:
        """Return L⁻¹Pb (n, c), rows in the order of elimination: h'h = b'C⁻¹b."""
        return np.asarray(solve_triangular(self.lower, b[self.permutation], lower=True))

    def half_solve_transposed(self, b: Array) -> Array:
        """Return P'L⁻ᵀb (n, c) for rows of b in the order of elimination."""
        x = np.empty_like(b)
        x[self.permutation] = solve_triangular(self.lower, b, lower=True, trans="T")
        return x

    def solve(self, b: Array) -> Array:
        """Return C⁻¹b (n, c)."""
        return self.half_solve_transposed(self.half_solve(b))

    def selected_inverse(self) -> Array:
        """Return the entries of C⁻¹ (nnz,) on the pattern, in its order."""
        return np.asarray(self.inverse[self.rows, self.cols])

    def inverse_entries(self, rows: Codes, cols: Codes) -> Array:
        """Return the entries of C⁻¹ (k,) at these pairs; natively they must lie on the pattern of L."""
        return np.asarray(self.inverse[rows, cols])
