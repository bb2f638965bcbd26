"""The inverse link."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from ...typing import Array
from ..derivatives import Inner
from .base import Link


@final
class Inverse(Link):
    """η = 1/μ for positive means."""

    __slots__ = ()
    names = ("inverse", "reciprocal")

    def forward(self, mu: Array) -> Array:
        return 1.0 / mu

    def inverse(self, eta: Array) -> Inner:
        mu = 1.0 / np.where(self.inside(eta), eta, np.nan)
        return mu, -(mu**2), 2.0 * mu**3, -6.0 * mu**4

    def inside(self, eta: Array) -> NDArray[np.bool_]:
        return np.isfinite(eta) & (eta > 0.0)
