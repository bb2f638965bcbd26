"""Independent errors of variance σ²/w: the whole protocol from what a system says relative to σ².

V = σ²W⁻¹ + Σ_k Z_kΣ_kZ_k' is homogeneous of degree one in (σ², Σ), so that the errors need no pass of their own
(Euler): with S = Σ_k Z_kΣ_kZ_k' and ν = n − rank X for P, n for V⁻¹,

    tr(PW⁻¹) = (ν − Σ⟨T_k, Σ_k⟩)/σ²,      y'PW⁻¹Py = (y'Py − Σ⟨Q_k, Σ_k⟩)/σ²,      W⁻¹ = (V − S)/σ²,

and a direction of σ² is (V̇_V − V̇_S)/σ², where that of V itself is known: VPy = y less its fit, PVP = P.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np

from ..terms.rows import Rows
from ..typing import Array, Codes
from .base import (
    Covariances,
    Direction,
    Equations,
    Pieces,
    Refits,
    Score,
    Scores,
    SizeGroup,
    Solution,
    Target,
)
from .coordinates import FixedBasis
from .effects import prior_times
from .relative import RelativeSystem, TermDirection

LARGEST_LOG_VARIANCE = 600.0
"""|log σ²| beyond this is outside the domain: σ² would not be a normal number."""


@dataclass(slots=True)
class _State:
    """σ², what V was factored at and times what, y'P̃y, and T and Q of every term relative to σ² by likelihood."""

    sigma2: float
    covariances: Covariances
    factor: float
    quadratic: float
    scores: dict[bool, list[Score]]

    def random(self) -> tuple[Array, ...]:
        """Return Σ of every term, (sets, p, p)."""
        return tuple(self.factor * sigma for sigma in self.covariances.matrices())


class HomogeneousEquations(Equations):
    """The mixed-model equations of a model with independent errors, on a system relative to σ²."""

    homogeneous = True
    diagonal = True

    def __init__(self, system: RelativeSystem) -> None:
        self.system = system
        self.layout = system.layout
        n, self._count = self.layout.n, system.count
        self.groups = (
            SizeGroup(np.zeros((1, 1), np.intp), np.zeros(1, np.intp), np.array([n]), np.zeros(1, np.intp)),
        )
        self.holder = None
        self._state: _State | None = None

    @property
    def rows(self) -> Rows:  # type: ignore[override]
        """The rows of the model; `SpecError` for equations from cross-products."""
        return self.system.rows

    @property
    def threads(self) -> int:  # type: ignore[override]
        """Threads of native code worth using on these rows."""
        return self.system.standard.threads

    def response_square(self) -> float:
        return self.system.response_square()

    @property
    def basis(self) -> FixedBasis:  # type: ignore[override]
        """The equations' own coordinates of β."""
        return self.system.standard.basis

    @property
    def takes_roots(self) -> bool:  # type: ignore[override]
        """Whether `factor` reads Λ rather than Σ."""
        return not self.system.indefinite

    @property
    def indefinite(self) -> bool:  # type: ignore[override]
        """Whether Σ may be indefinite."""
        return self.system.indefinite

    @property
    def simulated(self) -> int:
        return self.system.simulated

    @property
    def noise(self) -> float:
        return self.system.noise

    def enlarge(self, probes: int) -> None:
        self.system.enlarge(probes)
        self._state, self.holder = None, None

    def score_draws(self, reml: bool, *, errors: bool = True) -> Iterator[Scores]:
        state, exact = self._at(), self._relative_scores(reml)
        try:
            for traces in self.system.trace_draws(reml):
                state.scores[reml] = [
                    Score(trace, one.quadratic) for trace, one in zip(traces, exact, strict=True)
                ]
                yield self.scores(reml, errors=errors)
        finally:
            state.scores[reml] = exact

    def _at(self) -> _State:
        if self._state is None:
            raise RuntimeError("factor() has not been called")
        return self._state

    # -- criterion -------------------------------------------------------------------------------------------

    def factor(self, covariances: Covariances) -> Pieces:
        sigma2 = float(covariances.errors[0][0, 0, 0])
        if not (sigma2 > 0 and abs(log(sigma2)) < LARGEST_LOG_VARIANCE):
            raise ArithmeticError("the residual variance is out of range")
        self._state = None
        if self.system.indefinite:
            random = covariances.matrices()
            given = random if sigma2 == 1.0 else tuple(s / sigma2 for s in random)
        else:
            assert covariances.roots is not None
            root = sigma2**-0.5
            given = covariances.roots if sigma2 == 1.0 else tuple(root * lam for lam in covariances.roots)
        pieces = self.system.factor(given)
        self._state = _State(sigma2, covariances, 1.0, pieces.quadratic, {})
        if sigma2 == 1.0:
            return pieces
        return Pieces(
            pieces.logdet + self._count * log(sigma2),
            pieces.logdet_x - self.layout.rank * log(sigma2),
            pieces.quadratic / sigma2,
        )

    @property
    def log_weights(self) -> float:
        """−Σ log|w| over the rows that say something."""
        return self.system.standard.log_weights

    def rescale(self, factor: float) -> None:
        state = self._at()
        state.sigma2 *= factor
        state.factor *= factor

    # -- first derivatives -----------------------------------------------------------------------------------

    def _relative_scores(self, reml: bool) -> list[Score]:
        state = self._at()
        if reml not in state.scores:
            state.scores[reml] = self.system.scores(reml)
        return state.scores[reml]

    def _degrees(self, reml: bool) -> int:
        return self._count - (self.layout.rank if reml else 0)

    def scores(self, reml: bool, *, errors: bool = True) -> Scores:
        state, s2 = self._at(), self._at().sigma2
        found = tuple(Score(one.trace / s2, one.quadratic / s2**2) for one in self._relative_scores(reml))
        if not errors:
            return Scores(found, ())
        trace, quadratic = float(self._degrees(reml)), state.quadratic / s2
        for one, sigma in zip(found, state.random(), strict=True):
            trace -= float(np.vdot(one.trace, sigma))
            quadratic -= float(np.vdot(one.quadratic, sigma))
        return Scores(found, (np.full((1, 1, 1), (trace - quadratic) / s2),))

    def traces(self, reml: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        state, s2 = self._at(), self._at().sigma2
        found = tuple(one.trace / s2 for one in self._relative_scores(reml))
        left = self._degrees(reml) - sum(
            float(np.vdot(trace, sigma)) for trace, sigma in zip(found, state.random(), strict=True)
        )
        return found, (np.full((1, 1, 1), left / s2),)

    # -- second derivatives ----------------------------------------------------------------------------------

    def _split(self, directions: Sequence[Direction]) -> _Split:
        """Write directions as combinations of Σ̇ of single terms and sets and of V."""
        state = self._at()
        if all(d.errors is None and len(d.random) == 1 for d in directions):
            return _Split([TermDirection(*d.random[0]) for d in directions], None, np.zeros(0))
        parts: list[TermDirection] = []
        rows: list[dict[int, float]] = []
        errors = np.array([0.0 if d.errors is None else float(d.errors(0)[0, 0, 0]) for d in directions])
        for direction in directions:
            rows.append({len(parts) + i: 1.0 for i in range(len(direction.random))})
            parts += [TermDirection(*one) for one in direction.random]
        whole = len(parts)
        if errors.any():
            for k, stack in enumerate(state.random()):
                parts += [TermDirection(k, s, sigma) for s, sigma in enumerate(stack)]
        combine = np.zeros((len(directions), len(parts)))
        for a, row in enumerate(rows):
            for place, weight in row.items():
                combine[a, place] = weight
        combine[:, whole:] -= (errors / state.sigma2)[:, None]
        return _Split(parts, combine, errors / state.sigma2)

    def _sums(self, parts: Sequence[TermDirection], scores: Sequence[Array]) -> Array:
        """Return ⟨S_k, Σ̇⟩ of every part for S of every term, (sets, p, p)."""
        return np.array([float(np.vdot(scores[d.term][d.set], d.matrix)) for d in parts])

    def information(self, directions: Sequence[Direction]) -> Array:
        """With V̇ = (a part of the terms) + c·V: f = V̇_termsPy + c(y − Xβ̂)-like, PVP = P."""
        state, s2 = self._at(), self._at().sigma2
        split = self._split(directions)
        if split.combine is None:
            return self.system.average_information(split.parts) / s2**3
        out = np.zeros((len(directions), len(directions)))
        if split.parts:
            inner = self.system.average_information(split.parts) / s2**3
            out += split.combine @ inner @ split.combine.T
            if split.whole.any():
                scores = self._relative_scores(True)
                q = split.combine @ self._sums(split.parts, [one.quadratic for one in scores]) / s2**2
                out += np.outer(q, split.whole) + np.outer(split.whole, q)
        return np.asarray(out + np.outer(split.whole, split.whole) * state.quadratic / s2)

    def trace_products(self, directions: Sequence[Direction], reml: bool) -> Array | None:
        s2, split = self._at().sigma2, self._split(directions)
        if split.combine is None:
            found = self.system.trace_products(split.parts, reml)
            return None if found is None else found / s2**2
        out = np.outer(split.whole, split.whole) * float(self._degrees(reml))
        if not split.parts:
            return np.asarray(out)
        inner = self.system.trace_products(split.parts, reml)
        if inner is None:
            return None
        scores = self._relative_scores(reml)
        t = split.combine @ self._sums(split.parts, [one.trace for one in scores]) / s2
        out += split.combine @ inner @ split.combine.T / s2**2
        return np.asarray(out + np.outer(t, split.whole) + np.outer(split.whole, t))

    def fixed_information(self, directions: Sequence[Direction], weights: Array) -> tuple[Array, Array]:
        s2, split = self._at().sigma2, self._split(directions)
        r, k = self.layout.rank, len(directions)
        if not r:
            return np.zeros((k, 0, 0)), np.zeros((0, 0))
        combine = np.eye(k) if split.combine is None else split.combine
        c = np.zeros(k) if split.combine is None else split.whole
        p, q = np.zeros((k, r, r)), np.zeros((r, r))
        if split.parts:
            own_p, own_q = self.system.fixed_information(split.parts)
            p = np.tensordot(combine, own_p, 1) / s2**2
            inner = combine.T @ weights @ combine
            q = np.einsum("ab,abij->ij", inner, own_q) / s2**3
            # terms of Q with one factor V: V⁻¹V̇_aV⁻¹VV⁻¹ = V⁻¹V̇_aV⁻¹
            q = q - 2.0 * np.tensordot(weights @ c, p, 1)
        if c.any():
            information = np.linalg.inv(self.solution().own_vcov)
            q = q + float(c @ weights @ c) * information
            p = p - c[:, None, None] * information
        return np.asarray(p), np.asarray(0.5 * (q + q.T))

    # -- estimates -------------------------------------------------------------------------------------------

    def solution(self) -> Solution:
        found = self.system.solution()
        return replace(found, own_vcov=self._at().sigma2 * found.own_vcov)

    def conditional_covariance(self, term: int) -> Array:
        return self._at().sigma2 * self.system.conditional_covariance(term)

    def joint_covariance(self, term: int) -> Array:
        return self._at().sigma2 * self.system.joint_covariance(term)

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        return self._at().sigma2 * self.system.prediction_variance(x, codes, values)

    def predict(self, target: Target) -> tuple[Array, Array]:
        shift, effects = np.zeros(len(target)), self.system.solution().random
        for b, codes, values in zip(effects, target.codes, target.values, strict=True):
            if codes is not None:
                own = np.where((codes >= 0)[:, None], b[np.maximum(codes, 0)], 0.0)
                shift += own[:, 0] if values is None else np.einsum("na,na->n", own, values)
        variance = self.prediction_variance(target.x, target.codes, target.values)
        return shift, variance if target.error is None else variance + target.error.variances()

    def _own_rows(self) -> tuple[list[Codes | None], list[Array | None]]:
        terms = self.rows.random
        return [term.codes for term in terms], [term.values for term in terms]

    def conditional_residual_variances(self) -> Array:
        weights = 1.0 if self.rows.weights is None else self.rows.weights
        return np.asarray(self._at().sigma2 / weights - self.leverages(fixed=True))

    def leverages(self, *, fixed: bool = False) -> Array:
        codes, values = self._own_rows()
        if fixed:
            return self.prediction_variance(np.ascontiguousarray(self.rows.x), codes, values)
        if not codes:
            return np.zeros(self.layout.n)
        return self._at().sigma2 * self.system.effect_variance(codes, values)

    # -- start and other responses ---------------------------------------------------------------------------

    def column_squares(self) -> tuple[Array, ...]:
        return self.system.column_squares()

    def start_moments(self) -> tuple[Array, Array]:
        return self.system.start_moments()

    def refits(self) -> Refits | None:
        return self.system.refits()

    def response_squares(self) -> tuple[Array, ...]:
        return (np.full((1, 1, 1), self.system.standard.gram[-1, -1]),)

    def explained_squares(self, covariances: Covariances) -> tuple[Array, ...]:
        weights, total = self.rows.weights, 0.0
        terms = zip(self.layout.terms, self.rows.random, covariances.matrices(), strict=True)
        for term, rows, sigma in terms:
            z = rows.dense_values()
            own = np.einsum("na,nab,nb->n", z, sigma[term.sets[rows.codes]], z)
            total += float(own.sum() if weights is None else own @ weights)
        return (np.full((1, 1, 1), total),)

    def direction_gram(self, covariances: Covariances, directions: Sequence[Direction]) -> Array:
        raise TypeError("parameters of independent errors are told apart by the layout alone")

    # -- other right-hand sides, other rows --------------------------------------------------------------------

    def solve_random(self, random: Sequence[Array]) -> tuple[Array, ...]:
        return tuple(self._at().sigma2 * b for b in self.system.solve_random(random))

    def _fixed_columns(self) -> tuple[Array, ...]:
        return self.system.fixed_columns() if self.layout.terms else ()

    def taken_by_fixed(self) -> tuple[Array, ...]:
        parts = zip(self.layout.terms, self._at().random(), self._fixed_columns(), strict=True)
        return tuple(prior_times(term, sigma, u) / self._at().sigma2 for term, sigma, u in parts)

    def cross_fixed(self, directions: Sequence[Direction], r: Array) -> Array:
        """X'V⁻¹W⁻¹r = (X − ZGZ'V⁻¹X)'r/σ² is what a direction of σ² moves."""
        s2, (fixed, random) = self._at().sigma2, self.adjoint(r)
        columns = self._fixed_columns()
        out = np.zeros((len(directions), len(fixed)))
        for a, direction in enumerate(directions):
            for k, which, matrix in direction.random:
                term = self.layout.terms[k]
                sigma = np.zeros((term.n_sets, *matrix.shape))
                sigma[which] = matrix
                moved = prior_times(term, sigma, random[k][:, :, None])
                out[a] += np.einsum("qpr,qp->r", columns[k], moved[:, :, 0]) / s2
            if direction.errors is not None:
                left = fixed - sum(
                    np.einsum("qpr,qp->r", own, side)
                    for own, side in zip(self.taken_by_fixed(), random, strict=True)
                )
                out[a] += float(direction.errors(0)[0, 0, 0]) * left / s2
        return out

    def with_rows(self, rows: Rows) -> HomogeneousEquations:
        return HomogeneousEquations(self.system.with_rows(rows))


@dataclass(frozen=True, slots=True)
class _Split:
    """Directions as combinations (k, parts) of Σ̇ of terms, None where each is one, and their shares of V, (k,)."""

    parts: list[TermDirection]
    combine: Array | None
    whole: Array
