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
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..errors import FitError, SpecError
from ..lazy import LazyModule
from ..terms.design import Design
from ..typing import Array, Codes
from .base import Direction, Pieces, Solution
from .cliques import CliqueGroup, clique_groups, residual_layouts
from .marginal import At, Gammas, MarginalModel
from .parameters import Block
from .sparse import SparseSystem
from .sparse_pattern import Analysis
from .standardise import standardise
from .structured import ErrorCovariance, StructuredSystem, Target

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

    def __init__(self, system: WhitenedSystem) -> None:
        self.system = system

    def __matmul__(self, b: Array, /) -> Array:
        return np.asarray(self.system.z.T @ self.system.solve(self.system.z @ b))


class WhitenedSystem(StructuredSystem):
    """The mixed-model equations of rows whitened by residual cluster, and the state at the last θ."""

    exact_information: ClassVar[bool] = False

    def __init__(
        self, design: Design, control: Control, analysis: Analysis, like: WhitenedSystem | None = None
    ) -> None:
        self.design, self.control, self.analysis = design, control, analysis
        layouts = residual_layouts(design) if like is None else [g.layout for g in like.groups]
        self.model = MarginalModel(design, layouts, across=True)
        self.order = np.concatenate([layout.rows.ravel() for layout in layouts])
        self.holder: object | None = None
        self._at: At | None = None
        self._known = _Known()
        weights = None if design.weights is None else np.sqrt(design.weights)[self.order]
        standard = standardise(design, control)
        self._raw = np.empty((design.n, design.fixed.rank + 1))
        self._raw[:, :-1] = (standard.x[self.order] - standard.centre) * standard.scale
        self._raw[:, -1] = standard.y[self.order] - self._raw[:, :-1] @ standard.beta
        if weights is not None:
            self._raw *= weights[:, None]
        self.raw_z: sparse.csr_array = (
            _ordered(analysis.design_matrix(), self.order, weights) if like is None else like.raw_z
        )
        self.z, self._xy = self.raw_z, self._raw
        self._entry_rows = np.repeat(np.arange(design.n), np.diff(self.z.indptr))
        self.groups: list[CliqueGroup] = (
            clique_groups(layouts, self.z, analysis) if like is None else [g.fresh() for g in like.groups]
        )
        self.equations = SparseSystem(
            design, control, analysis, replace(standard, log_weights=0.0), _RowProducts(self),
            np.zeros((analysis.order, design.fixed.rank + 1)),
        )  # fmt: skip

    def new_response(self, y: Array) -> WhitenedSystem:
        """Return a system for another response that shares the arrangement of rows."""
        return self.with_design(replace(self.design, y=y))

    def with_design(self, design: Design) -> WhitenedSystem:
        return WhitenedSystem(design, self.control, self.analysis, self)

    # -- factorisation ---------------------------------------------------------------------------------------

    def at(self) -> At:
        if self._at is None:
            raise RuntimeError("factor() has not been called")
        return self._at

    def factor(self, at: At) -> Pieces:
        covariances = self.model.residuals(at.theta)
        if not all(np.isfinite(r).all() for r in covariances):
            raise ArithmeticError("R is not finite")
        return self._factor(at, covariances, self._factors(at.theta))

    def _factor(self, at: At, covariances: Sequence[Array], factors: tuple[Array, ...]) -> Pieces:
        """Factor the equations at R of every class (C, t, t) and Λ of every term (sets, p, p)."""
        self._move(at)
        logdet, products = 0.0, np.zeros(len(self.analysis.indices) + 1)
        for group, r in zip(self.groups, covariances, strict=True):
            logdet += group.set(r)
            group.add_products(products)
        self._solved_xy = self.solve(self._xy)
        dense = np.asarray(self.z.T @ self._solved_xy)
        self.equations.renew(products[:-1], dense, self._xy.T @ self._solved_xy)
        pieces = self.equations.factor(factors)
        return replace(pieces, logdet=pieces.logdet + logdet)

    def edge(self) -> str | None:
        if min(group.unexplained for group in self.groups) > NEARLY_SINGULAR:
            return None
        return (
            "the covariance of the errors is singular to working precision, and errors that random effects tie "
            "together cannot be whitened then"
        )

    def _factors(self, theta: Array) -> tuple[Array, ...]:
        out: list[list[Array]] = [[] for _ in self.design.random]
        for block in self.model.random_blocks:
            out[block.term].append(block.structure.factor(theta[block.place], block.positions))
        factors = tuple(np.stack(own) for own in out)
        if not all(np.isfinite(factor).all() for factor in factors):
            raise ArithmeticError("a covariance of random effects is not finite")
        return factors

    def _move(self, at: At) -> None:
        """Divide rows by the standard deviations at θ, and forget what was known elsewhere."""
        self._at, self._known = at, _Known()
        if not len(at.relative_sd):
            return
        factor = 1.0 / at.relative_sd[self.order]
        self._xy = self._raw * factor[:, None]
        data = self.raw_z.data * factor[self._entry_rows]
        self.z = sparse.csr_array((data, self.raw_z.indices, self.raw_z.indptr), shape=self.raw_z.shape)
        for group in self.groups:
            group.scale(factor[group.place])

    def solve(self, b: Array) -> Array:
        """Return R⁻¹b for rows b (n, c)."""
        return self._by_class([group.inverse for group in self.groups], b)

    def _by_class(self, matrices: Sequence[Array], b: Array) -> Array:
        """Return A b for symmetric A block-diagonal over residual clusters, given by class of every size."""
        out = np.empty(b.shape)
        for group, matrix in zip(self.groups, matrices, strict=True):
            out[group.place] = group.times(matrix, group.rows(b)).reshape(b[group.place].shape)
        return out

    # -- first derivatives -----------------------------------------------------------------------------------

    def _alpha(self) -> Array:
        """Return α = V⁻¹(y − Xβ̂), (n,)."""
        if self._known.alpha is None:
            self._known.alpha = self.solve(self._residual()[:, None])[:, 0]
        return self._known.alpha

    def _residual(self) -> Array:
        """Return y − Xβ̂ − Zb̂, (n,)."""
        beta, b, _ = self.equations.solved()
        return np.asarray(self._xy[:, -1] - self._xy[:, :-1] @ beta - self.z @ b)

    def _u(self) -> Array:
        """Return U = V⁻¹X in standardised columns, (n, r)."""
        if self._known.u is None:
            taken = self.z @ self.equations.effects_of_fixed()
            self._known.u = self._solved_xy[:, :-1] - self.solve(np.asarray(taken))
        return self._known.u

    def _entries(self) -> Array:
        """Return C on the pattern, a zero after it for clusters that meet fewer columns than others."""
        if self._known.entries is None:
            self._known.entries = np.append(self.equations.conditional_entries(), 0.0)
        return self._known.entries

    def gammas(self, reml: bool) -> Gammas:
        scores = self.equations.scores(reml)
        pairs = [(scores[b.term], b.set) for b in self.model.random_blocks]
        self._known.traces = [score.trace[s] for score, s in pairs]
        random = [score.trace[s] - score.quadratic[s] for score, s in pairs]
        entries, alpha = self._entries(), self._alpha()[:, None]
        fixed = np.hstack([self._u() @ self.equations.root_of_phi().T, alpha]) if reml else alpha
        if not self.model.by_row:
            found = [self._gamma_by_class(group, entries, fixed) for group in self.groups]
            return Gammas(found, None, random)
        by_cluster = [self._gamma_by_cluster(group, entries, fixed) for group in self.groups]
        by_class = [
            group.sum_classes(iter([(slice(None), gamma)]))
            for group, gamma in zip(self.groups, by_cluster, strict=True)
        ]
        return Gammas(by_class, by_cluster, random)

    def random_traces(self, reml: bool) -> list[Array]:
        if self._known.traces is None:
            self.gammas(reml)
        assert self._known.traces is not None
        return self._known.traces

    def _gamma_by_class(self, group: CliqueGroup, entries: Array, fixed: Array) -> Array:
        lost = group.sum_classes((part, _lost(group, part, entries, fixed)) for part in group.stacks())
        return np.asarray(group.layout.counts[:, None, None] * group.inverse - lost)

    def _gamma_by_cluster(self, group: CliqueGroup, entries: Array, fixed: Array) -> Array:
        out = np.empty((len(group.columns), group.t, group.t))
        for part in group.stacks():
            out[part] = group.inverse[group.classes[part]] - _lost(group, part, entries, fixed)
        return out

    # -- second derivatives ----------------------------------------------------------------------------------

    def _moved(self, b: Array) -> Iterator[Array]:
        """Yield V̇_a b for every parameter in order, each (n, c), for rows b (n, c)."""
        for pushed in self._pushed(np.asarray(self.z.T @ b)):
            yield np.asarray(self.z @ pushed)
        at, parts = self.at(), range(len(self.groups))
        rows = [group.rows(b) for group in self.groups]
        for by_class in zip(*(self.model.directions(at, g) for g in parts), strict=True):
            yield self._by_class(by_class, b)
        for by_cluster in zip(*(self.model.row_directions(at, g) for g in parts), strict=True):
            out = np.empty(b.shape)
            for group, own, matrix in zip(self.groups, rows, by_cluster, strict=True):
                out[group.place] = (matrix @ own).reshape(b[group.place].shape)
            yield out

    def _pushed(self, u: Array) -> Iterator[Array]:
        """Yield (K⊗Σ̇)u for every parameter of the random terms, each (order, c), for u (order, c)."""
        for direction in self._random_directions():
            columns, pushed = self.equations.pushed(direction, u)
            full = np.zeros(u.shape)
            full[columns] = pushed
            yield full

    def _random_directions(self) -> Iterator[Direction]:
        theta = self.at().theta
        for block in self.model.random_blocks:
            for matrix in block.structure.d_matrix(theta[block.place], block.positions):
                yield Direction(block.term, block.set, matrix)

    def average_information(self) -> Array:
        f = np.stack([one[:, 0] for one in self._moved(self._alpha()[:, None])], axis=1)
        solved = self.solve(f)
        half = self.equations.half(np.asarray(self.z.T @ solved))
        fixed = self.equations.root_of_phi() @ (self._u().T @ f)
        total = f.T @ solved - half.T @ half - fixed.T @ fixed
        return np.asarray(0.5 * (total + total.T))

    def expected_information(self, reml: bool) -> Array:
        raise NotImplementedError("the expected information follows from the Hessian: see MarginalObjective")

    def fixed_information(self, weights: Array) -> tuple[Array, Array]:
        """With N_a = V̇_aU: P_a = −U'N_a and Σ_ab w_ab Q_ab = Σ_a N_a'V⁻¹(Σ_b w_ab N_b), by parts of the clusters."""
        u, k = self._u(), self.model.n_theta
        r = u.shape[1]
        if not r:
            return np.zeros((k, 0, 0)), np.zeros((0, 0))
        pushed = np.hstack(list(self._pushed(np.asarray(self.z.T @ u))))
        p, q = np.zeros((r, k * r)), np.zeros((r, r))
        crossed = np.zeros((self.analysis.order, k * r))
        for g, group in enumerate(self.groups):
            for part in group.chunks(max(LARGEST_SHARE * k * r * group.t, 1)):
                rows = slice(
                    group.place.start + part.start * group.t, group.place.start + part.stop * group.t
                )
                z = self.z[rows]
                own = self._moved_part(g, part, u[rows], np.asarray(z @ pushed))
                solved = group.times(group.inverse, own.reshape(-1, group.t, k * r), part).reshape(own.shape)
                p -= u[rows].T @ own
                q += own.reshape(-1, r).T @ (weights @ solved.reshape(-1, k, r)).reshape(-1, r)
                crossed += z.T @ solved
        half = self.equations.half(crossed).reshape(-1, k, r)
        q -= half.reshape(-1, r).T @ (weights @ half).reshape(-1, r)
        p = p.reshape(r, k, r).transpose(1, 0, 2)
        return self._in_user_columns(p), self._in_user_columns(0.5 * (q + q.T))

    def _moved_part(self, g: int, part: slice, u: Array, random: Array) -> Array:
        """Return V̇_aU of every parameter side by side for the rows of some clusters, (rows, k·r), those of the
        random terms given."""
        group, at = self.groups[g], self.at()
        own = u.reshape(-1, group.t, u.shape[1])
        out = [random]
        out += [group.times(d, own, part).reshape(u.shape) for d in self.model.directions(at, g)]
        out += [(d[part] @ own).reshape(u.shape) for d in self.model.row_directions(at, g)]
        return np.hstack(out)

    def _in_user_columns(self, matrices: Array) -> Array:
        back = np.linalg.inv(self.equations.standard.back(np.eye(self.design.fixed.rank)))
        return np.asarray(back.T @ matrices @ back)

    def bent_slope(self, weights: Array, slopes: Array) -> Array:
        at, u = self.at(), self._u()
        if not u.shape[1]:
            return np.zeros((0, 0))
        zu = np.asarray(self.z.T @ u)
        total = np.zeros((u.shape[1], u.shape[1]))
        for block in self.model.random_blocks:
            matrix = self._sigma_bend(block, weights, slopes)
            columns, pushed = self.equations.pushed(Direction(block.term, block.set, matrix), zu)
            total += zu[columns].T @ pushed
        for g, group in enumerate(self.groups):
            rows, bend = group.rows(u), self._residual_bend(g, weights, slopes)
            moved = group.times(bend, rows)
            extra = self.model.row_bend(at, g, weights, slopes)
            if extra is not None:
                moved = moved + extra @ rows
            total += rows.reshape(-1, u.shape[1]).T @ moved.reshape(-1, u.shape[1])
        return self._in_user_columns(0.5 * (total + total.T))

    def bend_traces(self, weights: Array, slopes: Array) -> Array:
        """−∂ tr(PV_i)/∂ε at V + εB, V_i kept: a central difference, whose error is about 1e-8 relative."""
        if self.model.by_row:
            raise SpecError(
                "ddf='kenward-roger2' is not computed for variance functions whose rows random effects tie together; "
                "use 'kenward-roger', whose second-order term is."
            )
        at = self.at()
        r, sigma = self.model.residuals(at.theta), self._sigmas(at.theta)
        bent = [self._residual_bend(g, weights, slopes) for g in range(len(self.groups))]
        moved = [self._sigma_bend(block, weights, slopes) for block in self.model.random_blocks]
        try:
            step = min(_largest_step(v, d) for v, d in zip([*r, *sigma], [*bent, *moved], strict=True))
        except np.linalg.LinAlgError:
            raise SpecError(
                "ddf='kenward-roger2' needs covariances of full rank; use 'kenward-roger' for a singular fit."
            ) from None
        if not np.isfinite(step):
            return np.zeros(self.model.n_theta)
        found = []
        for e in (step, -step):
            roots: list[list[Array]] = [[] for _ in self.design.random]
            for block, v, d in zip(self.model.random_blocks, sigma, moved, strict=True):
                roots[block.term].append(np.asarray(np.linalg.cholesky(v + e * d), dtype=float))
            covariances = [v + e * d for v, d in zip(r, bent, strict=True)]
            self._factor(at, covariances, tuple(np.stack(own) for own in roots))
            found.append(self.model.gradient(at, self._traces()))
        self.factor(at)
        return np.asarray((found[1] - found[0]) / (2.0 * step))

    def _sigmas(self, theta: Array) -> list[Array]:
        return [b.structure.matrix(theta[b.place], b.positions) for b in self.model.random_blocks]

    def _traces(self) -> Gammas:
        """Return the part of Γ that does not depend on y, of REML and for parameters of Σ and Σ_R."""
        scores, entries = self.equations.scores(True), self._entries()
        fixed = self._u() @ self.equations.root_of_phi().T
        by_class = [self._gamma_by_class(group, entries, fixed) for group in self.groups]
        return Gammas(by_class, None, [scores[b.term].trace[b.set] for b in self.model.random_blocks])

    def _sigma_bend(self, block: Block, weights: Array, slopes: Array) -> Array:
        """Return Σ_ij w_ij Σ_ij − Σ_i v_iΣ_i of one random block, (p, p)."""
        own, place = self.at().theta[block.place], block.place
        second = np.tensordot(weights[place, place], block.structure.d2_matrix(own, block.positions), 2)
        return np.asarray(
            second - np.tensordot(slopes[place], block.structure.d_matrix(own, block.positions), 1)
        )

    def _residual_bend(self, g: int, weights: Array, slopes: Array) -> Array:
        """Return Σ_ij w_ij R_ij − Σ_i v_iR_i over structural parameters of one size group, (C, t, t)."""
        at, bend = self.at(), self.model.bend(self.at(), g, weights)
        errors = slopes[self.model.residual_blocks[0].place.start :]
        for one, v in zip(self.model.directions(at, g), errors, strict=False):
            bend = bend - v * one
        return bend

    def direction_gram(self, at: At) -> Array:
        """⟨V̇_aω, V̇_bω⟩ summed over random ω: V̇_a that are dependent remain so, others do not become so."""
        self._move(at)
        count = PROBES if self.design.n <= FEW_ROWS else 1
        probes = np.random.default_rng(0).standard_normal((self.design.n, count))
        flat = np.stack([one.ravel() for one in self._moved(probes)])
        return np.asarray(flat @ flat.T)

    # -- start -----------------------------------------------------------------------------------------------

    def response_squares(self) -> list[Array]:
        out = []
        for group in self.groups:
            y = group.rows(self._raw[:, -1:])
            out.append(group.sum_classes((part, y[part] * y[part, :, 0][:, None]) for part in group.stacks()))
        return out

    def explained_squares(self, at: At) -> list[Array]:
        prior = np.zeros(len(self.analysis.indices) + 1)
        for k in range(len(self.design.random)):
            f, start = self.analysis.place(k)
            factor, term = self.analysis.factors[f], self.design.random[k]
            own = next(c for c in self.analysis.couplings if c.first == c.second == f)
            part = slice(start, start + term.n_columns)
            blocks = [b for b in self.model.random_blocks if b.term == k]
            sigma = np.stack([b.structure.matrix(at.theta[b.place], b.positions) for b in blocks])
            prior[own.place[: factor.q, part, part]] = sigma[term.sets]
        return [
            group.sum_classes((part, group.explained(prior, part, whitened=False)) for part in group.stacks())
            for group in self.groups
        ]

    # -- estimates -------------------------------------------------------------------------------------------

    def solution(self) -> Solution:
        found = self.equations.solution()
        return replace(found, unscaled_vcov=found.unscaled_vcov / self.sigma2())

    def conditional_covariance(self, term: int) -> Array:
        return self.equations.conditional_covariance(term) / self.sigma2()

    def joint_covariance(self, term: int) -> Array:
        return self.equations.joint_covariance(term) / self.sigma2()

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        return self.equations.prediction_variance(x, codes, values) / self.sigma2()

    def conditional_residual_variances(self) -> Array:
        entries = self._entries()
        fixed = self._u() @ self.equations.root_of_phi().T
        fixed = self._by_class([group.covariance for group in self.groups], fixed)
        out = np.empty(self.design.n)
        for group in self.groups:
            own = np.einsum("cii->ci", group.covariance)[group.classes]
            for part in group.stacks():
                own[part] -= np.einsum("mii->mi", group.explained(entries, part, whitened=False))
            out[group.layout.rows] = own - np.square(group.rows(fixed)).sum(axis=2)
        return np.asarray(out / self.unscale(np.arange(self.design.n)) ** 2)

    def predict(self, target: Target) -> tuple[Array, Array]:
        """Return z'b̂ + c'R⁻¹ê and the variance of what is missed, c the covariance with the errors of the fit.

        Notes
        -----
        With a = R⁻¹c the error of the target is a'e and a part of variance τ² − c'a that no error of the fit
        knows; the rest, (x − X'a)'(β − β̂) + (z − Z'a)'(b − b̂), is known from the equations.
        """
        n, b = len(target), self.equations.solved()[1]
        none = np.zeros((n, self.design.fixed.rank))
        x = none if target.x is None else np.array(target.x, dtype=float)
        z, unknown = self._target_rows(target)
        shift = np.asarray(z @ b)
        if target.error is not None:
            unknown = unknown + target.error.variances()
            if target.cluster is not None:
                a, explained = self._error_coefficients(target.error, target.cluster)
                unknown, shift = unknown - explained, shift + a @ self._residual()
                x = x - a @ (self.design.x[self.order] * self.unscale(self.order)[:, None])
                z = sparse.csr_array(z - a @ self.z)
        rows = self.equations.standard.rows(x)
        known = self.equations.linear_variance(rows, sparse.csr_array(z @ self.equations.spread_factor()))
        return shift, np.asarray(unknown + known)

    def _target_rows(self, target: Target) -> tuple[sparse.csr_array, Array]:
        """Return Z of new rows (n, order), and z'Σz of levels that are not in the fit, (n,)."""
        n, unseen = len(target), np.zeros(len(target))
        total = sparse.csr_array((n, self.analysis.order))
        parts = zip(self.design.random, self.matrices(), target.codes, target.values, strict=True)
        for k, (term, sigma, codes, values) in enumerate(parts):
            if codes is None:
                continue
            f, start = self.analysis.place(k)
            dense = np.ones((n, 1)) if values is None else values
            known, new = np.flatnonzero(codes >= 0), codes < 0
            if new.any():
                if term.n_sets > 1:
                    raise FitError(
                        "the variance of a prediction for a new level is not defined when the term's "
                        "covariance differs by group; predict at the population level instead."
                    )
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
        total = sparse.csr_array((n, self.design.n))
        place = np.zeros(self.design.n, dtype=np.intp)
        place[self.order] = np.arange(self.design.n)
        at = np.where(cluster >= 0, place[cluster], -1)
        for group in self.groups:
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


def _largest_step(covariance: Array, bend: Array) -> float:
    """Return ε such that ε·bend changes covariances (…, t, t) by a ten-thousandth; LinAlgError if one is singular."""
    if not bend.any():
        return np.inf
    root = np.linalg.cholesky(covariance)
    half = np.linalg.solve(root, bend)
    inner = np.linalg.solve(root, half.swapaxes(-1, -2))
    return float(1e-4 / np.abs(np.linalg.eigvalsh(0.5 * (inner + inner.swapaxes(-1, -2)))).max())


def _ordered(z: sparse.csr_array, order: NDArray[np.intp], weights: Array | None) -> sparse.csr_array:
    """Return the rows of Z in another order, multiplied by √w, without the zeros it holds."""
    out = sparse.csr_array(z[order])
    out.eliminate_zeros()
    if weights is not None:
        out.data = out.data * np.repeat(weights, np.diff(out.indptr))
    return out
