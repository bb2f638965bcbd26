"""Where the working parameters of a variance function have their origin and their unit.

A function of a covariate far from zero has parameters that hardly differ from σ² in what they do to V, and the unit of
the covariate is the unit of δ. So functions work with u = (v − centre)/scale, the mean and the standard deviation of v
over the rows, or with scale its geometric mean where a logarithm is taken, and with the common part of log g taken out:

    log s_i = log g_i − c(δ),     c(δ) the mean over rows of log g where u is zero (or one),

a reparametrisation of the same family whatever the strata, since c is one number for all rows: σ*² = σ²exp(2c), where
σ² is nlme's (v = 0, or |v| = 1). All the maps are linear in δ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..typing import Array, Codes

CONSTANT = 1e-13
"""Spread of a covariate relative to its size below which it is constant, and is left where it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The maps between the working parameters δ* of one variance function and the user's.

    Parameters
    ----------
    centre, scale
        u = (v − centre)/scale, one number for each column of the covariate.
    plain
        (k, k): δ = plain·δ*, δ the working parameters of the function of v itself.
    level
        (strata, k): log g where u is zero (or one) is level·δ* + constant.
    shares
        Share of the rows that each stratum has, (strata,).
    """

    centre: Array | float
    scale: Array | float
    plain: Array
    level: Array
    shares: Array
    constant: float = 0.0

    def values(self, covariate: Array | None) -> Array | None:
        """Return u of the rows of a covariate."""
        return None if covariate is None else np.asarray((covariate - self.centre) / self.scale)

    @property
    def common_slopes(self) -> Array:
        """∂c/∂δ*, (k,)."""
        return np.asarray(self.shares @ self.level)

    def common(self, delta: Array) -> float:
        """Return c(δ*)."""
        found: float = (self.common_slopes @ delta).item() + self.constant
        return found

    def offsets(self, groups: Codes) -> Array:
        """Return the slopes in δ* of what the level of each row's stratum is above c, (n, k)."""
        return np.asarray((self.level - self.common_slopes)[groups])


def shares_of(groups: Codes, n_groups: int) -> Array:
    """Return the share of the rows that each stratum has, (n_groups,)."""
    return np.bincount(groups, minlength=n_groups) / max(len(groups), 1)


def centre_and_spread(covariate: Array, *, centred: bool) -> tuple[Array, Array]:
    """Return mean and standard deviation of each column, zero and its size for one that is constant."""
    size = np.abs(covariate).max(axis=0, initial=0.0)
    mean = covariate.mean(axis=0)
    spread = np.sqrt(np.mean((covariate - mean) ** 2, axis=0))
    varies = spread > CONSTANT * size
    unit = np.where(varies, spread, np.where(size > 0, size, 1.0))
    return np.where(varies & centred, mean, 0.0), unit


def mean_log(covariate: Array, *, centred: bool) -> float:
    """Return the mean of log|v| over the rows where v is not zero; zero where |v| is constant."""
    logs = np.log(np.abs(covariate[covariate != 0]))
    if not centred or not len(logs) or np.ptp(logs) <= CONSTANT * max(float(np.abs(logs).max()), 1.0):
        return 0.0
    return float(np.mean(logs))
