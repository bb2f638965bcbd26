"""The pieces of a sandwich covariance of β̂, cluster by cluster, and tests referred to its own distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..fit import Fit
from ..inference.ddf.base import DegreesOfFreedom
from ..inference.directions import independent_directions
from ..inference.resampling import Clusters
from ..inference.vcov import model_vcov
from ..typing import Array
from .error_side import error_covariance

ALONE = 1e-8
"""An eigenvalue of I − H_ii below this is zero: a fixed effect is estimated from that cluster alone."""


@dataclass(frozen=True, slots=True)
class Stack:
    """All m clusters of t rows: their rows (m, t), A'V⁻¹X and X (m, t, r), residuals (m, t), V (m, t, t).

    `alone` (k, r) are what the k directions that a cluster alone determines contribute to β̂: residuals are zero
    in them whatever the data, and say nothing of the variance.
    """

    rows: NDArray[np.intp]
    weighted: Array
    x: Array
    residual: Array
    total: Array
    alone: Array


def stack_clusters(fit: Fit, clusters: Clusters, kind: str) -> list[Stack]:
    """Return the clusters of a fit by size, their rows adjusted as the kind of sandwich asks."""
    given = fit._work.rows()
    own, residual = fit.solution.basis.rows(given.x), given.y - fit.solution.estimates(given.x)
    return stacks_of(own, residual, partial(cluster_covariance, fit), clusters, kind, model_vcov(fit))


def stacks_of(
    x: Array,
    residual: Array,
    covariance: Callable[[NDArray[np.intp]], Array],
    clusters: Clusters,
    kind: str,
    omega: Array,
) -> list[Stack]:
    """Return clusters by size; `covariance` gives V among rows (m, t), as (m, t, t), and Ω is (X'V⁻¹X)⁻¹."""
    sizes = np.array([len(rows) for rows in clusters.rows])
    out = []
    for t in np.unique(sizes):
        rows = np.array([clusters.rows[i] for i in np.flatnonzero(sizes == t)])
        own, total = x[rows], covariance(rows)
        adjusted = ADJUSTMENTS[kind](total, own, omega).transpose(0, 2, 1) @ np.linalg.solve(total, own)
        out.append(Stack(rows, adjusted, own, residual[rows], total, _alone(total, own, omega)))
    return out


def _alone(total: Array, x: Array, omega: Array) -> Array:
    """Return Ω(L⁻¹X)'n for the null directions n of I − L⁻¹XΩX'L⁻ᵀ of every cluster, (k, r)."""
    lower: Array = np.asarray(np.linalg.cholesky(total))
    values, vectors = _remaining(lower, x, omega)
    cluster, direction = np.nonzero(values <= ALONE)
    scaled = np.linalg.solve(lower, x)[cluster]
    return np.asarray(np.einsum("ktr,kt->kr", scaled, vectors[cluster, :, direction]) @ omega)


def cluster_covariance(fit: Fit, rows: NDArray[np.intp]) -> Array:
    """Return V among rows (..., t), as (..., t, t); levels without a known covariance are independent."""
    total = error_covariance(fit, rows)
    design, given = fit._work.own_model()
    terms = zip(design.random, given.random, fit._work.own_covariances(), strict=True)
    for term, own, sigmas in terms:
        codes, values = own.codes[rows], own.dense_values()[rows]
        scaled = np.einsum("...a,...ab->...b", values, sigmas[term.sets[codes]])
        if term.known is None:
            related = codes[..., :, None] == codes[..., None, :]
        else:
            related = term.known.dense()[codes[..., :, None], codes[..., None, :]]
        total = total + (scaled @ values.swapaxes(-1, -2)) * related
    return total


def _none(total: Array, x: Array, omega: Array) -> Array:
    return np.broadcast_to(np.eye(total.shape[-1]), total.shape)


def _jackknife(total: Array, x: Array, omega: Array) -> Array:
    """Return (I − H_ii)⁻¹ = L(I − L⁻¹XΩX'L⁻ᵀ)⁻¹L⁻¹ with V = LL'; directions of one cluster alone left out."""
    lower: Array = np.asarray(np.linalg.cholesky(total))
    values, vectors = _remaining(lower, x, omega)
    inverse = np.where(values > ALONE, 1.0 / np.maximum(values, ALONE), 0.0)
    middle = (vectors * inverse[:, None, :]) @ vectors.transpose(0, 2, 1)
    # L M L⁻¹ = (L⁻ᵀ M L')'
    return np.asarray(np.linalg.solve(lower.transpose(0, 2, 1), middle @ lower.transpose(0, 2, 1))).transpose(
        0, 2, 1
    )


def _unbiased(total: Array, x: Array, omega: Array) -> Array:
    """Return D'B^{-½}D with V = D'D and B = D(V − XΩX')D', directions of one cluster alone left out."""
    lower: Array = np.asarray(np.linalg.cholesky(total))
    upper = lower.transpose(0, 2, 1)
    alone = (_remaining(lower, x, omega)[0] <= ALONE).sum(axis=1)
    values, vectors = np.linalg.eigh(upper @ (total - x @ omega @ x.transpose(0, 2, 1)) @ lower)
    kept = np.arange(values.shape[1]) >= alone[:, None]
    root = np.where(kept, 1.0 / np.sqrt(np.where(kept, np.maximum(values, 1e-300), 1.0)), 0.0)
    return np.asarray(lower @ ((vectors * root[:, None, :]) @ vectors.transpose(0, 2, 1)) @ upper)


def _remaining(lower: Array, x: Array, omega: Array) -> tuple[Array, Array]:
    """Return eigenvalues (m, t), ascending, and eigenvectors of I − L⁻¹XΩX'L⁻ᵀ: 0 where X takes all."""
    scaled = np.linalg.solve(lower, x)
    left = np.eye(lower.shape[-1]) - scaled @ omega @ scaled.transpose(0, 2, 1)
    found = np.linalg.eigh(left)
    return found[0], found[1]


ADJUSTMENTS: Mapping[str, Callable[[Array, Array, Array], Array]] = {
    "CR0": _none,
    "CR1": _none,
    "CR2": _unbiased,
    "CR3": _jackknife,
    "mbn": _none,
}
"""A_i of each kind of sandwich, (m, t, t), from V_i, X_i and Ω."""


@dataclass(frozen=True, slots=True, eq=False)
class RobustMethod(DegreesOfFreedom):
    """A sandwich covariance of β̂ with the reference distributions of its tests.

    Parameters
    ----------
    covariance, omega
        The sandwich and the covariance of the model, (r, r), in own coordinates, as are the rows of `stacks`.
    stacks
        The clusters.
    note
        What tables say of it.
    other
        Method for degrees of freedom in place of the sandwich's own.

    Notes
    -----
    With a_i = A_i'V_i⁻¹X_iΩC' the contribution of cluster i to Cβ̂ is a_i'r_i, and under the model the
    covariance of contributions i and j is K_ij = δ_ij a_i'V_ia_i − a_i'X_iΩX_j'a_j. For one function the
    degrees of freedom are (ΣK_ii)²/ΣK_ij² (Bell and McCaffrey 2002). For q functions, scaled so that ΣK_ii =
    I, η = q(q + 1)/Σ_ij(tr²K_ij + tr K_ij²) and F = (η − q + 1)/(ηq)·Q has q and η − q + 1 degrees of freedom
    (Pustejovsky and Tipton 2018, approximate Hotelling T²).
    """

    name: ClassVar[str] = "robust"
    covariance: Array
    omega: Array
    stacks: tuple[Stack, ...]
    note: str
    other: DegreesOfFreedom | None = None

    def vcov(self, fit: Fit) -> Array:
        return self.covariance

    def known(self, functions: Array) -> NDArray[np.bool_]:
        """Return which functions (k, r), in own coordinates, have a variance: those that no cluster alone enters."""
        if not self.stacks:
            return np.ones(len(functions), dtype=bool)
        alone = np.concatenate([s.alone for s in self.stacks])
        if not len(alone):
            return np.ones(len(functions), dtype=bool)
        size = np.sqrt(np.einsum("ka,ab,kb->k", functions, self.omega, functions))
        return np.asarray(np.abs(functions @ alone.T).max(axis=1) <= 1e-5 * size)

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        own = fit.solution.basis.rows(functions)
        if self.other is not None:
            df = self.other.single(fit, functions)
        else:
            df = np.array([self._wishart(row[None])[0] for row in own])
        return np.where(self.known(own), df, np.nan)

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        own = fit.solution.basis.rows(functions)
        if not self.known(own).all() or _rank(own, self.covariance) < _rank(own, self.omega):
            # fewer clusters than functions leave the sandwich singular
            return float("nan"), float("nan")
        if self.other is not None:
            return self.other.joint(fit, functions)
        eta, q = self._wishart(own)
        left = eta - q + 1.0
        return (left / eta, left) if left > 0 else (float("nan"), float("nan"))

    def _wishart(self, functions: Array) -> tuple[float, int]:
        """Return η of the sandwich of some functions (k, r) of own coordinates and their rank."""
        pushed = self.omega @ functions.T
        own = [(s.weighted @ pushed, s) for s in self.stacks]
        inner = np.concatenate([s.x.transpose(0, 2, 1) @ a for a, s in own])
        diagonal = np.concatenate([a.transpose(0, 2, 1) @ s.total @ a for a, s in own])
        shared = np.linalg.cholesky(self.omega).T @ inner
        expected = diagonal.sum(axis=0) - np.einsum("mrs,mrt->st", shared, shared)
        values, directions = independent_directions(expected)
        if not len(values):
            return float("nan"), 0
        scale = directions.T / np.sqrt(values)
        shared, diagonal = shared @ scale, scale.T @ diagonal @ scale
        q = len(values)
        return q * (q + 1) / _spread(shared, diagonal), q


def _rank(functions: Array, covariance: Array) -> int:
    values = np.linalg.eigvalsh(functions @ covariance @ functions.T)
    return int((values > 1e-10 * max(float(values[-1]), 0.0)).sum())


def _spread(shared: Array, diagonal: Array) -> float:
    """Return Σ_ij(tr²K_ij + tr K_ij²), K_ij = δ_ij diagonal_i − shared_i'shared_j, in time linear in clusters."""
    sums = np.einsum("mas,mbt->asbt", shared, shared)
    among = float(np.sum(sums**2) + np.einsum("asbt,atbs->", sums, sums))
    apart = shared.transpose(0, 2, 1) @ shared
    return among + _squares(diagonal - apart) - _squares(apart)


def _squares(blocks: Array) -> float:
    """Return Σ_i(tr²K_i + tr K_i²) of symmetric blocks (m, q, q)."""
    return float(np.sum(np.einsum("mss->m", blocks) ** 2) + np.sum(blocks**2))
