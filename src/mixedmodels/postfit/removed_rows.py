"""What sets of rows take from the equations of β when they are deleted, at any covariance parameters.

With A = (V⁻¹)_UU, B = X'V⁻¹E_U and z = (V⁻¹(y − Xβ̂))_U of a set U, X'V⁻¹X loses S = BA⁻¹B' and everything else is made
of S, s = BA⁻¹z, c = z'A⁻¹z and log|A|. All four are sums over the independent clusters that U meets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..criterion import LinearCriterion
from ..criterion.errors import FittedErrors
from ..errors import SpecError
from ..fit import Fit
from ..inference.resampling import independent_codes
from ..typing import Array, Codes
from .deletion_sets import DeletionSets

LARGEST = 1500
"""Rows of a cluster whose V is formed; crossed models of independent errors beyond it go by their equations."""
TOGETHER = 4_000_000
"""Elements of matrices that are inverted at a time."""


@dataclass(frozen=True, slots=True)
class Removed:
    """S (m, r, r), s (m, r), c (m,) and log|A| (m,) of m sets, and Φ = (X'V⁻¹X)⁻¹ (r, r), all in own coordinates.

    `weights` are the rows of V⁻¹X, (n, r).
    """

    phi: Array
    information: Array
    pull: Array
    square: Array
    logdet: Array
    weights: Array


@dataclass(frozen=True, slots=True)
class CovarianceAt:
    """V of the rows of a fit at joint covariance parameters θ."""

    fit: Fit
    criterion: LinearCriterion
    theta: Array

    @classmethod
    def of(cls, fit: Fit, theta: Array | None = None) -> CovarianceAt:
        """Return V at θ, by default at θ̂."""
        criterion = fit._work.criterion()
        at = criterion.absolute(fit.optimum.theta) if theta is None else theta
        return cls(fit, criterion.jointly(), at)

    def errors(self) -> FittedErrors | Array:
        """Return R, or its diagonal (n,) where errors are independent of equal variance over weights."""
        if self.fit.design.residual is not None:
            return FittedErrors(self.criterion.model, self.theta)
        variance = self.criterion.model.first_variance(self.theta)
        return variance / self.fit._work.rows().root_weights ** 2

    def among(self, rows: NDArray[np.intp], errors: FittedErrors | Array) -> Array:
        """Return V among rows (m, t) of one independent cluster each, (m, t, t)."""
        if isinstance(errors, FittedErrors):
            total = errors.among(rows)
        else:
            total = np.asarray(errors[rows][..., None] * np.eye(rows.shape[-1]))
        design, given = self.fit._work.own_model()
        for term, own, sigmas in zip(
            design.random, given.random, self.criterion.matrices(self.theta), strict=True
        ):
            codes = own.codes[rows]
            if term.known is None:
                related = codes[..., :, None] == codes[..., None, :]
            else:
                related = term.known.dense()[codes[..., :, None], codes[..., None, :]]
            if own.values is None and len(sigmas) == 1:
                total = total + sigmas[0, 0, 0] * related
                continue
            values = own.dense_values()[rows]
            scaled = np.einsum("...a,...ab->...b", values, sigmas[term.sets[codes]])
            total = total + (scaled @ values.swapaxes(-1, -2)) * related
        return total


def removed(fit: Fit, sets: DeletionSets, theta: Array | None = None) -> Removed:
    """Return what every set takes from the equations at joint covariance parameters θ, by default θ̂."""
    at = CovarianceAt.of(fit, theta)
    clusters = _clusters(fit)
    if clusters is not None and np.bincount(clusters).max() <= LARGEST:
        return _by_clusters(at, sets, clusters)
    residual = fit.design.residual
    if residual is None or residual.structure is None:
        return _by_equations(at, sets)
    raise _too_large()


def _clusters(fit: Fit) -> NDArray[np.intp] | None:
    """Return the independent cluster of every row (n,), one of all rows where factors cross; None if that is large."""
    try:
        return independent_codes(fit, None, "influence", known=True)
    except SpecError:
        return np.zeros(fit.nobs, dtype=np.intp) if fit.nobs <= LARGEST else None


def _own_rows(fit: Fit) -> tuple[Array, Array]:
    """Return X in own coordinates (n, r) and y − Xβ̂ (n,)."""
    given = fit._work.rows()
    return fit.solution.basis.rows(given.x), given.y - fit.solution.estimates(given.x)


# -- clusters whose V is formed ----------------------------------------------------------------------------------


def inverted_clusters(at: CovarianceAt) -> Iterator[tuple[NDArray[np.intp], Array]]:
    """Yield rows (m, t) and V⁻¹ (m, t, t) of independent clusters of one size."""
    clusters, errors = _clusters(at.fit), at.errors()
    if clusters is None or np.bincount(clusters).max() > LARGEST:
        raise _too_large()
    for rows in _groups(clusters):
        yield rows, _inverted(at, rows, errors)[1]


def _too_large() -> SpecError:
    return SpecError(
        f"influence without refits needs the covariance of whole independent clusters of at most {LARGEST} rows, and "
        "this model of correlated errors has none such; use influence(refit=True)."
    )


def _by_clusters(at: CovarianceAt, sets: DeletionSets, clusters: NDArray[np.intp]) -> Removed:
    x, residual = _own_rows(at.fit)
    errors = at.errors()
    groups = _groups(clusters)
    inverses = [(rows, *_inverted(at, rows, errors)) for rows in groups]
    weights, z = np.empty(x.shape), np.empty(len(x))
    for rows, _, inverse in inverses:
        weights[rows] = inverse @ x[rows]
        z[rows] = (inverse @ residual[rows][:, :, None])[:, :, 0]
    phi = _inverse(x.T @ weights)
    z -= weights @ (phi @ (weights.T @ residual))
    out = _Sums.of(sets.count, x.shape[1])
    for rows, total, inverse in inverses:
        _add_pieces(out, sets, rows, total, inverse, weights, z)
    return Removed(phi, out.information, out.pull, out.square, out.logdet, weights)


def _groups(clusters: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the rows of clusters of one size, (m, t), in parts that are inverted together."""
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    out = []
    for t in np.unique(sizes):
        rows = order[starts[sizes == t][:, None] + np.arange(t)]
        at_once = max(TOGETHER // int(t * t), 1)
        out += [rows[first : first + at_once] for first in range(0, len(rows), at_once)]
    return out


def _inverted(at: CovarianceAt, rows: NDArray[np.intp], errors: FittedErrors | Array) -> tuple[Array, Array]:
    total = at.among(rows, errors)
    return total, np.asarray(np.linalg.inv(total))


def _inverse(matrix: Array) -> Array:
    """Return the inverse of a positive definite matrix, its columns scaled to unit diagonal first."""
    scale = 1.0 / np.sqrt(np.diagonal(matrix))
    return np.asarray(np.linalg.inv(matrix * np.outer(scale, scale)) * np.outer(scale, scale))


@dataclass(frozen=True, slots=True)
class _Sums:
    information: Array
    pull: Array
    square: Array
    logdet: Array

    @classmethod
    def of(cls, m: int, r: int) -> _Sums:
        return cls(np.zeros((m, r, r)), np.zeros((m, r)), np.zeros(m), np.zeros(m))

    def add(
        self, sets: NDArray[np.intp] | Codes, b: Array, z: Array, a: Array, inverse: Array | None
    ) -> None:
        """Add pieces with B' (k, t, r), z (k, t) and A (k, t, t) to their sets (k,); `inverse` is A⁻¹ where known."""
        if inverse is None:
            both = np.linalg.solve(a, np.concatenate([b, z[:, :, None]], axis=2))
            logdet = np.linalg.slogdet(a)[1]
        else:
            both = inverse @ np.concatenate([b, z[:, :, None]], axis=2)
            logdet = -np.linalg.slogdet(inverse)[1]
        solved, own = both[:, :, :-1], both[:, :, -1]
        np.add.at(self.information, sets, b.transpose(0, 2, 1) @ solved)
        np.add.at(self.pull, sets, (b.transpose(0, 2, 1) @ own[:, :, None])[:, :, 0])
        np.add.at(self.square, sets, np.sum(z * own, axis=1))
        np.add.at(self.logdet, sets, logdet)


def _add_pieces(
    out: _Sums,
    sets: DeletionSets,
    rows: NDArray[np.intp],
    total: Array,
    inverse: Array,
    weights: Array,
    z: Array,
) -> None:
    """Add what sets have in clusters of one size: rows (m, t), V and V⁻¹ (m, t, t)."""
    codes = sets.codes[rows]
    if (codes == codes[:, :1]).all():
        out.add(codes[:, 0], weights[rows], z[rows], inverse, total)
        return
    if sets.single:
        flat, diagonal = rows.ravel(), np.einsum("mii->mi", inverse).ravel()
        a = diagonal[:, None, None]
        out.add(codes.ravel(), weights[flat][:, None, :], z[flat][:, None], a, 1.0 / a)
        return
    m, t = codes.shape
    key = np.arange(m)[:, None] * np.int64(sets.count) + codes
    order = np.argsort(key.ravel(), kind="stable")
    starts = np.flatnonzero(np.diff(key.ravel()[order], prepend=-1))
    sizes = np.diff(starts, append=m * t)
    for size in np.unique(sizes):
        place = order[starts[sizes == size][:, None] + np.arange(size)]
        cluster, inside = place[:, 0] // t, place % t
        a = inverse[cluster[:, None, None], inside[:, :, None], inside[:, None, :]]
        own = rows.ravel()[place]
        out.add(sets.codes[own[:, 0]], weights[own], z[own], a, None)


# -- crossed models of independent errors ------------------------------------------------------------------------


def _by_equations(at: CovarianceAt, sets: DeletionSets) -> Removed:
    """Return the same from the mixed-model equations: V⁻¹ = R⁻¹ − R⁻¹Z var(b | y, β) Z'R⁻¹, R diagonal."""
    x, residual = _own_rows(at.fit)
    equations = at.criterion.settle(at.theta)
    errors = at.errors()
    r = errors.variances() if isinstance(errors, FittedErrors) else errors
    solution = equations.solution()
    taken = equations.taken_by_fixed()
    weights = (x - equations.linear_predictor(np.zeros((x.shape[1], x.shape[1])), taken)) / r[:, None]
    beta = solution.own_beta - at.fit.solution.own_beta
    z = (residual - equations.linear_predictor(beta, solution.random)) / r
    out = _Sums.of(sets.count, x.shape[1])
    if sets.single:
        a = ((1.0 - equations.leverages() / r) / r)[:, None, None]
        out.add(sets.codes, weights[:, None, :], z[:, None], a, 1.0 / a)
    else:
        order = np.argsort(sets.codes, kind="stable")
        for s, rows in enumerate(np.split(order, np.cumsum(sets.sizes())[:-1])):
            a = _precision_among(at, rows, r)
            out.add(np.array([s]), weights[rows][None], z[rows][None], a[None], None)
    return Removed(solution.own_vcov, out.information, out.pull, out.square, out.logdet, weights)


def _precision_among(at: CovarianceAt, rows: NDArray[np.intp], r: Array) -> Array:
    """Return (V⁻¹)_UU of some rows (t,), (t, t)."""
    equations, (_, given) = at.criterion.equations, at.fit._work.own_model()
    sides, columns = [], np.arange(len(rows))
    for own, term in zip(given.random, at.fit.design.random, strict=True):
        side = np.zeros((term.n_levels, term.n_columns, len(rows)))
        side[own.codes[rows], :, columns] = own.dense_values()[rows] / r[rows][:, None]
        sides.append(side)
    out = np.diag(1.0 / r[rows])
    for own, effects in zip(given.random, equations.solve_random(sides), strict=True):
        seen = np.einsum("tp,tpk->tk", own.dense_values()[rows], effects[own.codes[rows]])
        out = out - seen / r[rows][:, None]
    return np.asarray(0.5 * (out + out.T))
