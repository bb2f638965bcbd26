"""The logit link."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array
from ..derivatives import Inner
from .base import ProbabilityLink

special = LazyModule("scipy.special")


@final
class Logit(ProbabilityLink):
    """η = log(μ/(1 − μ))."""

    __slots__ = ()
    names = ("logit", "logistic")
    ratio = "odds"

    def forward(self, mu: Array) -> Array:
        return np.asarray(special.logit(mu))

    def inverse(self, eta: Array) -> Inner:
        p, q = special.expit(eta), special.expit(-eta)
        v = p * q
        return p, v, v * (q - p), v * (1.0 - 6.0 * v)

    def log_below(self, eta: Array) -> Inner:
        p, q = special.expit(eta), special.expit(-eta)
        v = p * q
        return -np.logaddexp(0.0, -eta), q, -v, -v * (q - p)

    def log_above(self, eta: Array) -> Inner:
        p, q = special.expit(eta), special.expit(-eta)
        v = p * q
        return -np.logaddexp(0.0, eta), -p, -v, -v * (q - p)

    def latent_variance(self) -> float:
        return math.pi**2 / 3.0
