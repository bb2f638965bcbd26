"""Centring, scaling and, where that is not enough, orthonormalising of X before anything is squared.

Cross-products square the condition of X, so its columns are centred (when the model has a constant column) and scaled
to unit standard deviation, and y is replaced by its weighted least-squares residual. Both are done on the fly in every
pass over the rows. Columns that are nearly dependent even so, such as powers of a variable far from zero, are replaced
by a copy with orthonormal ones. With X_own = XA the fit is the same: log|X'Ṽ⁻¹X| = log|X_own'Ṽ⁻¹X_own| − 2 log|det A|
and β = Aβ_own (see `FixedBasis`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..control import Control
from ..errors import FitError
from ..kernels import gram, response_products, solve_lower, solve_upper
from ..terms.rank import ColumnMoments
from ..terms.rows import Rows
from ..typing import Array
from .coordinates import FixedBasis
from .effects import informative

ROWS_AT_ONCE = 16384
NARROW = 12
"""Columns of X up to which the native pass beats BLAS on blocks."""
NEARLY_DEPENDENT = 1e-4
"""A share 1 − R² of a column, given those before it, below which columns are made orthonormal: cross-products keep
some eleven digits of that share where it is larger, and at 1e-14 two."""


@dataclass(frozen=True, slots=True)
class Standardised:
    """X and y with the transformation applied on the fly.

    X_own = (`x` − `centre`)·`scale`, where `x` is that of the rows, or a copy in own coordinates with centres zero
    and scales one; `basis` is the map to the user's columns. `beta` (r,) are least-squares coefficients in own
    coordinates; `gram` (r+1, r+1) is [X_own ys]'W[X_own ys] with ys = y − X_own·beta; `count` are the rows that say
    something of σ²; `threads` are the native threads worth using. `x` and `y` have no rows where the model holds none.
    """

    x: Array
    y: Array
    centre: Array
    scale: Array
    basis: FixedBasis
    beta: Array
    gram: Array
    log_weights: float
    count: int
    threads: int
    logdet_shift: float = field(init=False)
    """−2 log|det A|."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "logdet_shift", self.basis.logdet_shift)

    def residuals(self, beta: Array) -> Array:
        """Return y − X_own b for all of b, (n,)."""
        slopes = self.scale * beta
        return np.asarray(self.y - self.x @ slopes + self.centre @ slopes)


def standardise(rows: Rows, control: Control) -> Standardised:
    """Return the transformation and the cross-products of the own dense columns, in two passes over rows."""
    x, y, w = rows.x, rows.y, rows.weights
    n, r = x.shape
    threads = control.threads_for(n)
    moments = _moments(rows, x, threads)
    basis = own_columns(moments, n, rows.fixed.written)
    centre, scale = basis.centre, basis.scale
    if w is None:
        inner = _scaled(moments, basis, n)
    else:
        inner = dense_products(x, y, w, (centre, scale, np.zeros(r)), threads)[:r, :r]
    lower = well_conditioned(inner)
    if lower is None:
        basis, x, inner = _orthonormal(x, w, basis)
        centre, scale = np.zeros(r), np.ones(r)
        lower = _cholesky(inner)
    full = np.zeros((r + 1, r + 1))
    full[:r, :r] = inner
    beta = np.zeros(r)
    if r:
        right = response_products(x, y, w, centre, scale, beta, threads)[:r]
        beta = solve_upper(lower, solve_lower(lower, right))
    full[r] = full[:, r] = response_products(x, y, w, centre, scale, beta, threads)
    log_weights, count = 0.0, n
    if w is not None:
        taken = informative(w)
        log_weights, count = -float(np.log(np.abs(taken)).sum()), len(taken)
    return Standardised(x, y, centre, scale, basis, beta, full, log_weights, count, threads)


def well_conditioned(inner: Array) -> Array | None:
    """Return the Cholesky factor of a Gram matrix, None where a column is nearly explained by those before it."""
    if not len(inner):
        return inner
    try:
        lower: Array = np.asarray(np.linalg.cholesky(inner), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return lower if (lower.diagonal() ** 2 >= NEARLY_DEPENDENT * inner.diagonal()).all() else None


def _cholesky(inner: Array) -> Array:
    try:
        return np.asarray(np.linalg.cholesky(inner), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise FitError("X is numerically rank deficient after aliased columns were removed.") from error


def _orthonormal(x: Array, w: Array | None, basis: FixedBasis) -> tuple[FixedBasis, Array, Array]:
    """Return the basis in which columns are orthonormal by their weights, X in it, and its cross-products.

    Own columns are made by `basis.rows`, as those of new rows and functions are: what rounding leaves of A is common
    to both.
    """
    n, r = x.shape
    root = None if w is None else np.sqrt(np.abs(w))[:, None]
    standard, triangle = basis.rows(x), np.eye(r)
    for _ in range(2):
        own = standard @ triangle
        upper = np.linalg.qr(own if root is None else own * root, mode="r")
        pivots = np.diagonal(upper)
        if not (np.isfinite(pivots).all() and (pivots != 0).all()):
            raise FitError("X is numerically rank deficient after aliased columns were removed.")
        step = np.linalg.solve(upper, np.diag(np.sqrt(n) * np.sign(pivots)))
        triangle = np.triu(triangle @ step)
    basis = replace(basis, triangle=triangle)
    own = np.ascontiguousarray(standard @ triangle)
    return basis, own, np.asarray(own.T @ (own if w is None else own * w[:, None]))


def _moments(rows: Rows, x: Array, threads: int) -> ColumnMoments:
    known = rows.fixed.moments
    if known is None:
        return ColumnMoments.of(x, threads)
    return known if len(known.mean) == x.shape[1] else known.take(rows.fixed.estimable)


def _scaled(moments: ColumnMoments, basis: FixedBasis, n: int) -> Array:
    """Xs'Xs of the centred, scaled columns from the moments of X."""
    shift, scale, constant = moments.mean - basis.centre, basis.scale, basis.constant
    out: Array = (moments.gram + n * np.outer(shift, shift)) * np.outer(scale, scale)
    if constant is not None:
        out[constant] = out[:, constant] = 0.0
        out[constant, constant] = n * (shift[constant] * scale[constant]) ** 2
    return out


def dense_products(
    x: Array, y: Array, w: Array | None, transform: tuple[Array, Array, Array], threads: int
) -> Array:
    """Return the cross-products of [Xs, y − Xs·beta] by blocks of rows: natively where X is narrow, else by BLAS."""
    n, r = x.shape
    centre, scale, beta = transform
    if r <= NARROW:
        return gram(x, y, w, centre, scale, beta, threads).reshape(r + 1, r + 1)
    total = np.zeros((r + 1, r + 1))
    part = np.empty((min(ROWS_AT_ONCE, n), r + 1))
    for i in range(0, n, ROWS_AT_ONCE):
        stop = min(i + ROWS_AT_ONCE, n)
        block = part[: stop - i]
        np.subtract(x[i:stop], centre, out=block[:, :r])
        block[:, :r] *= scale
        block[:, r] = y[i:stop] - block[:, :r] @ beta
        total += block.T @ (block if w is None else block * w[i:stop, None])
    return total


def own_columns(moments: ColumnMoments, n: float, written: Array | None = None) -> FixedBasis:
    """Return the basis of centred, scaled columns, n the sum of the weights of the moments."""
    r = len(moments.mean)
    if r == 0:
        return FixedBasis.identity(0)
    candidates = np.flatnonzero(moments.constant & (moments.mean != 0))
    constant = int(candidates[0]) if len(candidates) else None
    centre = moments.mean.copy() if constant is not None else np.zeros(r)
    spread = np.sqrt(np.diagonal(moments.gram) / n + (moments.mean - centre) ** 2)
    level = 1.0
    if constant is not None:
        level = float(moments.mean[constant])
        centre[constant], spread[constant] = 0.0, 1.0
    spread[spread == 0] = 1.0
    return FixedBasis(centre, 1.0 / spread, constant, level, written=written)
