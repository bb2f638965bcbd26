"""Densities ℓ = c(y) − ½ζ − ½e^{−ζ}d(y, μ), with ζ the log of a dispersion: gaussian, inverse Gaussian, lognormal."""

from __future__ import annotations

import math

import numpy as np

from ...typing import Array
from ..derivatives import Table

LOG_2PI = math.log(2.0 * math.pi)


def dispersed(constant: Array, zeta: Array, deviance: tuple[Array, Array, Array, Array]) -> Table:
    """Return the table in (μ, ζ) from d(y, μ) and its three derivatives in μ.

    `constant` (n,) is c(y) less what weights add; ζ already has log w taken off.
    """
    d0, d1, d2, d3 = deviance
    half = 0.5 * np.exp(-zeta)
    return {
        (0, 0): constant - 0.5 * (LOG_2PI + zeta) - half * d0,
        (1, 0): -half * d1,
        (0, 1): half * d0 - 0.5,
        (2, 0): -half * d2,
        (1, 1): half * d1,
        (0, 2): -half * d0,
        (3, 0): -half * d3,
        (2, 1): half * d2,
        (1, 2): -half * d1,
        (0, 3): half * d0,
    }
