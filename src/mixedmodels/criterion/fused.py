"""Laplace's approximation of one grouping factor in native code: mode, value, gradient and information in one pass.

The same quantities as in `laplace` and `mode`, level by level, for families whose rows native code knows
(`likelihood.native`), with ζ one number for all rows where there is one. The modes of levels are searched apart, each
until its own decrement has vanished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from ..engines.base import Equations
from ..kernels import LevelModes
from ..likelihood.native import Apart, native_density
from ..terms.design import Design
from ..terms.observed import Observed
from ..typing import Array
from .covariances import CovarianceModel
from .mode import Effects, Rest

WIDEST = 3
"""Random columns of a level at most."""
LEAST = 1e-24
"""A decrement of one level that is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What native code finds at one parameter vector; coefficients in the order of β."""

    value: float
    slope: Array
    """∂L/∂β, (rank,)."""
    score: Array
    """X's at the mode, (rank,)."""
    gammas: tuple[Array, ...]
    traces: tuple[Array, ...]
    gram: Array
    """Half the Hessian of the working model over (θ, β), (k + rank,) squared; empty where it was not asked for."""


class Fused:
    """The evaluations of one criterion in native code, and where the last derivatives were taken."""

    def __init__(
        self,
        modes: LevelModes,
        model: CovarianceModel,
        apart: Apart,
        scale: float,
        rank: int,
        places: tuple[slice, ...],
        n_sets: int,
    ) -> None:
        self.modes, self.model, self.apart = modes, model, apart
        self.scale, self.rank = scale, rank
        self.places, self.n_sets = places, n_sets
        self.width = places[-1].stop
        self.n_levels = 0
        self.base: tuple[Array, Array] | None = None
        """Σ and β where derivatives were last taken."""
        self._without: tuple[bytes, tuple[float, Array, Array]] | None = None

    @classmethod
    def of(
        cls, design: Design, equations: Equations, observed: Observed, model: CovarianceModel
    ) -> Fused | None:
        """Return the evaluations of a model, None where native code does not know its rows or its layout."""
        stack, terms = observed.stack, equations.layout.terms
        density = native_density(observed.family, observed.responses)
        if density is None or not _fits(design, equations, observed, density.dispersed):
            return None
        first = stack.predictors[0]
        places, start = [], 0
        for term in terms:
            places.append(slice(start, start + term.n_columns))
            start += term.n_columns
        parts = stack.carriers[0]
        values = [None if part is None else part.values for part in parts]
        codes = next(part.codes for part in parts if part is not None)
        z = None if start == 1 and values[0] is None else _side_by_side(values, len(stack))
        responses = observed.responses
        scale = float(stack.predictors[1].x[0, 0]) if density.dispersed else 0.0
        modes = LevelModes(
            density.name,
            responses.y,
            responses.trials,
            responses.frequency,
            first.offset,
            codes.astype(np.int64),
            z,
            np.ascontiguousarray(first.x),
            scale,
            terms[0].sets.astype(np.int64),
            terms[0].n_sets,
            model.n_theta,
            equations.threads,
        )
        own = cls(modes, model, density.apart(responses), scale, stack.rank, tuple(places), terms[0].n_sets)
        own.n_levels = terms[0].n_levels
        return own

    # -- evaluations -------------------------------------------------------------------------------------------

    def at(self, theta: Array, tolerance: float, *, informed: bool) -> Found | None:
        """Return what is found at (θ, β), the mode to a decrement of `tolerance`; None where there is no mode."""
        beta, zeta = self._coefficients(theta)
        try:
            roots = self._by_set(self.model.numbers(theta, roots=True).roots or ())
        except (ValueError, ArithmeticError, MemoryError, np.linalg.LinAlgError):
            return None
        if not np.isfinite(roots).all() or not np.isfinite(theta).all():
            return None
        moved = None
        if self.base is not None:
            sigma, step = roots @ roots.transpose(0, 2, 1) - self.base[0], theta[-self.rank :] - self.base[1]
            moved = sigma, step if self.rank else np.zeros(0)
        answer = self.modes.evaluate(
            beta,
            zeta,
            roots,
            # what is left of levels adds up like noise, and the value is corrected for it
            max(tolerance / self.n_levels**0.5, LEAST),
            self._directions(theta) if informed else None,
            moved,
        )
        return None if answer is None else self._found(answer, zeta)

    def _found(self, answer: tuple[float, Array, Array, Array, Array, Array], zeta: float) -> Found | None:
        value, slope, score, gammas, traces, gram = answer
        apart, tilt, bend = self.apart(zeta)
        value -= 2.0 * apart
        size = self.model.n_theta + self.rank
        gram = gram.reshape(size, size) if len(gram) else gram
        if self.scale:
            slope[-1] -= 2.0 * self.scale * tilt
            score[-1] += self.scale * tilt
            if len(gram):
                gram[-1, -1] -= self.scale**2 * bend
        if not isfinite(value) or not np.isfinite(slope).all():
            return None
        return Found(value, slope, score, self._by_term(gammas), self._by_term(traces), gram)

    def settle(self, theta: Array) -> None:
        """Expect modes from here on from what was found last, with information, at (θ, β)."""
        self.modes.settle()
        sigma = self.model.matrices(theta)
        self.base = self._by_set(sigma), theta[self.model.n_theta :].copy()

    def without_effects(self, coefficients: Array) -> tuple[float, Array, Array]:
        """Return −2Σℓ at b = 0 with X's and X'WX, (rank,) and (rank, rank)."""
        if self._without is not None and self._without[0] == coefficients.tobytes():
            return self._without[1]
        zeta = self._zeta(coefficients)
        value, score, gram = self.modes.without_effects(self._own(coefficients), zeta)
        apart, tilt, bend = self.apart(zeta)
        gram = gram.reshape(self.rank, self.rank)
        if self.scale:
            score[-1] += self.scale * tilt
            gram[-1, -1] -= self.scale**2 * bend
        found = value - 2.0 * apart, score, gram
        self._without = coefficients.tobytes(), found
        return found

    def furthest(self, step: Array, units: Array) -> float:
        """Return by how many units a step of (θ, β) moves a predictor at most, from where it was settled."""
        k = self.model.n_theta
        own = self.modes.furthest(np.ascontiguousarray(step[:k]), self._own(step[k:])) / float(units[0])
        return max(own, abs(self._zeta(step[k:])) / float(units[1])) if self.scale else own

    def rest(self, theta: Array) -> Rest:
        """Return what is known of the rows where `at` was last asked, at θ."""
        beta, zeta = self._coefficients(theta)
        eta, score, weight = self.modes.rows_at(beta, zeta)
        found = eta[None] if not self.scale else np.vstack([eta, np.full_like(eta, zeta)])
        return Rest(self.effects()[0], found, score[None], weight)

    def effects(self) -> tuple[Effects, Effects]:
        """Return b and its dual by term, (q, p) each, where `at` was last asked."""
        b, dual = (one.reshape(self.n_levels, self.width) for one in self.modes.effects())
        return tuple(tuple(np.ascontiguousarray(one[:, place]) for place in self.places) for one in (b, dual))  # type: ignore[return-value]

    def start_from(self, dual: Effects) -> None:
        """Take a dual of the random effects by term as where the next search for the mode starts."""
        self.base = None
        self.modes.start_from(np.ascontiguousarray(np.concatenate(dual, axis=1)).ravel())

    def sigma(self) -> tuple[Array, ...]:
        """Return Σ by term, (sets, p, p), where derivatives were last taken."""
        assert self.base is not None
        return tuple(self.base[0][:, place, place] for place in self.places)

    # -- arrays of native code ---------------------------------------------------------------------------------

    def _coefficients(self, theta: Array) -> tuple[Array, float]:
        own = theta[self.model.n_theta :]
        return self._own(own), self._zeta(own)

    def _own(self, coefficients: Array) -> Array:
        """Return the coefficients of the mean."""
        return np.ascontiguousarray(coefficients[: self.rank - 1] if self.scale else coefficients)

    def _zeta(self, coefficients: Array) -> float:
        return self.scale * float(coefficients[-1]) if self.scale else 0.0

    def _by_set(self, matrices: Sequence[Array]) -> Array:
        """Return matrices of all terms in one, (sets, p, p)."""
        if len(matrices) == 1:
            return np.ascontiguousarray(matrices[0])
        out = np.zeros((self.n_sets, self.width, self.width))
        for place, own in zip(self.places, matrices, strict=True):
            out[:, place, place] = own
        return out

    def _by_term(self, flat: Array) -> tuple[Array, ...]:
        whole = flat.reshape(self.n_sets, self.width, self.width)
        return tuple(np.ascontiguousarray(whole[:, place, place]) for place in self.places)

    def _directions(self, theta: Array) -> Array:
        """Return Σ̇ of every parameter by set, flat (k, sets, p, p)."""
        out = np.zeros((self.model.n_theta, self.n_sets, self.width, self.width))
        for a, direction in enumerate(self.model.directions(theta)):
            for term, which, matrix in direction.random:
                place = self.places[term]
                out[a, which, place, place] += matrix
        return out.ravel()


def _fits(design: Design, equations: Equations, observed: Observed, dispersed: bool) -> bool:
    """Return whether a model has independent levels of one factor that the mean alone reads, and one ζ at most."""
    stack, terms = observed.stack, equations.layout.terms
    if not terms or not design.bounded or sum(term.n_columns for term in terms) > WIDEST:
        return False
    if any(term.group != terms[0].group or term.known is not None for term in terms):
        return False
    if len(terms) > 1 and any(term.n_sets > 1 for term in terms):
        return False
    if stack.count != 1 + dispersed or stack.carrier != (0, -1)[: stack.count]:
        return False
    if any(part is None for part in stack.carriers[0]) or observed.family.parameters:
        return False
    columns = np.concatenate([one.columns for one in stack.predictors])
    if not np.array_equal(columns, np.arange(stack.rank)) or not len(stack):
        return False
    if not dispersed:
        return True
    second = stack.predictors[1]
    return (
        second.offset is None and second.x.shape[1] == 1 and bool(np.ptp(second.x) == 0.0 != second.x[0, 0])
    )


def _side_by_side(values: Sequence[Array | None], n: int) -> Array:
    """Return the columns of all terms, (n, p), ones for None."""
    parts = [np.ones((n, 1)) if own is None else own for own in values]
    return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
