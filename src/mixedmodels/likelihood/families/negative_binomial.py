"""The negative binomial with variance μ + μ²/k, and the geometric distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, log_mean, through_link
from ..derivatives import Table
from ..links import Link, make_link
from ..responses import Responses
from ..special import gamma_difference, log_factorial
from .poisson import refuse_counts

special = LazyModule("scipy.special")

LARGE = 1e3
"""Counts above which log y! is larger than what is left of the binomial coefficient."""


def table_of_size(y: Array, m: Array, zeta: Array, order: int) -> Table:
    """Return the table of the density in m = log μ and ζ = log k.

    With N = y + k, t = μ/(μ + k), s = t(1 − t): ℓ_m = y − Nt, ℓ_mm = −Ns, ℓ_mmm = −Ns(1 − 2t); ℓ_ζ = kg with
    g = ψ(N) − ψ(k) − log(1 + μ/k) + (μ − y)/(μ + k). Differences of ψ keep their digits as k grows, so that the
    Poisson limit is smooth.
    """
    k = np.exp(zeta)
    t, rest = special.expit(m - zeta), special.expit(zeta - m)
    s = t * rest
    u, total = s * (rest - t), y + k
    excess = t - y * rest / k
    logs = np.logaddexp(0.0, m - zeta)
    table: Table = {(0, 0): _log_choose(y, k) - y * np.logaddexp(0.0, zeta - m) - k * logs}
    if order >= 1:
        g = gamma_difference(k, y, 1) - logs + excess
        # y − Nt, which cancels at large counts
        table |= {(1, 0): y * rest - k * t, (0, 1): k * g}
    if order >= 2:
        e1 = -excess * rest
        g1 = k * gamma_difference(k, y, 2) + t + e1
        table |= {(2, 0): -total * s, (1, 1): total * s - k * t, (0, 2): k * (g + g1)}
    if order >= 3:
        e2 = excess * rest**2 - excess * s
        g2 = k * gamma_difference(k, y, 2) + k**2 * gamma_difference(k, y, 3) - s + e2
        table |= {
            (3, 0): -total * u,
            (2, 1): total * u - k * s,
            (1, 2): 2.0 * k * s - total * u - k * t,
            (0, 3): k * (g + 2.0 * g1 + g2),
        }
    return table


def _log_choose(y: Array, k: Array) -> Array:
    """Return log Γ(y + k) − log Γ(k) − log y!, in which the larger parts are subtracted as a difference."""
    found = gamma_difference(k, y, 0) - log_factorial(y)
    many = (y > LARGE) & (y > k)
    if many.any():
        own = k[many]
        found[many] = gamma_difference(y[many] + 1.0, own - 1.0, 0) - special.gammaln(own)
    return np.asarray(found)


@final
@dataclass(frozen=True, slots=True)
class NegativeBinomial(MeanFamily):
    """Counts with mean μ and variance μ + μ²/k, ζ = log k (`nb2`).

    Examples
    --------
    >>> rows = NegativeBinomial().at(Responses(np.array([0.0])), np.array([[0.0], [0.0]]))
    >>> rows.value.round(6).tolist()                 # P(0) = (1 + μ/k)^{−k} = ½
    [-0.693147]
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    names: ClassVar[Labels] = ("nb2", "nbinom2", "negbin", "negative_binomial", "nb")
    links: ClassVar[Labels] = ("log", "identity", "sqrt", "power")
    discrete: ClassVar[bool] = True
    symbol: ClassVar[str] = "k"
    limit: ClassVar[tuple[float, str] | None] = (1.0, "poisson")

    @property
    def log_concave(self) -> bool:
        return self.link.name == "log"

    def check(self, responses: Responses, label: str) -> None:
        refuse_counts(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        inner = log_mean(self.link, eta[0])
        return through_link(table_of_size(responses.y, inner[0], eta[1], order), inner, order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        mu = float(np.mean(y)) + 0.1
        excess = float(np.mean((y - mu) ** 2)) - mu
        k = np.clip(mu**2 / excess, 0.1, 1e4) if excess > 0.0 else 1e4
        return np.array([self.link.forward(y + 0.1), np.full_like(y, np.log(k))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        mu = self.mean(eta)
        return np.asarray(mu + mu**2 * np.exp(-eta[1]))

    def deviance(self, responses: Responses, eta: Array) -> Array:
        y, mu, k = responses.y, self.mean(eta), np.exp(eta[1])
        return np.asarray(2.0 * (special.xlogy(y, y / mu) - (y + k) * np.log((y + k) / (mu + k))))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        k = np.exp(eta[1])
        found = special.betainc(k, np.maximum(np.floor(y), 0.0) + 1.0, k / (k + self.mean(eta)))
        return np.where(y < 0.0, 0.0, found)

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        k = np.exp(eta[1])
        return np.asarray(rng.poisson(rng.gamma(k, self.mean(eta) / k)).astype(float))


@final
@dataclass(frozen=True, slots=True)
class Geometric(MeanFamily):
    """Counts with mean μ and variance μ + μ²: a negative binomial with k = 1.

    Examples
    --------
    >>> Geometric().at(Responses(np.array([1.0])), np.array([[0.0]])).value.round(6).tolist()
    [-1.386294]
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    names: ClassVar[Labels] = ("geometric",)
    links: ClassVar[Labels] = ("log", "identity", "sqrt", "power")
    proportional: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    @property
    def log_concave(self) -> bool:
        return self.link.name == "log"

    def check(self, responses: Responses, label: str) -> None:
        refuse_counts(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        inner = log_mean(self.link, eta[0])
        y, m = responses.y, inner[0]
        t, rest = special.expit(m), special.expit(-m)
        s, total = t * rest, y + 1.0
        own: Table = {
            (0,): y * m - total * np.logaddexp(0.0, m),
            (1,): y - total * t,
            (2,): -total * s,
            (3,): -total * s * (rest - t),
        }
        return through_link(own, inner, order)

    def start(self, responses: Responses) -> Array:
        return self.link.forward(responses.y + 0.1)[None]

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        mu = self.mean(eta)
        return mu + mu**2

    def deviance(self, responses: Responses, eta: Array) -> Array:
        y, mu = responses.y, self.mean(eta)
        return np.asarray(2.0 * (special.xlogy(y, y / mu) - (y + 1.0) * np.log((y + 1.0) / (mu + 1.0))))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        mu = self.mean(eta)
        return np.where(y < 0.0, 0.0, -np.expm1((np.floor(y) + 1.0) * np.log(mu / (1.0 + mu))))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        return rng.poisson(rng.exponential(self.mean(eta))).astype(float)
