"""The `signed` engine: independent errors with random effects whose Σ may be indefinite (NOBOUND).

With Σ̃ = ΛJΛ', J = diag(±1), A = Z'WZ and M = J + Λ'AΛ (symmetric, signed pivots),

    Ṽ⁻¹ = W − WZHZ'W,   H = ΛM⁻¹Λ',   log|Ṽ| = log|W⁻¹| + log|det M|,   Ṽ ≻ 0 ⇔ inertia(M) = inertia(J)

(Sylvester, Haynsworth). Nothing is inverted where Σ̃ is singular or zero. The factor with most columns, the *leaf*,
is eliminated block by block, the others form a dense *tail*: with H₀ = Λ_l(J_l + Λ_l'A_llΛ_l)⁻¹Λ_l' block diagonal,
E = I − A_llH₀, F = EA_lt, S = A_tt − A_tlH₀A_lt and H_t = Λ_t(J_t + Λ_t'SΛ_t)⁻¹Λ_t',

    Z_t'Ṽ⁻¹Z_t = S − SH_tS,   Z_l'Ṽ⁻¹Z_t = F − FH_tS,   Z_l'Ṽ⁻¹Z_l = EA_ll − FH_tF'.

All of it is exact; the tail is factored as LDL' with Bunch and Kaufman's pivots (1977).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...control import Control
from ...lazy import LazyModule
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..base import Pieces, Score, Solution
from ..effects import prior_times
from ..layout import Layout
from ..relative import RelativeSystem, TermDirection
from ..standardise import Standardised, standardise
from ..targets import refuse_new_levels
from .arrangement import SignedArrangement, arrange_signed

if TYPE_CHECKING:
    from scipy import sparse
    from scipy.linalg import lapack
else:
    sparse = LazyModule("scipy.sparse")
    lapack = LazyModule("scipy.linalg.lapack")

LARGEST_WHOLE = 1500
"""Random columns up to which Z'P̃Z is formed whole for the expected information."""
CHUNK = 4_000_000
"""Numbers at most in a dense piece of leaf rows × tail columns."""


@dataclass(slots=True)
class _Point:
    """What is known at the current Σ̃: the blocks named in the module's first lines, and the fixed part."""

    sigma: tuple[Array, ...]
    first: Array
    shrunk: Array
    coupling: sparse.csr_array
    schur: Array
    tail: Array
    fixed_tail: Array
    fixed_leaf: Array
    beta: Array
    phi: Array
    columns: Array | None = None


class SignedSystem(RelativeSystem):
    """The mixed-model equations at a Σ̃ that need not be positive semidefinite.

    `factor` takes Σ̃ itself, one (sets, p, p) array per random term.
    """

    indefinite: ClassVar[bool] = True

    def __init__(
        self,
        layout: Layout,
        rows: Rows,
        control: Control,
        arranged: SignedArrangement | None = None,
        standard: Standardised | None = None,
    ) -> None:
        self.layout = layout
        self.rows = rows
        self.control = control
        self.arranged = arrange_signed(layout, rows) if arranged is None else arranged
        self.standard = standardise(rows, control) if standard is None else standard
        s = self.standard
        dense = np.empty((layout.n, layout.rank + 1))
        np.multiply(s.x - s.centre, s.scale, out=dense[:, :-1])
        dense[:, -1] = s.y - dense[:, :-1] @ s.beta
        if rows.weights is not None:
            dense *= rows.weights[:, None]
        self._leaf_dense = np.asarray(self.arranged.leaf.T @ dense)
        self._tail_dense = np.asarray(self.arranged.tail.T @ dense)
        self._point: _Point | None = None

    def _at(self) -> _Point:
        if self._point is None:
            raise RuntimeError("factor() has not been called")
        return self._point

    # -- criterion -------------------------------------------------------------------------------------------

    def factor(self, factors: Sequence[Array]) -> Pieces:
        """Factor the equations at Σ̃; LinAlgError where Ṽ is not positive definite."""
        arranged, s, r = self.arranged, self.standard, self.layout.rank
        self._point = None
        first, logdet_leaf, surplus = _leaf_inverse(arranged, factors)
        block = arranged.spread(first)
        shrunk = np.eye(arranged.p) - arranged.leaf_gram @ first
        coupling = (arranged.spread(shrunk) @ arranged.coupling).tocsr()
        moved = arranged.coupling.T @ (block @ self._leaf_dense)
        tail_dense = self._tail_dense - moved
        schur = arranged.tail_gram - (arranged.coupling.T @ (block @ arranged.coupling)).toarray()
        tail, logdet_tail = _tail_inverse(arranged, factors, 0.5 * (schur + schur.T), surplus)
        gram = s.gram - self._leaf_dense.T @ (block @ self._leaf_dense) - tail_dense.T @ tail @ tail_dense
        chol = np.linalg.cholesky(gram[:r, :r]) if r else np.zeros((0, 0))
        root = np.linalg.solve(chol, np.eye(r))
        half = root @ gram[:r, r]
        quadratic = float(gram[r, r] - half @ half)
        leaf_dense = arranged.spread(shrunk) @ self._leaf_dense
        self._point = _Point(
            tuple(factors), first, shrunk, coupling, schur, tail, tail_dense - schur @ (tail @ tail_dense),
            leaf_dense - coupling @ (tail @ tail_dense), root.T @ half, root.T @ root,
        )  # fmt: skip
        logdet_x = 2.0 * float(np.log(np.diag(chol)).sum()) + s.logdet_shift
        return Pieces(logdet_leaf + logdet_tail + s.log_weights, logdet_x, quadratic)

    # -- Z'Ṽ⁻¹Z and Z'P̃y --------------------------------------------------------------------------------------

    def _score_vectors(self) -> list[Array]:
        """Return Z'P̃y of every term, (q, p)."""
        point = self._at()
        beta = np.append(-point.beta, 1.0)
        return self.arranged.split(point.fixed_leaf @ beta, point.fixed_tail @ beta)

    def _fixed_columns(self) -> list[Array]:
        """Return Z'Ṽ⁻¹X of every term, (q, p, r), in standardised columns."""
        point = self._at()
        return self.arranged.split(point.fixed_leaf[:, :-1], point.fixed_tail[:, :-1])

    def _apply(self, leaf: Array, tail: Array) -> tuple[Array, Array]:
        """Return Z'Ṽ⁻¹Z c for c = (leaf, tail), each (columns, k)."""
        point, arranged = self._at(), self.arranged
        own = arranged.spread(point.shrunk) @ (
            arranged.spread(arranged.leaf_gram) @ leaf + arranged.coupling @ tail
        )
        met = point.coupling.T @ leaf + point.schur @ tail
        shift = point.tail @ met
        return own - point.coupling @ shift, met - point.schur @ shift

    def _blocks(self) -> list[Array]:
        """Return Z_j'Ṽ⁻¹Z_j of every level of every term, (q, p, p)."""
        point, arranged, p = self._at(), self.arranged, self.arranged.p
        inner = point.shrunk @ arranged.leaf_gram
        size = point.schur.shape[0]
        if size:
            step = max(1, CHUNK // (size * max(p, 1)))
            for start in range(0, arranged.q, step):
                stop = min(start + step, arranged.q)
                rows = point.coupling[start * p : stop * p].toarray().reshape(stop - start, p, size)
                inner[start:stop] -= (rows @ point.tail) @ rows.transpose(0, 2, 1)
        whole = point.schur - point.schur @ point.tail @ point.schur
        return arranged.split_blocks(0.5 * (inner + inner.transpose(0, 2, 1)), whole)

    def scores(self, reml: bool) -> list[Score]:
        out = []
        phi = self._at().phi
        parts = zip(
            self.layout.terms, self._blocks(), self._fixed_columns(), self._score_vectors(), strict=True
        )
        for term, inner, u, v in parts:
            trace = inner - u @ phi @ u.transpose(0, 2, 1) if reml else inner
            square = v[:, :, None] * v[:, None, :]
            sums = [_by_set(values, term.sets, term.n_sets) for values in (trace, square)]
            out.append(Score(sums[0], sums[1]))
        return out

    def _moved(self, directions: Sequence[TermDirection], vectors: list[Array]) -> tuple[Array, Array]:
        """Return (I⊗Σ̃̇_a)u for u per term (q, p, k), as leaf and tail columns by direction and k."""
        stack = []
        for direction in directions:
            moved = [np.zeros_like(u) for u in vectors]
            own = self.layout.terms[direction.term].sets == direction.set
            moved[direction.term][own] = direction.matrix @ vectors[direction.term][own]
            stack.append(self.arranged.join(moved))
        leaf, tail = zip(*stack, strict=True)
        return np.concatenate(leaf, axis=1), np.concatenate(tail, axis=1)

    def average_information(self, directions: Sequence[TermDirection]) -> Array:
        point = self._at()
        leaf, tail = self._moved(directions, [v[:, :, None] for v in self._score_vectors()])
        own, met = self._apply(leaf, tail)
        cross = leaf.T @ point.fixed_leaf[:, :-1] + tail.T @ point.fixed_tail[:, :-1]
        total = leaf.T @ own + tail.T @ met - cross @ point.phi @ cross.T
        return np.asarray(0.5 * (total + total.T))

    def fixed_information(self, directions: Sequence[TermDirection]) -> tuple[Array, Array]:
        point, r, k = self._at(), self.layout.rank, len(directions)
        leaf, tail = self._moved(directions, self._fixed_columns())
        own, met = self._apply(leaf, tail)
        p = point.fixed_leaf[:, :-1].T @ leaf + point.fixed_tail[:, :-1].T @ tail
        q = (leaf.T @ own + tail.T @ met).reshape(k, r, k, r).transpose(0, 2, 1, 3)
        p = -p.reshape(r, k, r).transpose(1, 0, 2)
        return p, q

    def trace_products(self, directions: Sequence[TermDirection], reml: bool) -> Array | None:
        """With K = Z'P̃Z and B_a = I⊗Σ̃̇_a the traces are those of KB_aKB_b; None beyond `LARGEST_WHOLE` columns."""
        point, arranged = self._at(), self.arranged
        split, size = arranged.q * arranged.p, arranged.q * arranged.p + len(self._at().schur)
        if size > LARGEST_WHOLE:
            return None
        unit = np.eye(size)
        whole = np.concatenate(self._apply(unit[:split], unit[split:]))
        if reml:
            u = np.concatenate([point.fixed_leaf[:, :-1], point.fixed_tail[:, :-1]])
            whole = whole - u @ point.phi @ u.T
        numbers = np.arange(float(size))
        places = [one.astype(np.intp) for one in arranged.split(numbers[:split], numbers[split:])]
        at = [places[d.term][self.layout.terms[d.term].sets == d.set] for d in directions]
        out = np.empty((len(directions), len(directions)))
        for a, first in enumerate(directions):
            for b, second in enumerate(directions[: a + 1]):
                part = whole[at[a][:, :, None, None], at[b][None, None]]
                left = np.einsum("xy,jylz->jxlz", first.matrix, part)
                out[a, b] = out[b, a] = float(np.vdot(left, part @ second.matrix))
        return out

    # -- estimates -------------------------------------------------------------------------------------------

    def solution(self) -> Solution:
        point, s = self._at(), self.standard
        terms = zip(self.layout.terms, point.sigma, self._score_vectors(), strict=True)
        effects = tuple(np.einsum("qab,qb->qa", sigma[term.sets], v) for term, sigma, v in terms)
        return Solution(s.beta + point.beta, point.phi, effects, s.basis)

    def conditional_covariance(self, term: int) -> Array:
        """Return Σ̃ − Σ̃Z_j'P̃Z_jΣ̃ for every level, (q, p, p); not a variance where Σ̃ is indefinite."""
        chosen, u = self.layout.terms[term], self._fixed_columns()[term]
        inner = self._blocks()[term] - u @ self._at().phi @ u.transpose(0, 2, 1)
        sigma = self._at().sigma[term][chosen.sets]
        return np.asarray(sigma - sigma @ inner @ sigma)

    def joint_covariance(self, term: int) -> Array:
        chosen = self.layout.terms[term]
        q, p = chosen.n_levels, chosen.n_columns
        sigma = self._at().sigma[term][chosen.sets]
        units = [np.zeros((t.n_levels, t.n_columns, q * p)) for t in self.layout.terms]
        units[term] = np.eye(q * p).reshape(q, p, q * p)
        units[term] = np.einsum("qab,qbk->qak", sigma, units[term])
        leaf, tail = self.arranged.join(units)
        own, met = self._apply(leaf, tail)
        u = np.einsum("qab,qbk->qak", sigma, self._fixed_columns()[term]).reshape(q * p, -1)
        prior = units[term].reshape(q * p, q * p)
        return np.asarray(prior - leaf.T @ own - tail.T @ met + u @ self._at().phi @ u.T)

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        n = len(x) if x is not None else next(len(c) for c in codes if c is not None)
        r = self.layout.rank
        rows = np.zeros((n, r)) if x is None else self.standard.basis.rows(np.asarray(x, dtype=float))
        return self._by_parts(rows, codes, values)

    def effect_variance(self, codes: Sequence[Codes | None], values: Sequence[Array | None]) -> Array:
        return self._by_parts(None, codes, values)

    def _by_parts(
        self, rows: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        n = len(rows) if rows is not None else next(len(c) for c in codes if c is not None)
        width = sum(t.n_levels * t.n_columns for t in self.layout.terms)
        step = max(1, CHUNK // max(width, 1))
        parts = [
            self._variances(
                None if rows is None else rows[a : a + step], _part(codes, a, step), _part(values, a, step)
            )
            for a in range(0, n, step)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _variances(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        """Return the variance of x'(β̂ − β) + z'(b̂ − b) by row, with β known where `x` is None."""
        point = self._at()
        n = len(x) if x is not None else next(len(c) for c in codes if c is not None)
        units = [np.zeros((t.n_levels, t.n_columns, n)) for t in self.layout.terms]
        out = np.zeros(n)
        for k, (term, code, value) in enumerate(zip(self.layout.terms, codes, values, strict=True)):
            if code is None:
                continue
            refuse_new_levels(term.n_sets, code < 0)
            z = np.ones((n, 1)) if value is None else value
            sigma = point.sigma[k][np.where(code >= 0, term.sets[np.maximum(code, 0)], 0)]
            moved = np.einsum("nab,nb->na", sigma, z)
            out += np.einsum("na,na->n", z, moved)
            seen = np.flatnonzero(code >= 0)
            units[k][code[seen], :, seen] = moved[seen]
        leaf, tail = self.arranged.join(units)
        own, met = self._apply(leaf, tail)
        out -= np.einsum("ij,ij->j", leaf, own) + np.einsum("ij,ij->j", tail, met)
        if x is None:
            return out
        rest = x - leaf.T @ point.fixed_leaf[:, :-1] - tail.T @ point.fixed_tail[:, :-1]
        return np.asarray(out + np.einsum("nx,xz,nz->n", rest, point.phi, rest))

    # -- other right-hand sides, other rows --------------------------------------------------------------------

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        """Return Σ̃g − Σ̃Z'Ṽ⁻¹ZΣ̃g of every term."""
        moved = self._prior_times(random)
        if not moved:
            return ()
        found = self.arranged.split(*self._apply(*self.arranged.join(moved)))
        return tuple(own - less for own, less in zip(moved, self._prior_times(found), strict=True))

    def _prior_times(self, random: Sequence[Array]) -> tuple[Array, ...]:
        parts = zip(self.layout.terms, self._at().sigma, random, strict=True)
        return tuple(prior_times(term, sigma, b) for term, sigma, b in parts)

    def fixed_columns(self) -> tuple[Array, ...]:
        return tuple(self._fixed_columns())

    def with_rows(self, rows: Rows) -> SignedSystem:
        arranged = self.arranged if rows.weights is self.rows.weights else None
        return SignedSystem(self.layout, rows, self.control, arranged, standardise(rows, self.control))

    def start_moments(self) -> tuple[Array, Array]:
        """Return the MIVQUE0 equations (see `Equations`), from M = W − WX(X'WX)⁻¹X'W at Σ̃ = 0."""
        arranged, s, r = self.arranged, self.standard, self.layout.rank
        c = np.linalg.inv(s.gram[:r, :r]) if r else np.zeros((0, 0))
        columns = arranged.columns(self._leaf_dense, self._tail_dense)
        size = len(columns) + 1
        moments, forms = np.zeros((size, size)), np.zeros(size)
        moments[-1, -1], forms[-1] = self.layout.n - r, s.gram[r, r]
        for i, (z, dense) in enumerate(columns):
            forms[i] = float(dense[:, -1] @ dense[:, -1])
            left = dense[:, :-1] @ c
            moments[i, -1] = moments[-1, i] = arranged.weighted_trace(z) - float(np.vdot(left, dense[:, :-1]))
            for j in range(i, len(columns)):
                other, right = columns[j]
                product = arranged.product(z, other)
                total = float(product.data @ product.data) - 2.0 * float(
                    np.vdot(left, product @ right[:, :-1])
                )
                squares = c @ (dense[:, :-1].T @ dense[:, :-1]) @ c @ (right[:, :-1].T @ right[:, :-1])
                moments[i, j] = moments[j, i] = total + float(np.trace(squares))
        return moments, forms


def _part(
    items: Sequence[Array | None] | Sequence[Codes | None], start: int, step: int
) -> list[NDArray | None]:  # type: ignore[type-arg]
    return [None if one is None else one[start : start + step] for one in items]


def _by_set(values: Array, sets: Codes, count: int) -> Array:
    """Return sums of (q, p, p) over the levels of every set, (count, p, p)."""
    out = np.zeros((count, *values.shape[1:]))
    for s in range(count):
        out[s] = values[sets == s].sum(axis=0)
    return out


def signed_roots(sigma: Array) -> tuple[Array, Array]:
    """Return Λ (..., p, p) and the diagonal of J (..., p) of ±1 with ΛJΛ' = `sigma`, from eigenvectors."""
    values, vectors = np.linalg.eigh(sigma)
    return vectors * np.sqrt(np.abs(values))[..., None, :], np.where(values < 0.0, -1.0, 1.0)


def _leaf_inverse(arranged: SignedArrangement, sigma: Sequence[Array]) -> tuple[Array, float, int]:
    """Return H₀ (q, p, p), Σ log|det M_jj|, and the negative pivots of M beyond those of J."""
    combined, which = arranged.leaf_covariances(sigma)
    root, sign = signed_roots(combined)
    root, sign = root[which], sign[which]
    m = root.transpose(0, 2, 1) @ arranged.leaf_gram @ root
    np.einsum("qii->qi", m)[...] += sign
    values, vectors = np.linalg.eigh(m)
    if not (values != 0.0).all():
        raise np.linalg.LinAlgError("a leaf block is singular")
    half = root @ vectors
    inverse = (half / values[:, None, :]) @ half.transpose(0, 2, 1)
    surplus = int(np.count_nonzero(values < 0.0)) - int(np.count_nonzero(sign < 0.0))
    return inverse, float(np.log(np.abs(values)).sum()), surplus


def _tail_inverse(
    arranged: SignedArrangement, sigma: Sequence[Array], schur: Array, surplus: int
) -> tuple[Array, float]:
    """Return H_t (T, T) and log|det M_t|; LinAlgError where the inertia of M is not that of J."""
    if not len(schur):
        if surplus:
            raise np.linalg.LinAlgError("V is not positive definite")
        return np.zeros((0, 0)), 0.0
    root, sign = arranged.tail_roots(sigma, signed_roots)
    m = np.asarray(root.T @ (root.T @ schur).T)
    m = 0.5 * (m + m.T)
    m[np.diag_indices_from(m)] += sign
    factored, pivots, info = lapack.dsytrf(m, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError("the tail is singular")
    logdet, negative = _pivots(factored, pivots)
    if negative + surplus != int(np.count_nonzero(sign < 0.0)):
        raise np.linalg.LinAlgError("V is not positive definite")
    inverse, info = lapack.dsytri(factored, pivots, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError("the tail is singular")
    full = np.tril(inverse) + np.tril(inverse, -1).T
    return np.asarray(root @ (root @ full).T), logdet


def _pivots(factored: Array, pivots: NDArray[np.intc]) -> tuple[float, int]:
    """Return log|det D| and the number of negative eigenvalues of the D of Bunch and Kaufman's LDL'."""
    diagonal = factored.diagonal()
    single = pivots > 0
    logdet = float(np.log(np.abs(diagonal[single])).sum())
    negative = int(np.count_nonzero(diagonal[single] < 0.0))
    pairs = np.flatnonzero(~single)[::2]
    # a pivot of order two has one eigenvalue of either sign
    below = factored[pairs + 1, pairs]
    logdet += float(np.log(np.abs(diagonal[pairs] * diagonal[pairs + 1] - below**2)).sum())
    return logdet, negative + len(pairs)
