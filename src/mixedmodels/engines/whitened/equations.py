"""Structured errors together with any random effects: rows whitened by residual cluster, then sparse equations.

With R_i = L_iL_i' by residual cluster, rows L_i⁻¹[X_i Z_i y_i] have independent errors of variance one, and the
`sparse` engine's equations take their cross-products (σ² = 1, Λ absolute):

    M = D'Z'R⁻¹ZD + Q⊗I,   C = D M⁻¹D',   ê = y − Xβ̂ − Zb̂,   α = Py = R⁻¹ê,   U = V⁻¹X = R⁻¹(X − Z C Z'R⁻¹X)
    log|V| = log|R| + log|M| + log|K⊗I|
    Γ_ii   = R_i⁻¹ − R_i⁻¹W_iC_iW_i'R_i⁻¹ − U_iΦU_i' − α_iα_i'         (UΦU' absent for ML)
    F'PF   = F'R⁻¹F − (Z'R⁻¹F)'C(Z'R⁻¹F) − (U'F)'Φ(U'F)

Γ of Σ comes from those equations; Γ_ii, the diagonal blocks of P − αα', is all that the parameters of R need.
The average information is F'PF for the n-vectors f_a = V̇_aα. Nothing is inverted where Λ is singular. Everything is
about rows divided by their standard deviations, in the order of residual clusters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...control import Control
from ...lazy import LazyModule
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..base import (
    Covariances,
    Direction,
    Equations,
    ErrorCovariance,
    Pieces,
    Scores,
    Solution,
    Target,
)
from ..layout import Layout
from ..relative import TermDirection
from ..sparse.pattern import Analysis
from ..sparse.system import SparseSystem
from ..sparse.turned import Turn
from ..standardise import standardise
from ..targets import refuse_new_levels
from .cliques import CliqueGroup, clique_groups, residual_layouts

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = LazyModule("scipy.sparse")

PROBES = 8
"""Random vectors that directions of V are compared on."""
FEW_ROWS = 5000
"""Rows beyond which one such vector is enough."""
NEARLY_SINGULAR = 1e-6
"""Unexplained share of an error's variance at which R is reported as singular."""
LARGEST_SHARE = 0.4
"""Size of V̇_aU of some clusters, relative to what a part of them may hold otherwise."""


@dataclass(slots=True)
class _Known:
    """What has been computed at the θ factored last: α (n,), U (n, r) and C on the pattern with a zero after it."""

    alpha: Array | None = None
    u: Array | None = None
    entries: Array | None = None
    traces: list[Array] | None = None


class _RowProducts:
    """Z'R⁻¹Z as what it does to b (order, c)."""

    def __init__(self, system: WhitenedEquations) -> None:
        self.system = system

    def __matmul__(self, b: Array, /) -> Array:
        system = self.system
        rows = np.asarray(system.z @ system.equations.out(b))
        return system.equations.into(np.asarray(system.z.T @ system.over_errors(rows)))


class WhitenedEquations(Equations):
    """The mixed-model equations of rows whitened by residual cluster, and the state at the last θ."""

    def __init__(
        self,
        layout: Layout,
        rows: Rows,
        control: Control,
        analysis: Analysis,
        turn: Turn | None,
        like: WhitenedEquations | None = None,
    ) -> None:
        self.layout, self.rows, self.control, self.analysis = layout, rows, control, analysis
        layouts = residual_layouts(layout, rows) if like is None else like.groups
        self.groups = tuple(layouts)
        self.by_row = layout.errors is not None and layout.errors.scaled
        self.order = np.concatenate([group.rows.ravel() for group in layouts])
        self.holder = None
        self._covariances: Covariances | None = None
        self._known = _Known()
        weights = None if rows.weights is None else np.sqrt(rows.weights)[self.order]
        standard = standardise(rows, control)
        self.basis = standard.basis
        self._raw = np.empty((layout.n, layout.rank + 1))
        self._raw[:, :-1] = (standard.x[self.order] - standard.centre) * standard.scale
        self._raw[:, -1] = standard.y[self.order] - self._raw[:, :-1] @ standard.beta
        if weights is not None:
            self._raw *= weights[:, None]
        self.raw_z: sparse.csr_array = (
            _ordered(analysis.design_matrix(), self.order, weights) if like is None else like.raw_z
        )
        self.z, self._xy = self.raw_z, self._raw
        self._entry_rows = np.repeat(np.arange(layout.n), np.diff(self.z.indptr))
        self.cliques: list[CliqueGroup] = (
            clique_groups(layouts, self.z, analysis) if like is None else [c.fresh() for c in like.cliques]
        )
        self._log_weights = standard.log_weights
        self.equations = SparseSystem(
            layout, rows, control, analysis, turn, replace(standard, log_weights=0.0), _RowProducts(self),
            np.zeros((analysis.order, layout.rank + 1)),
        )  # fmt: skip

    # -- factorisation ---------------------------------------------------------------------------------------

    def _at(self) -> Covariances:
        if self._covariances is None:
            raise RuntimeError("factor() has not been called")
        return self._covariances

    def factor(self, covariances: Covariances) -> Pieces:
        if not all(np.isfinite(r).all() for r in covariances.errors):
            raise ArithmeticError("R is not finite")
        assert covariances.roots is not None
        if not all(np.isfinite(root).all() for root in covariances.roots):
            raise ArithmeticError("a covariance of random effects is not finite")
        self._move(covariances)
        logdet, products = self._log_weights, np.zeros(len(self.analysis.indices) + 1)
        for group, r in zip(self.cliques, covariances.errors, strict=True):
            logdet += group.set(r)
            group.add_products(products)
        self._solved_xy = self.over_errors(self._xy)
        dense = np.asarray(self.z.T @ self._solved_xy)
        self.equations.renew(products[:-1], dense, self._xy.T @ self._solved_xy)
        pieces = self.equations.factor(covariances.roots)
        return replace(pieces, logdet=pieces.logdet + logdet)

    def edge(self) -> str | None:
        if min(group.unexplained for group in self.cliques) > NEARLY_SINGULAR:
            return None
        return (
            "the covariance of the errors is singular to working precision, and errors that random effects tie "
            "together cannot be whitened then"
        )

    def _move(self, covariances: Covariances) -> None:
        """Divide rows by their standard deviations, and forget what was known elsewhere."""
        self._covariances, self._known = covariances, _Known()
        if covariances.sd is None:
            return
        factor = 1.0 / covariances.sd[self.order]
        self._xy = self._raw * factor[:, None]
        data = self.raw_z.data * factor[self._entry_rows]
        self.z = sparse.csr_array((data, self.raw_z.indices, self.raw_z.indptr), shape=self.raw_z.shape)
        for group in self.cliques:
            group.scale(factor[group.place])

    def over_errors(self, b: Array) -> Array:
        """Return R⁻¹b for rows b (n, c)."""
        return self._by_class([group.inverse for group in self.cliques], b)

    def _by_class(self, matrices: Sequence[Array], b: Array) -> Array:
        """Return A b for symmetric A block-diagonal over residual clusters, given by class of every size."""
        out = np.empty(b.shape)
        for group, matrix in zip(self.cliques, matrices, strict=True):
            out[group.place] = group.times(matrix, group.rows(b)).reshape(b[group.place].shape)
        return out

    # -- first derivatives -----------------------------------------------------------------------------------

    def _alpha(self) -> Array:
        """Return α = V⁻¹(y − Xβ̂), (n,)."""
        if self._known.alpha is None:
            self._known.alpha = self.over_errors(self._residual()[:, None])[:, 0]
        return self._known.alpha

    def _residual(self) -> Array:
        """Return y − Xβ̂ − Zb̂, (n,)."""
        beta, b, _ = self.equations.solved()
        fitted = self.z @ self.equations.out(b[:, None])[:, 0]
        return np.asarray(self._xy[:, -1] - self._xy[:, :-1] @ beta - fitted)

    def _u(self) -> Array:
        """Return U = V⁻¹X in standardised columns, (n, r)."""
        if self._known.u is None:
            taken = self.z @ self.equations.effects_of_fixed()
            self._known.u = self._solved_xy[:, :-1] - self.over_errors(np.asarray(taken))
        return self._known.u

    def _entries(self) -> Array:
        """Return C on the pattern, a zero after it for clusters that meet fewer columns than others."""
        if self._known.entries is None:
            self._known.entries = np.append(self.equations.conditional_entries(), 0.0)
        return self._known.entries

    def scores(self, reml: bool, *, errors: bool = True) -> Scores:
        random = tuple(self.equations.scores(reml))
        entries, alpha = self._entries(), self._alpha()[:, None]
        fixed = np.hstack([self._u() @ self.equations.root_of_phi().T, alpha]) if reml else alpha
        if not self.by_row:
            return Scores(
                random, tuple(self._gamma_by_class(group, entries, fixed) for group in self.cliques)
            )
        by_cluster = tuple(self._gamma_by_cluster(group, entries, fixed) for group in self.cliques)
        by_class = tuple(
            group.sum_classes(iter([(slice(None), gamma)]))
            for group, gamma in zip(self.cliques, by_cluster, strict=True)
        )
        return Scores(random, by_class, by_cluster)

    def traces(self, reml: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        fixed = self._u() @ self.equations.root_of_phi().T if reml else np.zeros((self.layout.n, 0))
        entries = self._entries()
        by_class = tuple(self._gamma_by_class(group, entries, fixed) for group in self.cliques)
        return tuple(score.trace for score in self.equations.scores(reml)), by_class

    def _gamma_by_class(self, group: CliqueGroup, entries: Array, fixed: Array) -> Array:
        lost = group.sum_classes((part, _lost(group, part, entries, fixed)) for part in group.stacks())
        return np.asarray(group.layout.counts[:, None, None] * group.inverse - lost)

    def _gamma_by_cluster(self, group: CliqueGroup, entries: Array, fixed: Array) -> Array:
        out = np.empty((len(group.columns), group.t, group.t))
        for part in group.stacks():
            out[part] = group.inverse[group.classes[part]] - _lost(group, part, entries, fixed)
        return out

    # -- second derivatives ----------------------------------------------------------------------------------

    def _moved(self, directions: Sequence[Direction], b: Array) -> Iterator[Array]:
        """Yield V̇b for every direction, each (n, c), for rows b (n, c)."""
        zb, rows = np.asarray(self.z.T @ b), [group.rows(b) for group in self.cliques]
        for direction in directions:
            out = np.zeros(b.shape)
            if direction.random:
                out += np.asarray(self.z @ self._pushed(direction, zb))
            if direction.errors is not None:
                by_class = [direction.errors(g) for g in range(len(self.cliques))]
                out += self._by_class(by_class, b)
            if direction.rows is not None:
                for g, (group, own) in enumerate(zip(self.cliques, rows, strict=True)):
                    out[group.place] += (direction.rows(g) @ own).reshape(b[group.place].shape)
            yield out

    def _pushed(self, direction: Direction, u: Array) -> Array:
        """Return (K⊗Σ̇)u for the random terms of a direction, (order, c), for u (order, c)."""
        full, own = np.zeros(u.shape), self.equations.into(u)
        for one in direction.random:
            columns, pushed = self.equations.pushed(TermDirection(*one), own)
            full[columns] += pushed
        return self.equations.out(full)

    def information(self, directions: Sequence[Direction]) -> Array:
        f = np.stack([one[:, 0] for one in self._moved(directions, self._alpha()[:, None])], axis=1)
        solved = self.over_errors(f)
        half = self.equations.half(np.asarray(self.z.T @ solved))
        fixed = self.equations.root_of_phi() @ (self._u().T @ f)
        total = f.T @ solved - half.T @ half - fixed.T @ fixed
        return np.asarray(0.5 * (total + total.T))

    def trace_products(self, directions: Sequence[Direction], reml: bool) -> Array | None:
        return None

    def fixed_information(self, directions: Sequence[Direction], weights: Array) -> tuple[Array, Array]:
        """With N_a = V̇_aU: P_a = −U'N_a and Σ_ab w_ab Q_ab = Σ_a N_a'V⁻¹(Σ_b w_ab N_b), by parts of the clusters."""
        u, k = self._u(), len(directions)
        r = u.shape[1]
        if not r:
            return np.zeros((k, 0, 0)), np.zeros((0, 0))
        zu = np.asarray(self.z.T @ u)
        pushed = np.hstack([self._pushed(direction, zu) for direction in directions])
        p, q = np.zeros((r, k * r)), np.zeros((r, r))
        crossed = np.zeros((self.analysis.order, k * r))
        for g, group in enumerate(self.cliques):
            for part in group.chunks(max(LARGEST_SHARE * k * r * group.t, 1)):
                rows = slice(
                    group.place.start + part.start * group.t, group.place.start + part.stop * group.t
                )
                z = self.z[rows]
                own = self._moved_part(directions, g, part, u[rows], np.asarray(z @ pushed))
                solved = group.times(group.inverse, own.reshape(-1, group.t, k * r), part).reshape(own.shape)
                p -= u[rows].T @ own
                q += own.reshape(-1, r).T @ (weights @ solved.reshape(-1, k, r)).reshape(-1, r)
                crossed += z.T @ solved
        half = self.equations.half(crossed).reshape(-1, k, r)
        q -= half.reshape(-1, r).T @ (weights @ half).reshape(-1, r)
        p = p.reshape(r, k, r).transpose(1, 0, 2)
        return p, 0.5 * (q + q.T)

    def _moved_part(
        self, directions: Sequence[Direction], g: int, part: slice, u: Array, random: Array
    ) -> Array:
        """Return V̇U of every direction side by side for the rows of some clusters, (rows, k·r), what random terms
        do given."""
        group = self.cliques[g]
        own, r = u.reshape(-1, group.t, u.shape[1]), u.shape[1]
        for a, direction in enumerate(directions):
            place = slice(a * r, (a + 1) * r)
            if direction.errors is not None:
                random[:, place] += group.times(direction.errors(g), own, part).reshape(u.shape)
            if direction.rows is not None:
                random[:, place] += (direction.rows(g)[part] @ own).reshape(u.shape)
        return random

    def direction_gram(self, covariances: Covariances, directions: Sequence[Direction]) -> Array:
        """⟨V̇_aω, V̇_bω⟩ summed over random ω: V̇_a that are dependent remain so, others do not become so."""
        self._move(covariances)
        count = PROBES if self.layout.n <= FEW_ROWS else 1
        probes = np.random.default_rng(0).standard_normal((self.layout.n, count))
        flat = np.stack([one.ravel() for one in self._moved(directions, probes)])
        return np.asarray(flat @ flat.T)

    # -- other right-hand sides, other rows --------------------------------------------------------------------

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        return self.equations.solve_random(random)

    def taken_by_fixed(self) -> tuple[Array, ...]:
        return self.equations.by_term(self.equations.effects_of_fixed())

    def cross_fixed(self, directions: Sequence[Direction], r: Array) -> Array:
        rows = (r / self.unscale(np.arange(self.layout.n)))[self.order][:, None]
        return np.array([self._u().T @ one[:, 0] for one in self._moved(directions, rows)])

    def with_rows(self, rows: Rows) -> WhitenedEquations:
        like = self if rows.weights is self.rows.weights else None
        return WhitenedEquations(self.layout, rows, self.control, self.analysis, self.equations.turn, like)

    # -- start -----------------------------------------------------------------------------------------------

    def start_moments(self) -> tuple[Array, Array]:
        raise TypeError("moment equations are those of independent errors; see response_squares")

    def response_squares(self) -> tuple[Array, ...]:
        out = []
        for group in self.cliques:
            y = group.rows(self._raw[:, -1:])
            out.append(group.sum_classes((part, y[part] * y[part, :, 0][:, None]) for part in group.stacks()))
        return tuple(out)

    def explained_squares(self, covariances: Covariances) -> tuple[Array, ...]:
        prior = np.zeros(len(self.analysis.indices) + 1)
        for k, (term, sigma) in enumerate(zip(self.layout.terms, covariances.matrices(), strict=True)):
            f, start = self.analysis.place(k)
            factor = self.analysis.factors[f]
            own = next(c for c in self.analysis.couplings if c.first == c.second == f)
            part = slice(start, start + term.n_columns)
            prior[own.place[: factor.q, part, part]] = sigma[term.sets]
        return tuple(
            group.sum_classes((part, group.explained(prior, part, whitened=False)) for part in group.stacks())
            for group in self.cliques
        )

    # -- estimates -------------------------------------------------------------------------------------------

    def solution(self) -> Solution:
        return self.equations.solution()

    def conditional_covariance(self, term: int) -> Array:
        return self.equations.conditional_covariance(term)

    def joint_covariance(self, term: int) -> Array:
        return self.equations.joint_covariance(term)

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        return self.equations.prediction_variance(x, codes, values)

    def leverages(self, *, fixed: bool = False) -> Array:
        if fixed:
            codes = [term.codes for term in self.rows.random]
            values = [term.values for term in self.rows.random]
            return self.prediction_variance(np.ascontiguousarray(self.rows.x), codes, values)
        out, entries = np.empty(self.layout.n), self._entries()
        for group in self.cliques:
            own = np.empty((len(group.columns), group.t))
            for part in group.stacks():
                own[part] = np.einsum("mii->mi", group.explained(entries, part, whitened=False))
            out[group.layout.rows] = own
        return np.asarray(out / self.unscale(np.arange(self.layout.n)) ** 2)

    def unscale(self, rows: NDArray[np.intp]) -> Array:
        """Return 1/s of some rows."""
        weights, sd = self.rows.weights, self._at().sd
        out = np.ones(rows.shape) if weights is None else np.sqrt(weights[rows])
        return out if sd is None else out / sd[rows]

    def conditional_residual_variances(self) -> Array:
        entries = self._entries()
        fixed = self._u() @ self.equations.root_of_phi().T
        fixed = self._by_class([group.covariance for group in self.cliques], fixed)
        out = np.empty(self.layout.n)
        for group in self.cliques:
            own = np.einsum("cii->ci", group.covariance)[group.classes]
            for part in group.stacks():
                own[part] -= np.einsum("mii->mi", group.explained(entries, part, whitened=False))
            out[group.layout.rows] = own - np.square(group.rows(fixed)).sum(axis=2)
        return np.asarray(out / self.unscale(np.arange(self.layout.n)) ** 2)

    def predict(self, target: Target) -> tuple[Array, Array]:
        """Return z'b̂ + c'R⁻¹ê and the variance of what is missed, c the covariance with the errors of the fit.

        Notes
        -----
        With a = R⁻¹c the error of the target is a'e and a part of variance τ² − c'a that no error of the fit
        knows; the rest, (x − X'a)'(β − β̂) + (z − Z'a)'(b − b̂), is known from the equations.
        """
        n, b = len(target), self.equations.out(self.equations.solved()[1][:, None])[:, 0]
        none = np.zeros((n, self.layout.rank))
        x = none if target.x is None else self.equations.standard.basis.rows(target.x)
        z, unknown = self._target_rows(target)
        shift = np.asarray(z @ b)
        if target.error is not None:
            unknown = unknown + target.error.variances()
            if target.cluster is not None:
                a, explained = self._error_coefficients(target.error, target.cluster)
                unknown, shift = unknown - explained, shift + a @ self._residual()
                x = x - a @ self._xy[:, :-1]
                z = sparse.csr_array(z - a @ self.z)
        known = self.equations.linear_variance(x, sparse.csr_array(z @ self.equations.spread_factor()))
        return shift, np.asarray(unknown + known)

    def _target_rows(self, target: Target) -> tuple[sparse.csr_array, Array]:
        """Return Z of new rows (n, order), and z'Σz of levels that are not in the fit, (n,)."""
        n, unseen = len(target), np.zeros(len(target))
        total = sparse.csr_array((n, self.analysis.order))
        parts = zip(self.layout.terms, self._at().matrices(), target.codes, target.values, strict=True)
        for k, (term, sigma, codes, values) in enumerate(parts):
            if codes is None:
                continue
            f, start = self.analysis.place(k)
            dense = np.ones((n, 1)) if values is None else values
            known, new = np.flatnonzero(codes >= 0), codes < 0
            if new.any():
                refuse_new_levels(term.n_sets, new)
                unseen[new] += np.einsum("na,ab,nb->n", dense[new], sigma[0], dense[new])
            first = (
                self.analysis.offsets[f] + codes[known].astype(np.int64) * self.analysis.factors[f].p + start
            )
            columns = (first[:, None] + np.arange(term.n_columns)).ravel()
            placed = (np.repeat(known, term.n_columns), columns)
            total = total + sparse.coo_array((dense[known].ravel(), placed), shape=total.shape)
        return sparse.csr_array(total), unseen

    def _error_coefficients(
        self, error: ErrorCovariance, cluster: NDArray[np.intp]
    ) -> tuple[sparse.csr_array, Array]:
        """Return a = R⁻¹c of every target on the rows of its residual cluster (targets, n), and c'a."""
        n, explained = len(cluster), np.zeros(len(cluster))
        total = sparse.csr_array((n, self.layout.n))
        place = np.zeros(self.layout.n, dtype=np.intp)
        place[self.order] = np.arange(self.layout.n)
        at = np.where(cluster >= 0, place[cluster], -1)
        for group in self.cliques:
            own = np.flatnonzero((at >= group.place.start) & (at < group.place.stop))
            if not len(own):
                continue
            chosen = (at[own] - group.place.start) // group.t
            rows = group.layout.rows[chosen]
            c = error.between(own, rows) * self.unscale(rows)
            a = (group.inverse[group.classes[chosen]] @ c[:, :, None])[:, :, 0]
            explained[own] = np.einsum("nt,nt->n", c, a)
            columns = group.place.start + chosen[:, None] * group.t + np.arange(group.t)
            placed = (np.repeat(own, group.t), columns.ravel())
            total = total + sparse.coo_array((a.ravel(), placed), shape=total.shape)
        return sparse.csr_array(total), explained


def _lost(group: CliqueGroup, part: slice, entries: Array, fixed: Array) -> Array:
    """Return R⁻¹WCW'R⁻¹ + FF' by cluster, (·, t, t), for the rows F of the group's clusters."""
    own = group.rows(fixed)[part]
    return np.asarray(group.explained(entries, part) + own @ own.transpose(0, 2, 1))


def _ordered(z: sparse.csr_array, order: NDArray[np.intp], weights: Array | None) -> sparse.csr_array:
    """Return the rows of Z in another order, multiplied by √w, without the zeros it holds."""
    out = sparse.csr_array(z[order])
    out.eliminate_zeros()
    if weights is not None:
        out.data = out.data * np.repeat(weights, np.diff(out.indptr))
    return out
