"""The inverse squared link, canonical for the inverse Gaussian."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from ...typing import Array
from ..derivatives import Inner
from .base import Link


@final
class InverseSquared(Link):
    """η = 1/μ² for positive means."""

    __slots__ = ()
    names = ("inverse_squared", "1/mu^2", "powermu2")

    def forward(self, mu: Array) -> Array:
        return mu**-2.0

    def inverse(self, eta: Array) -> Inner:
        mu = np.where(self.inside(eta), eta, np.nan) ** -0.5
        return mu, -0.5 * mu**3, 0.75 * mu**5, -1.875 * mu**7

    def inside(self, eta: Array) -> NDArray[np.bool_]:
        return np.isfinite(eta) & (eta > 0.0)
