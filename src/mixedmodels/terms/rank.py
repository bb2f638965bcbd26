"""Aliased columns of X: which columns are linear combinations of earlier ones, and which combinations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..kernels import column_moments
from ..typing import Array

ROUNDING = 1e-13
"""Rounding error of a value relative to its size: a few hundred units in the last place, as of computed columns."""
GRAM_ERROR = 1e-14
"""Error of a cross-product relative to the lengths of its columns."""
SAFE = 1e-6
"""Pivots (squared lengths) above this may be read off the cross-products, if their error bound allows."""
NEGLIGIBLE = 1e-9
"""Coefficients on scaled columns above this are never taken for rounding error."""
ENOUGH, NOTHING = 1e-9, 1e-12
"""Squared length of a column of unit size beside those before it from which on cross-products know it, and below which
it is rounding error."""
TIDY = 1e-12
"""Sums that cancel to this fraction of their parts are zero."""
ROWS_AT_ONCE = 65_536
"""Values of a block of rows whose residuals are computed at once: it stays in the cache."""


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
    matrix: Array, tolerance: float = 1e-7, moments: ColumnMoments | None = None
) -> tuple[tuple[int, ...], Array]:
    """Return the columns kept by in-order pivoting and a basis of the null space of `matrix` (n, p).

    Parameters
    ----------
    matrix
        X, (n, p).
    tolerance
        A column is aliased when what the columns kept before it leave of it is shorter than this fraction of
        its length about its mean, or than the rounding error of the columns, where that is more.
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
    A Cholesky factorisation, in the order of the columns, of the cross-products about the means, scaled to
    unit diagonal: as if a constant came first. Cross-products square the condition number, so where the error
    bound of a pivot does not rule out that the column is aliased, its residuals are computed row by row and
    orthogonalised until they no longer change. If X spans the constant after all, the first column that needs it
    takes its place. A column of size ‖x‖ and length s about its mean carries a rounding error of ‖x‖/s · 1e-13
    of that length.

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
    pivoting = _Pivoting.of(moments, n, tolerance)
    start = 0
    while True:
        undecided = pivoting.sweep(start)
        if not undecided:
            break
        residuals = _Residuals.of(pivoting, undecided, matrix)
        place = residuals.first_kept()
        if place is None:
            residuals.settle(pivoting, undecided)
            break
        residuals.settle(pivoting, undecided[:place])
        start = undecided[place]
        pivoting.truncate(start)
        pivoting.append_direction(start, residuals, place)
        start += 1
    return _without_constant(pivoting)


def null_space_of_sums(
    moments: ColumnMoments, n: int, names: tuple[str, ...], tolerance: float = 1e-7
) -> tuple[tuple[int, ...], Array]:
    """Return what `null_space` returns, from the moments of the columns alone.

    Parameters
    ----------
    moments
        Those of X (n, p).
    n
        Number of rows.
    names
        Names of the columns, (p,), for messages.
    tolerance
        As of `null_space`.

    Raises
    ------
    DataError
        Where sums cannot tell whether a column is a combination of those before it: what these leave of it is between
        1e-6 and 3e-5 of its length, which cross-products do not know.
    """
    if not len(moments.mean):
        return (), np.zeros((0, 0))
    pivoting = _Pivoting.of(moments, n, tolerance)
    start = 0
    while undecided := pivoting.sweep(start):
        j = undecided[0]
        pivoting.truncate(j)
        pivoting.decide(j, names[j])
        start = j + 1
    return _without_constant(pivoting)


@dataclass(slots=True, eq=False)
class _Pivoting:
    """The state of in-order pivoting of columns u = (x − mean)/length.

    `factor` row k holds q_k'u of the k-th kept column's direction q_k, `basis` row k its coefficients, q = U·basis';
    `error` (r,) bounds the error of the rows of `factor`; `aliased` holds for every column given up its
    coefficients (p,) on the scaled columns, and their error.
    """

    n: int
    tolerance: float
    mean: Array
    gram: Array
    length: Array
    unit: Array
    noise: Array
    factor: Array
    basis: Array
    error: Array
    kept: list[int]
    aliased: dict[int, tuple[Array, Array]]

    @classmethod
    def of(cls, moments: ColumnMoments, n: int, tolerance: float) -> _Pivoting:
        """Return the state before the first column."""
        p = len(moments.mean)
        length = np.sqrt(np.diagonal(moments.gram))
        size = np.sqrt(np.diagonal(moments.gram) + n * moments.mean**2)
        length = np.where(length > ROUNDING * size, length, 0.0)
        unit = np.divide(1.0, length, out=np.zeros(p), where=length > 0)
        gram = moments.gram * unit[:, None] * unit
        empty = np.zeros((p, p))
        return cls(
            n,
            tolerance,
            moments.mean,
            gram,
            length,
            unit,
            ROUNDING * size * unit,
            empty,
            empty.copy(),
            np.zeros(p),
            [],
            {},
        )

    def sweep(self, start: int) -> list[int]:
        """Keep the columns from `start` on whose pivots can be trusted; return those that can not."""
        undecided = []
        for j in range(start, len(self.mean)):
            if self.length[j] == 0:
                self.aliased[j] = np.zeros(len(self.mean)), np.zeros(len(self.mean))
                continue
            r = len(self.kept)
            row = self.factor[:r, j]
            pivot = float(1.0 - row @ row)
            error = float(np.sqrt(GRAM_ERROR**2 + (row * self.error[:r]) @ (row * self.error[:r])))
            coefficients = row @ self.basis[:r]
            # a pivot known to a thousandth of itself is known well enough to build on
            if pivot < max(SAFE, 1e3 * error) or pivot <= self._least(coefficients, j) ** 2:
                undecided.append(j)
                continue
            root = np.sqrt(pivot)
            self.factor[r, j] = root
            self.factor[r, j + 1 :] = (self.gram[j, j + 1 :] - row @ self.factor[:r, j + 1 :]) / root
            self.basis[r] = -coefficients / root
            self.basis[r, j] = 1.0 / root
            self.error[r] = error / root
            self.kept.append(j)
        return undecided

    def decide(self, j: int, name: str) -> None:
        """Keep or give up column `j` by its cross-products."""
        r = len(self.kept)
        row = self.factor[:r, j]
        pivot, coefficients = float(1.0 - row @ row), row @ self.basis[:r]
        if pivot >= ENOUGH:
            root = np.sqrt(pivot)
            self.factor[r] = 0.0
            self.factor[r, j] = root
            self.factor[r, j + 1 :] = (self.gram[j, j + 1 :] - row @ self.factor[:r, j + 1 :]) / root
            self.basis[r] = -coefficients / root
            self.basis[r, j] = 1.0 / root
            self.error[r] = GRAM_ERROR / root
            self.kept.append(j)
            return
        if pivot > NOTHING:
            raise DataError(
                f"column {name!r} is so nearly a combination of the columns before it that cross-products do not tell "
                "them apart. Centre it, leave it out, or fit the model to data in memory."
            )
        noise = max(self.noise_of(coefficients, j), float(np.sqrt(max(pivot, 0.0))))
        error = noise * np.linalg.norm(self.basis[:r], axis=0)
        nil = np.abs(coefficients) <= np.minimum(error, NEGLIGIBLE)
        self.aliased[j] = np.where(nil, 0.0, coefficients), error

    def truncate(self, j: int) -> None:
        """Forget the columns kept, and those given up, from column `j` on."""
        self.kept = [k for k in self.kept if k < j]
        self.aliased = {k: found for k, found in self.aliased.items() if k < j}

    def append_direction(self, j: int, residuals: _Residuals, place: int) -> None:
        """Keep column `j`, whose residuals were computed."""
        r = len(self.kept)
        root = residuals.lengths[place]
        self.factor[r] = 0.0
        self.factor[r, j + 1 :] = residuals.products[j + 1 :, place] / root
        self.factor[r, j] = root
        self.basis[r] = -residuals.coefficients[:, place] / root
        self.basis[r, j] = 1.0 / root
        self.error[r] = GRAM_ERROR
        self.kept.append(j)

    def noise_of(self, coefficients: Array, j: int) -> float:
        """Return the rounding error of column `j` minus U·coefficients, in length."""
        return float(np.hypot(self.noise[j], np.linalg.norm(coefficients * self.noise)))

    def _least(self, coefficients: Array, j: int) -> float:
        """Return the length of residuals at or below which column `j` is aliased."""
        return max(self.tolerance, self.noise_of(coefficients, j))

    def limits(self, coefficients: Array, columns: list[int]) -> Array:
        """Return `_least` for several columns with coefficients (p, c), (c,)."""
        return np.array([self._least(coefficients[:, i], j) for i, j in enumerate(columns)])


@dataclass(slots=True, eq=False)
class _Residuals:
    """Residuals of some columns on the columns kept before each.

    `coefficients` (p, c) on the scaled columns; `lengths` (c,) of the residuals; `products` (p, c) of the
    scaled columns with them; `limits` (c,) the lengths at or below which a column is aliased.
    """

    coefficients: Array
    lengths: Array
    products: Array
    limits: Array

    @classmethod
    def of(cls, pivoting: _Pivoting, columns: list[int], matrix: Array) -> _Residuals:
        """Return residuals orthogonalised until they stay as long as they are, or are nil."""
        p = len(pivoting.mean)
        before = [sum(k < j for k in pivoting.kept) for j in columns]
        coefficients = np.zeros((p, len(columns)))
        for i, (j, r) in enumerate(zip(columns, before, strict=True)):
            coefficients[:, i] = pivoting.factor[:r, j] @ pivoting.basis[:r]
        found = cls(
            coefficients, np.full(len(columns), np.inf), np.zeros((p, len(columns))), np.zeros(len(columns))
        )
        active = list(range(len(columns)))
        # twice is enough unless the coefficients from the cross-products were far off
        for _ in range(5):
            last = found.lengths.copy()
            found._compute(pivoting, columns, matrix, active)
            for i in active:
                basis = pivoting.basis[: before[i]]
                found.coefficients[:, i] += (basis @ found.products[:, i]) @ basis
            found.limits = pivoting.limits(found.coefficients, columns)
            active = [
                i for i in active if found.lengths[i] > found.limits[i] and found.lengths[i] < 0.9 * last[i]
            ]
            if not active:
                break
        return found

    def first_kept(self) -> int | None:
        """Return the place of the first column that is not aliased, if there is one."""
        places = np.flatnonzero(self.lengths > self.limits)
        return int(places[0]) if len(places) else None

    def settle(self, pivoting: _Pivoting, columns: list[int]) -> None:
        """Give up the leading columns, `columns`."""
        for i, j in enumerate(columns):
            r = sum(k < j for k in pivoting.kept)
            coefficients = self.coefficients[:, i]
            noise = max(pivoting.noise_of(coefficients, j), float(self.lengths[i]))
            error = noise * np.linalg.norm(pivoting.basis[:r], axis=0)
            nil = np.abs(coefficients) <= np.minimum(error, NEGLIGIBLE)
            pivoting.aliased[j] = np.where(nil, 0.0, coefficients), error

    def _compute(self, pivoting: _Pivoting, columns: list[int], matrix: Array, active: list[int]) -> None:
        """Compute the residuals of the active columns by blocks of rows, centred before anything is multiplied."""
        p = len(pivoting.mean)
        weights = -self.coefficients[:, active]
        weights[[columns[i] for i in active], np.arange(len(active))] += 1.0
        products, squares, sums = np.zeros((p, len(active))), np.zeros(len(active)), np.zeros(len(active))
        step = max(ROWS_AT_ONCE // p, 64)
        for begin in range(0, pivoting.n, step):
            block = (matrix[begin : begin + step] - pivoting.mean) * pivoting.unit
            residual = block @ weights
            products += block.T @ residual
            squares += np.einsum("ij,ij->j", residual, residual)
            sums += residual.sum(axis=0)
        self.products[:, active] = products
        # the means themselves are rounded, which shifts all residuals by the same amount
        self.lengths[active] = np.sqrt(np.maximum(squares - sums**2 / pivoting.n, 0.0))


def _without_constant(pivoting: _Pivoting) -> tuple[tuple[int, ...], Array]:
    """Return what `null_space` returns, the constant that pivoting took for granted being no column of X.

    Every combination w of columns that was found is constant, Xw = κ. The first with κ ≠ 0 shows that the constant is
    spanned by the columns up to its own, which therefore is not aliased; with its help the others become 0.
    """
    mean, length = pivoting.mean, pivoting.length
    aliased = sorted(pivoting.aliased)
    null = np.zeros((len(mean), len(aliased)))
    levels = np.zeros(len(aliased))
    first: int | None = None
    for i, j in enumerate(aliased):
        coefficients, error = pivoting.aliased[j]
        null[:, i] = -coefficients * length[j] * pivoting.unit
        null[j, i] = 1.0
        parts = mean * null[:, i]
        level = float(parts.sum())
        levels[i] = 0.0 if abs(level) <= TIDY * np.abs(parts).sum() else level
        known_to = np.abs(mean) @ (error * length[j] * pivoting.unit) + ROUNDING * abs(mean[j])
        if first is None and abs(levels[i]) > known_to:
            first = i
    if first is None:
        return tuple(pivoting.kept), null
    for i in range(first + 1, len(aliased)):
        taken = levels[i] / levels[first] * null[:, first]
        rest = null[:, i] - taken
        null[:, i] = np.where(np.abs(rest) <= TIDY * np.abs(taken), 0.0, rest)
    kept = tuple(sorted([*pivoting.kept, aliased[first]]))
    return kept, np.delete(null, first, axis=1)
