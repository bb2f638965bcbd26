"""The `iterative` engine: crossed factors by conjugate gradients and random probes.

β̂, b̂, y'P̃y, log|X'Ṽ⁻¹X| and the average information are solutions of linear equations, hence exact to rounding. log|Ṽ|
and the traces in the scores are estimated by probes (`traces`), exactly where the tail has no more columns than there
are probes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...control import Control
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..arrangement import Factor, merge_factors, pad_direction, split_sets
from ..base import Pieces, Score, Solution
from ..layout import Layout
from ..relative import RelativeSystem, TermDirection
from ..standardise import standardise
from .moments import mivque0
from .point import Point
from .probes import Probes
from .products import SparseProducts
from .traces import Sampled, by_set
from .uncertainty import Uncertainty

START = 32
"""Probes to begin with."""
FEW_EFFECTS = 512
"""Effects of all factors up to which expected information is solved for without probes."""


@dataclass(slots=True)
class _Known:
    """The equations at one Λ, and what has been solved for: Φ, β̂, b̂, Z'P̃y, Z'Ṽ⁻¹X and ΛM⁻¹Λ'Z'WX, leaf and tail."""

    point: Point
    sampled: Sampled
    phi: Array
    beta: Array
    effects: tuple[Array, Array]
    score: tuple[Array, Array]
    columns: tuple[Array, Array] | None = None
    taken: tuple[Array, Array] = field(default_factory=lambda: (np.empty(0), np.empty(0)))


class IterativeSystem(RelativeSystem):
    """Mixed-model equations of two or more crossed factors, none of them factored."""

    def __init__(
        self,
        layout: Layout,
        rows: Rows,
        control: Control,
        factors: tuple[Factor, ...],
        probes: int = START,
    ) -> None:
        self.layout, self.rows, self.control, self.factors = layout, rows, control, factors
        self.standard = standardise(rows, control)
        self.products = SparseProducts.of(factors, rows, self.standard)
        self.probes = Probes(self.products.width, probes)
        self._known: _Known | None = None

    def _at(self) -> _Known:
        if self._known is None:
            raise RuntimeError("factor() has not been called")
        return self._known

    # -- criterion -----------------------------------------------------------------------------------------------

    def factor(self, factors: Sequence[Array]) -> Pieces:
        self._known = None
        roots = [merge_factors(self.layout, f, factors) for f in self.factors]
        point, products, rank = Point(self.products, roots), self.products, self.layout.rank
        w_leaf, w_tail = products.dense[0], self._tail_dense()
        taken = point.effects(w_leaf, w_tail)
        left = products.gram - w_leaf.T @ taken[0] - w_tail.T @ taken[1]
        left = 0.5 * (left + left.T)
        lower = np.linalg.cholesky(left[:rank, :rank])
        half = np.linalg.solve(lower, left[:rank])
        phi = np.linalg.solve(lower.T, np.linalg.solve(lower, np.eye(rank)))
        beta = np.linalg.solve(lower.T, half[:, rank])
        turn = np.append(-beta, 1.0)[:, None]
        effects = taken[0] @ turn, taken[1] @ turn
        fitted = point.gram(*effects)
        score = w_leaf @ turn - fitted[0], w_tail @ turn - fitted[1]
        sampled = Sampled(point, self.probes)
        own = taken[0][:, :rank], taken[1][:, :rank]
        self._known = _Known(point, sampled, phi, beta, effects, score, None, own)
        return Pieces(
            point.logdet_leaf + sampled.logdet + self.standard.log_weights,
            2.0 * float(np.log(np.diagonal(lower)).sum()) + self.standard.logdet_shift,
            float(left[rank, rank] - half[:, rank] @ half[:, rank]),
        )

    def _tail_dense(self) -> Array:
        return np.concatenate(self.products.dense[1:])

    @property
    def noise(self) -> float:
        draws = self._at().sampled.draws
        return 0.0 if self.probes.exact else float(np.std(draws, ddof=1) / np.sqrt(len(draws)))

    # -- simulation ----------------------------------------------------------------------------------------------

    @property
    def simulated(self) -> int:
        return 0 if self.probes.exact else self.probes.count

    def enlarge(self, probes: int) -> None:
        self.probes = Probes(self.products.width, probes)
        self._known = None

    def trace_draws(self, reml: bool) -> Iterator[list[Array]]:
        by_factor = self._at().sampled.traces()
        fixed = self._fixed_traces() if reml else None
        for s in range(len(by_factor[0])):
            found = [draws[s] for draws in by_factor]
            if fixed is not None:
                found = [one - taken for one, taken in zip(found, fixed, strict=True)]
            yield self._by_term(found)

    # -- first derivatives ---------------------------------------------------------------------------------------

    def scores(self, reml: bool) -> list[Score]:
        known, weight = self._at(), self.probes.weight
        found = [weight * draws.sum(axis=0) for draws in known.sampled.traces()]
        if reml:
            found = [one - taken for one, taken in zip(found, self._fixed_traces(), strict=True)]
        squares = []
        for f, factor in enumerate(self.factors):
            r = self._part(known.score, f).reshape(factor.q, factor.p)
            squares.append(by_set(factor, r[:, :, None] * r[:, None, :]))
        pairs = zip(self._by_term(found), self._by_term(squares), strict=True)
        return [Score(trace, quadratic) for trace, quadratic in pairs]

    def _fixed_traces(self) -> list[Array]:
        """Return Σ_j U_jΦU_j' by factor, (sets, p, p), U = Z'Ṽ⁻¹X."""
        known, u = self._at(), self._columns()
        out = []
        for f, factor in enumerate(self.factors):
            own = self._part(u, f).reshape(factor.q, factor.p, -1)
            out.append(by_set(factor, own @ known.phi @ own.transpose(0, 2, 1)))
        return out

    def _columns(self) -> tuple[Array, Array]:
        """Return U = Z'Ṽ⁻¹X by leaf and tail."""
        known = self._at()
        if known.columns is None:
            rank, fitted = self.layout.rank, known.point.gram(*known.taken)
            known.columns = (
                self.products.dense[0][:, :rank] - fitted[0],
                self._tail_dense()[:, :rank] - fitted[1],
            )
        return known.columns

    def _part(self, both: tuple[Array, Array], f: int) -> Array:
        """Return what belongs to a factor, (q·p, c), of something by leaf and tail."""
        return both[0] if f == 0 else both[1][self.products.places(f)]

    def _by_term(self, by_factor: Sequence[Array]) -> list[Array]:
        out: dict[int, Array] = {}
        for factor, found in zip(self.factors, by_factor, strict=True):
            out.update(zip(factor.terms, split_sets(self.layout, factor, found), strict=True))
        return [out[k] for k in range(len(self.layout.terms))]

    # -- second derivatives --------------------------------------------------------------------------------------

    def _moved(
        self, directions: Sequence[TermDirection], vectors: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """Return (I⊗Σ̇_a)v of vectors v (q·p, c) by leaf and tail for every direction, (q·p, k·c)."""
        c = vectors[0].shape[1]
        out = tuple(np.zeros((len(v), len(directions), c)) for v in vectors)
        for a, direction in enumerate(directions):
            f = next(i for i, factor in enumerate(self.factors) if direction.term in factor.terms)
            factor = self.factors[f]
            own = self._part(vectors, f).reshape(factor.q, factor.p, c)
            target = out[0] if f == 0 else out[1][self.products.places(f)]
            into = target.reshape(factor.q, factor.p, len(directions), c)
            for s, matrix in pad_direction(factor, direction):
                at = factor.sets == s
                into[at, :, a] += matrix @ own[at]
        return out[0].reshape(len(out[0]), -1), out[1].reshape(len(out[1]), -1)

    def _projected(self, vectors: tuple[Array, Array]) -> tuple[Array, Array]:
        """Return Z'P̃Z·v."""
        phi, u = self._at().phi, self._columns()
        found = self._at().point.marginal(*vectors)
        inner = phi @ (u[0].T @ vectors[0] + u[1].T @ vectors[1])
        return found[0] - u[0] @ inner, found[1] - u[1] @ inner

    def average_information(self, directions: Sequence[TermDirection]) -> Array:
        moved = self._moved(directions, self._at().score)
        found = self._projected(moved)
        total = moved[0].T @ found[0] + moved[1].T @ found[1]
        return np.asarray(0.5 * (total + total.T))

    def fixed_information(self, directions: Sequence[TermDirection]) -> tuple[Array, Array]:
        u, r, k = self._columns(), self.layout.rank, len(directions)
        moved = self._moved(directions, u)
        p = -(u[0].T @ moved[0] + u[1].T @ moved[1]).reshape(r, k, r).transpose(1, 0, 2)
        found = self._at().point.marginal(*moved)
        gram = (moved[0].T @ found[0] + moved[1].T @ found[1]).reshape(k, r, k, r)
        return p, gram.transpose(0, 2, 1, 3)

    def trace_products(self, directions: Sequence[TermDirection], reml: bool) -> Array | None:
        """With Π = Z'P̃Z and signs z over all effects E (Πz)'Σ̇_aΠΣ̇_bz = tr(ΠΣ̇_aΠΣ̇_b)."""
        sizes = len(self.products.dense[0]), self.products.width
        probes, k = Probes(sum(sizes), self.probes.count, few=FEW_EFFECTS), len(directions)
        marginal = self._projected if reml else lambda v: self._at().point.marginal(*v)
        total = np.zeros((k, k))
        for number in range(probes.blocks):
            z = probes.block(number)
            one = z[: sizes[0]], z[sizes[0] :]
            left = self._moved(directions, marginal(one))
            right = marginal(self._moved(directions, one))
            for mine, theirs in zip(left, right, strict=True):
                a, b = (v.reshape(len(v), k, -1) for v in (mine, theirs))
                total += np.einsum("mac,mbc->ab", a, b)
        total *= probes.weight
        return np.asarray(0.5 * (total + total.T))

    # -- estimates -----------------------------------------------------------------------------------------------

    def solution(self) -> Solution:
        known, s = self._at(), self.standard
        effects = self._split(known.effects)
        return Solution(s.beta + known.beta, known.phi, tuple(b[:, :, 0] for b in effects), s.basis)

    def _split(self, both: tuple[Array, Array]) -> list[Array]:
        """Return, by term, what stands by leaf and tail, each (q, p, c)."""
        out: dict[int, Array] = {}
        for f, factor in enumerate(self.factors):
            own = self._part(both, f).reshape(factor.q, factor.p, -1)
            for term, start in zip(factor.terms, factor.starts, strict=True):
                out[term] = np.ascontiguousarray(own[:, start : start + self.layout.terms[term].n_columns])
        return [out[k] for k in range(len(self.layout.terms))]

    def _joined(self, random: Sequence[Array]) -> tuple[Array, Array]:
        """Return right-hand sides by leaf and tail, (q·p, k), from those by term."""
        parts = [
            np.concatenate([random[k] for k in factor.terms], axis=1).reshape(factor.q * factor.p, -1)
            for factor in self.factors
        ]
        return parts[0], np.concatenate(parts[1:])

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        return tuple(self._split(self._at().point.effects(*self._joined(random))))

    def fixed_columns(self) -> tuple[Array, ...]:
        return tuple(self._split(self._columns()))

    def start_moments(self) -> tuple[Array, Array]:
        return mivque0(self.products, self.layout)

    # -- uncertainty ---------------------------------------------------------------------------------------------

    def _uncertainty(self) -> Uncertainty:
        known = self._at()
        return Uncertainty(self.layout, known.sampled, known.taken, known.phi)

    def conditional_covariance(self, term: int) -> Array:
        return self._uncertainty().of_levels(term)

    def joint_covariance(self, term: int) -> Array:
        layout = self.layout.terms[term]
        size = layout.n_levels * layout.n_columns
        self._uncertainty().check_joint(layout.label, size)
        shapes = [(t.n_levels, t.n_columns, size) for t in self.layout.terms]
        sides = [np.zeros(shape) for shape in shapes]
        sides[term] = np.eye(size).reshape(shapes[term])
        found = self.solve_random(sides)[term].reshape(size, size)
        taken = self._split(self._at().taken)[term].reshape(size, -1)
        return np.asarray(found + taken @ self._at().phi @ taken.T)

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        n = len(x) if x is not None else len(next(c for c in codes if c is not None))
        rank = self.layout.rank
        rows = np.zeros((n, rank)) if x is None else self.standard.basis.rows(np.asarray(x, dtype=float))
        return self._uncertainty().of_rows(rows, codes, values)

    def effect_variance(self, codes: Sequence[Codes | None], values: Sequence[Array | None]) -> Array:
        return self._uncertainty().of_rows(None, codes, values)

    def with_rows(self, rows: Rows) -> IterativeSystem:
        return IterativeSystem(self.layout, rows, self.control, self.factors, self.probes.count)
