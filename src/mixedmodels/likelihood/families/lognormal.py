"""The lognormal distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, refuse
from ..derivatives import Table
from ..links import Link, make_link
from ..responses import Responses
from .quadratic import dispersed

special = LazyModule("scipy.special")


@final
@dataclass(frozen=True, slots=True)
class LogNormal(MeanFamily):
    """log y ~ N(η, σ²/w), ζ = log σ²: the predictor is the mean of log y, the median of y is e^η.

    Examples
    --------
    >>> rows = LogNormal().at(Responses(np.array([np.e])), np.array([[1.0], [0.0]]))
    >>> rows.value.round(6).tolist()                 # the density of log y, less log y
    [-1.918939]
    """

    link: Link = field(default_factory=lambda: make_link("identity"))
    names: ClassVar[Labels] = ("lognormal",)
    links: ClassVar[Labels] = ("identity",)
    takes_weights: ClassVar[bool] = True
    symbol: ClassVar[str] = "sigma2"

    @property
    def log_concave(self) -> bool:
        return True

    def check(self, responses: Responses, label: str) -> None:
        y = responses.y
        refuse(
            label,
            y,
            ~(np.isfinite(y) & (y > 0.0)),
            "a lognormal response is positive",
            "Values of 0 ask for hurdle=.",
        )

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        logs = np.log(responses.y)
        gap = logs - eta[0]
        zeta = eta[1] - np.log(responses.weights_or_one)
        return dispersed(-logs, zeta, (gap**2, -2.0 * gap, np.full_like(gap, 2.0), np.zeros_like(gap)))

    def start(self, responses: Responses) -> Array:
        logs = np.log(responses.y)
        return np.array([logs, np.full_like(logs, np.log(float(np.var(logs)) or 1.0))])

    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(np.exp(eta[0] + 0.5 * np.exp(eta[1])))

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        own = np.exp(eta[1]) / responses.weights_or_one
        return np.asarray(np.expm1(own) * np.exp(2.0 * eta[0] + own))

    def deviance(self, responses: Responses, eta: Array) -> Array:
        return np.asarray((np.log(responses.y) - eta[0]) ** 2)

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        sd = np.sqrt(np.exp(eta[1]) / responses.weights_or_one)
        with np.errstate(divide="ignore"):
            return np.asarray(special.ndtr((np.log(np.maximum(y, 0.0)) - eta[0]) / sd))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        sd = np.sqrt(np.exp(eta[1]) / responses.weights_or_one)
        return np.asarray(np.exp(eta[0] + sd * rng.standard_normal(eta.shape[1])))
