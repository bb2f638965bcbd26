"""The Poisson distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, log_mean, not_whole, refuse, through_link
from ..derivatives import Table, up_to
from ..links import Link, make_link
from ..responses import Responses
from ..special import log_factorial

special = LazyModule("scipy.special")


def refuse_counts(responses: Responses, label: str) -> None:
    """Raise `DataError` unless every response is a count."""
    refuse(
        label,
        responses.y,
        not_whole(responses.y),
        "a count is a whole number from 0",
        "A rate is modelled as the count with offset(log(exposure)).",
    )


@final
@dataclass(frozen=True, slots=True)
class Poisson(MeanFamily):
    """y = 0, 1, 2, … with mean and variance μ.

    Examples
    --------
    >>> rows = Poisson().at(Responses(np.array([3.0])), np.array([[0.0]]))
    >>> rows.score.tolist(), rows.curvature.tolist(), rows.third.tolist()
    ([[2.0]], [[1.0]], [[-1.0]])
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    names: ClassVar[Labels] = ("poisson",)
    links: ClassVar[Labels] = ("log", "identity", "sqrt", "power")
    proportional: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    @property
    def log_concave(self) -> bool:
        return self.link.name in ("log", "identity", "sqrt")

    def check(self, responses: Responses, label: str) -> None:
        refuse_counts(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        y = responses.y
        if self.link.name == "log":
            mu = np.exp(eta[0])
            return up_to(order, y * eta[0] - mu - log_factorial(y), y - mu, -mu, -mu)
        inner = log_mean(self.link, eta[0])
        mu = np.exp(inner[0])
        own: Table = {
            (0,): special.xlogy(y, mu) - mu - log_factorial(y),
            (1,): y - mu,
            (2,): -mu,
            (3,): -mu,
        }
        return through_link(own, inner, order)

    def start(self, responses: Responses) -> Array:
        return self.link.forward(responses.y + 0.1)[None]

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return self.mean(eta)

    def deviance(self, responses: Responses, eta: Array) -> Array:
        y, mu = responses.y, self.mean(eta)
        return np.asarray(2.0 * (special.xlogy(y, y / mu) - (y - mu)))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        return np.where(y < 0.0, 0.0, special.pdtr(np.maximum(np.floor(y), 0.0), self.mean(eta)))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        return rng.poisson(self.mean(eta)).astype(float)
