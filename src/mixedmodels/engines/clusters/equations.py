"""The rows of a model by independent cluster with V factored, and what estimates at that V are known to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...blas import one_thread
from ...control import Control
from ...lazy import LazyModule
from ...terms.rows import Rows, TermRows
from ...typing import Array, Codes
from ..base import Covariances, Direction, Equations, Pieces, Score, Scores, SizeGroup, Solution, Target
from ..effects import prior_times
from ..layout import Layout
from ..targets import own_variance
from .algebra import Clusters, Directions
from .arrange import cluster_codes
from .random_rows import RandomRows, ScaledRows
from .rows import LARGE

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = LazyModule("scipy.sparse")

CHUNK = 4_000_000
"""Numbers at most in one stack of inverse matrices."""


class ClusterEquations(Equations):
    """The equations of independent clusters, each V_i small and dense, and their state at the V last factored."""

    exact_information: ClassVar[bool] = True
    whole_clusters: ClassVar[bool] = True
    takes_roots = False

    def __init__(
        self, layout: Layout, rows: Rows, control: Control, layouts: tuple[SizeGroup, ...] | None = None
    ) -> None:
        self.layout = layout
        self.rows = rows
        self.control = control
        self.by_row = layout.errors is not None and layout.errors.scaled
        self.clusters = Clusters(layout, rows, control, by_row=self.by_row, layouts=layouts)
        self.basis = self.clusters.standard.basis
        self.groups = self.clusters.layouts
        self.random_rows = RandomRows(layout, rows, self.groups)
        self._large = any(group.rows.shape[1] > LARGE for group in self.groups)
        self.holder = None
        self._factored: tuple[Covariances, ScaledRows] | None = None

    def factor(self, covariances: Covariances) -> Pieces:
        if not all(np.isfinite(r).all() for r in (*covariances.errors, *covariances.matrices())):
            raise ArithmeticError("V is not finite")
        z = self.random_rows.scaled(covariances.sd)
        if covariances.sd is not None:
            self.clusters.scale(covariances.sd)
        self._factored = (covariances, z)
        with self._threads():
            return self.clusters.factor(self._totals())

    def _threads(self) -> AbstractContextManager[object]:
        """Return where products are taken: of large clusters on one thread of BLAS."""
        return one_thread() if self._large else nullcontext()

    def _at(self) -> tuple[Covariances, ScaledRows]:
        if self._factored is None:
            raise RuntimeError("factor() has not been called")
        return self._factored

    def _totals(self) -> list[Array]:
        """Return V* of every class, one (C, t, t) per size group."""
        covariances, z = self._at()
        if not self.layout.terms:
            return list(covariances.errors)
        return [
            r + self.random_rows.covariance(g, z, covariances.matrices())
            for g, r in enumerate(covariances.errors)
        ]

    # -- derivatives -----------------------------------------------------------------------------------------

    def scores(self, reml: bool, *, errors: bool = True) -> Scores:
        with self._threads():
            found = self.clusters.scores(reml)
        by_cluster = tuple(self.clusters.gammas_by_cluster(reml)) if self.by_row else None
        traces, quadratics = self._folded([t for t, _ in found]), self._folded([q for _, q in found])
        return Scores(
            tuple(Score(t, q) for t, q in zip(traces, quadratics, strict=True)),
            tuple(trace - quadratic for trace, quadratic in found),
            by_cluster,
        )

    def traces(self, reml: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        by_class = [trace for trace, _ in self.clusters.scores(reml)]
        return self._folded(by_class), tuple(by_class)

    def _folded(self, by_class: Sequence[Array]) -> tuple[Array, ...]:
        z = self._at()[1]
        return tuple(self.random_rows.folded(z, k, by_class) for k in range(len(self.layout.terms)))

    def information(self, directions: Sequence[Direction]) -> Array:
        stacks, order = self._stacks(directions)
        with self._threads():
            return _in_order(self.clusters.average_information(stacks, len(directions)), order)

    def trace_products(self, directions: Sequence[Direction], reml: bool) -> Array:
        stacks, order = self._stacks(directions)
        with self._threads():
            return _in_order(self.clusters.expected_information(stacks, len(directions), reml), order)

    def fixed_information(self, directions: Sequence[Direction], weights: Array) -> tuple[Array, Array]:
        stacks, order = self._stacks(directions)
        with self._threads():
            found, q = self.clusters.fixed_information(stacks, len(directions), weights[np.ix_(order, order)])
        p = np.empty_like(found)
        p[order] = found
        return p, q

    def _stacks(self, directions: Sequence[Direction]) -> tuple[Directions, list[int]]:
        """Return size group ↦ directions by class, then those by cluster, and their order among `directions`."""
        by_class = [i for i, d in enumerate(directions) if d.rows is None]
        by_cluster = [i for i, d in enumerate(directions) if d.rows is not None]
        z = self._at()[1]

        def stacks(g: int) -> tuple[list[Array], list[Array]]:
            shared = [self._by_class(g, z, directions[i]) for i in by_class]
            classes, own = self.groups[g].class_of, []
            for i in by_cluster:
                rows = directions[i].rows
                assert rows is not None
                moved = rows(g)
                if directions[i].random or directions[i].errors is not None:
                    moved = moved + self._by_class(g, z, directions[i])[classes]
                own.append(moved)
            return shared, own

        return stacks, [*by_class, *by_cluster]

    def _by_class(self, g: int, z: ScaledRows, direction: Direction) -> Array:
        """Return what a direction says of every class of a size group, (C, t, t)."""
        total = None if direction.errors is None else direction.errors(g)
        for k, which, matrix in direction.random:
            own = self.random_rows.sandwich(g, z, k, which, matrix)
            total = own if total is None else total + own
        if total is None:
            c, t = len(self.groups[g].starts), self.groups[g].rows.shape[1]
            return np.zeros((c, t, t))
        return total

    def direction_gram(self, covariances: Covariances, directions: Sequence[Direction]) -> Array:
        z = self.random_rows.scaled(covariances.sd)
        gram = np.zeros((len(directions), len(directions)))
        for g, group in enumerate(self.groups):
            flat = []
            for direction in directions:
                own = self._by_class(g, z, direction)
                if self.by_row:
                    own = own[group.class_of]
                    own = own if direction.rows is None else own + direction.rows(g)
                flat.append(own.ravel())
            stacked = np.array(flat)
            gram += stacked @ stacked.T
        return gram

    # -- start -----------------------------------------------------------------------------------------------

    def start_moments(self) -> tuple[Array, Array]:
        raise TypeError("moment equations are those of independent errors; see response_squares")

    def response_squares(self) -> tuple[Array, ...]:
        return tuple(group.response_squares() for group in self.clusters.groups)

    def explained_squares(self, covariances: Covariances) -> tuple[Array, ...]:
        z = self.random_rows.scaled(covariances.sd)
        return tuple(
            self.random_rows.covariance(g, z, covariances.matrices()) * group.counts[:, None, None]
            for g, group in enumerate(self.groups)
        )

    # -- estimates -------------------------------------------------------------------------------------------

    def _effects(self) -> tuple[Array, ...]:
        """Return b̂ = ΣZ'V⁻¹(y − Xβ̂) of every term, each (q, p)."""
        if not self.layout.terms:
            return ()
        alpha = self.clusters.solved_rows()[0]
        out = []
        terms = zip(self.layout.terms, self.rows.random, self._at()[0].matrices(), strict=True)
        for term, rows, sigma in terms:
            sums = np.zeros((term.n_levels, term.n_columns))
            np.add.at(sums, rows.codes, rows.dense_values() * alpha[:, None])
            out.append(np.einsum("qab,qb->qa", sigma[term.sets], sums))
        return tuple(out)

    def solution(self) -> Solution:
        return Solution(self.clusters.beta, self.clusters.phi, self._effects(), self.clusters.standard.basis)

    # -- other right-hand sides, other rows --------------------------------------------------------------------

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        """Return Gg − GZ'V⁻¹ZGg of every term."""
        if not random:
            return ()
        matrices = self._at()[0].matrices()
        moved = _prior_times(self.layout, matrices, random)
        rows = self.linear_predictor(np.zeros((self.layout.rank, random[0].shape[2])), moved)
        taken = _prior_times(self.layout, matrices, self.adjoint(self._solved(rows))[1])
        return tuple(own - less for own, less in zip(moved, taken, strict=True))

    def _solved(self, rows: Array) -> Array:
        """Return V⁻¹b for rows b (n, k)."""
        scaled, out = self._scaled(rows), np.empty(rows.shape)
        for g, group in enumerate(self.groups):
            out[group.rows] = self._inverse(g)[group.class_of] @ scaled[group.rows]
        return self._scaled(out)

    def taken_by_fixed(self) -> tuple[Array, ...]:
        u = self.adjoint(self.clusters.solved_rows()[1])[1]
        return _prior_times(self.layout, self._at()[0].matrices(), u)

    def cross_fixed(self, directions: Sequence[Direction], r: Array) -> Array:
        stacks, order = self._stacks(directions)
        scale = self.unscale(np.arange(self.layout.n))
        u, rows = self.clusters.solved_rows()[1] / scale[:, None], r / scale
        out = np.zeros((len(directions), u.shape[1]))
        for g, group in enumerate(self.groups):
            by_class, by_cluster = stacks(g)
            own, side = u[group.rows], rows[group.rows][:, :, None]
            moved = [v[group.class_of] @ side for v in by_class] + [v @ side for v in by_cluster]
            for a, one in zip(order, moved, strict=True):
                out[a] += np.einsum("mtr,mt->r", own, one[:, :, 0])
        return out

    def with_rows(self, rows: Rows) -> ClusterEquations:
        renewed = self.layout.errors is not None and self.layout.errors.renewed
        # rows of equal covariance are no longer those they were where a variance follows the fitted mean
        same = not renewed and rows.weights is self.rows.weights
        return ClusterEquations(self.layout, rows, self.control, self.groups if same else None)

    # -- uncertainty -----------------------------------------------------------------------------------------

    def conditional_covariance(self, term: int) -> Array:
        chosen, sigma = self.layout.terms[term], self._at()[0].matrices()[term]
        own_rows, p = self.rows.random[term], chosen.n_columns
        z = own_rows.dense_values()
        inner = np.zeros((chosen.n_levels, p, p))
        for g, group in enumerate(self.groups):
            same = self.random_rows.parts[g].same_level[term]
            weight = (self._inverse(g) * same)[group.class_of]
            own = self._scaled(z)[group.rows]
            np.add.at(inner, own_rows.codes[group.rows], own[..., :, None] * (weight @ own)[..., None, :])
        u = self.clusters.solved_rows()[1]
        cross = np.zeros((chosen.n_levels, p, u.shape[1]))
        np.add.at(cross, own_rows.codes, z[:, :, None] * u[:, None, :])
        inner -= cross @ self.clusters.phi @ cross.transpose(0, 2, 1)
        own_sigma = sigma[chosen.sets]
        return np.asarray(own_sigma - own_sigma @ inner @ own_sigma)

    def joint_covariance(self, term: int) -> Array:
        chosen, sigma = self.layout.terms[term], self._at()[0].matrices()[term]
        q, p, n = chosen.n_levels, chosen.n_columns, self.layout.n
        own = self.rows.random[term]
        rows, columns = np.repeat(np.arange(n), p), (own.codes[:, None] * p + np.arange(p)).ravel()
        z = sparse.csr_array((own.dense_values().ravel(), (rows, columns)), shape=(n, q * p))
        g = sparse.block_diag(list(sigma[chosen.sets]), format="csr")
        zg = z @ g
        u = self.clusters.solved_rows()[1]
        half = np.asarray(zg.T @ u)
        inner = np.asarray((zg.T @ self._inverse_matrix() @ zg).toarray())
        return np.asarray(g.toarray() - inner + half @ self.clusters.phi @ half.T)

    def conditional_residual_variances(self) -> Array:
        out = np.empty(self.layout.n)
        scale = self.unscale(np.arange(self.layout.n))
        u = self.clusters.solved_rows()[1] / scale[:, None]
        for g, (group, r) in enumerate(zip(self.groups, self._at()[0].errors, strict=True)):
            own = np.einsum("cij,cjk,cki->ci", r, self._inverse(g), r)[group.class_of]
            moved = r[group.class_of] @ u[group.rows]
            out[group.rows] = own - np.einsum("mix,xz,miz->mi", moved, self.clusters.phi, moved)
        return np.asarray(out / scale**2)

    def leverages(self, *, fixed: bool = False) -> Array:
        if fixed:
            codes = [term.codes for term in self.rows.random]
            values = [term.values for term in self.rows.random]
            return self.prediction_variance(np.ascontiguousarray(self.rows.x), codes, values)
        out = np.zeros(self.layout.n)
        if not self.layout.terms:
            return out
        covariances, z = self._at()
        for g, group in enumerate(self.groups):
            v = self.random_rows.covariance(g, z, covariances.matrices())
            left = v - v @ self._inverse(g) @ v
            out[group.rows] = np.einsum("cii->ci", left)[group.class_of]
        return np.asarray(out / self.unscale(np.arange(self.layout.n)) ** 2)

    def whitened_residuals(self) -> Array:
        out = np.empty(self.layout.n)
        values = self._scaled(self.clusters.standard.residuals(self.clusters.beta)[:, None])[:, 0]
        for group, v in zip(self.groups, self._totals(), strict=True):
            factor = np.linalg.cholesky(v)[group.class_of]
            out[group.rows] = np.linalg.solve(factor, values[group.rows][:, :, None])[:, :, 0]
        return out

    def draw(self, rng: np.random.Generator) -> Array:
        out = np.empty(self.layout.n)
        for group, v in zip(self.groups, self._totals(), strict=True):
            factor = np.linalg.cholesky(v)[group.class_of]
            standard = rng.standard_normal(group.rows.shape)
            out[group.rows] = (factor @ standard[:, :, None])[:, :, 0]
        return np.asarray(out / self.unscale(np.arange(self.layout.n)))

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        return self.predict(Target(x, codes, values))[1]

    def predict(self, target: Target) -> tuple[Array, Array]:
        n = len(target)
        variance, shift = own_variance(self.layout, self._at()[0].matrices(), target), np.zeros(n)
        alpha, u = self.clusters.solved_rows()
        slopes = (
            np.zeros((n, u.shape[1])) if target.x is None else self.clusters.standard.basis.rows(target.x)
        )
        for g, targets, clusters in self._pairs(target, n):
            layout = self.groups[g]
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
        home = cluster_codes(self.layout, self.rows)
        for term, own, codes in zip(self.layout.terms, self.rows.random, target.codes, strict=True):
            if codes is not None:
                of_level = np.zeros(term.n_levels, dtype=np.intp)
                of_level[own.codes] = home
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
        for g in range(len(self.groups)):
            own = distinct[groups == g]
            if len(own):
                found.append((g, own[:, 0], place_of[own[:, 1]]))
        return found

    def _cluster_places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return for every independent cluster its size group and its place there."""
        home = cluster_codes(self.layout, self.rows)
        size = int(home.max()) + 1
        group_of, place_of = np.zeros(size, dtype=np.intp), np.zeros(size, dtype=np.intp)
        for g, group in enumerate(self.groups):
            own = home[group.rows[:, 0]]
            group_of[own], place_of[own] = g, np.arange(len(own))
        return group_of, place_of

    def _covariances(self, target: Target, own: NDArray[np.intp], rows: NDArray[np.intp]) -> Array:
        """Return v of some targets with the rows of one cluster each, (m, t)."""
        v = np.zeros(rows.shape)
        terms = zip(self.layout.terms, self.rows.random, self._at()[0].matrices(), strict=True)
        for (term, given, sigma), codes, values in zip(terms, target.codes, target.values, strict=True):
            if codes is None:
                continue
            same = given.codes[rows] == codes[own][:, None]
            v += same * _effect_covariances(
                sigma[term.sets[np.maximum(codes[own], 0)]],
                given,
                rows,
                None if values is None else values[own],
            )
        if target.error is not None and target.cluster is not None:
            related = target.cluster[own] >= 0
            if related.any():
                v[related] += target.error.between(own[related], rows[related])
        return v

    def unscale(self, rows: NDArray[np.intp]) -> Array:
        """Return 1/s of some rows."""
        weights, sd = self.rows.weights, self._at()[0].sd
        out = np.ones(rows.shape) if weights is None else np.sqrt(weights[rows])
        return out if sd is None else out / sd[rows]

    def _scaled(self, values: Array) -> Array:
        """Return rows divided by their standard deviations s, (n, k)."""
        return values * self.unscale(np.arange(self.layout.n))[:, None]

    def _inverse(self, g: int) -> Array:
        """Return V*⁻¹ of every class of a size group, (C, t, t)."""
        return self.clusters.groups[g].inverse

    def _inverse_matrix(self) -> sparse.csr_array:
        """Return V⁻¹, block diagonal, (n, n)."""
        n = self.layout.n
        total = sparse.csr_array((n, n))
        for g, group in enumerate(self.groups):
            rows = group.rows
            scale = self.unscale(rows)
            blocks = self._inverse(g)[group.class_of] * scale[:, :, None] * scale[:, None, :]
            i = np.broadcast_to(rows[:, :, None], blocks.shape).ravel()
            j = np.broadcast_to(rows[:, None, :], blocks.shape).ravel()
            total = total + sparse.csr_array((blocks.ravel(), (i, j)), shape=(n, n))
        return total


def _prior_times(layout: Layout, matrices: Sequence[Array], random: Sequence[Array]) -> tuple[Array, ...]:
    """Return Gb for b of every term, (q, p, k)."""
    return tuple(prior_times(*one) for one in zip(layout.terms, matrices, random, strict=True))


def _effect_covariances(sigma: Array, given: TermRows, rows: NDArray[np.intp], values: Array | None) -> Array:
    """Return z_r'Σz of rows (m, t) with targets of values (m, p), as if of one level, Σ by target (m, p, p)."""
    z = np.ones((len(rows), 1)) if values is None else values
    moved = np.einsum("nab,nb->na", sigma, z)
    if given.values is None:
        return np.broadcast_to(moved[:, :1], rows.shape)
    return np.asarray(np.einsum("nta,na->nt", given.values[rows], moved))


def _in_order(found: Array, order: list[int]) -> Array:
    """Return a matrix (k, k) whose rows and columns stand in `order` in their own order."""
    out = np.empty_like(found)
    out[np.ix_(order, order)] = found
    return out
