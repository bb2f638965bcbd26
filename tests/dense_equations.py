"""The oracle: every verb of `Equations` by its definition, in dense algebra on V (n, n).

Nothing here is clever, which is the point: V is formed and inverted, and each answer is what the protocol says it is.
It is also an engine of its own, for the test that an engine is one class and one line in `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from scipy import linalg

from dense_algebra import level_covariance, random_covariance, term_matrix
from mixedmodels.control import Control
from mixedmodels.engines.base import (
    Covariances,
    Direction,
    Engine,
    Equations,
    Pieces,
    Score,
    Scores,
    SizeGroup,
    Solution,
    Target,
)
from mixedmodels.engines.coordinates import FixedBasis
from mixedmodels.engines.layout import Layout, TermLayout
from mixedmodels.terms.rows import Rows
from mixedmodels.typing import Array, Codes
from models import Model


class DenseEquations(Equations):
    """The mixed-model equations of a small model by dense algebra.

    `groups` are those of the equations that it is held against; without them errors are taken by residual cluster.
    """

    takes_roots = False

    exact_information: ClassVar[bool] = True
    indefinite: ClassVar[bool] = True
    diagonal: ClassVar[bool] = True

    def __init__(
        self,
        layout: Layout,
        rows: Rows,
        groups: tuple[SizeGroup, ...] | None = None,
        homogeneous: bool | None = None,
    ) -> None:
        self.layout, self.rows = layout, rows
        self.homogeneous = layout.errors is None if homogeneous is None else homogeneous  # type: ignore[misc]
        self.groups = own_groups(layout, rows) if groups is None else groups
        self.holder = None
        self.evaluations = 0
        self.x = np.asarray(rows.x, dtype=float)
        self.z = [term_matrix(term, own) for term, own in zip(layout.terms, rows.random, strict=True)]
        weights = np.ones(layout.n) if rows.weights is None else rows.weights
        self.weight_sd = 1 / np.sqrt(np.abs(weights))
        self.signs = np.sign(weights)

    @classmethod
    def of(
        cls, model: Model, groups: tuple[SizeGroup, ...] | None = None, homogeneous: bool | None = None
    ) -> DenseEquations:
        """Return the equations of a model."""
        return cls(model.layout, model.rows, groups, homogeneous)

    # -- V ---------------------------------------------------------------------------------------------------

    def spread(self, stacks: Sequence[Array], *, by_cluster: bool = False) -> Array:
        """Return matrices by class (C, t, t), or by cluster (m, t, t), of every size group as one, (n, n)."""
        if self.homogeneous:
            return np.diag(stacks[0].item() * self.signs)
        out = np.zeros((self.layout.n, self.layout.n))
        for group, stack in zip(self.groups, stacks, strict=True):
            out[group.rows[:, :, None], group.rows[:, None, :]] = (
                stack if by_cluster else stack[group.class_of]
            )
        return out

    def collect(self, matrix: Array, *, by_cluster: bool = False) -> tuple[Array, ...]:
        """Return the diagonal blocks of a matrix (n, n) summed over the clusters of every class, (C, t, t)."""
        if self.homogeneous:
            return (np.full((1, 1, 1), matrix.diagonal() @ self.signs),)
        out = []
        for group in self.groups:
            own = matrix[group.rows[:, :, None], group.rows[:, None, :]]
            out.append(own if by_cluster else np.add.reduceat(own, group.starts, axis=0))
        return tuple(out)

    def row_sd(self, covariances: Covariances) -> Array:
        """Return S, the standard deviations that rows are divided by, (n,)."""
        return self.weight_sd if covariances.sd is None else self.weight_sd * covariances.sd

    def effect_covariance(self, matrices: Sequence[Array]) -> Array:
        """Return ZGZ' for Σ of every term, (n, n)."""
        out = np.zeros((self.layout.n, self.layout.n))
        for term, z, sigma in zip(self.layout.terms, self.z, matrices, strict=True):
            out += z @ random_covariance(term, sigma) @ z.T
        return out

    def covariance(self, covariances: Covariances) -> Array:
        """Return V, (n, n)."""
        s = self.row_sd(covariances)
        return self.effect_covariance(covariances.matrices()) + self.spread(covariances.errors) * np.outer(
            s, s
        )

    def derivative(self, direction: Direction, s: Array) -> Array:
        """Return V̇ along a direction, (n, n), for rows of standard deviations s."""
        groups = range(len(self.groups))
        out = np.zeros((self.layout.n, self.layout.n))
        for k, place, matrix in direction.random:
            term, z = self.layout.terms[k], self.z[k]
            matrices = np.zeros((term.n_sets, term.n_columns, term.n_columns))
            matrices[place] = matrix
            out += z @ random_covariance(term, matrices) @ z.T
        if direction.errors is not None:
            out += self.spread([direction.errors(g) for g in groups]) * np.outer(s, s)
        if direction.rows is not None:
            out += self.spread([direction.rows(g) for g in groups], by_cluster=True) * np.outer(s, s)
        return out

    # -- criterion -------------------------------------------------------------------------------------------

    def factor(self, covariances: Covariances) -> Pieces:
        self.evaluations += 1
        return self._take(covariances)

    def _take(self, covariances: Covariances) -> Pieces:
        self.given, self.s = covariances, self.row_sd(covariances)
        self.r = self.spread(covariances.errors) * np.outer(self.s, self.s)
        self.g = [
            random_covariance(*one) for one in zip(self.layout.terms, covariances.matrices(), strict=True)
        ]
        v = self.covariance(covariances)
        if not np.isfinite(v).all():
            raise np.linalg.LinAlgError("V is not finite")
        self.v_inverse, logdet = self._invert(v)
        x, y = self.x, self.rows.y
        vx = self.v_inverse @ x
        xvx = x.T @ vx
        self.phi = linalg.cho_solve((np.linalg.cholesky(xvx), True), np.eye(len(xvx))) if len(xvx) else xvx
        self.p = self.v_inverse - vx @ self.phi @ vx.T
        self.beta = self.phi @ (vx.T @ y)
        residual = y - x @ self.beta
        self.py = self.v_inverse @ residual
        sd = 0.0 if covariances.sd is None else 2 * float(np.log(covariances.sd).sum())
        logdet_x = float(np.linalg.slogdet(xvx)[1]) if len(xvx) else 0.0
        return Pieces(logdet - sd, logdet_x, float(residual @ self.py))

    def _invert(self, v: Array) -> tuple[Array, float]:
        """Return V⁻¹ and log|det V|; with negative weights it is the mixed-model equations that must be positive
        definite, not V."""
        if (self.signs > 0).all():
            chol = np.linalg.cholesky(v)
            return linalg.cho_solve((chol, True), np.eye(len(v))), 2 * float(np.log(np.diag(chol)).sum())
        if self.z:
            values, vectors = np.linalg.eigh(linalg.block_diag(*self.g))
            half = np.hstack(self.z) @ (vectors * np.sqrt(np.maximum(values, 0.0)))
            np.linalg.cholesky(half.T @ np.linalg.solve(self.r, half) + np.eye(half.shape[1]))
        inverse = np.linalg.inv(v)
        return 0.5 * (inverse + inverse.T), float(np.linalg.slogdet(v)[1])

    def rescale(self, factor: float) -> None:
        given = self.given
        roots = None if given.roots is None else tuple(np.sqrt(factor) * root for root in given.roots)
        random, errors = (tuple(factor * one for one in part) for part in (given.matrices(), given.errors))
        self._take(Covariances(random, roots, errors, given.sd))

    # -- derivatives -----------------------------------------------------------------------------------------

    def _middle(self, reml: bool) -> Array:
        return self.p if reml else self.v_inverse

    def scores(self, reml: bool, *, errors: bool = True) -> Scores:
        square = np.outer(self.py, self.py)
        random = tuple(
            Score(self._by_set(term, z.T @ self._middle(reml) @ z), self._by_set(term, z.T @ square @ z))
            for term, z in zip(self.layout.terms, self.z, strict=True)
        )
        gamma = (self._middle(reml) - square) * np.outer(self.s, self.s)
        clusters = None if self.homogeneous else self.collect(gamma, by_cluster=True)
        return Scores(random, self.collect(gamma), clusters)

    def traces(self, reml: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        errors = self.collect(self._middle(reml) * np.outer(self.s, self.s))
        return tuple(score.trace for score in self.scores(reml).random), errors

    def _by_set(self, term: TermLayout, inner: Array) -> Array:
        """Return Σ_jl K_jl inner_jl over the levels of each set, (sets, p, p)."""
        q, p = term.n_levels, term.n_columns
        blocks, k = inner.reshape(q, p, q, p), level_covariance(term)
        own = [k * np.outer(term.sets == s, term.sets == s) for s in range(term.n_sets)]
        return np.array([np.einsum("jl,jalb->ab", chosen, blocks) for chosen in own])

    def information(self, directions: Sequence[Direction]) -> Array:
        f = np.array([self.derivative(d, self.s) @ self.py for d in directions]).reshape(-1, self.layout.n)
        return f @ self.p @ f.T

    def trace_products(self, directions: Sequence[Direction], reml: bool) -> Array:
        moved = [self._middle(reml) @ self.derivative(d, self.s) for d in directions]
        return np.array([[np.sum(a * b.T) for b in moved] for a in moved])

    def fixed_information(self, directions: Sequence[Direction], weights: Array) -> tuple[Array, Array]:
        u, r = self.v_inverse @ self.x, self.x.shape[1]
        moved = [self.derivative(d, self.s) @ u for d in directions]
        p = np.array([-u.T @ one for one in moved]).reshape(len(moved), r, r)
        q = np.zeros((r, r))
        for a, first in enumerate(moved):
            for b, second in enumerate(moved):
                q += weights[a, b] * first.T @ self.v_inverse @ second
        return p, q

    # -- estimates -------------------------------------------------------------------------------------------

    def solution(self) -> Solution:
        random = tuple(
            (g @ z.T @ self.py).reshape(term.n_levels, term.n_columns)
            for term, z, g in zip(self.layout.terms, self.z, self.g, strict=True)
        )
        return Solution(self.beta, self.phi, random, FixedBasis.identity(self.x.shape[1]))

    def _joint(self) -> Array:
        """Return var(β̂ − β, b̂ − b) of everything, (rank + Σ q·p) squared."""
        if not self.z:
            return self.phi
        g = linalg.block_diag(*self.g)
        gz = g @ np.hstack(self.z).T
        cross = -gz @ self.v_inverse @ self.x @ self.phi
        return np.block([[self.phi, cross.T], [cross, g - gz @ self.p @ gz.T]])

    def joint_covariance(self, term: int) -> Array:
        offsets = np.cumsum([self.x.shape[1], *(z.shape[1] for z in self.z)])
        inside = slice(offsets[term], offsets[term + 1])
        return self._joint()[inside, inside]

    def conditional_covariance(self, term: int) -> Array:
        q, p = self.layout.terms[term].n_levels, self.layout.terms[term].n_columns
        blocks = self.joint_covariance(term).reshape(q, p, q, p)
        return np.array([blocks[j, :, j, :] for j in range(q)]).reshape(q, p, p)

    def _effects_of(
        self, n: int, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> tuple[Array, Array]:
        """Return rows of Z for n quantities (n, Σ q·p), zero for new levels, and the variance z'Σz of those, (n,)."""
        rows, extra = [np.zeros((n, z.shape[1])) for z in self.z], np.zeros(n)
        for k, (code, value) in enumerate(zip(codes, values, strict=True)):
            if code is None:
                continue
            p = self.layout.terms[k].n_columns
            z = np.ones((n, 1)) if value is None else value
            for i in range(n):
                if code[i] < 0:
                    extra[i] += z[i] @ self.given.matrices()[k][0] @ z[i]
                else:
                    rows[k][i, code[i] * p : (code[i] + 1) * p] = z[i]
        return np.hstack([np.zeros((n, 0)), *rows]), extra

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        n = len(Target(x, codes, values))
        z, extra = self._effects_of(n, codes, values)
        rows = np.hstack([np.zeros((n, self.x.shape[1])) if x is None else x, z])
        return np.einsum("ia,ab,ib->i", rows, self._joint(), rows) + extra

    def predict(self, target: Target) -> tuple[Array, Array]:
        n = len(target)
        rows, own = self._effects_of(n, target.codes, target.values)
        v = np.zeros((n, self.layout.n))
        if self.z:
            g = linalg.block_diag(*self.g)
            v += rows @ g @ np.hstack(self.z).T
            own = own + np.einsum("ia,ab,ib->i", rows, g, rows)
        if target.error is not None:
            own = own + target.error.variances()
            if target.cluster is not None:
                related = np.flatnonzero(target.cluster >= 0)
                everywhere = np.broadcast_to(np.arange(self.layout.n), (len(related), self.layout.n))
                v[related] += target.error.between(related, everywhere)
        x = np.zeros((n, self.x.shape[1])) if target.x is None else target.x
        left = x - v @ self.v_inverse @ self.x
        variance = own - np.einsum("ia,ab,ib->i", v, self.v_inverse, v)
        return v @ self.py, variance + np.einsum("ia,ab,ib->i", left, self.phi, left)

    def conditional_residual_variances(self) -> Array:
        return (self.r @ self.p @ self.r).diagonal()

    def leverages(self, *, fixed: bool = False) -> Array:
        if fixed:
            rows = np.hstack([self.x, *self.z])
            return np.einsum("ia,ab,ib->i", rows, self._joint(), rows)
        zgz = self.effect_covariance(self.given.matrices())
        return (zgz - zgz @ self.v_inverse @ zgz).diagonal()

    # -- start and other responses ---------------------------------------------------------------------------

    def start_moments(self) -> tuple[Array, Array]:
        x, y = self.x / self.weight_sd[:, None], self.rows.y / self.weight_sd
        m = np.eye(len(y)) - x @ np.linalg.pinv(x)
        v = []
        for term, z in zip(self.layout.terms, self.z, strict=True):
            for a in range(term.n_columns):
                column = z[:, a :: term.n_columns] / self.weight_sd[:, None]
                v.append(column @ level_covariance(term) @ column.T)
        v.append(np.eye(len(y)))
        mv = [m @ matrix for matrix in v]
        my = m @ y
        return np.array([[np.sum(a * b.T) for b in mv] for a in mv]), np.array([my @ b @ my for b in v])

    def response_squares(self) -> tuple[Array, ...]:
        x, y = self.x / self.weight_sd[:, None], self.rows.y / self.weight_sd
        residual = y - x @ (np.linalg.pinv(x) @ y)
        return self.collect(np.outer(residual, residual))

    def explained_squares(self, covariances: Covariances) -> tuple[Array, ...]:
        s, total = self.row_sd(covariances), np.zeros((self.layout.n, self.layout.n))
        for term, z, sigma in zip(self.layout.terms, self.z, covariances.matrices(), strict=True):
            # a start for the errors: engines that hold K⁻¹ do not form K for it
            total += z @ random_covariance(replace(term, known=None), sigma) @ z.T
        return self.collect(total / np.outer(s, s))

    def direction_gram(self, covariances: Covariances, directions: Sequence[Direction]) -> Array:
        s = self.row_sd(covariances)
        moved = [(self.derivative(d, s) / np.outer(s, s)).ravel() for d in directions]
        return np.array(moved) @ np.array(moved).T

    # -- other right-hand sides, other rows --------------------------------------------------------------------

    @property
    def basis(self) -> FixedBasis:
        return FixedBasis.identity(self.x.shape[1])

    def solve(self, fixed: Array | None, random: Sequence[Array]) -> tuple[Array | None, tuple[Array, ...]]:
        r, joint = self.x.shape[1], self._joint()
        if fixed is None:
            if not random:
                return None, ()
            # β held: the covariance of effects given y and β
            gz = linalg.block_diag(*self.g) @ np.hstack(self.z).T
            joint = linalg.block_diag(
                np.zeros((r, r)), linalg.block_diag(*self.g) - gz @ self.v_inverse @ gz.T
            )
        sides = [np.zeros((r, random[0].shape[2])) if fixed is None else fixed]
        sides += [g.reshape(-1, g.shape[2]) for g in random]
        found = np.split(joint @ np.concatenate(sides), np.cumsum([len(one) for one in sides])[:-1])
        effects = tuple(b.reshape(g.shape) for b, g in zip(found[1:], random, strict=True))
        return None if fixed is None else found[0], effects

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        return self.solve(None, random)[1]

    def taken_by_fixed(self) -> tuple[Array, ...]:
        u = self.v_inverse @ self.x
        return tuple(
            (g @ z.T @ u).reshape(term.n_levels, term.n_columns, -1)
            for term, z, g in zip(self.layout.terms, self.z, self.g, strict=True)
        )

    def cross_fixed(self, directions: Sequence[Direction], r: Array) -> Array:
        u = self.v_inverse @ self.x
        moved = [u.T @ (self.derivative(d, self.s) @ r) for d in directions]
        return np.array(moved).reshape(len(directions), u.shape[1])

    def linear_predictor(self, beta: Array, b: Sequence[Array]) -> Array:
        out = self.x @ beta
        for z, own in zip(self.z, b, strict=True):
            out = out + z @ own.reshape(z.shape[1], *own.shape[2:])
        return out

    def adjoint(self, v: Array) -> tuple[Array, tuple[Array, ...]]:
        random = tuple(
            (z.T @ v).reshape(term.n_levels, term.n_columns, *v.shape[1:])
            for term, z in zip(self.layout.terms, self.z, strict=True)
        )
        return self.x.T @ v, random

    def with_rows(self, rows: Rows) -> DenseEquations:
        return DenseEquations(self.layout, rows, self.groups, self.homogeneous)


class DenseWorking(DenseEquations):
    """The oracle of working weights W of any sign or 0, and scores s in place of Wy: nothing divides by a weight.

    V⁻¹ = W − WZCZ'W with C = (Z'WZ + G⁻¹)⁻¹, all over σ²; log|V| leaves out rows of weight 0. What depends on
    s'W⁻¹s is not answered.
    """

    def __init__(self, model: Model, weights: Array, scores: Array) -> None:
        super().__init__(model.layout, replace(model.rows, weights=None), None, True)
        self.working, self.working_scores = weights, scores

    def _take(self, covariances: Covariances) -> Pieces:
        self.given, self.s = covariances, np.ones(self.layout.n)
        sigma2 = covariances.errors[0].item()
        w, right, x = self.working / sigma2, self.working_scores / sigma2, self.x
        self.g = [
            random_covariance(*one) for one in zip(self.layout.terms, covariances.matrices(), strict=True)
        ]
        logdet = -float(np.log(np.abs(w[w != 0])).sum())
        z = np.hstack([np.zeros((self.layout.n, 0)), *self.z])
        c = np.zeros((z.shape[1], z.shape[1]))
        if self.z:
            values, vectors = np.linalg.eigh(linalg.block_diag(*self.g))
            half = vectors * np.sqrt(np.maximum(values, 0.0))
            m = half.T @ z.T @ (w[:, None] * z) @ half + np.eye(len(c))
            logdet += 2 * float(np.log(np.linalg.cholesky(m).diagonal()).sum())
            c = half @ np.linalg.solve(m, half.T)
        taken = w[:, None] * (z @ c @ z.T)
        self.v_inverse = np.diag(w) - taken * w
        vx = self.v_inverse @ x
        xvx = x.T @ vx
        self.phi = linalg.cho_solve((np.linalg.cholesky(xvx), True), np.eye(len(xvx))) if len(xvx) else xvx
        self.p = self.v_inverse - vx @ self.phi @ vx.T
        self.beta = self.phi @ (x.T @ (right - taken @ right))
        self.py = right - taken @ right - vx @ self.beta
        return Pieces(logdet, float(np.linalg.slogdet(xvx)[1]) if len(xvx) else 0.0, np.nan)


def equal_errors(random: Sequence[Array], sigma2: float = 1.0) -> Covariances:
    """Return covariances of a model with independent errors of variance σ²/w, from Σ of every term."""
    return Covariances(tuple(random), None, (np.full((1, 1, 1), sigma2),))


def from_roots(*roots: Array) -> Covariances:
    """Return covariances from Λ of every term, each (sets, p, p), with σ² = 1."""
    return replace(equal_errors([root @ root.transpose(0, 2, 1) for root in roots]), roots=roots)


def own_groups(layout: Layout, rows: Rows) -> tuple[SizeGroup, ...]:
    """Return the residual clusters by size, each a class of its own; for independent equal errors the one of σ²."""
    none = np.zeros(1, np.intp)
    if rows.residual is None:
        return (SizeGroup(np.zeros((1, 1), np.intp), none, np.array([layout.n]), none),)
    codes = rows.residual.clusters if layout.correlated else np.arange(layout.n)
    members = [np.flatnonzero(codes == cluster) for cluster in np.unique(codes)]
    groups = []
    for t in sorted({len(own) for own in members}):
        places = np.array([own for own in members if len(own) == t])
        groups.append(SizeGroup.of(places, np.arange(len(places))))
    return tuple(groups)


class DenseEngine(Engine):
    """Dense algebra on V as an engine."""

    name: ClassVar[str] = "dense"

    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        return None

    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        return float(layout.n) ** 3, 64.0 * layout.n**2

    def equations(self, layout: Layout, rows: Rows, control: Control) -> DenseEquations:
        return DenseEquations(layout, rows)
