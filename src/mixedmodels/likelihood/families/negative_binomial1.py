"""The negative binomial with variance μ(1 + α)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, log_mean, through_link
from ..derivatives import Table, exponential, substitute
from ..links import Link, make_link
from ..responses import Responses
from ..special import gamma_difference, log_factorial
from .poisson import refuse_counts

special = LazyModule("scipy.special")


def table_of_ratio(y: Array, m: Array, zeta: Array, order: int) -> Table:
    """Return the table of the density in m = log μ and ζ = log α; κ = μ/α is the size.

    f(κ, ζ) = log Γ(y+κ) − log Γ(κ) − log y! − κ log(1+α) + y log(α/(1+α)), then κ = e^{m−ζ}.
    """
    v = m - zeta
    kappa = np.exp(v)
    tau, rest = special.expit(zeta), special.expit(-zeta)
    s, total, zero = tau * rest, y + kappa, np.zeros_like(v)
    logs = np.logaddexp(0.0, zeta)
    size: Table = {
        (0, 0): gamma_difference(kappa, y, 0)
        - log_factorial(y)
        - kappa * logs
        - y * np.logaddexp(0.0, -zeta),
        (1, 0): gamma_difference(kappa, y, 1) - logs,
        (2, 0): gamma_difference(kappa, y, 2) if order > 1 else zero,
        (3, 0): gamma_difference(kappa, y, 3) if order > 2 else zero,
        (0, 1): y * rest - kappa * tau,
        (1, 1): -tau,
        (2, 1): zero,
        (0, 2): -total * s,
        (1, 2): -s,
        (0, 3): -total * s * (rest - tau),
    }
    g = substitute(size, 0, exponential(v), 3)
    # F(m, ζ) = G(m − ζ, ζ)
    return {
        (0, 0): g[(0, 0)],
        (1, 0): g[(1, 0)],
        (0, 1): g[(0, 1)] - g[(1, 0)],
        (2, 0): g[(2, 0)],
        (1, 1): g[(1, 1)] - g[(2, 0)],
        (0, 2): g[(0, 2)] - 2.0 * g[(1, 1)] + g[(2, 0)],
        (3, 0): g[(3, 0)],
        (2, 1): g[(2, 1)] - g[(3, 0)],
        (1, 2): g[(1, 2)] - 2.0 * g[(2, 1)] + g[(3, 0)],
        (0, 3): g[(0, 3)] - 3.0 * g[(1, 2)] + 3.0 * g[(2, 1)] - g[(3, 0)],
    }


@final
@dataclass(frozen=True, slots=True)
class NegativeBinomial1(MeanFamily):
    """Counts with mean μ and variance μ(1 + α), ζ = log α (`nb1`, the quasi-Poisson form).

    Examples
    --------
    >>> rows = NegativeBinomial1().at(Responses(np.array([0.0])), np.array([[0.0], [0.0]]))
    >>> rows.value.round(6).tolist()                 # P(0) = (1 + α)^{−μ/α}
    [-0.693147]
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    names: ClassVar[Labels] = ("nb1", "nbinom1")
    links: ClassVar[Labels] = ("log", "identity", "sqrt", "power")
    discrete: ClassVar[bool] = True
    symbol: ClassVar[str] = "alpha"
    limit: ClassVar[tuple[float, str] | None] = (-1.0, "poisson")

    def check(self, responses: Responses, label: str) -> None:
        refuse_counts(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        inner = log_mean(self.link, eta[0])
        return through_link(table_of_ratio(responses.y, inner[0], eta[1], order), inner, order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        mu = float(np.mean(y)) + 0.1
        alpha = np.clip(float(np.mean((y - mu) ** 2)) / mu - 1.0, 1e-2, 1e4)
        return np.array([self.link.forward(y + 0.1), np.full_like(y, np.log(alpha))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(self.mean(eta) * (1.0 + np.exp(eta[1])))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        kappa = self.mean(eta) * np.exp(-eta[1])
        found = special.betainc(kappa, np.maximum(np.floor(y), 0.0) + 1.0, special.expit(-eta[1]))
        return np.where(y < 0.0, 0.0, found)

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        alpha = np.exp(eta[1])
        return np.asarray(rng.poisson(rng.gamma(self.mean(eta) / alpha, alpha)).astype(float))
