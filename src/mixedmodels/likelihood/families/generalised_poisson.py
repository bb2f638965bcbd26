"""The generalised Poisson distribution of Consul and Famoye."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...errors import DataError
from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, log_mean, through_link
from ..derivatives import Table, compose
from ..links import Link, make_link
from ..responses import Responses
from ..special import log_factorial
from .poisson import refuse_counts

special = LazyModule("scipy.special")

_MOST = 10_000
"""Counts that are tried one after the other when a draw is made."""


@final
@dataclass(frozen=True, slots=True)
class GeneralisedPoisson(MeanFamily):
    """Counts with mean μ and variance μφ, ζ = log φ; ω = φ^{−½}.

    P(y) = θ(θ + λy)^{y−1} e^{−θ−λy}/y! with θ = μω and λ = 1 − ω, so that θ + λy = y + ω(μ − y). With φ < 1 these are
    probabilities only while θ + λy > 0 and their sum need not be 1 (Consul and Famoye 1992): a model that ends there
    is refused and `compois` named.

    Examples
    --------
    >>> rows = GeneralisedPoisson().at(Responses(np.array([3.0])), np.array([[0.0], [0.0]]))
    >>> rows.value.round(6).tolist()                 # Poisson at φ = 1: −1 − log 3!
    [-2.791759]
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    names: ClassVar[Labels] = ("genpois", "generalised_poisson", "generalized_poisson", "gpoisson")
    links: ClassVar[Labels] = ("log", "identity", "sqrt")
    discrete: ClassVar[bool] = True
    symbol: ClassVar[str] = "phi"

    def check(self, responses: Responses, label: str) -> None:
        refuse_counts(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        inner = log_mean(self.link, eta[0])
        y, m, zeta = responses.y, inner[0], eta[1]
        omega, mu = np.exp(-0.5 * zeta), np.exp(m)
        gap = mu - y
        reach: Table = {
            (i, j): (-0.5) ** j * omega * (gap if i == 0 else mu)
            for i in range(4)
            for j in range(4)
            if i + j <= 3
        }
        reach[(0, 0)] = y + omega * gap
        h = np.where(reach[(0, 0)] > 0.0, reach[(0, 0)], np.nan)
        less = y - 1.0
        outer: Table = {
            (0,): less * np.log(h) - h,
            (1,): less / h - 1.0,
            (2,): -less / h**2,
            (3,): 2.0 * less / h**3,
        }
        own = compose(outer, reach, order)
        own[(0, 0)] = own[(0, 0)] + m - 0.5 * zeta - log_factorial(y)
        if order >= 1:
            own[(1, 0)] = own[(1, 0)] + 1.0
            own[(0, 1)] = own[(0, 1)] - 0.5
        return through_link(own, inner, order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        mu = float(np.mean(y)) + 0.1
        phi = np.clip(float(np.mean((y - mu) ** 2)) / mu, 0.5, 1e4)
        return np.array([self.link.forward(y + 0.1), np.full_like(y, np.log(phi))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(self.mean(eta) * np.exp(eta[1]))

    def total(self, eta: Array) -> Array:
        """Return the sum of the probabilities, (n,): 1 unless φ < 1 at a small mean."""
        found = np.zeros(eta.shape[1])
        for count in range(_MOST):
            term = np.exp(self.at(Responses(np.full(eta.shape[1], float(count))), eta, order=0).value)
            found += term
            if count > self.mean(eta).max() and term.max() < 1e-16:
                break
        return found

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        left = np.asarray(rng.random(eta.shape[1]))
        y = np.zeros(eta.shape[1])
        waiting = np.ones(eta.shape[1], dtype=bool)
        for count in range(_MOST):
            left -= np.exp(self.at(Responses(np.full(eta.shape[1], float(count))), eta, order=0).value)
            waiting &= left > 0.0
            if not waiting.any():
                return y
            y[waiting] += 1.0
        raise DataError(
            f"a draw from family {self.name!r} passed {_MOST:,} counts: its mean is too large to draw from."
        )
