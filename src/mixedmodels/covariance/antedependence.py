"""First-order antedependence `ante1`: own variances and own correlations between neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..typing import Array
from .base import Natural, Positions, Structure
from .correlation import TRIED, Correlation, pair_name
from .scales import OwnVariances
from .transforms import CORRELATION, Transform


@final
@dataclass(frozen=True, slots=True)
class Neighbours(Correlation):
    """C_ij = ρ_i ρ_{i+1} … ρ_{j−1} for i < j."""

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (CORRELATION,) * (m - 1)

    def of(self, u: Array, at: Positions) -> Array:
        above = _products(u)
        return above + np.triu(above, 1).T

    def d_of(self, u: Array, at: Positions) -> Array:
        above, m = _products(u), at.size
        out = np.zeros((len(u), m, m), dtype=u.dtype)
        for k in range(m - 1):
            out[k, : k + 1, k + 1 :] = np.outer(above[: k + 1, k], above[k + 1, k + 1 :])
        return out + out.transpose(0, 2, 1)

    def d2_of(self, u: Array, at: Positions) -> Array:
        above, m = _products(u), at.size
        out = np.zeros((len(u), len(u), m, m))
        for k in range(m - 1):
            for l in range(k + 1, m - 1):
                block = np.outer(above[: k + 1, k], above[l + 1, l + 1 :]) * above[k + 1, l]
                out[k, l, : k + 1, l + 1 :] = out[l, k, : k + 1, l + 1 :] = block
        return out + out.transpose(0, 1, 3, 2)

    def start_values(self, target: Array, at: Positions) -> Array:
        return np.clip(np.diagonal(target, 1), -0.9, 0.9)

    def ladder(self, at: Positions) -> list[Array]:
        return [np.full(at.size - 1, rho) for rho in TRIED]

    def report(self, u: Array, at: Positions) -> Natural:
        names = tuple(pair_name("cor", at.labels[k], at.labels[k + 1]) for k in range(len(u)))
        return Natural(names, u, np.eye(len(u)), ("correlation",) * len(u))


def _products(rho: Array) -> Array:
    """Return the upper triangle of products ρ_i … ρ_{j−1}, with ones on the diagonal, (m, m)."""
    m = len(rho) + 1
    out = np.eye(m, dtype=rho.dtype)
    for j in range(1, m):
        out[:j, j] = out[:j, j - 1] * rho[j - 1]
    return out


@final
@dataclass(frozen=True, slots=True)
class Antedependence(OwnVariances, Structure):
    """Σ_ij = σ_i σ_j ρ_i ρ_{i+1} … ρ_{j−1} for i < j, on positions in order.

    *Same as* SAS TYPE=ANTE(1).

    Examples
    --------
    >>> at = Positions(3, ("1", "2", "3"))
    >>> ante1 = Antedependence()
    >>> ante1.matrix(ante1.from_natural(np.array([1.0, 4.0, 1.0, 0.5, 0.2]), at), at).round(12)
    array([[1. , 1. , 0.1],
           [1. , 4. , 0.4],
           [0.1, 0.4, 1. ]])
    """

    names: ClassVar[tuple[str, ...]] = ("ante1", "ante(1)")
    over_positions = True
    ordered = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return Neighbours()

    def smallest(self) -> int:
        return 2
