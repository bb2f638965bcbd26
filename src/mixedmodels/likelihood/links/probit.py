"""The probit link."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array
from ..derivatives import Inner
from .base import ProbabilityLink, mirrored

special = LazyModule("scipy.special")


@final
class Probit(ProbabilityLink):
    """η = Φ⁻¹(μ)."""

    __slots__ = ()
    names = ("probit", "normit")

    def forward(self, mu: Array) -> Array:
        return np.asarray(special.ndtri(mu))

    def inverse(self, eta: Array) -> Inner:
        density = np.exp(-0.5 * eta**2) / math.sqrt(2.0 * math.pi)
        return special.ndtr(eta), density, -eta * density, (eta**2 - 1.0) * density

    def log_below(self, eta: Array) -> Inner:
        # λ = φ/Φ; erfcx keeps its digits in the left tail
        ratio = math.sqrt(2.0 / math.pi) / special.erfcx(-eta / math.sqrt(2.0))
        gap = eta + ratio
        return special.log_ndtr(eta), ratio, -ratio * gap, ratio * (gap * (gap + ratio) - 1.0)

    def log_above(self, eta: Array) -> Inner:
        return mirrored(self.log_below(-eta))

    def latent_variance(self) -> float:
        return 1.0
