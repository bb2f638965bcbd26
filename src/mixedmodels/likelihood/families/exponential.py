"""The exponential distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...typing import Array, Labels
from ..base import FREE, MeanFamily, log_mean, through_link
from ..derivatives import Table
from ..links import Link, make_link
from ..responses import Responses
from .gamma import refuse_positive


@final
@dataclass(frozen=True, slots=True)
class Exponential(MeanFamily):
    """y > 0 with mean μ and variance μ²: a gamma of shape 1.

    Examples
    --------
    >>> Exponential().at(Responses(np.array([2.0])), np.array([[0.0]])).value.tolist()
    [-2.0]
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    names: ClassVar[Labels] = ("exponential",)
    links: ClassVar[Labels] = ("log", "inverse", "identity", "sqrt", "power")
    proportional: ClassVar[bool] = True

    @property
    def log_concave(self) -> bool:
        return self.link.name in ("log", "inverse")

    def check(self, responses: Responses, label: str) -> None:
        refuse_positive(responses, label, "an exponential")

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        inner = log_mean(self.link, eta[0])
        q = responses.y * np.exp(-inner[0])
        return through_link({(0,): -inner[0] - q, (1,): q - 1.0, (2,): -q, (3,): q}, inner, order)

    def start(self, responses: Responses) -> Array:
        return self.link.forward(responses.y)[None]

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return self.mean(eta) ** 2

    def deviance(self, responses: Responses, eta: Array) -> Array:
        q = responses.y / self.mean(eta)
        return 2.0 * (q - 1.0 - np.log(q))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        return -np.expm1(-np.maximum(y, 0.0) / self.mean(eta))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        return rng.exponential(self.mean(eta))
