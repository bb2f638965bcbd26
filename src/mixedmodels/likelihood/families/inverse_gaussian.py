"""The inverse Gaussian distribution."""

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
class InverseGaussian(MeanFamily):
    """y > 0 with mean μ and variance φμ³/w, ζ = log φ.

    Examples
    --------
    >>> rows = InverseGaussian().at(Responses(np.array([2.0])), np.array([[0.25], [-1.0]]))
    >>> rows.score[:, 0].tolist()                    # at the mean: 2 = 0.25^-½
    [-0.0, -0.5]
    """

    link: Link = field(default_factory=lambda: make_link("inverse_squared"))
    names: ClassVar[Labels] = ("inverse_gaussian", "inverse.gaussian", "igaussian", "ig")
    links: ClassVar[Labels] = ("inverse_squared", "log", "inverse", "identity", "sqrt", "power")
    proportional: ClassVar[bool] = True
    takes_weights: ClassVar[bool] = True
    symbol: ClassVar[str] = "phi"

    def check(self, responses: Responses, label: str) -> None:
        y = responses.y
        refuse(
            label,
            y,
            ~(np.isfinite(y) & (y > 0.0)),
            "an inverse Gaussian response is positive",
            'Values of 0 ask for family="tweedie" or hurdle=.',
        )

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        y, inner = responses.y, self.link.inverse(eta[0])
        mu = np.where(inner[0] > 0.0, inner[0], np.nan)
        deviance = (
            (y / mu - 1.0) ** 2 / y,
            -2.0 * (y - mu) / mu**3,
            (6.0 * y - 4.0 * mu) / mu**4,
            (12.0 * mu - 24.0 * y) / mu**5,
        )
        zeta = eta[1] - np.log(responses.weights_or_one)
        return through_link(dispersed(-1.5 * np.log(y), zeta, deviance), inner, order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        phi = float(np.mean((y / np.mean(y) - 1.0) ** 2 / y)) or 1e-8
        return np.array([self.link.forward(y), np.full_like(y, np.log(phi))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(np.exp(eta[1]) * self.mean(eta) ** 3 / responses.weights_or_one)

    def deviance(self, responses: Responses, eta: Array) -> Array:
        return (responses.y / self.mean(eta) - 1.0) ** 2 / responses.y

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        # Shuster (1968): Φ(√(λ/y)(y/μ − 1)) + e^{2λ/μ}Φ(−√(λ/y)(y/μ + 1)), the product by logarithms
        mu, shape = self.mean(eta), responses.weights_or_one * np.exp(-eta[1])
        at = np.maximum(y, 1e-300)
        root = np.sqrt(shape / at)
        upper = np.exp(2.0 * shape / mu + special.log_ndtr(-root * (at / mu + 1.0)))
        return np.where(y <= 0.0, 0.0, special.ndtr(root * (at / mu - 1.0)) + upper)

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        return rng.wald(self.mean(eta), responses.weights_or_one * np.exp(-eta[1]))
