"""The ordered beta distribution of proportions that may be exactly 0 or 1 (Kubinec 2022)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, Parameter, refuse
from ..derivatives import Table, added, widened
from ..links import Link, ProbabilityLink, make_link
from ..responses import Responses
from .beta import beta_table
from .ordinal import log_between

special = LazyModule("scipy.special")


@final
@dataclass(frozen=True, slots=True)
class OrderedBeta(MeanFamily):
    """P(y = 0) = 1 − F(η − c₁), P(y = 1) = F(η − c₂), and beta(F(η), φ) between; ζ = log φ, ψ = (c₁, log(c₂ − c₁)).

    Examples
    --------
    >>> rows = OrderedBeta().at(Responses(np.array([0.0])), np.array([[0.0], [0.0]]), np.array([-1.0, np.log(2.0)]))
    >>> float(np.exp(rows.value[0]).round(6))
    0.268941
    """

    link: Link = field(default_factory=lambda: make_link("logit"))
    names: ClassVar[Labels] = ("ordered_beta", "ordbeta")
    links: ClassVar[Labels] = ("logit",)
    symbol: ClassVar[str] = "phi"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("lower", -1.0, -np.inf), Parameter("upper", 1.0, -np.inf))

    def check(self, responses: Responses, label: str) -> None:
        y = responses.y
        refuse(
            label,
            y,
            ~((y >= 0.0) & (y <= 1.0)),
            "an ordered beta response lies between 0 and 1",
            "Percentages are divided by 100.",
        )

    def cuts(self, psi: Array) -> tuple[float, float]:
        """Return c₁ < c₂."""
        return float(psi[0]), float(psi[0] + np.exp(psi[1]))

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        link = self.link
        assert isinstance(link, ProbabilityLink)
        low, high = self.cuts(psi)
        y = responses.y
        inside = (y > 0.0) & (y < 1.0)
        upper = np.where(y == 1.0, np.inf, high - eta[0])
        lower = np.where(y == 0.0, -np.inf, low - eta[0])
        # 0: a = c₁ − η; 1: b = c₂ − η; between: b = c₁ − η, a = c₂ − η
        upper = np.where(y == 0.0, low - eta[0], upper)
        lower = np.where(y == 1.0, high - eta[0], lower)
        ends = log_between(link, upper, lower)
        # both limits move with −η
        category: Table = {
            (0,): ends[(0, 0)],
            (1,): -(ends[(1, 0)] + ends[(0, 1)]),
            (2,): ends[(2, 0)] + 2.0 * ends[(1, 1)] + ends[(0, 2)],
            (3,): -(ends[(3, 0)] + 3.0 * ends[(2, 1)] + 3.0 * ends[(1, 2)] + ends[(0, 3)]),
        }
        density = beta_table(np.where(inside, y, 0.5), link, eta[0], eta[1], order)
        density = {key: np.where(inside, value, 0.0) for key, value in density.items()}
        return added(widened(category, (0,), 2, order), density)

    def start(self, responses: Responses) -> Array:
        y = np.clip(responses.y, 0.01, 0.99)
        centre, spread = float(np.mean(y)), float(np.var(y)) or 1e-8
        phi = max(centre * (1.0 - centre) / spread - 1.0, 0.5)
        return np.array([self.link.forward(y), np.full_like(y, np.log(phi))])

    def shares(self, eta: Array, psi: Array) -> tuple[Array, Array, Array]:
        """Return P(y = 0), P(0 < y < 1) and P(y = 1), each (n,)."""
        low, high = self.cuts(psi)
        zero, one = special.expit(low - eta[0]), special.expit(eta[0] - high)
        return zero, special.expit(eta[0] - low) - one, one

    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        _, between, one = self.shares(eta, psi)
        return one + between * self.link.inverse(eta[0])[0]

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        _, between, one = self.shares(eta, psi)
        mu, phi = self.link.inverse(eta[0])[0], np.exp(eta[1])
        squares = mu * (1.0 - mu) / (1.0 + phi) + mu**2
        return np.asarray(one + between * squares - (one + between * mu) ** 2)

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        zero, between, _ = self.shares(eta, psi)
        mu, phi = self.link.inverse(eta[0])[0], np.exp(eta[1])
        uniform = rng.random(eta.shape[1])
        inside = np.clip(rng.beta(mu * phi, (1.0 - mu) * phi), 1e-300, 1.0 - 2.0**-53)
        return np.where(uniform < zero, 0.0, np.where(uniform < zero + between, inside, 1.0))
