"""The equations of the `sparse` engine: any random terms, exact, by one sparse Cholesky factorisation.

With b = D u, D = blkdiag(I⊗Λ), var(u) = σ²K⊗I (K = I without a known covariance, Q = K⁻¹ its precision):

    M = D'Z'WZD + Q⊗I,   B = D'Z'WX,   S = X'WX − B'M⁻¹B,   C = var(u − û)/σ² = M⁻¹ + M⁻¹B S⁻¹B'M⁻¹,
    log|Ṽ| = log|W⁻¹| + log|M| + Σ p log|K|,   log|X'Ṽ⁻¹X| = log|S|.

M is sparse and factored in an order found once; S is dense and small. T follows from the selected inverse of
M, Λ'TΛ = Σ_j I − Σ_jl Q_jl C_jl (Misztal and Perez-Enciso 1993); for singular Λ see `SparseSystem.scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...control import Control
from ...errors import FitError
from ...kernels import SparseSymmetric, cholesky, solve_lower, solve_upper
from ...lazy import LazyModule
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..arrangement import Factor, merge_factors, pad_direction, split_sets
from ..base import Pieces, Score, Solution
from ..layout import Layout
from ..relative import RelativeSystem, TermDirection
from ..standardise import ROWS_AT_ONCE, Standardised, standardise
from .new_rows import new_rows, padded_rows
from .pattern import Analysis
from .start_moments import sparse_mivque0
from .turned import Turn

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = LazyModule("scipy.sparse")

JOINT_COLUMNS = 3000
"""Columns of one term up to which their joint covariance is formed."""
SOLVE_AT_ONCE = 64
"""Right-hand sides solved together."""
FEW_ENTRIES = 24
"""Entries of a new row up to which its form is read off the selected inverse pair by pair."""

SAFE_SHRINKAGE = 1e-6
"""Smallest λ²·(information of a level) at which T is formed by dividing by Λ."""
NEARBY = 1e-4
"""Distance from a singular Σ̃ of the nearest point of the extrapolation, same scale."""
EXTRAPOLATION = ((1.0, 8.0 / 3.0), (2.0, -2.0), (4.0, 1.0 / 3.0))
"""Distances and weights: a quadratic through three points, at distance 0."""


@dataclass(slots=True)
class _Point:
    """The equations factored at one Λ.

    `half` (order, r+1) is L⁻¹P[B, D'Z'Wy], `corner` (r, r) the Cholesky factor of S; `spread` (order, r) is
    M⁻¹B corner⁻ᵀ, so that C = M⁻¹ + spread spread'; `selected` are the entries of M⁻¹ on the pattern.
    """

    lam: list[Array]
    native: SparseSymmetric
    logdet: float
    half: Array
    corner: Array
    beta_half: Array
    quadratic: float
    spread: Array | None = None
    selected: Array | None = None


class Products(Protocol):
    """Z'WZ as what it does to b (order, c)."""

    def __matmul__(self, b: Array, /) -> Array: ...


class SparseSystem(RelativeSystem):
    """Mixed-model equations by a sparse Cholesky factorisation over all random columns."""

    def __init__(
        self,
        layout: Layout,
        rows: Rows,
        control: Control,
        analysis: Analysis,
        turn: Turn | None,
        standard: Standardised | None = None,
        cross: Products | None = None,
        dense: Array | None = None,
    ) -> None:
        self.layout = layout
        self.rows = rows
        self.control = control
        self.written, self.turn = analysis, turn
        self.analysis = analysis if turn is None else turn.products(analysis)
        self.standard = standardise(rows, control) if standard is None else standard
        self.cross: Products = self.analysis.cross_products() if cross is None else cross
        self.dense = self._dense_products() if dense is None else dense
        self.native = self.analysis.native(self.standard.threads)
        self._nearby: SparseSymmetric | None = None
        self._current: _Point | None = None
        self._estimate: tuple[Array, Array, Array] | None = None

    def renew(self, products: Array, dense: Array, gram: Array) -> None:
        """Take other values of Z'WZ on the pattern, Z'W[Xs ys] and [Xs ys]'W[Xs ys]; `factor` comes next."""
        self.analysis = self.written = self.written.with_products(products)
        if self.turn is not None:
            self.analysis = self.turn.products(self.written)
        self.dense, self.standard = self.into(dense), replace(self.standard, gram=gram)
        self._current = self._estimate = None

    def _dense_products(self) -> Array:
        """Z'W[Xs, ys], (order, r + 1)."""
        s, r = self.standard, self.layout.rank
        out = np.zeros((self.analysis.order, r + 1))
        if not self.analysis.factors:
            return out
        z = self.written.design_matrix()
        for i in range(0, self.layout.n, ROWS_AT_ONCE):
            own = slice(i, min(i + ROWS_AT_ONCE, self.layout.n))
            part = np.empty((own.stop - i, r + 1))
            part[:, :r] = (s.x[own] - s.centre) * s.scale
            part[:, r] = s.y[own] - part[:, :r] @ s.beta
            if self.rows.weights is not None:
                part *= self.rows.weights[own, None]
            out += z[own].T @ part
        return self.into(out)

    def out(self, a: Array) -> Array:
        """Return effects b by level, (order, c), of those in the coordinates of the equations."""
        return a if self.turn is None else self.turn.out(a)

    def into(self, g: Array) -> Array:
        """Return products with Z by level, (order, c), in the coordinates of the equations."""
        return g if self.turn is None else self.turn.into(g)

    def _at(self) -> _Point:
        if self._current is None:
            raise RuntimeError("factor() has not been called")
        return self._current

    # -- Λ and K on vectors ------------------------------------------------------------------------

    def _scale(self, lam: Sequence[Array], b: Array, *, transpose: bool = False) -> Array:
        """D b or D'b for b (order, c)."""
        out = np.empty_like(b)
        for f, factor in enumerate(self.analysis.factors):
            at = self.analysis.columns(f)
            per_level = lam[f][factor.sets]
            if factor.p == 1:
                out[at] = per_level[:, 0] * b[at]
                continue
            matrices = per_level.transpose(0, 2, 1) if transpose else per_level
            out[at] = (matrices @ b[at].reshape(factor.q, factor.p, -1)).reshape(out[at].shape)
        return out

    def _covariance_times(self, f: int, b: Array) -> Array:
        """(K⊗I) b for b (q, p, c) of one factor."""
        prior, factor = self.analysis.priors[f], self.analysis.factors[f]
        if prior is None:
            return b
        return prior.covariance_times(b.reshape(factor.q, -1)).reshape(b.shape)

    def _values(self, lam: Sequence[Array]) -> Array:
        """M on its pattern."""
        out = np.empty(len(self.analysis.indices))
        for c in self.analysis.couplings:
            left = lam[c.first][self.analysis.factors[c.first].sets[c.rows]].transpose(0, 2, 1)
            right = lam[c.second][self.analysis.factors[c.second].sets[c.columns]]
            block = left * c.values * right if c.values.shape[1:] == (1, 1) else left @ c.values @ right
            if c.first == c.second:
                diagonal = np.einsum("kii->ki", block)
                if c.prior is None:
                    diagonal += 1.0
                else:
                    diagonal += c.prior[:, None]
            out[c.place] = block
        return out

    # -- criterion ---------------------------------------------------------------------------------

    def factor(self, factors: Sequence[Array]) -> Pieces:
        lam = [merge_factors(self.layout, x, factors) for x in self.analysis.factors]
        self._estimate = None
        self._current = point = self._factored(self.native, lam)
        known = sum(
            x.p * prior.logdet
            for x, prior in zip(self.analysis.factors, self.analysis.priors, strict=True)
            if prior is not None
        )
        return Pieces(
            point.logdet + known + self.standard.log_weights,
            2.0 * float(np.log(np.diagonal(point.corner)).sum()) + self.standard.logdet_shift,
            point.quadratic,
        )

    def _factored(self, native: SparseSymmetric, lam: list[Array]) -> _Point:
        r = self.layout.rank
        logdet, half = 0.0, self.dense
        if self.analysis.order:
            logdet = native.factor(self._values(lam))
            half = native.half_solve(self._scale(lam, self.dense, transpose=True))
        inner = self.standard.gram - half.T @ half
        corner = cholesky(np.ascontiguousarray(inner[:r, :r]))
        beta_half = solve_lower(corner, inner[:r, r])
        return _Point(
            lam, native, logdet, half, corner, beta_half, float(inner[r, r] - beta_half @ beta_half)
        )

    def _spread(self, point: _Point) -> Array:
        if point.spread is None:
            r = self.layout.rank
            inverse_times_b = point.native.half_solve_transposed(np.ascontiguousarray(point.half[:, :r]))
            point.spread = np.ascontiguousarray(solve_lower(point.corner, inverse_times_b.T).T)
        return point.spread

    def _selected(self, point: _Point) -> Array:
        if point.selected is None:
            point.selected = point.native.selected_inverse()
        return point.selected

    # -- first derivatives -------------------------------------------------------------------------

    def solved(self) -> tuple[Array, Array, Array]:
        """Return β̂ (standardised), b̂ (order,) and Z'P̃y (order,), as the equations have them: see `out`."""
        if self._estimate is None:
            point, r = self._at(), self.layout.rank
            beta = solve_upper(point.corner, point.beta_half)
            b = np.zeros((self.analysis.order, 1))
            if self.analysis.order:
                u = point.native.half_solve_transposed((point.half[:, r] - point.half[:, :r] @ beta)[:, None])
                b = self._scale(point.lam, u)
            score = self.dense[:, r] - self.dense[:, :r] @ beta - (self.cross @ b)[:, 0]
            self._estimate = (beta, b[:, 0], score)
        return self._estimate

    def scores(self, reml: bool) -> list[Score]:
        """Return T and Q of every random term.

        Notes
        -----
        Where λ²·(information of a level) falls below 1e-6 for the smallest singular value λ of Λ, T cannot be
        had by dividing by Λ. It is then the value at 0 of the parabola through T at Σ̃ + εS, ε = 1e-4, 2e-4
        and 4e-4, S being the inverse of the largest information among levels (by column): T is analytic
        there, the error is of relative order 1e-11, and such a point costs three further factorisations.
        """
        point = self._at()
        weak = [f for f, x in enumerate(self.analysis.factors) if not self._invertible(f, x, point.lam[f])]
        traces = self._extrapolated(weak, point.lam, reml) if weak else {}
        for f in range(len(self.analysis.factors)):
            if f not in traces:
                traces[f] = self._trace(f, point, reml)
        score = self.solved()[2]
        results: dict[int, Score] = {}
        for f, factor in enumerate(self.analysis.factors):
            rf = score[self.analysis.columns(f)].reshape(factor.q, factor.p, 1)
            products = rf @ self._covariance_times(f, rf).transpose(0, 2, 1)
            quadratic = _sum_sets(0.5 * (products + products.transpose(0, 2, 1)), factor.sets, factor.n_sets)
            parts_t, parts_q = (
                split_sets(self.layout, factor, traces[f]),
                split_sets(self.layout, factor, quadratic),
            )
            for term, t, q in zip(factor.terms, parts_t, parts_q, strict=True):
                results[term] = Score(t, q)
        return [results[k] for k in range(len(self.layout.terms))]

    def _information(self, f: int) -> Array:
        """Largest diagonal element of Z'WZ (times the prior variance) by column, (p,)."""
        own = next(c for c in self.analysis.couplings if c.first == c.second == f)
        factor = self.analysis.factors[f]
        largest = np.einsum("kii->ki", own.values[: factor.q]).max(axis=0)
        if own.prior is not None:
            largest = largest * self._prior_size(f)
        return np.asarray(np.where(largest > 0, largest, 1.0))

    def _prior_size(self, f: int) -> float:
        """The largest eigenvalue of K, to a few digits, by the power method."""
        rng = np.random.default_rng(0)
        b = rng.standard_normal((self.analysis.factors[f].q, 1, 1))
        size = 1.0
        for _ in range(12):
            b /= np.linalg.norm(b)
            b = self._covariance_times(f, b)
            size = float(np.linalg.norm(b))
        return size

    def _invertible(self, f: int, factor: Factor, lam: Array) -> bool:
        own = next(c for c in self.analysis.couplings if c.first == c.second == f)
        typical = np.einsum("kii->ki", own.values[: factor.q]).mean(axis=0)
        scaled = np.sqrt(np.where(typical > 0, typical, 1.0))[:, None] * lam
        return bool(np.linalg.svd(scaled, compute_uv=False).min() ** 2 > SAFE_SHRINKAGE)

    def _extrapolated(self, weak: Sequence[int], lam: Sequence[Array], reml: bool) -> dict[int, Array]:
        if self._nearby is None:
            self._nearby = self.analysis.native(self.standard.threads)
        out = {f: np.zeros_like(lam[f]) for f in weak}
        for distance, weight in EXTRAPOLATION:
            moved = list(lam)
            for f in weak:
                step = np.diag(np.sqrt(NEARBY * distance / self._information(f)))
                stacked = np.concatenate(
                    [lam[f].transpose(0, 2, 1), np.broadcast_to(step, lam[f].shape)], axis=1
                )
                moved[f] = np.linalg.qr(stacked)[1].transpose(0, 2, 1)
            point = self._factored(self._nearby, moved)
            for f in weak:
                out[f] += weight * self._trace(f, point, reml)
        return out

    def _trace(self, f: int, point: _Point, reml: bool) -> Array:
        """T = Λ⁻ᵀ(Σ_j I − Σ_jl Q_jl C_jl)Λ⁻¹ of one factor by set."""
        factor, prior = self.analysis.factors[f], self.analysis.priors[f]
        own = next(c for c in self.analysis.couplings if c.first == c.second == f)
        blocks = self._selected(point)[own.place]
        if own.prior is not None:
            blocks *= own.prior[:, None, None]
            blocks[factor.q :] += blocks[factor.q :].transpose(0, 2, 1)
        lost = _sum_sets(blocks, factor.sets[own.rows], factor.n_sets)
        if reml:
            g = self._spread(point)[self.analysis.columns(f)].reshape(factor.q, factor.p, -1)
            weighted = g if prior is None else (prior.precision @ g.reshape(factor.q, -1)).reshape(g.shape)
            lost += _sum_sets(g @ weighted.transpose(0, 2, 1), factor.sets, factor.n_sets)
        count = np.bincount(factor.sets, minlength=factor.n_sets)[:, None, None] * np.eye(factor.p)
        kept = count - 0.5 * (lost + lost.transpose(0, 2, 1))
        inverse = np.linalg.inv(point.lam[f])
        return np.asarray(inverse.transpose(0, 2, 1) @ kept @ inverse)

    # -- second derivatives ------------------------------------------------------------------------

    def pushed(self, direction: TermDirection, u: Array) -> tuple[slice, Array]:
        """Return (K⊗Σ̃̇)u over the columns of the direction's factor, for u (order, c)."""
        f, _ = self.analysis.place(direction.term)
        factor, at = self.analysis.factors[f], self.analysis.columns(f)
        shaped = self._covariance_times(f, np.ascontiguousarray(u[at]).reshape(factor.q, factor.p, -1))
        out = np.zeros_like(shaped)
        for s, matrix in pad_direction(factor, direction):
            chosen = factor.sets == s
            out[chosen] = matrix @ shaped[chosen]
        return at, out.reshape(u[at].shape)

    def _products(self, c: Array, *, reml: bool) -> Array:
        """c'Z'P̃Zc (c'Z'Ṽ⁻¹Zc without `reml`) for c (order, k)."""
        point, r = self._at(), self.layout.rank
        if not c.size:
            return np.zeros((c.shape[1], c.shape[1]))
        weighted = self.cross @ c
        half = point.native.half_solve(self._scale(point.lam, weighted, transpose=True))
        total = c.T @ weighted - half.T @ half
        if reml and r:
            rho = solve_lower(point.corner, self.dense[:, :r].T @ c - point.half[:, :r].T @ half)
            total -= rho.T @ rho
        return np.asarray(0.5 * (total + total.T))

    def average_information(self, directions: Sequence[TermDirection]) -> Array:
        score = self.solved()[2][:, None]
        coefficients = np.zeros((self.analysis.order, len(directions)))
        for a, direction in enumerate(directions):
            at, pushed = self.pushed(direction, score)
            coefficients[at, a] = pushed[:, 0]
        return self._products(coefficients, reml=True)

    def fixed_information(self, directions: Sequence[TermDirection]) -> tuple[Array, Array]:
        """With U = Z'Ṽ⁻¹X and F_a = Z(K⊗Σ̃̇_a)U: P_a = −U'(K⊗Σ̃̇_a)U and Q_ab = F_a'Ṽ⁻¹F_b."""
        r, count, u = self.layout.rank, len(directions), self._fixed_products()
        coefficients = np.zeros((self.analysis.order, count, r))
        p = np.zeros((count, r, r))
        for a, direction in enumerate(directions):
            at, pushed = self.pushed(direction, u)
            coefficients[at, a] = pushed
            p[a] = -u[at].T @ pushed
        gram = self._products(coefficients.reshape(self.analysis.order, count * r), reml=False)
        q = gram.reshape(count, r, count, r).transpose(0, 2, 1, 3)
        return p, q

    # -- for equations whose rows are whitened ------------------------------------------------------

    def half(self, b: Array) -> Array:
        """Return L⁻¹PD'b for b (order, c) by level: b'D M⁻¹D'b is its square."""
        point = self._at()
        return point.native.half_solve(self._scale(point.lam, self.into(b), transpose=True))

    def effects_of_fixed(self) -> Array:
        """Return D M⁻¹B (order, r) by level: what the random effects take of the standardised columns of X."""
        return self.out(self._taken())

    def _taken(self) -> Array:
        point, r = self._at(), self.layout.rank
        solved = point.native.half_solve_transposed(np.ascontiguousarray(point.half[:, :r]))
        return self._scale(point.lam, solved)

    def root_of_phi(self) -> Array:
        """Return T (r, r) with T'T = (X'Ṽ⁻¹X)⁻¹ in standardised columns."""
        corner = self._at().corner
        return solve_lower(corner, np.eye(len(corner)))

    def conditional_entries(self) -> Array:
        """Return D M⁻¹D', var(b given y and β)/σ², on the pattern of levels."""
        point = self._at()
        selected, out = self._selected(point), np.zeros(len(self.analysis.indices))
        for c in self.analysis.couplings:
            left = point.lam[c.first][self.analysis.factors[c.first].sets[c.rows]]
            right = point.lam[c.second][self.analysis.factors[c.second].sets[c.columns]]
            block = selected[c.place]
            one = block.shape[1:] == (1, 1)
            out[c.place] = left * block * right if one else left @ block @ right.transpose(0, 2, 1)
        return out if self.turn is None else self.turn.entries(out, self.written)

    def spread_factor(self) -> sparse.csr_array:
        """Return D (order, order), to levels from the coordinates of the equations."""
        rows, columns, entries = [], [], []
        for f, factor in enumerate(self.analysis.factors):
            first = self.analysis.offsets[f] + np.arange(factor.q)[:, None, None] * factor.p
            blocks = (factor.q, factor.p, factor.p)
            rows.append(np.broadcast_to(first + np.arange(factor.p)[:, None], blocks).ravel())
            columns.append(np.broadcast_to(first + np.arange(factor.p), blocks).ravel())
            entries.append(self._at().lam[f][factor.sets].ravel())
        placed = (np.concatenate(rows), np.concatenate(columns))
        shape = (self.analysis.order, self.analysis.order)
        spread = sparse.csr_array(sparse.coo_array((np.concatenate(entries), placed), shape=shape))
        return spread if self.turn is None else self.turn.rows(spread)

    # -- estimates ---------------------------------------------------------------------------------

    def solution(self) -> Solution:
        point, s = self._at(), self.standard
        beta, b, _ = self.solved()
        half = solve_lower(point.corner, np.eye(len(point.corner)))
        random = tuple(own[:, :, 0] for own in self.by_term(self.out(b[:, None])))
        return Solution(s.beta + beta, half.T @ half, random, s.basis)

    def conditional_covariance(self, term: int) -> Array:
        point = self._at()
        f, start = self.analysis.place(term)
        factor = self.analysis.factors[f]
        if self.written.roots[f] is not None:
            p = self.layout.terms[term].n_columns
            joint = self._between_effects(f, start, p).reshape(factor.q, p, factor.q, p)
            return np.ascontiguousarray(np.einsum("jajb->jab", joint))
        own = next(c for c in self.analysis.couplings if c.first == c.second == f)
        g = self._spread(point)[self.analysis.columns(f)].reshape(factor.q, factor.p, -1)
        c = self._selected(point)[own.place[: factor.q]] + g @ g.transpose(0, 2, 1)
        lam = point.lam[f][factor.sets]
        part = slice(start, start + self.layout.terms[term].n_columns)
        return np.asarray((lam @ c @ lam.transpose(0, 2, 1))[:, part, part])

    def joint_covariance(self, term: int) -> Array:
        point = self._at()
        f, start = self.analysis.place(term)
        factor, p = self.analysis.factors[f], self.layout.terms[term].n_columns
        size = factor.q * p
        if size > JOINT_COLUMNS:
            raise FitError(
                f"the joint covariance of the {size} predictions of {self.layout.terms[term].label!r} is a "
                f"dense matrix, formed for up to {JOINT_COLUMNS}; ask for the covariance of each level."
            )
        if self.written.roots[f] is not None:
            return self._between_effects(f, start, p)
        at = (
            self.analysis.offsets[f] + np.arange(factor.q)[:, None] * factor.p + start + np.arange(p)
        ).ravel()
        inverse = np.empty((size, size))
        for first in range(0, size, SOLVE_AT_ONCE):
            columns = np.arange(first, min(first + SOLVE_AT_ONCE, size))
            unit = np.zeros((self.analysis.order, len(columns)))
            unit[at[columns], columns - first] = 1.0
            inverse[:, columns] = point.native.solve(unit)[at]
        g = self._spread(point)[at]
        c = (inverse + g @ g.T).reshape(factor.q, p, factor.q, p)
        lam = point.lam[f][factor.sets][:, start : start + p, start : start + p]
        full = np.einsum("jab,jblc,ldc->jald", lam, c, lam, optimize=True).reshape(size, size)
        return np.asarray(0.5 * (full + full.T))

    def _between_effects(self, f: int, start: int, p: int) -> Array:
        """Return var(b̂ − b)/σ² of p columns of all levels of a factor together, (q·p, q·p): of rows of the spread D."""
        point, factor = self._at(), self.analysis.factors[f]
        first = self.analysis.offsets[f] + np.arange(factor.q)[:, None] * factor.p + start
        rows = self.spread_factor()[(first + np.arange(p)).ravel()]
        half = point.native.half_solve(np.ascontiguousarray(rows.toarray().T))
        g = np.asarray(rows @ self._spread(point))
        return np.asarray(half.T @ half + g @ g.T)

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        given = [c for c in codes if c is not None]
        n, r = len(x) if x is not None else len(given[0]), self.layout.rank
        rows = np.zeros((n, r)) if x is None else self.standard.basis.rows(np.asarray(x, dtype=float))
        out = np.zeros(n)
        return out + self.linear_variance(rows, self._new_rows(n, codes, values, out))

    def effect_variance(self, codes: Sequence[Codes | None], values: Sequence[Array | None]) -> Array:
        n = next(len(c) for c in codes if c is not None)
        out = np.zeros(n)
        return np.asarray(out + self._inverse_forms(self._new_rows(n, codes, values, out)))

    def linear_variance(self, rows: Array, z: sparse.csr_array) -> Array:
        """Return var(x'(β̂ − β) + z'(û − u))/σ² for x in standardised columns (n, r) and z (n, order), (n,)."""
        point = self._at()
        rho = solve_lower(point.corner, np.ascontiguousarray(rows.T))
        if not self.analysis.order:
            return np.asarray(np.einsum("ij,ij->j", rho, rho))
        rho = rho - (z @ self._spread(point)).T
        return np.asarray(self._inverse_forms(z) + np.einsum("ij,ij->j", rho, rho))

    def _inverse_forms(self, z: sparse.csr_array) -> Array:
        """z'M⁻¹z for rows z of a matrix (n, order): by the selected inverse where that has what they need."""
        point, n = self._at(), z.shape[0]
        short = np.flatnonzero(np.diff(z.indptr) <= FEW_ENTRIES)
        columns, entries = padded_rows(z[short])
        out, known = np.zeros(n), np.zeros(n, dtype=bool)
        known[short] = True
        selected = self._selected(point)
        for i in range(columns.shape[1]):
            for j in range(i + 1):
                at, found = self.analysis.position(columns[:, i], columns[:, j])
                known[short] &= found
                out[short] += (1.0 if i == j else 2.0) * entries[:, i] * entries[:, j] * selected[at]
        others = np.flatnonzero(~known)
        for first in range(0, len(others), SOLVE_AT_ONCE):
            part = others[first : first + SOLVE_AT_ONCE]
            half = point.native.half_solve(np.ascontiguousarray(z[part].toarray().T))
            out[part] = np.einsum("ij,ij->j", half, half)
        return out

    def _new_rows(
        self, n: int, codes: Sequence[Codes | None], values: Sequence[Array | None], extra: Array
    ) -> sparse.csr_array:
        """ZD of new rows (n, order); for levels not in the fit z'Σ̃z is added to `extra`."""
        z = new_rows(self.layout, self.analysis, self._at().lam, n, codes, values, extra)
        return z if self.turn is None else self.turn.rows(z)

    # -- start and other responses -----------------------------------------------------------------

    def start_moments(self) -> tuple[Array, Array]:
        assert isinstance(self.cross, sparse.csr_array)
        return sparse_mivque0(self.analysis, self.cross, self.dense, self.standard.gram, self.layout.n)

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        if not random:
            return ()
        joined = np.concatenate(
            [
                np.concatenate([random[k] for k in factor.terms], axis=1).reshape(factor.q * factor.p, -1)
                for factor in self.analysis.factors
            ]
        )
        point = self._at()
        scaled = np.ascontiguousarray(self._scale(point.lam, self.into(joined), transpose=True))
        return self.by_term(self.out(self._scale(point.lam, point.native.solve(scaled))))

    def by_term(self, columns: Array) -> tuple[Array, ...]:
        """Return what belongs to every term, (q, p, k), from random columns (order, k)."""
        out = []
        for k, term in enumerate(self.layout.terms):
            f, start = self.analysis.place(k)
            levels = columns[self.analysis.columns(f)].reshape(term.n_levels, self.analysis.factors[f].p, -1)
            out.append(np.ascontiguousarray(levels[:, start : start + term.n_columns]))
        return tuple(out)

    def fixed_columns(self) -> tuple[Array, ...]:
        if self.turn is None:
            return self.by_term(self._fixed_products())
        s, z = self.standard, self.written.design_matrix()
        left = (self.rows.x - s.centre) * s.scale - z @ self.effects_of_fixed()
        if self.rows.weights is not None:
            left *= self.rows.weights[:, None]
        return self.by_term(np.asarray(z.T @ left))

    def _fixed_products(self) -> Array:
        """U = Z'Ṽ⁻¹X, (order, r), in the coordinates of the equations."""
        return np.asarray(self.dense[:, : self.layout.rank] - self.cross @ self._taken())

    def with_rows(self, rows: Rows) -> SparseSystem:
        standard = standardise(rows, self.control)
        if rows.weights is self.rows.weights:
            return SparseSystem(
                self.layout, rows, self.control, self.written, self.turn, standard, self.cross
            )
        analysis = self.written.reweighted(rows.weights)
        return SparseSystem(self.layout, rows, self.control, analysis, self.turn, standard)


def _sum_sets(per_level: Array, sets: Codes, n_sets: int) -> Array:
    """Σ over the levels of each set, (n_sets, p, p)."""
    if n_sets == 1:
        return np.asarray(per_level.sum(axis=0))[None]
    out = np.zeros((n_sets, *per_level.shape[1:]))
    np.add.at(out, sets, per_level)
    return out
