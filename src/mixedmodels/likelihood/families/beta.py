"""The beta distribution of proportions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, complement, refuse, through_link
from ..derivatives import Table, exponential, substitute
from ..links import Link, make_link
from ..responses import Responses

special = LazyModule("scipy.special")


def of_two_sides(
    mu: Array, rest: Array, phi: Array, first: list[Array], second: list[Array], both: list[Array]
) -> Table:
    """Return the table in (μ, φ) of A(μφ) + B((1 − μ)φ) − C(φ), from A, B, C and three derivatives of each."""
    a, b, c = first, second, both
    return {
        (0, 0): a[0] + b[0] - c[0],
        (1, 0): phi * (a[1] - b[1]),
        (0, 1): mu * a[1] + rest * b[1] - c[1],
        (2, 0): phi**2 * (a[2] + b[2]),
        (1, 1): a[1] - b[1] + phi * (mu * a[2] - rest * b[2]),
        (0, 2): mu**2 * a[2] + rest**2 * b[2] - c[2],
        (3, 0): phi**3 * (a[3] - b[3]),
        (2, 1): 2.0 * phi * (a[2] + b[2]) + phi**2 * (mu * a[3] + rest * b[3]),
        (1, 2): 2.0 * (mu * a[2] - rest * b[2]) + phi * (mu**2 * a[3] - rest**2 * b[3]),
        (0, 3): mu**3 * a[3] + rest**3 * b[3] - c[3],
    }


def beta_table(y: Array, link: Link, eta: Array, zeta: Array, order: int) -> Table:
    """Return the table in (η, ζ) of the beta density with a = μφ, b = (1 − μ)φ, ζ = log φ."""
    inner = link.inverse(eta)
    mu, rest, phi = inner[0], complement(link, eta), np.exp(zeta)
    logs, others = np.log(y), np.log1p(-y)

    def side(shape: Array, log_value: Array) -> list[Array]:
        gammas = [special.polygamma(j, shape) for j in range(3)]
        return [
            (shape - 1.0) * log_value - special.gammaln(shape),
            log_value - gammas[0],
            -gammas[1],
            -gammas[2],
        ]

    both = [-special.gammaln(phi), *(-special.polygamma(j, phi) for j in range(3))]
    own = of_two_sides(mu, rest, phi, side(mu * phi, logs), side(rest * phi, others), both)
    return through_link(substitute(own, 1, exponential(zeta), order), inner, order)


@final
@dataclass(frozen=True, slots=True)
class Beta(MeanFamily):
    """0 < y < 1 with mean μ and variance μ(1 − μ)/(1 + φ), ζ = log φ.

    Examples
    --------
    >>> rows = Beta().at(Responses(np.array([0.3])), np.array([[0.0], [np.log(2.0)]]))
    >>> abs(float(rows.value[0])) < 1e-15             # a = b = 1: uniform
    True
    """

    link: Link = field(default_factory=lambda: make_link("logit"))
    names: ClassVar[Labels] = ("beta", "beta_family")
    links: ClassVar[Labels] = ("logit", "probit", "cloglog", "loglog", "cauchit")
    symbol: ClassVar[str] = "phi"

    def check(self, responses: Responses, label: str) -> None:
        y = responses.y
        refuse(
            label,
            y,
            ~((y > 0.0) & (y < 1.0)),
            "a beta response lies strictly between 0 and 1",
            'Exact 0 and 1 ask for family="ordered_beta" or zero_inflation=; percentages are divided by 100.',
        )

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        return beta_table(responses.y, self.link, eta[0], eta[1], order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        centre, spread = float(np.mean(y)), float(np.var(y)) or 1e-8
        phi = max(centre * (1.0 - centre) / spread - 1.0, 0.5)
        return np.array([self.link.forward(y), np.full_like(y, np.log(phi))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        mu = self.mean(eta)
        return np.asarray(mu * (1.0 - mu) / (1.0 + np.exp(eta[1])))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        mu, phi = self.mean(eta), np.exp(eta[1])
        return np.asarray(special.betainc(mu * phi, (1.0 - mu) * phi, np.clip(y, 0.0, 1.0)))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        mu, phi = self.mean(eta), np.exp(eta[1])
        # a draw can round to an end of the interval
        return np.asarray(np.clip(rng.beta(mu * phi, (1.0 - mu) * phi), 1e-300, 1.0 - 2.0**-53))
