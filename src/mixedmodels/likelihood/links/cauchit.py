"""The cauchit link."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...typing import Array
from ..derivatives import Inner
from .base import ProbabilityLink, mirrored


@final
class Cauchit(ProbabilityLink):
    """η = tan π(μ − ½)."""

    __slots__ = ()
    names = ("cauchit", "cauchy")

    def forward(self, mu: Array) -> Array:
        return np.tan(math.pi * (mu - 0.5))

    def inverse(self, eta: Array) -> Inner:
        spread = 1.0 + eta**2
        density = 1.0 / (math.pi * spread)
        return (
            _below(eta),
            density,
            -2.0 * eta * density / spread,
            density * (6.0 * eta**2 - 2.0) / spread**2,
        )

    def log_below(self, eta: Array) -> Inner:
        value, d1, d2, d3 = self.inverse(eta)
        l1, l2 = d1 / value, d2 / value
        return np.log(value), l1, l2 - l1**2, d3 / value - 3.0 * l1 * l2 + 2.0 * l1**3

    def log_above(self, eta: Array) -> Inner:
        return mirrored(self.log_below(-eta))

    def latent_variance(self) -> float:
        return math.inf


def _below(eta: Array) -> Array:
    """Return ½ + arctan(η)/π, in the left tail as arctan(−1/η)/π."""
    with np.errstate(divide="ignore"):
        tail = np.arctan(-1.0 / np.where(eta < -1.0, eta, -1.0)) / math.pi
    return np.where(eta < -1.0, tail, 0.5 + np.arctan(eta) / math.pi)
