"""The log densities of rows at given predictors, with their derivatives; third ones never leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from ..typing import Array
from .derivatives import HIGHEST, Exponents, exponents_of


def pairs(count: int) -> list[tuple[int, int]]:
    """Return the positions (a, b), a ≥ b, of a packed lower triangle, row by row.

    Examples
    --------
    >>> pairs(2)
    [(0, 0), (1, 0), (1, 1)]
    """
    return [(a, b) for a in range(count) for b in range(a + 1)]


@dataclass(frozen=True, slots=True)
class Rows:
    """Log densities ℓ_i(η_i1..η_iP) of n rows and their derivatives.

    Parameters
    ----------
    value
        ℓ_i, (n,); −∞ where the predictors are outside what the link or the density allows.
    score
        ∂ℓ/∂η, (P, n); empty below order 1.
    curvature
        W = −∂²ℓ/∂η∂η', packed lower triangle, (P(P+1)/2, n); empty below order 2.
    third
        ∂³ℓ/∂η_a∂η_b∂η_c for a ≤ b ≤ c in the order of `itertools.combinations_with_replacement`; empty below order 3.

    Examples
    --------
    >>> poisson = Rows.from_table({(k,): np.array([v]) for k, v in enumerate((-1.5, 0.5, -2.0, -2.0))}, 1, 3)
    >>> poisson.score.tolist(), poisson.curvature.tolist(), poisson.contract(np.array([[0.3]])).tolist()
    ([[0.5]], [[2.0]], [[0.6]])
    """

    value: Array
    score: Array
    curvature: Array
    third: Array

    @classmethod
    def from_table(cls, table: Mapping[Exponents, Array], predictors: int, order: int) -> Rows:
        """Return the rows of a table of derivatives in P predictors (see `derivatives`)."""
        value = np.asarray(table[(0,) * predictors], dtype=float)
        n = len(value)

        def stacked(chosen: list[tuple[int, ...]], total: int, sign: float) -> Array:
            if order < total:
                return np.empty((0, n))
            return sign * np.array([np.broadcast_to(table[exponents_of(c, predictors)], n) for c in chosen])

        firsts = [(a,) for a in range(predictors)]
        triples = list(combinations_with_replacement(range(predictors), HIGHEST))
        return cls(
            value,
            stacked(list(firsts), 1, 1.0),
            stacked(list(pairs(predictors)), 2, -1.0),
            stacked(list(triples), 3, 1.0),
        )

    @property
    def n_predictors(self) -> int:
        return len(self.score)

    def contract(self, covariances: Array) -> Array:
        """Return v_a = Σ_bc C_bc ∂W_bc/∂η_a, (P, n), for C packed as W: the derivative of log|M| through W."""
        count = self.n_predictors
        place = {c: k for k, c in enumerate(combinations_with_replacement(range(count), HIGHEST))}
        found = np.zeros_like(self.score)
        for k, (b, c) in enumerate(pairs(count)):
            twice = 1.0 if b == c else 2.0
            for a in range(count):
                a1, b1, c1 = sorted((a, b, c))
                found[a] -= twice * covariances[k] * self.third[place[(a1, b1, c1)]]
        return found

    def scaled(self, factor: Array) -> Rows:
        """Return the rows with every density raised to a power: frequencies, (n,)."""
        return Rows(
            _times(factor, self.value), *(factor * part for part in (self.score, self.curvature, self.third))
        )


def _times(factor: Array, value: Array) -> Array:
    """Return factor·value where a factor of 0 leaves out even a row of density 0."""
    return np.where(factor == 0.0, 0.0, factor * np.where(factor == 0.0, 0.0, value))
