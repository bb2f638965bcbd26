"""The rows of a design by independent cluster with V factored, and what estimates at that V are known to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..lazy import LazyModule
from ..terms.design import Design, RandomTerm
from ..typing import Array, Codes
from .base import Pieces, Solution
from .cluster_algebra import Clusters, Directions
from .clusters import SizeGroup, cluster_codes
from .marginal import At, Gammas, MarginalModel
from .structured import StructuredSystem, Target

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = LazyModule("scipy.sparse")

CHUNK = 4_000_000
"""Numbers at most in one stack of inverse matrices."""


class MarginalSystem(StructuredSystem):
    """Independent clusters, the model of their covariance, and the state at the last θ."""

    exact_information: ClassVar[bool] = True

    def __init__(
        self, design: Design, control: Control, layouts: tuple[SizeGroup, ...] | None = None
    ) -> None:
        self.design = design
        self.control = control
        by_row = design.residual is not None and bool(design.residual.variance)
        self.clusters = Clusters(design, control, by_row=by_row, layouts=layouts)
        self.model = MarginalModel(design, self.clusters.layouts)
        self.holder: object | None = None
        self._at: At | None = None
        self._scores: list[tuple[Array, Array]] | None = None

    def new_response(self, y: Array) -> MarginalSystem:
        """Return a system for another response that shares the arrangement of rows."""
        return self.with_design(replace(self.design, y=y))

    def with_design(self, design: Design) -> MarginalSystem:
        fitted = design.residual is not None and any(term.fitted for term in design.residual.variance)
        # rows of equal covariance are no longer those they were where a variance follows the fitted mean
        return MarginalSystem(design, self.control, None if fitted else self.clusters.layouts)

    def factor(self, at: At) -> Pieces:
        covariances = self.model.covariances(at)
        if not all(np.isfinite(v).all() for v in covariances):
            raise ArithmeticError("V is not finite")
        if len(at.relative_sd):
            self.clusters.scale(at.relative_sd)
        self._at, self._scores = at, None
        return self.clusters.factor(covariances)

    def at(self) -> At:
        """Return where V was factored last."""
        if self._at is None:
            raise RuntimeError("factor() has not been called")
        return self._at

    # -- derivatives -----------------------------------------------------------------------------------------

    def gammas(self, reml: bool) -> Gammas:
        self._scores = scores = self.clusters.scores(reml)
        by_class = [trace - quadratic for trace, quadratic in scores]
        by_cluster = self.clusters.gammas_by_cluster(reml) if self.model.by_row else None
        return Gammas(by_class, by_cluster, self._on_blocks(by_class))

    def random_traces(self, reml: bool) -> list[Array]:
        scores = self.clusters.scores(reml) if self._scores is None else self._scores
        return self._on_blocks([trace for trace, _ in scores])

    def _on_blocks(self, matrices: list[Array]) -> list[Array]:
        return [self.model.random_gamma(self.at(), block, matrices) for block in self.model.random_blocks]

    def average_information(self) -> Array:
        return self.clusters.average_information(self._directions(), self.model.n_theta)

    def expected_information(self, reml: bool) -> Array:
        return self.clusters.expected_information(self._directions(), self.model.n_theta, reml)

    def fixed_information(self, weights: Array) -> tuple[Array, Array]:
        return self.clusters.fixed_information(self._directions(), self.model.n_theta, weights)

    def bent_slope(self, weights: Array, slopes: Array) -> Array:
        return np.asarray(-self.clusters.slopes(self._bent(weights, slopes), 1)[0])

    def bend_traces(self, weights: Array, slopes: Array) -> Array:
        bend, own = self._bent(weights, slopes), self._directions()

        def directions(g: int) -> tuple[list[Array], list[Array]]:
            by_class, by_cluster = own(g)
            extra_class, extra_cluster = bend(g)
            return [*extra_class, *by_class], [*extra_cluster, *by_cluster]

        # by row V̈ comes after the directions by class, otherwise it is the first
        place = self.model.n_structural if self.model.by_row else 0
        found = self.clusters.expected_information(directions, self.model.n_theta + 1, True)[place]
        return np.delete(found, place)

    def _directions(self) -> Directions:
        at = self.at()
        return lambda g: (self.model.directions(at, g), self.model.row_directions(at, g))

    def _bent(self, weights: Array, slopes: Array) -> Directions:
        """Return Σ_ij w_ij V_ij − Σ_i v_iV_i as one direction."""
        at = self.at()

        def direction(g: int) -> tuple[list[Array], list[Array]]:
            bend = self.model.bend(at, g, weights)
            for one, v in zip(self.model.directions(at, g), slopes, strict=False):
                bend = bend - v * one
            extra = self.model.row_bend(at, g, weights, slopes)
            if extra is None:
                return [bend], []
            return [], [bend[self.model.parts[g].layout.class_of] + extra]

        return direction

    def direction_gram(self, at: At) -> Array:
        gram = np.zeros((self.model.n_theta, self.model.n_theta))
        for g, part in enumerate(self.model.parts):
            by_class = [d.ravel() for d in self.model.directions(at, g)]
            if not self.model.by_row:
                flat = np.array(by_class)
            else:
                classes, shape = part.layout.class_of, (len(part.rows), -1)
                spread = [d.reshape(shape)[classes].ravel() for d in by_class]
                flat = np.array([*spread, *(d.ravel() for d in self.model.row_directions(at, g))])
            gram += flat @ flat.T
        return gram

    def response_squares(self) -> list[Array]:
        return [group.response_squares() for group in self.clusters.groups]

    def explained_squares(self, at: At) -> list[Array]:
        explained = self.model.random_covariances(at)
        return [
            v * part.layout.counts[:, None, None] for v, part in zip(explained, self.model.parts, strict=True)
        ]

    # -- estimates -------------------------------------------------------------------------------------------

    def effects(self, matrices: Sequence[Array]) -> tuple[Array, ...]:
        """Return b̂ = ΣZ'V⁻¹(y − Xβ̂) of every term, each (q, p)."""
        if not self.design.random:
            return ()
        alpha = self.clusters.solved_rows()[0]
        out = []
        for term, sigma in zip(self.design.random, matrices, strict=True):
            sums = np.zeros((term.n_levels, term.n_columns))
            np.add.at(sums, term.codes, term.dense_values() * alpha[:, None])
            out.append(np.einsum("qab,qb->qa", sigma[term.sets], sums))
        return tuple(out)

    def solution(self) -> Solution:
        random = self.effects(self.matrices())
        return Solution(self.clusters.beta, self.clusters.phi / self.sigma2(), random)

    # -- uncertainty -----------------------------------------------------------------------------------------

    def conditional_covariance(self, term: int) -> Array:
        chosen, sigma = self.design.random[term], self.matrices()[term]
        z, p = chosen.dense_values(), chosen.n_columns
        inner = np.zeros((chosen.n_levels, p, p))
        for g, part in enumerate(self.model.parts):
            weight = (self._inverse(g) * part.same_level[term])[part.layout.class_of]
            own = self._scaled(z)[part.layout.rows]
            np.add.at(inner, chosen.codes[part.layout.rows], own[..., :, None] * (weight @ own)[..., None, :])
        u = self.clusters.solved_rows()[1]
        cross = np.zeros((chosen.n_levels, p, u.shape[1]))
        np.add.at(cross, chosen.codes, z[:, :, None] * u[:, None, :])
        inner -= cross @ self.clusters.phi @ cross.transpose(0, 2, 1)
        own_sigma = sigma[chosen.sets]
        return np.asarray((own_sigma - own_sigma @ inner @ own_sigma) / self.sigma2())

    def joint_covariance(self, term: int) -> Array:
        chosen, sigma = self.design.random[term], self.matrices()[term]
        q, p, n = chosen.n_levels, chosen.n_columns, self.design.n
        rows, columns = np.repeat(np.arange(n), p), (chosen.codes[:, None] * p + np.arange(p)).ravel()
        z = sparse.csr_array((chosen.dense_values().ravel(), (rows, columns)), shape=(n, q * p))
        g = sparse.block_diag(list(sigma[chosen.sets]), format="csr")
        zg = z @ g
        u = self.clusters.solved_rows()[1]
        half = np.asarray(zg.T @ u)
        inner = np.asarray((zg.T @ self._inverse_matrix() @ zg).toarray())
        return np.asarray((g.toarray() - inner + half @ self.clusters.phi @ half.T) / self.sigma2())

    def conditional_residual_variances(self) -> Array:
        """Return the diagonal of RPR, the variances of y − Xβ̂ − Zb̂, (n,)."""
        out = np.empty(self.design.n)
        for g, (part, r) in enumerate(
            zip(self.model.parts, self.model.residuals(self.at().theta), strict=True)
        ):
            classes, rows = part.layout.class_of, part.layout.rows
            out[rows] = np.einsum("cij,cjk,cki->ci", r, self._inverse(g), r)[classes]
        scale = self.unscale(np.arange(self.design.n))
        u = self.clusters.solved_rows()[1] / scale[:, None]
        for part, r in zip(self.model.parts, self.model.residuals(self.at().theta), strict=True):
            own = r[part.layout.class_of] @ u[part.layout.rows]
            out[part.layout.rows] -= np.einsum("mix,xz,miz->mi", own, self.clusters.phi, own)
        return np.asarray(out / scale**2)

    def whitened_residuals(self) -> Array:
        """Return L⁻¹(y − Xβ̂), (n,), V = LL' with rows in the order of their clusters."""
        out = np.empty(self.design.n)
        values = self._scaled((self.design.y - self.design.x @ self.clusters.beta)[:, None])[:, 0]
        for part, v in zip(self.model.parts, self.model.covariances(self.at()), strict=True):
            factor = np.linalg.cholesky(v)[part.layout.class_of]
            out[part.layout.rows] = np.linalg.solve(factor, values[part.layout.rows][:, :, None])[:, :, 0]
        return out

    def draw(self, rng: np.random.Generator) -> Array:
        """Return one draw from N(0, V), (n,)."""
        out = np.empty(self.design.n)
        for part, v in zip(self.model.parts, self.model.covariances(self.at()), strict=True):
            factor = np.linalg.cholesky(v)[part.layout.class_of]
            standard = rng.standard_normal(part.layout.rows.shape)
            out[part.layout.rows] = (factor @ standard[:, :, None])[:, :, 0]
        return np.asarray(out / self.unscale(np.arange(self.design.n)))

    def predict(self, target: Target) -> tuple[Array, Array]:
        """Return v'V⁻¹(y − Xβ̂), (n,), and the variance of the prediction error, (n,), of each target."""
        n = len(target)
        variance, shift = self.own_variance(target), np.zeros(n)
        alpha, u = self.clusters.solved_rows()
        slopes = np.zeros((n, u.shape[1])) if target.x is None else np.array(target.x, dtype=float)
        for g, targets, clusters in self._pairs(target, n):
            layout = self.model.parts[g].layout
            t = layout.rows.shape[1]
            step = max(1, CHUNK // (t * t))
            for first in range(0, len(targets), step):
                own, cluster = targets[first : first + step], clusters[first : first + step]
                rows = layout.rows[cluster]
                v = self._covariances(target, own, rows)
                scaled = v * self.unscale(rows)
                solved = (self._inverse(g)[layout.class_of[cluster]] @ scaled[:, :, None])[:, :, 0]
                np.add.at(variance, own, -np.einsum("nt,nt->n", scaled, solved))
                np.add.at(shift, own, np.einsum("nt,nt->n", v, alpha[rows]))
                np.add.at(slopes, own, -np.einsum("nt,ntx->nx", v, u[rows]))
        variance += np.einsum("nx,xz,nz->n", slopes, self.clusters.phi, slopes)
        return shift, variance

    def _pairs(self, target: Target, n: int) -> list[tuple[int, NDArray[np.intp], NDArray[np.intp]]]:
        """Return per size group the targets and the clusters, of its own, that they are correlated with."""
        group_of, place_of = self._cluster_places()
        pairs: list[NDArray[np.intp]] = []
        home = cluster_codes(self.design)
        for term, codes in zip(self.design.random, target.codes, strict=True):
            if codes is not None:
                of_level = np.zeros(term.n_levels, dtype=np.intp)
                of_level[term.codes] = home
                known = np.flatnonzero(codes >= 0)
                pairs.append(np.column_stack([known, of_level[codes[known]]]))
        if target.cluster is not None:
            known = np.flatnonzero(target.cluster >= 0)
            pairs.append(np.column_stack([known, home[target.cluster[known]]]))
        if not pairs:
            return []
        distinct = np.unique(np.concatenate(pairs), axis=0)
        groups = group_of[distinct[:, 1]]
        found = []
        for g in range(len(self.model.parts)):
            own = distinct[groups == g]
            if len(own):
                found.append((g, own[:, 0], place_of[own[:, 1]]))
        return found

    def _cluster_places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return for every independent cluster its size group and its place there."""
        home = cluster_codes(self.design)
        size = int(home.max()) + 1
        group_of, place_of = np.zeros(size, dtype=np.intp), np.zeros(size, dtype=np.intp)
        for g, part in enumerate(self.model.parts):
            own = home[part.layout.rows[:, 0]]
            group_of[own], place_of[own] = g, np.arange(len(own))
        return group_of, place_of

    def _covariances(self, target: Target, own: NDArray[np.intp], rows: NDArray[np.intp]) -> Array:
        """Return v of some targets with the rows of one cluster each, (m, t)."""
        v = np.zeros(rows.shape)
        parts = zip(self.design.random, self.matrices(), target.codes, target.values, strict=True)
        for term, sigma, codes, values in parts:
            if codes is None:
                continue
            same = term.codes[rows] == codes[own][:, None]
            v += same * _effect_covariances(
                term, sigma, rows, None if values is None else values[own], codes[own]
            )
        if target.error is not None and target.cluster is not None:
            related = target.cluster[own] >= 0
            if related.any():
                v[related] += target.error.between(own[related], rows[related])
        return v

    def _scaled(self, values: Array) -> Array:
        """Return rows divided by their standard deviations s, (n, k)."""
        return values * self.unscale(np.arange(self.design.n))[:, None]

    def _inverse(self, g: int) -> Array:
        """Return V*⁻¹ of every class of a size group, (C, t, t)."""
        return self.clusters.groups[g].inverse

    def _inverse_matrix(self) -> sparse.csr_array:
        """Return V⁻¹, block diagonal, (n, n)."""
        n = self.design.n
        total = sparse.csr_array((n, n))
        for g, part in enumerate(self.model.parts):
            rows = part.layout.rows
            scale = self.unscale(rows)
            blocks = self._inverse(g)[part.layout.class_of] * scale[:, :, None] * scale[:, None, :]
            i = np.broadcast_to(rows[:, :, None], blocks.shape).ravel()
            j = np.broadcast_to(rows[:, None, :], blocks.shape).ravel()
            total = total + sparse.csr_array((blocks.ravel(), (i, j)), shape=(n, n))
        return total


def _effect_covariances(
    term: RandomTerm, sigma: Array, rows: NDArray[np.intp], values: Array | None, codes: Codes
) -> Array:
    """Return z_r'Σz of rows (m, t) with targets of values (m, p), as if of one level."""
    own = sigma[term.sets[np.maximum(codes, 0)]]
    z = np.ones((len(rows), 1)) if values is None else values
    moved = np.einsum("nab,nb->na", own, z)
    if term.values is None:
        return np.broadcast_to(moved[:, :1], rows.shape)
    return np.asarray(np.einsum("nta,na->nt", term.values[rows], moved))
