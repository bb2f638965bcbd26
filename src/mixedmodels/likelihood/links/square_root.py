"""The square-root link."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from ...typing import Array
from ..derivatives import Inner
from .base import Link


@final
class SquareRoot(Link):
    """η = √μ, so that η is positive."""

    __slots__ = ()
    names = ("sqrt",)

    def forward(self, mu: Array) -> Array:
        return np.sqrt(mu)

    def inverse(self, eta: Array) -> Inner:
        inside = np.where(self.inside(eta), eta, np.nan)
        return inside**2, 2.0 * inside, np.full_like(eta, 2.0), np.zeros_like(eta)

    def inside(self, eta: Array) -> NDArray[np.bool_]:
        return np.isfinite(eta) & (eta > 0.0)
