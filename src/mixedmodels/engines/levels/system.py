"""Mixed-model equations of independent levels: with K_j = Z_j'WZ_j of level j, M_j = I + Λ'K_jΛ and C_j = ΛM_j⁻¹Λ',

    log|V| = −Σ log|w| + Σ log|M_j|,   T_j = Z_j'V⁻¹Z_j = K_j − K_jC_jK_j,   Z_j'V⁻¹y = (I − K_jC_j)Z_j'Wy.

Nothing is kept between weights but the products of the columns of Z, so that others cost one pass over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...terms.rows import Rows
from ...typing import Array, Codes
from ..base import Pieces, Score, Solution
from ..coordinates import FixedBasis
from ..effects import informative
from ..layout import Layout
from ..relative import RelativeSystem, TermDirection
from ..standardise import Standardised
from ..targets import refuse_new_levels


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The p random columns of one factor with q levels: codes (n,), places of terms, z_a and z_az_b, None for ones."""

    q: int
    codes: Codes
    places: tuple[slice, ...]
    z: tuple[Array | None, ...]
    products: tuple[Array | None, ...]

    @classmethod
    def of(cls, layout: Layout, rows: Rows) -> Columns:
        """Return the columns of all terms side by side."""
        places, z, first = [], list[Array | None](), 0
        for term, own in zip(layout.terms, rows.random, strict=True):
            places.append(slice(first, first + term.n_columns))
            first += term.n_columns
            z += [None] if own.values is None else [np.ascontiguousarray(column) for column in own.values.T]
        products: list[Array | None] = []
        for a in range(len(z)):
            for b in range(a + 1):
                one, two = z[a], z[b]
                products.append(
                    one * two if one is not None and two is not None else two if one is None else one
                )
        return cls(layout.terms[0].n_levels, rows.random[0].codes, tuple(places), tuple(z), tuple(products))

    @property
    def p(self) -> int:
        return len(self.z)

    def sums(self, v: Array) -> Array:
        """Return Z'v by level, (q, p), for v (n,)."""
        return np.column_stack([self._binned(z, v) for z in self.z])

    def grams(self, w: Array) -> Array:
        """Return Z'WZ by level, (q, p, p)."""
        out, place = np.empty((self.q, self.p, self.p)), 0
        for a in range(self.p):
            for b in range(a + 1):
                out[:, a, b] = out[:, b, a] = self._binned(self.products[place], w)
                place += 1
        return out

    def _binned(self, z: Array | None, v: Array) -> Array:
        return np.asarray(np.bincount(self.codes, v if z is None else z * v, minlength=self.q), dtype=float)

    def quadratic(self, blocks: Array) -> Array:
        """Return z_i'B_jz_i of the level of every row, (n,), for symmetric B (q, p, p)."""
        total: Array | None = None
        place = 0
        for a in range(self.p):
            for b in range(a + 1):
                own = (blocks[:, a, b] * (1.0 if a == b else 2.0))[self.codes]
                product = self.products[place]
                own = own if product is None else own * product
                total = own if total is None else total + own
                place += 1
        assert total is not None
        return total


@dataclass(slots=True)
class _Point:
    """Λ and C by level, and T when it has been asked for, (q, p, p)."""

    roots: Array
    posterior: Array
    traces: Array | None = None


class LevelSystem(RelativeSystem):
    """The equations of one factor's levels relative to σ²."""

    def __init__(self, layout: Layout, rows: Rows, columns: Columns, threads: int) -> None:
        self.layout, self.rows, self.columns = layout, rows, columns
        self.weights = np.ones(layout.n) if rows.weights is None else rows.weights
        self.grams = columns.grams(self.weights)
        taken = informative(self.weights)
        # working equations of a generalised model have no response
        self.responds = bool(rows.y.any())
        self._right: Array | None = None
        self.standard = Standardised(
            rows.x,
            rows.y,
            np.zeros(0),
            np.ones(0),
            FixedBasis.identity(0),
            np.zeros(0),
            np.full((1, 1), float(np.dot(self.weights * rows.y, rows.y)) if self.responds else 0.0),
            -float(np.log(np.abs(taken)).sum()),
            len(taken),
            threads,
        )
        self._point: _Point | None = None

    @classmethod
    def of(cls, layout: Layout, rows: Rows, threads: int) -> LevelSystem:
        """Return the system of a model whose terms share one factor."""
        return cls(layout, rows, Columns.of(layout, rows), threads)

    def with_rows(self, rows: Rows) -> LevelSystem:
        return LevelSystem(self.layout, rows, self.columns, self.standard.threads)

    def _at(self) -> _Point:
        if self._point is None:
            raise RuntimeError("factor() has not been called")
        return self._point

    # -- criterion -------------------------------------------------------------------------------------------

    def factor(self, factors: Sequence[Array]) -> Pieces:
        self._point = None
        roots = self._by_level(factors)
        if not np.isfinite(roots).all():
            raise ArithmeticError("Λ is not finite")
        inside = roots.transpose(0, 2, 1) @ self.grams @ roots
        inside[:, np.arange(self.columns.p), np.arange(self.columns.p)] += 1.0
        if self.columns.p == 1:
            pivots = inside[:, 0, 0]
            if not (pivots > 0.0).all():
                raise np.linalg.LinAlgError("a level's equations are not positive definite")
            logdet = float(np.log(pivots).sum())
            posterior = roots**2 / inside
        else:
            lower = np.linalg.cholesky(inside)
            logdet = 2.0 * float(np.log(np.einsum("qaa->qa", lower)).sum())
            half = np.linalg.solve(lower, np.broadcast_to(roots.transpose(0, 2, 1), inside.shape))
            posterior = half.transpose(0, 2, 1) @ half
        self._point = _Point(roots, posterior)
        own = float(np.einsum("qa,qab,qb->", self.right, posterior, self.right)) if self.responds else 0.0
        return Pieces(logdet + self.standard.log_weights, 0.0, float(self.standard.gram[0, 0]) - own)

    @property
    def right(self) -> Array:
        """Z'Wy by level, (q, p)."""
        if self._right is None:
            self._right = self.columns.sums(self.weights * self.rows.y)
        return self._right

    def _by_level(self, matrices: Sequence[Array]) -> Array:
        """Return the blocks of all terms in one matrix, of every level (q, p, p) or of all (1, p, p)."""
        if len(matrices) == 1 and len(matrices[0]) == 1:
            return matrices[0]
        several = any(len(own) > 1 for own in matrices)
        out = np.zeros((self.columns.q if several else 1, self.columns.p, self.columns.p))
        for term, place, own in zip(self.layout.terms, self.columns.places, matrices, strict=True):
            out[:, place, place] = own[term.sets] if len(own) > 1 else own
        return out

    def _traces(self) -> Array:
        point = self._at()
        if point.traces is None:
            point.traces = self.grams - self.grams @ point.posterior @ self.grams
        return point.traces

    def _pulls(self) -> Array:
        """Return Z'V⁻¹y by level, (q, p)."""
        point = self._at()
        taken = np.einsum("qab,qbc,qc->qa", self.grams, point.posterior, self.right)
        return np.asarray(self.right - taken)

    def scores(self, reml: bool) -> list[Score]:
        traces, pulls = self._traces(), self._pulls()
        out = []
        for term, place in zip(self.layout.terms, self.columns.places, strict=True):
            own, pull = traces[:, place, place], pulls[:, place]
            chosen = [term.sets == s for s in range(term.n_sets)]
            out.append(
                Score(
                    np.array([own[c].sum(axis=0) for c in chosen]),
                    np.array([pull[c].T @ pull[c] for c in chosen]),
                )
            )
        return out

    # -- second derivatives ----------------------------------------------------------------------------------

    def _moves(self, direction: TermDirection) -> Array:
        """Return Σ̇ by level, (q, p, p)."""
        term, place = self.layout.terms[direction.term], self.columns.places[direction.term]
        out = np.zeros((self.columns.q, self.columns.p, self.columns.p))
        out[term.sets == direction.set, place, place] = direction.matrix
        return out

    def average_information(self, directions: Sequence[TermDirection]) -> Array:
        traces, pulls = self._traces(), self._pulls()
        moved = [np.einsum("qab,qb->qa", self._moves(direction), pulls) for direction in directions]
        pushed = [np.einsum("qab,qb->qa", traces, one) for one in moved]
        found = np.array([[float(np.vdot(one, two)) for two in pushed] for one in moved])
        return np.asarray(found.reshape(len(directions), len(directions)))

    def trace_products(self, directions: Sequence[TermDirection], reml: bool) -> Array | None:
        traces = self._traces()
        moved = [traces @ self._moves(direction) for direction in directions]
        found = np.array([[float(np.einsum("qab,qba->", one, two)) for two in moved] for one in moved])
        return np.asarray(found.reshape(len(directions), len(directions)))

    def fixed_information(self, directions: Sequence[TermDirection]) -> tuple[Array, Array]:
        count = len(directions)
        return np.zeros((count, 0, 0)), np.zeros((count, count, 0, 0))

    # -- estimates -------------------------------------------------------------------------------------------

    def fixed_columns(self) -> tuple[Array, ...]:
        return tuple(np.zeros((self.columns.q, term.n_columns, 0)) for term in self.layout.terms)

    def solution(self) -> Solution:
        point = self._at()
        effects = np.einsum("qab,qb->qa", point.posterior, self.right)
        random = tuple(np.ascontiguousarray(effects[:, place]) for place in self.columns.places)
        return Solution(np.zeros(0), np.zeros((0, 0)), random, self.standard.basis)

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        whole = random[0] if len(random) == 1 else np.concatenate(random, axis=1)
        found = self._at().posterior @ whole
        return tuple(found[:, place] for place in self.columns.places)

    def conditional_covariance(self, term: int) -> Array:
        place = self.columns.places[term]
        return np.ascontiguousarray(self._at().posterior[:, place, place])

    def joint_covariance(self, term: int) -> Array:
        blocks = self.conditional_covariance(term)
        q, p = blocks.shape[:2]
        out = np.zeros((q, p, q, p))
        out[np.arange(q), :, np.arange(q), :] = blocks
        return out.reshape(q * p, q * p)

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        if all(given is None for given in codes):
            return np.zeros(0 if x is None else len(x))
        return self.effect_variance(codes, values)

    def effect_variance(self, codes: Sequence[Codes | None], values: Sequence[Array | None]) -> Array:
        own = self.rows.random
        if all(c is o.codes and v is o.values for c, v, o in zip(codes, values, own, strict=True)):
            return self.columns.quadratic(self._at().posterior)
        n = next(len(c) for c in codes if c is not None)
        z, level = np.zeros((n, self.columns.p)), np.full(n, -1)
        for given, part, place in zip(codes, values, self.columns.places, strict=True):
            if given is not None:
                level = np.asarray(given)
                z[:, place] = 1.0 if part is None else part
        new = level < 0
        if any(term.n_sets > 1 for term in self.layout.terms):
            refuse_new_levels(2, new)
        prior = self._at().roots @ self._at().roots.transpose(0, 2, 1)
        found = self._at().posterior[np.maximum(level, 0)]
        found[new] = prior[0]
        return np.asarray(np.einsum("na,nab,nb->n", z, found, z))

    def start_moments(self) -> tuple[Array, Array]:
        p = self.columns.p
        right = self.right
        moments, forms = np.empty((p + 1, p + 1)), np.empty(p + 1)
        moments[:p, :p] = np.einsum("qab,qab->ab", self.grams, self.grams)
        moments[p, :p] = moments[:p, p] = np.einsum("qaa->a", self.grams)
        moments[p, p] = self.count
        forms[:p] = np.einsum("qa,qa->a", right, right)
        forms[p] = self.standard.gram[0, 0]
        return moments, forms
