"""The `blocked` engine: independent errors, any random terms, exact.

The leaf factor and the factors it is nested in are eliminated level by level in native code; what crosses
them is a dense *tail*, [tail factors | X | y], with unscaled Schur complement S. With D = blkdiag(Λ_tail, I),

    M = D'SD + blkdiag(I, 0, 0) = LL',   y'P̃y = (last pivot of L)²,
    log|Ṽ| = Σ_levels log|Λ'AΛ + I| + log|M_bb|,

H = D M⁻¹ D' is the posterior covariance of (b_tail, β)/σ², and the native backward sweep turns it into T, Q
and b̂ of every level of the chain. X is centred and scaled and y replaced by its least-squares residual before
anything is squared; β̂ is shifted back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import numpy as np

from ...control import Control
from ...errors import SpecError
from ...kernels import (
    Blocked,
    cholesky,
    cholesky_inverse,
    scale_triangle,
    scale_triangle_in_place,
    solve_lower,
    solve_upper,
    symmetric_times,
    thin_product,
)
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..arrangement import Arrangement, arrange, merge_factors, pad_direction, split_sets, with_in_tail
from ..base import Pieces, Refits, Score, Solution
from ..layout import Layout
from ..relative import RelativeSystem, TermDirection
from ..standardise import Standardised, standardise
from ..targets import refuse_new_levels
from .one_level import WIDE, one_level
from .refits import ChainRefits
from .start_moments import mivque0
from .tail import TailBlock, full, tail_blocks
from .traces import trace_products


@dataclass(slots=True)
class _Point:
    """What is known at the current Λ; later entries are filled when first asked for."""

    lower: Array
    x: Array
    posterior: Array | None = None
    fixed_beta: Array | None = None
    scores: tuple[list[tuple[Array, Array]], bool] | None = None
    score_vector: Array | None = None


class Source(Protocol):
    """Where the cross-products of a model come from."""

    standard: Standardised
    """The dense columns."""
    rows: Rows | None
    """The rows, where they are held."""

    def products(self, arranged: Arrangement) -> Blocked:
        """Return the cross-products with random columns, by chain and tail."""
        ...

    def column_squares(self) -> tuple[Array, ...]:
        """Return Σ z² of every column of Z by term, (p,)."""
        ...


class RowSource:
    """Cross-products summed from rows that are held."""

    def __init__(self, rows: Rows, control: Control) -> None:
        self.rows: Rows | None = rows
        self.standard = standardise(rows, control)
        self._weights, self._random = rows.weights, rows.random
        self._squares: tuple[Array, ...] | None = None

    def column_squares(self) -> tuple[Array, ...]:
        if self._squares is None:
            self._squares = tuple(own.column_squares() for own in self._random)
        return self._squares

    def products(self, arranged: Arrangement) -> Blocked:
        s = self.standard
        only = arranged.factors[arranged.chain[0]] if len(arranged.chain) == 1 and not arranged.tail else None
        if only is not None and only.q == 1 and only.p >= WIDE and only.values is not None:
            return one_level(only.values, only.sets, s, self._weights)
        rows = [(f.codes, f.values, f.p, f.q) for f in arranged.factors]
        return Blocked(
            [rows[f] for f in arranged.chain],
            [rows[f] for f in arranged.tail],
            [arranged.factors[f].sets for f in arranged.chain],
            s.x,
            s.y,
            s.centre,
            s.scale,
            s.beta,
            self._weights,
            s.threads,
        )


class BlockedSystem(RelativeSystem):
    """Mixed-model equations by elimination of a chain and a dense tail."""

    def __init__(
        self,
        layout: Layout,
        source: Source,
        control: Control,
        arranged: Arrangement,
        blocks: tuple[TailBlock, ...] | None = None,
    ) -> None:
        self.layout = layout
        self.source = source
        self.control = control
        self.arranged = arranged
        self.standard = source.standard
        self.blocks = tail_blocks(layout, arranged) if blocks is None else blocks
        self.native = source.products(arranged)
        self._width = arranged.tail_width
        self._size = self._width + layout.rank
        self._schur = np.zeros((self._size + 1, self._size + 1))
        self._room = np.zeros((self._size, self._size))
        self._lambda: list[Array] = []
        self._point: _Point | None = None
        self._whole: BlockedSystem | None = None

    @property
    def rows(self) -> Rows:  # type: ignore[override]
        """The rows of the model; `SpecError` for equations from cross-products."""
        if self.source.rows is None:
            raise SpecError(
                "this question needs the rows of the data, which equations from cross-products do not hold; "
                "fit the model to the data."
            )
        return self.source.rows

    @property
    def count(self) -> int:
        return self.standard.count

    def response_square(self) -> float:
        return super().response_square() if self.holds_rows else float(self.standard.gram[-1, -1])

    @property
    def holds_rows(self) -> bool:
        """Whether there are rows."""
        return self.source.rows is not None

    def _at(self) -> _Point:
        if self._point is None:
            raise RuntimeError("factor() has not been called")
        return self._point

    # -- criterion ---------------------------------------------------------------------------------

    def factor(self, factors: Sequence[Array]) -> Pieces:
        self._lambda = [merge_factors(self.layout, f, factors) for f in self.arranged.factors]
        chain = [np.ascontiguousarray(self._lambda[f]).reshape(-1) for f in self.arranged.chain]
        logdet = self.native.eliminate(chain, self.standard.gram, self._schur)
        if not isfinite(logdet):
            # without a tail nothing else would notice
            raise np.linalg.LinAlgError("the equations of some level are not positive definite")
        width, size = self._width, self._size
        m = self._scaled_schur()
        rhs = self._schur[size, :size].copy()
        for block in self.blocks:
            block.transpose_apply(rhs, self._lambda[block.factor])
        if width:
            np.einsum("ii->i", m)[:width] += 1.0
        lower = cholesky(m, self.standard.threads)
        logs = np.log(np.diagonal(lower))
        half = solve_lower(lower, rhs)
        x = solve_upper(lower, half)
        for block in self.blocks:
            block.apply(x, self._lambda[block.factor])
        self._point = _Point(lower, x)
        return Pieces(
            logdet + 2.0 * float(logs[:width].sum()) + self.standard.log_weights,
            2.0 * float(logs[width:].sum()) + self.standard.logdet_shift,
            float(self._schur[size, size] - half @ half),
        )

    def _scaled_schur(self) -> Array:
        """D'SD, (m, m), lower triangle."""
        size = self._size
        weights = self._tail_weights()
        if weights is None:
            m = self._schur[:size, :size].copy()
            for block in self.blocks:
                block.scale(m, self._lambda[block.factor])
            return m
        # no other point is asked for once the next is factored, so the room is used again
        scale_triangle(self._schur, weights, self._room)
        return self._room

    def _tail_weights(self) -> Array | None:
        """The diagonal of D where it is diagonal, (m,)."""
        weights = np.ones(self._size)
        for block in self.blocks:
            own = block.diagonal(self._lambda[block.factor])
            if own is None:
                return None
            weights[block.columns] = own
        return weights

    # -- first derivatives -------------------------------------------------------------------------

    def _posterior(self) -> Array:
        """H = D M⁻¹ D' over [tail, X], lower triangle."""
        point = self._at()
        if point.posterior is None:
            point.posterior = self._spread(cholesky_inverse(point.lower, self.standard.threads))
        return point.posterior

    def _spread(self, h: Array) -> Array:
        """DhD' for h over the tail, or over the tail and X."""
        weights = self._tail_weights()
        if weights is not None:
            scale_triangle_in_place(h, weights[: len(h)])
            return h
        for block in self.blocks:
            block.spread(h, self._lambda[block.factor])
        return h

    def _fixed_beta_posterior(self) -> Array:
        """H with β held at its estimate: the inverse of the tail's own block, zero for X."""
        point = self._at()
        if point.fixed_beta is None:
            point.fixed_beta = h = np.zeros((self._size, self._size))
            if self._width:
                corner = np.ascontiguousarray(point.lower[: self._width, : self._width])
                part = cholesky_inverse(corner, self.standard.threads)
                h[: self._width, : self._width] = self._spread(part)
        return point.fixed_beta

    def _backward(self, keep: bool = False) -> list[tuple[Array, Array]]:
        """Sweep back through the chain at the posterior with β unknown; cached for this point."""
        point = self._at()
        if point.scores is None or (keep and not point.scores[1]):
            point.scores = (self.native.backward(self._posterior(), point.x, keep), keep)
        return point.scores[0]

    def _tail_score_vector(self) -> Array:
        """Z'P̃y over the tail, (m,)."""
        point = self._at()
        if point.score_vector is None:
            size = self._size
            point.score_vector = self._schur[size, :size] - symmetric_times(self._schur, point.x, size)
        return point.score_vector

    def scores(self, reml: bool) -> list[Score]:
        if reml:
            h, chain = self._posterior(), self._backward()
        else:
            h = self._fixed_beta_posterior()
            chain = self.native.backward(h, self._at().x, False)
            self._at().scores = None
        results: dict[int, Score] = {}
        for f, (trace, quadratic) in zip(self.arranged.chain, chain, strict=True):
            shape = self._lambda[f].shape
            self._split(f, trace.reshape(shape), quadratic.reshape(shape), results)
        for block in self.blocks:
            r = self._tail_score_vector()
            trace, quadratic = block.score(self._schur, h, r, self._lambda[block.factor])
            self._split(block.factor, trace, quadratic, results)
        return [results[k] for k in range(len(self.layout.terms))]

    def _split(self, f: int, trace: Array, quadratic: Array, results: dict[int, Score]) -> None:
        """Hand the blocks of a merged factor back to its terms."""
        factor = self.arranged.factors[f]
        parts = zip(
            split_sets(self.layout, factor, trace), split_sets(self.layout, factor, quadratic), strict=True
        )
        for term, (t, q) in zip(factor.terms, parts, strict=True):
            results[term] = Score(t, q)

    # -- second derivatives ------------------------------------------------------------------------

    def average_information(self, directions: Sequence[TermDirection]) -> Array:
        """With ρ_a = Z_o'V₁⁻¹f_a on [tail, X] (V₁: chain integrated out), A_ab = f_a'V₁⁻¹f_b − ρ_a'Hρ_b."""
        self._backward()
        point, size, width = self._at(), self._size, self._width
        n = len(directions)
        native: list[tuple[int, int, Array]] = []
        owner: list[int] = []
        rho, coefficients = np.zeros((size, n)), np.zeros((width, n))
        for a, direction in enumerate(directions):
            f, _ = self.arranged.place(direction.term)
            pieces = pad_direction(self.arranged.factors[f], direction)
            if f in self.arranged.chain:
                native += [
                    (self.arranged.chain.index(f), s, np.ascontiguousarray(matrix).reshape(-1))
                    for s, matrix in pieces
                ]
                owner += [a] * len(pieces)
            else:
                block = self.blocks[self.arranged.tail.index(f)]
                for s, matrix in pieces:
                    coefficients[block.columns, a] += block.push(matrix, s, self._tail_score_vector())
        gram = np.zeros((n, n))
        if native:
            rhs_flat, gram_flat = self.native.information(native)
            expand = np.zeros((len(native), n))
            expand[np.arange(len(native)), owner] = 1.0
            rho += rhs_flat.reshape(size, len(native)) @ expand
            gram += expand.T @ gram_flat.reshape(len(native), len(native)) @ expand
        if width:
            padded = np.zeros((size, n))
            padded[:width] = coefficients
            own = symmetric_times(self._schur, padded, size)
            cross = coefficients.T @ rho[:width]
            gram += cross + cross.T + coefficients.T @ own[:width]
            rho += own
        for block in self.blocks:
            block.transpose_apply(rho, self._lambda[block.factor])
        half = solve_lower(point.lower, rho)
        total = gram - half.T @ half
        return np.asarray(0.5 * (total + total.T))

    def trace_products(self, directions: Sequence[TermDirection], reml: bool) -> Array | None:
        return trace_products(self, directions, reml)

    def one_factor(self) -> tuple[Array, Array]:
        """Return Z_j'P̃Z_j (q, p, p) and Z_j'Ṽ⁻¹XR (q, p, r), RR' = (X'Ṽ⁻¹X)⁻¹, of the levels of the only factor."""
        self._backward(keep=True)
        factor, r = self.arranged.factors[0], self.layout.rank
        inner = self.native.levels(0)[2].reshape(factor.q, factor.p, factor.p)
        u = self._columns_of_x(np.zeros((0, 0)))[0][0]
        root = solve_lower(self._at().lower, np.eye(r)).T
        return inner, thin_product(u.reshape(factor.q * factor.p, r), root).reshape(u.shape)

    def in_tail(self) -> BlockedSystem:
        """Return the equations with every factor in the tail, factored at the same Λ."""
        if self._whole is None:
            arranged = self.arranged
            for f in arranged.chain:
                arranged = with_in_tail(arranged, f)
            self._whole = BlockedSystem(self.layout, self.source, self.control, arranged)
        self._whole.factor(self._term_factors())
        return self._whole

    def projected_gram(self, reml: bool) -> Array:
        """Return Z'P̃Z (Z'Ṽ⁻¹Z for ML) over the tail, (width, width), of equations without a chain."""
        size, width = self._size, self._width
        h = full(self._posterior() if reml else self._fixed_beta_posterior())
        columns = full(self._schur[:size, :size])[:, :width]
        return np.asarray(columns[:width] - columns.T @ (h @ columns))

    def fixed_information(self, directions: Sequence[TermDirection]) -> tuple[Array, Array]:
        """With U = Z'Ṽ⁻¹X and F_a = Z(I⊗Σ̃̇_a)U: P_a = −U'(I⊗Σ̃̇_a)U and Q_ab = F_a'Ṽ⁻¹F_b."""
        width, r, count = self._width, self.layout.rank, len(directions)
        lower = np.ascontiguousarray(self._at().lower[:width, :width])
        chain_u, tail_u = self._columns_of_x(lower)
        coefficients = [np.zeros((*u.shape[:2], count, r)) for u in chain_u]
        tail_coefficients = np.zeros((width, count, r))
        p = np.zeros((count, r, r))
        for a, direction in enumerate(directions):
            f, _ = self.arranged.place(direction.term)
            for s, matrix in pad_direction(self.arranged.factors[f], direction):
                if f in self.arranged.chain:
                    c = self.arranged.chain.index(f)
                    at = self.arranged.factors[f].sets == s
                    coefficients[c][at, :, a] += matrix @ chain_u[c][at]
                else:
                    block = self.blocks[self.arranged.tail.index(f)]
                    for j in range(r):
                        tail_coefficients[block.columns, a, j] += block.push(matrix, s, tail_u[:, j])
            p[a] = -sum(
                (np.einsum("qij,qik->jk", u, c[:, :, a]) for u, c in zip(chain_u, coefficients, strict=True)),
                start=tail_u.T @ tail_coefficients[:, a],
            )
        rhs_flat, gram_flat = self.native.products([c.reshape(-1) for c in coefficients], count * r)
        rho = rhs_flat.reshape(self._size, count * r)[:width].copy()
        gram = gram_flat.reshape(count * r, count * r).copy()
        if width:
            own_coefficients = tail_coefficients.reshape(width, count * r)
            own = symmetric_times(self._schur, own_coefficients, width)
            cross = own_coefficients.T @ rho
            gram += cross + cross.T + own_coefficients.T @ own
            rho += own
            for block in self.blocks:
                block.transpose_apply(rho, self._lambda[block.factor])
            half = solve_lower(lower, rho)
            gram -= half.T @ half
        q = gram.reshape(count, r, count, r).transpose(0, 2, 1, 3)
        return p, q

    def _columns_of_x(self, lower: Array) -> tuple[list[Array], Array]:
        """U = Z'Ṽ⁻¹X: per chain factor (q, p, r), and over the tail (width, r), in standardised columns."""
        width, r = self._width, self.layout.rank
        coupling = np.ascontiguousarray(self._schur[width : self._size, :width].T)
        rhs = coupling.copy()
        for block in self.blocks:
            block.transpose_apply(rhs, self._lambda[block.factor])
        x = solve_upper(lower, solve_lower(lower, rhs))
        for block in self.blocks:
            block.apply(x, self._lambda[block.factor])
        tail_u = coupling - symmetric_times(self._schur, x, width)
        flat = self.native.level_columns(np.ascontiguousarray(x))
        shapes = [(self.arranged.factors[f].q, self.arranged.factors[f].p, r) for f in self.arranged.chain]
        return [u.reshape(shape) for u, shape in zip(flat, shapes, strict=True)], tail_u

    # -- estimates ---------------------------------------------------------------------------------

    def solution(self) -> Solution:
        point, s, width = self._at(), self.standard, self._width
        random: dict[int, Array] = {}
        for f, b in zip(self.arranged.chain, self.native.predictions(point.x), strict=True):
            self.split_levels(f, b.reshape(self.arranged.factors[f].q, -1), random)
        for block in self.blocks:
            self.split_levels(block.factor, point.x[block.columns].reshape(block.data.q, -1), random)
        corner = point.lower[width:, width:]
        half = solve_lower(np.ascontiguousarray(corner), np.eye(len(corner)))
        effects = tuple(random[k] for k in range(len(self.layout.terms)))
        return Solution(s.beta + point.x[width:], half.T @ half, effects, s.basis)

    def split_levels(self, f: int, values: Array, out: dict[int, Array]) -> None:
        factor = self.arranged.factors[f]
        for term, start in zip(factor.terms, factor.starts, strict=True):
            out[term] = np.ascontiguousarray(values[:, start : start + self.layout.terms[term].n_columns])

    def conditional_covariance(self, term: int) -> Array:
        f, start = self.arranged.place(term)
        factor = self.arranged.factors[f]
        part = slice(start, start + self.layout.terms[term].n_columns)
        if f in self.arranged.tail:
            block = self.blocks[self.arranged.tail.index(f)]
            return block.level_blocks(self._posterior())[:, part, part]
        self._backward(keep=True)
        _, _, t = self.native.levels(self.arranged.chain.index(f))
        lam = self._lambda[f]
        sigma = (lam @ lam.transpose(0, 2, 1))[factor.sets]
        full = sigma - sigma @ t.reshape(factor.q, factor.p, factor.p) @ sigma
        return np.asarray(full[:, part, part])

    def joint_covariance(self, term: int) -> Array:
        f, start = self.arranged.place(term)
        factor = self.arranged.factors[f]
        p = self.layout.terms[term].n_columns
        if f in self.arranged.chain:
            other = BlockedSystem(self.layout, self.source, self.control, with_in_tail(self.arranged, f))
            other.factor(self._term_factors())
            return other.joint_covariance(term)
        block = self.blocks[self.arranged.tail.index(f)]
        lower = np.tril(self._posterior()[block.columns, block.columns])
        full = lower + np.tril(lower, -1).T
        keep = (np.arange(factor.q)[:, None] * factor.p + start + np.arange(p)).reshape(-1)
        return np.asarray(full[np.ix_(keep, keep)])

    def _term_factors(self) -> list[Array]:
        """Λ per random term, taken back out of the merged factors."""
        out = []
        for k, term in enumerate(self.layout.terms):
            f, start = self.arranged.place(k)
            factor = self.arranged.factors[f]
            column = factor.set_map[:, factor.terms.index(k)]
            part = slice(start, start + term.n_columns)
            lam = np.zeros((term.n_sets, term.n_columns, term.n_columns))
            lam[column] = self._lambda[f][:, part, part]
            out.append(lam)
        return out

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        given = [c for c in codes if c is not None]
        n = len(x) if x is not None else len(given[0])
        rows = (
            np.zeros((n, self.layout.rank))
            if x is None
            else self.standard.basis.rows(np.asarray(x, dtype=float))
        )
        return self._row_variance(self._posterior(), rows, codes, values)

    def effect_variance(self, codes: Sequence[Codes | None], values: Sequence[Array | None]) -> Array:
        n = next(len(c) for c in codes if c is not None)
        rows = np.zeros((n, self.layout.rank))
        return self._row_variance(self._fixed_beta_posterior(), rows, codes, values)

    def _row_variance(
        self, posterior: Array, rows: Array, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        n = len(rows)
        extra = np.zeros(n)
        merged: dict[int, tuple[Codes, Array]] = {}
        for f in range(len(self.arranged.factors)):
            merged[f] = self.arranged.factors[f].new_rows(self.layout, n, codes, values)
            self._add_unseen(f, merged[f], codes, extra)
        out = self.native.prediction_variance(
            posterior,
            np.ascontiguousarray(rows),
            [(merged[f][0], merged[f][1].reshape(-1)) for f in self.arranged.chain],
            [(merged[b.factor][0], merged[b.factor][1].reshape(-1), b.data.p, b.first) for b in self.blocks],
        )
        return np.asarray(out + extra)

    def _add_unseen(
        self, f: int, rows: tuple[Codes, Array], codes: Sequence[Codes | None], extra: Array
    ) -> None:
        factor = self.arranged.factors[f]
        if all(codes[term] is None for term in factor.terms):
            return
        level, z = rows
        unseen = level < 0
        if not unseen.any():
            return
        refuse_new_levels(factor.n_sets, unseen)
        zl = z[unseen] @ self._lambda[f][0]
        extra[unseen] += np.einsum("ij,ij->i", zl, zl)

    def refits(self) -> Refits | None:
        return ChainRefits.of(self)

    def column_squares(self) -> tuple[Array, ...]:
        return self.source.column_squares()

    def start_moments(self) -> tuple[Array, Array]:
        return mivque0(self.native, self.arranged, self.blocks, self.standard.gram, self.layout)

    # -- other right-hand sides, other rows ----------------------------------------------------------

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        """With the chain integrated out the tail has D(D'SD + I)⁻¹D', S without X."""
        count, width = random[0].shape[2] if random else 0, self._width
        merged = [self._merged(f, random) for f in range(len(self.arranged.factors))]
        chain = [merged[f].reshape(-1) for f in self.arranged.chain]
        tail = np.zeros((width, count))
        for block in self.blocks:
            tail[block.columns] = merged[block.factor].reshape(-1, count)
        tail += self.native.reduce(chain, count).reshape(width, count)
        for block in self.blocks:
            block.transpose_apply(tail, self._lambda[block.factor])
        lower = np.ascontiguousarray(self._at().lower[:width, :width])
        x = np.ascontiguousarray(solve_upper(lower, solve_lower(lower, tail)))
        for block in self.blocks:
            block.apply(x, self._lambda[block.factor])
        out: dict[int, Array] = {}
        for f, b in zip(self.arranged.chain, self.native.substitute(chain, x), strict=True):
            self.split_levels(f, b.reshape(merged[f].shape), out)
        for block in self.blocks:
            self.split_levels(block.factor, x[block.columns].reshape(merged[block.factor].shape), out)
        return tuple(out[k] for k in range(len(random)))

    def _merged(self, f: int, random: Sequence[Array]) -> Array:
        """Return the columns of a factor, (q, p, k), from those of its terms."""
        return np.concatenate([random[k] for k in self.arranged.factors[f].terms], axis=1)

    def fixed_columns(self) -> tuple[Array, ...]:
        lower = np.ascontiguousarray(self._at().lower[: self._width, : self._width])
        chain, tail = self._columns_of_x(lower)
        out: dict[int, Array] = {}
        for f, u in zip(self.arranged.chain, chain, strict=True):
            self.split_levels(f, u, out)
        for block in self.blocks:
            shape = (block.data.q, block.data.p, tail.shape[1])
            self.split_levels(block.factor, tail[block.columns].reshape(shape), out)
        return tuple(out[k] for k in range(len(self.layout.terms)))

    def with_rows(self, rows: Rows) -> BlockedSystem:
        if not self.holds_rows:
            # the arrangement knows nobody's levels
            return BlockedSystem(
                self.layout, RowSource(rows, self.control), self.control, arrange(self.layout, rows)
            )
        return BlockedSystem(
            self.layout, RowSource(rows, self.control), self.control, self.arranged, self.blocks
        )
