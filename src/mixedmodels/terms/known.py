"""Known covariance among levels: a matrix matched to the levels by name, checked, and ordered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError, suggest
from ..frame.levels import match_levels, object_array
from ..lazy import LazyModule
from ..typing import Array, Codes

if TYPE_CHECKING:
    from scipy import linalg, sparse
    from scipy.sparse import csgraph
    from scipy.sparse import linalg as sparse_linalg
else:
    linalg, sparse = LazyModule("scipy.linalg"), LazyModule("scipy.sparse")
    csgraph, sparse_linalg = LazyModule("scipy.sparse.csgraph"), LazyModule("scipy.sparse.linalg")

DENSE_CHECK = 2000
"""Order up to which a sparse precision matrix is checked here; a larger one shows in its factorisation."""
SYMMETRY = 1e-8
"""Largest asymmetry accepted, relative to the largest element."""
NEGATIVE = 1e-10
"""Size of a negative eigenvalue of a covariance, relative to the largest, up to which it counts as zero."""
SINGULAR = 1e-8
"""Eigenvalue of K, relative to the largest, up to which K is taken as singular: its inverse is then no use."""
INDEFINITE_PRECISION = 1e-13
"""Smallest eigenvalue of a precision, relative to the largest, that rounding does not explain."""
SMALL_PIVOT = 1e-6
"""Square of the smallest element of a Cholesky factor's diagonal, relative to the largest diagonal element of the
matrix, below which its eigenvalues are looked at."""

LEVELS_AT_ONCE = 256
"""Columns of Q⁻¹ that are solved for together."""


@dataclass(frozen=True, slots=True)
class KnownCovariance:
    """A known covariance K among the levels of one random term: var(b) = K ⊗ Σ.

    Exactly one of `covariance` (q, q, positive semidefinite) and `precision` (q, q, sparse CSC, = K⁻¹, positive
    definite) is given, ordered as the levels.
    """

    name: str
    covariance: Array | None = None
    precision: sparse.csc_array | None = None

    def times(self, values: Array) -> Array:
        """Return K·values for values by level, (q,) or (q, m)."""
        if self.covariance is not None:
            return np.asarray(self.covariance @ values)
        assert self.precision is not None
        return np.asarray(sparse_linalg.splu(self.precision).solve(values))

    def dense(self) -> Array:
        """Return K, (q, q); DataError where a precision is not positive definite."""
        if self.covariance is not None:
            return self.covariance
        assert self.precision is not None
        try:
            return positive_inverse(self.precision.toarray())
        except np.linalg.LinAlgError as error:
            raise self.improper() from error

    def among(self, levels: NDArray[np.integer[Any]]) -> Array:
        """Return K among some levels, (len(levels),) squared."""
        if self.covariance is not None:
            return np.asarray(self.covariance[np.ix_(levels, levels)])
        columns = self.times(self._unit(levels))
        return np.asarray(columns[levels])

    def parts(self) -> Codes:
        """Return for each level the part it belongs to, (q,): K has no covariances between parts."""
        if self.covariance is None:
            assert self.precision is not None
            linked = sparse.csr_array(self.precision)
        else:
            linked = sparse.csr_array(self.covariance)
        return np.asarray(csgraph.connected_components(linked, directed=False)[1])

    def diagonal(self) -> Array:
        """Return K_jj, (q,)."""
        if self.covariance is not None:
            return np.diag(self.covariance).copy()
        assert self.precision is not None
        solve, q = sparse_linalg.splu(self.precision).solve, self.precision.shape[0]
        out: Array = np.empty(q)
        for first in range(0, q, LEVELS_AT_ONCE):
            levels = np.arange(first, min(first + LEVELS_AT_ONCE, q))
            out[levels] = solve(self._unit(levels))[levels, np.arange(len(levels))]
        return out

    def improper(self) -> DataError:
        """Return the error of a matrix that is not positive definite."""
        return DataError(f"known={self.name!r}: the matrix is not positive definite; give a proper one.")

    def _unit(self, levels: NDArray[np.integer[Any]]) -> Array:
        assert self.precision is not None
        unit = np.zeros((self.precision.shape[0], len(levels)))
        unit[levels, np.arange(len(levels))] = 1.0
        return unit


def positive_inverse(matrix: Array) -> Array:
    """Return the inverse of a symmetric positive definite matrix; LinAlgError where it is not."""
    inverse = linalg.cho_solve((linalg.cholesky(matrix, lower=True), True), np.eye(len(matrix)))
    return np.asarray(0.5 * (inverse + inverse.T))


def singular_root(matrix: Array, sets: Codes) -> Array | None:
    """Return L with LL' = K, (q, q), L and K between levels of one parameter set (q,) alone; None for a definite K.

    Levels that K ties together make a block of L, so that L is as sparse as the parts of K; `LinAlgError` where K is
    negative beyond rounding.
    """
    within = np.where(sets[:, None] == sets, matrix, 0.0)
    if not _looks_singular(within) or root_and_inverse(within)[1] is not None:
        return None
    part = csgraph.connected_components(sparse.csr_array(within), directed=False)[1]
    out = np.zeros_like(within)
    for k in range(int(part.max()) + 1):
        own = np.flatnonzero(part == k)
        out[np.ix_(own, own)] = root_and_inverse(within[np.ix_(own, own)])[0]
    return out


def root_and_inverse(matrix: Array) -> tuple[Array, Array | None]:
    """Return L with LL' = `matrix`, lower triangular, and its inverse; of a singular one U√D, and None.

    `LinAlgError` where the matrix is negative beyond rounding.
    """
    if _looks_singular(matrix):
        values, vectors = np.linalg.eigh(matrix)
        if values[0] < -NEGATIVE * values[-1]:
            raise np.linalg.LinAlgError("the matrix is not positive semidefinite")
        if values[0] <= SINGULAR * values[-1]:
            return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))), None
    factor = linalg.cholesky(matrix, lower=True)
    return factor, linalg.cho_solve((factor, True), np.eye(len(matrix)))


def _looks_singular(matrix: Array) -> bool:
    """Return whether Cholesky's pivots, which are never below the smallest eigenvalue, leave room for a tiny one."""
    try:
        pivots = np.diag(np.linalg.cholesky(matrix)) ** 2
    except np.linalg.LinAlgError:
        return True
    return bool(pivots.min() <= SMALL_PIVOT * np.diag(matrix).max())


def is_sparse(matrix: Any) -> bool:
    """Return whether a matrix is one of SciPy's sparse arrays or matrices."""
    return bool(sparse.issparse(matrix))


def bind_known(
    name: str, known: Mapping[str, Any], levels: NDArray[Any], *, precision: bool
) -> tuple[KnownCovariance, NDArray[Any]]:
    """Return the known covariance `name` ordered as `levels` and then its own further levels, and all those levels.

    Parameters
    ----------
    name
        The name in the formula, `cov=name` or `precision=name`.
    known
        Matrices by name: an array or sparse matrix with a row per level in the order of the levels, a data
        frame whose index holds level names, or a pair (matrix, labels).
    levels
        Levels that occur in the data, (q,).
    precision
        Whether the matrix is the inverse of the covariance.
    """
    argument = f"{'precision' if precision else 'cov'}={name}"
    if name not in known:
        have = (
            f" known= holds {', '.join(map(repr, known))}." if known else f" Pass known={{{name!r}: matrix}}."
        )
        raise SpecError(f"{argument}: no matrix is called {name!r}.{suggest(name, known)}{have}")
    matrix, labels = _matrix_and_labels(argument, known[name])
    _check_symmetric(argument, matrix)
    if labels is None:
        if matrix.shape[0] != len(levels):
            raise DataError(
                f"{argument}: the matrix has {matrix.shape[0]} rows for {len(levels)} levels and no names to "
                "match them by; give a data frame with level names as its index, or a pair (matrix, labels)."
            )
        all_levels, order = levels, None
    else:
        all_levels, order = _match(argument, labels, levels)
    if order is not None and not np.array_equal(order, np.arange(len(order))):
        matrix = matrix[order][:, order]
    _check_positive(argument, matrix, precision=precision)
    if precision:
        return KnownCovariance(name, precision=sparse.csc_array(matrix, copy=True)), all_levels
    return KnownCovariance(name, covariance=np.array(_dense(matrix), order="C")), all_levels


def known_among(argument: str, given: Any, levels: NDArray[Any]) -> Array:
    """Return a known symmetric matrix among some levels, (q, q), matched by name where it has names.

    `given` is as in `bind_known`; it need not be positive definite.
    """
    matrix, labels = _matrix_and_labels(argument, given)
    _check_symmetric(argument, matrix)
    if labels is None:
        if matrix.shape[0] != len(levels):
            raise DataError(
                f"{argument}: the matrix has {matrix.shape[0]} rows for {len(levels)} positions and no names to match "
                "them by; give a data frame with the positions as its index, or a pair (matrix, labels)."
            )
        return np.ascontiguousarray(_dense(matrix))
    order = _match(argument, labels, levels)[1][: len(levels)]
    return np.ascontiguousarray(_dense(matrix)[np.ix_(order, order)])


def known_around(argument: str, given: Any, levels: NDArray[Any]) -> Array:
    """Return a known symmetric matrix with some levels first, (q, q), then all others that it names."""
    matrix, labels = _matrix_and_labels(argument, given)
    if labels is None:
        return known_among(argument, given, levels)
    _check_symmetric(argument, matrix)
    order = _match(argument, labels, levels)[1]
    return np.ascontiguousarray(_dense(matrix)[np.ix_(order, order)])


def _dense(matrix: Any) -> Array:
    dense: Array = matrix.toarray() if is_sparse(matrix) else matrix
    return dense


def _matrix_and_labels(argument: str, given: Any) -> tuple[Any, NDArray[Any] | None]:
    labels: Any = None
    if isinstance(given, tuple) and len(given) == 2:
        given, labels = given
    elif hasattr(given, "index") and hasattr(given, "to_numpy"):
        labels = np.asarray(given.index)
        given = _columns_as_rows(given, labels)
    matrix: Any
    try:
        if is_sparse(given):
            matrix = sparse.csc_array(given, dtype=np.float64)
        else:
            matrix = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{argument}: the matrix must hold numbers.") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise DataError(f"{argument}: the matrix must be square, not of shape {matrix.shape}.")
    if not np.isfinite(matrix.data if is_sparse(matrix) else matrix).all():
        raise DataError(f"{argument}: the matrix holds values that are missing or infinite.")
    if labels is not None:
        labels = object_array(list(np.asarray(labels).tolist()))
        if len(labels) != matrix.shape[0]:
            raise DataError(f"{argument}: {len(labels)} labels for a matrix with {matrix.shape[0]} rows.")
        if len({str(label) for label in labels}) < len(labels):
            raise DataError(f"{argument}: the labels of the matrix are not distinct.")
    return matrix, labels


def _columns_as_rows(frame: Any, labels: NDArray[Any]) -> NDArray[Any]:
    """Return the values of a labelled frame, columns in the order of the rows if they share names."""
    place = {str(label): row for row, label in enumerate(labels)}
    names = [str(name) for name in frame.columns]
    values: NDArray[Any] = frame.to_numpy()
    if set(names) != set(place) or len(names) != len(place):
        return values
    return values[:, np.argsort([place[name] for name in names])]


def _match(
    argument: str, labels: NDArray[Any], levels: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the levels of the data followed by the other labels, and the matrix rows in that order."""
    place = match_levels(levels, labels)
    if (place < 0).any():
        absent = [str(level) for level in levels[place < 0]]
        shown = ", ".join(map(repr, absent[:5])) + (" …" if len(absent) > 5 else "")
        raise DataError(f"{argument}: the matrix has no row for {len(absent)} levels of the data: {shown}.")
    others = np.setdiff1d(np.arange(len(labels)), place)
    further = labels[others]
    if levels.dtype.kind in "iuf" and all(isinstance(label, (int, float)) for label in further):
        further = further.astype(levels.dtype)
    elif len(further):
        levels = levels.astype(object)
    return np.concatenate([levels, further]), np.concatenate([place, others]).astype(np.intp)


def _check_symmetric(argument: str, matrix: Any) -> None:
    difference = abs(matrix - matrix.T)
    size = abs(matrix).max()
    if difference.max() > SYMMETRY * size:
        raise DataError(
            f"{argument}: the matrix is not symmetric (elements differ by {difference.max():.3g})."
        )


def _check_positive(argument: str, matrix: Any, *, precision: bool) -> None:
    if is_sparse(matrix) and matrix.shape[0] > DENSE_CHECK and precision:
        smallest = matrix.diagonal().min()
        if smallest <= 0:
            raise DataError(
                f"{argument}: the matrix is not positive definite (diagonal element {smallest:.3g})."
            )
        return
    dense = _dense(matrix)
    if not _looks_singular(dense):
        return
    values = np.linalg.eigvalsh(dense)
    smallest, largest = float(values[0]), float(values[-1])
    if not largest > 0:
        raise DataError(f"{argument}: the matrix has no positive eigenvalue (the largest is {largest:.3g}).")
    if precision and smallest <= INDEFINITE_PRECISION * largest:
        raise DataError(
            f"{argument}: the matrix is not positive definite (smallest eigenvalue {smallest:.3g}, largest "
            f"{largest:.3g}), so that it has no inverse; a singular covariance is given as it is, by cov=."
        )
    if smallest < -NEGATIVE * largest:
        raise DataError(
            f"{argument}: the matrix is not positive semidefinite (smallest eigenvalue {smallest:.3g}, largest "
            f"{largest:.3g}); check it: a covariance matrix has no negative eigenvalues."
        )
