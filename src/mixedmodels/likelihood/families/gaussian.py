"""The normal distribution with any link of its mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, refuse, through_link
from ..derivatives import Table
from ..links import Link, make_link
from ..responses import Responses
from .quadratic import dispersed

special = LazyModule("scipy.special")


@final
@dataclass(frozen=True, slots=True)
class Gaussian(MeanFamily):
    """y ~ N(μ, σ²/w), ζ = log σ².

    Examples
    --------
    >>> rows = Gaussian().at(Responses(np.array([2.0])), np.array([[1.5], [0.0]]))
    >>> rows.value.round(6).tolist(), rows.score[:, 0].tolist()
    ([-1.043939], [0.5, -0.375])
    """

    link: Link = field(default_factory=lambda: make_link("identity"))
    names: ClassVar[Labels] = ("gaussian", "normal")
    links: ClassVar[Labels] = ("identity", "log", "inverse", "sqrt", "power")
    proportional: ClassVar[bool] = True
    takes_weights: ClassVar[bool] = True
    symbol: ClassVar[str] = "sigma2"

    @property
    def log_concave(self) -> bool:
        return self.link.name == "identity"

    def check(self, responses: Responses, label: str) -> None:
        refuse(
            label, responses.y, ~np.isfinite(responses.y), "a response is a finite number", "Correct the row."
        )

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        inner = self.link.inverse(eta[0])
        gap = responses.y - inner[0]
        two = np.full_like(gap, 2.0)
        zeta = eta[1] - np.log(responses.weights_or_one)
        own = dispersed(np.zeros_like(gap), zeta, (gap**2, -2.0 * gap, two, np.zeros_like(gap)))
        return through_link(own, inner, order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        spread = float(np.var(y)) or 1.0
        if self.link.name != "identity":
            y = np.maximum(y, 0.1 * float(np.mean(np.abs(y))) or 1.0)
        return np.array([self.link.forward(y), np.full_like(y, np.log(spread))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(np.exp(eta[1]) / responses.weights_or_one)

    def deviance(self, responses: Responses, eta: Array) -> Array:
        return (responses.y - self.mean(eta)) ** 2

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        return np.asarray(special.ndtr((y - self.mean(eta)) / np.sqrt(self.variance(responses, eta))))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        return self.mean(eta) + np.sqrt(self.variance(responses, eta)) * rng.standard_normal(eta.shape[1])
