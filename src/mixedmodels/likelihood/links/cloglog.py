"""The complementary log-log link."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...typing import Array
from ..derivatives import Inner
from .base import ProbabilityLink, from_logs


@final
class ComplementaryLogLog(ProbabilityLink):
    """η = log(−log(1 − μ)): the probability of at least one event of a Poisson process."""

    __slots__ = ()
    names = ("cloglog", "cll", "ccll")

    def forward(self, mu: Array) -> Array:
        return np.log(-np.log1p(-mu))

    def inverse(self, eta: Array) -> Inner:
        return from_logs(self.log_below(eta), -np.expm1(-np.exp(eta)))

    def log_below(self, eta: Array) -> Inner:
        with np.errstate(over="ignore"):
            w = np.exp(eta)
        # beyond w = 700 log F and its derivatives are below 1e-300
        near = np.minimum(w, 700.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(near == 0.0, 1.0, near / np.expm1(near))
            value = np.where(near == 0.0, eta, np.log(-np.expm1(-near)))
        bend = 1.0 - near - rate
        first = rate * bend
        return value, rate, first, first * bend - rate * (near + first)

    def log_above(self, eta: Array) -> Inner:
        with np.errstate(over="ignore"):
            w = np.exp(eta)
        return -w, -w, -w, -w

    def latent_variance(self) -> float:
        return math.pi**2 / 6.0
