"""The log link."""

from __future__ import annotations

from typing import final

import numpy as np

from ...typing import Array
from ..derivatives import Inner, exponential
from .base import Link


@final
class Log(Link):
    """η = log μ."""

    __slots__ = ()
    names = ("log",)
    ratio = "ratio"

    def forward(self, mu: Array) -> Array:
        return np.log(mu)

    def inverse(self, eta: Array) -> Inner:
        return exponential(eta)
