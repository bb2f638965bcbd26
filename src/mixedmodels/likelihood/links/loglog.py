"""The log-log link."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...typing import Array
from ..derivatives import Inner
from .base import ProbabilityLink, from_logs, mirrored
from .cloglog import ComplementaryLogLog


@final
class LogLog(ProbabilityLink):
    """η = −log(−log μ): the mirror image of the complementary log-log."""

    __slots__ = ()
    names = ("loglog",)

    def forward(self, mu: Array) -> Array:
        return -np.log(-np.log(mu))

    def inverse(self, eta: Array) -> Inner:
        below = self.log_below(eta)
        return from_logs(below, np.exp(below[0]))

    def log_below(self, eta: Array) -> Inner:
        return mirrored(ComplementaryLogLog().log_above(-eta))

    def log_above(self, eta: Array) -> Inner:
        return mirrored(ComplementaryLogLog().log_below(-eta))

    def latent_variance(self) -> float:
        return math.pi**2 / 6.0
