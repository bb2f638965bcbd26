"""The mode b̂ of the random effects given everything else, by Newton's method with the mixed-model equations.

For h(u) = −Σℓ_i + ½u'u, b = Λu, with score s = ∂ℓ/∂η, W = −∂²ℓ/∂η∂η', r = Z's and C = (Z'WZ + G⁻¹)⁻¹, Newton's step is
δb = C(r − ρ), where b = Gρ: ρ, the *dual* of b, stands in for G⁻¹b, which has no meaning where G is singular. Then
u'u = ρ'b, ρ moves by (r − ρ) − Z'WZδb, the decrement is δb'(r − ρ), and at the mode ρ = r.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from ..engines.base import Covariances, Equations
from ..engines.effects import prior_times
from ..errors import FitError
from ..likelihood.rows import Rows as Densities
from ..likelihood.rows import pairs
from ..terms.observed import Observed
from ..typing import Array

LIMIT = 100
"""Newton steps at most."""
SQUARED = 10.0
"""A full Newton step ends the search where the square of its decrement is at most so many tolerances: what is left then
is of the order of that square."""
LIKELY_LAST = 1.0
"""A decrement from which the next point is likely the last, so that third derivatives are computed with the others."""
HALVINGS = 30
SUFFICIENT = 1e-4
"""Share of the decrement by which 2h must fall."""
STUCK = 1e-8
"""A decrement below which one that does not fall any more is rounding."""

Effects = tuple[Array, ...]
"""One (q, p) array per random term."""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """b, its dual ρ, the predictors, their random part, the log densities, and 2h."""

    b: Effects
    dual: Effects
    eta: Array
    carried: Array
    densities: Densities
    height: float


@dataclass(frozen=True, slots=True, eq=False)
class Mode:
    """The random effects at their mode or next to it, with what is known there.

    Parameters
    ----------
    b, dual
        b and ρ by term, (q, p) each, b = Gρ.
    eta, carried
        The predictors and their random part Zb, (P, n).
    densities
        Log densities with derivatives to order three.
    equations
        Equations of the weights W, factored at G; None without random terms.
    logdet
        log|I + Λ'Z'WZΛ|.
    height
        2h.
    slack
        r − ρ by term, zero at the mode.
    moved
        Zδb of the Newton step that was not taken, (P, n).
    decrement
        Twice what h would fall by with it.
    steps
        Newton steps taken.
    """

    b: Effects
    dual: Effects
    eta: Array
    carried: Array
    densities: Densities
    equations: Equations | None
    logdet: float
    height: float
    slack: Effects
    moved: Array
    decrement: float
    steps: int


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """What results read at a mode: b by term (q, p), predictors (P, n), ∂ℓ/∂η of those that are asked for, W of
    the first, (n,)."""

    b: Effects
    eta: Array
    score: Array
    weight: Array

    @classmethod
    def of(cls, mode: Mode) -> Rest:
        """Return what a mode says."""
        return cls(mode.b, mode.eta, mode.densities.score, mode.densities.curvature[0])


class ModeSearch:
    """Searches for the mode of one likelihood on equations without fixed part, whose rows are those of its stack."""

    def __init__(self, observed: Observed, equations: Equations | None) -> None:
        self.observed = observed
        self.stack = observed.stack
        self.equations = equations
        self.steps = 0

    def run(
        self, covariances: Covariances, fixed: Array, psi: Array, dual: Effects, tolerance: float
    ) -> Mode | None:
        """Return the mode at G, o + Xβ (P, n) and ψ from a dual; None where h has no minimum that was found.

        The search ends at a decrement of at most `tolerance`, or after a full step that should lead there.
        """
        place = self._start(covariances, fixed, psi, dual)
        if place is None:
            return None
        last, full = inf, False
        for steps in range(LIMIT):
            self.steps += 1
            if not len(place.densities.third):
                place = self._with_thirds(place, psi)
            weights = place.densities.curvature
            factored = self.factored(weights, covariances)
            exact = factored is not None
            if factored is None:
                weights = positive_part(weights, self.stack.count)
                factored = self.factored(weights, covariances)
            if factored is None:
                return None
            equations, logdet = factored
            slack = self._slack(place)
            step = () if equations is None else _solved(equations, slack)
            moved = self.stack.random(step)
            decrement = inner(step, slack)
            if not isfinite(decrement + logdet):
                return None
            stuck = decrement <= STUCK and decrement > 0.5 * last
            if decrement <= tolerance or (full and last**2 <= SQUARED * tolerance) or stuck:
                if not exact:
                    return None
                return Mode(
                    place.b, place.dual, place.eta, place.carried, place.densities, equations, logdet,
                    place.height, slack, moved, decrement, steps + 1,
                )  # fmt: skip
            turn = self.stack.adjoint_random(self.stack.times(weights, moved))
            dual_step = tuple(s - t for s, t in zip(slack, turn, strict=True))
            order = 3 if decrement <= LIKELY_LAST else 2
            found = self._advance(place, step, dual_step, moved, decrement, psi, order)
            if found is None:
                return None
            place, full = found
            last = decrement
        return None

    def _start(self, covariances: Covariances, fixed: Array, psi: Array, dual: Effects) -> _Place | None:
        """Return the place of a dual, or of zero where h is not finite there."""
        for own in (dual, tuple(np.zeros_like(part) for part in dual)):
            b = self.effects(covariances, own)
            carried = self.stack.random(b)
            place = self._place(b, own, fixed + carried, carried, psi, 3)
            if isfinite(place.height):
                return place
        return None

    def effects(self, covariances: Covariances, dual: Sequence[Array]) -> Effects:
        """Return b = Gρ by term, (q, p)."""
        if self.equations is None:
            return ()
        terms = zip(self.equations.layout.terms, covariances.matrices(), dual, strict=True)
        return tuple(prior_times(term, sigma, own[:, :, None])[:, :, 0] for term, sigma, own in terms)

    def _place(self, b: Effects, dual: Effects, eta: Array, carried: Array, psi: Array, order: int) -> _Place:
        densities = self.observed.at(eta, psi, order)
        height = inner(b, dual) - 2.0 * float(densities.value.sum())
        return _Place(b, dual, eta, carried, densities, height if isfinite(height) else inf)

    def _with_thirds(self, place: _Place, psi: Array) -> _Place:
        return self._place(place.b, place.dual, place.eta, place.carried, psi, 3)

    def _slack(self, place: _Place) -> Effects:
        found = self.stack.adjoint_random(place.densities.score)
        return tuple(r - own for r, own in zip(found, place.dual, strict=True))

    def factored(self, curvature: Array, covariances: Covariances) -> tuple[Equations | None, float] | None:
        """Return equations of weights W factored at G, with log|M|; None where M is not positive definite."""
        if self.equations is None:
            return None, 0.0
        try:
            found = self.equations.reweight(self.stack.weights(curvature), self.equations.rows.y)
            pieces = found.factor(covariances)
        except (FitError, ArithmeticError, np.linalg.LinAlgError):
            return None
        logdet = pieces.logdet - found.log_weights
        return (found, logdet) if isfinite(logdet) else None

    def _advance(
        self,
        place: _Place,
        step: Effects,
        dual_step: Effects,
        moved: Array,
        decrement: float,
        psi: Array,
        order: int,
    ) -> tuple[_Place, bool] | None:
        """Return a lower place along the step, and whether it is at its full length."""
        rounding = 1e-13 * (abs(place.height) + place.eta.size)
        length = 1.0
        for _ in range(HALVINGS):
            b = tuple(old + length * new for old, new in zip(place.b, step, strict=True))
            dual = tuple(old + length * new for old, new in zip(place.dual, dual_step, strict=True))
            carried = place.carried + length * moved
            eta = place.eta + length * moved
            found = self._place(b, dual, eta, carried, psi, order)
            if found.height <= place.height - SUFFICIENT * length * decrement + rounding:
                return found, length == 1.0
            length *= 0.5
        return None


def inner(one: Sequence[Array], two: Sequence[Array]) -> float:
    """Return the inner product of two vectors of effects by term."""
    return sum(float(np.vdot(a, b)) for a, b in zip(one, two, strict=True))


def _solved(equations: Equations, right: Effects) -> Effects:
    """Return C times one right-hand side by term."""
    return tuple(part[:, :, 0] for part in equations.solve_random([own[:, :, None] for own in right]))


def positive_part(curvature: Array, count: int) -> Array:
    """Return W with the negative eigenvalues of every row at zero, packed."""
    if count == 1:
        return np.maximum(curvature, 0.0)
    if count == 2:
        negative = (curvature[0] < 0.0) | (curvature[0] * curvature[2] < curvature[1] ** 2)
        out = curvature.copy()
        out[:, negative] = _projected(curvature[:, negative], count)
        return out
    return _projected(curvature, count)


def _projected(curvature: Array, count: int) -> Array:
    """Return W, packed, with its negative eigenvalues at zero."""
    places = pairs(count)
    matrix = np.empty((curvature.shape[1], count, count))
    for k, (a, b) in enumerate(places):
        matrix[:, a, b] = matrix[:, b, a] = curvature[k]
    values, vectors = np.linalg.eigh(matrix)
    kept = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
    return np.array([kept[:, a, b] for a, b in places])
