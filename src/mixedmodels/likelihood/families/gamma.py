"""The gamma distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, log_mean, refuse, through_link
from ..derivatives import Inner, Table, substitute
from ..links import Link, make_link
from ..responses import Responses

special = LazyModule("scipy.special")


def refuse_positive(responses: Responses, label: str, what: str) -> None:
    """Raise `DataError` unless every response is positive and finite."""
    y = responses.y
    refuse(
        label,
        y,
        ~(np.isfinite(y) & (y > 0.0)),
        f"{what} response is positive",
        'Values of 0 ask for family="tweedie" or hurdle=.',
    )


def gamma_table(y: Array, log_mu: Inner, log_shape: Inner, order: int) -> Table:
    """Return the table of the gamma density in (η, ζ): shape ν, mean μ, as inner functions of η and ζ.

    ℓ = ν(log ν − m − y e^{−m}) + (ν − 1) log y − log Γ(ν) with m = log μ.
    """
    nu = np.exp(log_shape[0])
    q = y * np.exp(-log_mu[0])
    digamma, trigamma, tetragamma = (special.polygamma(j, nu) for j in range(3))
    logs = np.log(y)
    own: Table = {
        (0, 0): nu * (log_shape[0] - log_mu[0] - q + logs) - logs - special.gammaln(nu),
        (1, 0): nu * (q - 1.0),
        (2, 0): -nu * q,
        (3, 0): nu * q,
        (0, 1): log_shape[0] + 1.0 - log_mu[0] - q + logs - digamma,
        (1, 1): q - 1.0,
        (2, 1): -q,
        (0, 2): 1.0 / nu - trigamma,
        (1, 2): np.zeros_like(q),
        (0, 3): -1.0 / nu**2 - tetragamma,
    }
    in_shape = substitute(own, 1, (nu, nu * log_shape[1], nu, nu), order)
    return through_link(in_shape, log_mu, order)


@final
@dataclass(frozen=True, slots=True)
class Gamma(MeanFamily):
    """y > 0 with mean μ and variance μ²/(νw), ζ = log ν the log of the shape.

    Examples
    --------
    >>> rows = Gamma().at(Responses(np.array([2.0])), np.array([[np.log(2.0)], [0.0]]))
    >>> rows.value.round(6).tolist()                 # exponential with mean 2 at 2
    [-1.693147]
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    names: ClassVar[Labels] = ("gamma",)
    links: ClassVar[Labels] = ("log", "inverse", "identity", "sqrt", "power")
    proportional: ClassVar[bool] = True
    takes_weights: ClassVar[bool] = True
    symbol: ClassVar[str] = "shape"

    @property
    def log_concave(self) -> bool:
        return self.link.name == "log"

    def check(self, responses: Responses, label: str) -> None:
        refuse_positive(responses, label, "a gamma")

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        shape = eta[1] + np.log(responses.weights_or_one)
        one = np.ones_like(shape)
        return gamma_table(
            responses.y, log_mean(self.link, eta[0]), (shape, one, 0.0 * one, 0.0 * one), order
        )

    def start(self, responses: Responses) -> Array:
        y = responses.y
        spread = float(np.var(y)) or 1e-8
        return np.array([self.link.forward(y), np.full_like(y, 2.0 * np.log(np.mean(y)) - np.log(spread))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(self.mean(eta) ** 2 * np.exp(-eta[1]) / responses.weights_or_one)

    def scaled(self, phi: Array) -> Array:
        return -np.log(phi)

    def deviance(self, responses: Responses, eta: Array) -> Array:
        q = responses.y / self.mean(eta)
        return 2.0 * (q - 1.0 - np.log(q))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        shape = np.exp(eta[1]) * responses.weights_or_one
        return np.asarray(special.gammainc(shape, shape * np.maximum(y, 0.0) / self.mean(eta)))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        shape = np.exp(eta[1]) * responses.weights_or_one
        return np.asarray(rng.gamma(shape, self.mean(eta) / shape))
