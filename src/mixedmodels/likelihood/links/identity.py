"""The identity link."""

from __future__ import annotations

from typing import final

import numpy as np

from ...typing import Array
from ..derivatives import Inner
from .base import Link


@final
class Identity(Link):
    """η = μ."""

    __slots__ = ()
    names = ("identity", "id")

    def forward(self, mu: Array) -> Array:
        return mu

    def inverse(self, eta: Array) -> Inner:
        zero = np.zeros_like(eta)
        return eta, np.ones_like(eta), zero, zero
