"""One correlation between any two positions: `cs` with one variance, `hcs` with a variance per position."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..typing import Array
from .base import Natural, Positions, Structure, joined
from .correlation import Correlation, mean_off_diagonal
from .diagonal import identity
from .scales import OneVariance, OwnVariances
from .transforms import Closed, Transform


@final
@dataclass(frozen=True, slots=True)
class Exchangeable(Correlation):
    """C = (1 − ρ)I + ρ11', ρ in [−1/(m − 1), 1], the interval in which C ⪰ 0."""

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (Closed(-1.0 / max(m - 1, 1), 1.0),)

    def of(self, u: Array, at: Positions) -> Array:
        value: Array = u[0] + (1.0 - u[0]) * identity(at.size)
        return value

    def d_of(self, u: Array, at: Positions) -> Array:
        return (1.0 - identity(at.size))[None]

    def d2_of(self, u: Array, at: Positions) -> Array:
        return np.zeros((1, 1, at.size, at.size))

    def start_values(self, target: Array, at: Positions) -> Array:
        return np.array([np.clip(mean_off_diagonal(target), -0.9 / max(at.size - 1, 1), 0.9)])

    def report(self, u: Array, at: Positions) -> Natural:
        return Natural(("correlation",), u, np.eye(1), ("correlation",))

    def trial_values(self, at: Positions) -> Iterable[Array]:
        return np.linspace(-1.0 / max(at.size - 1, 1), 1.0, 9)[:, None]


@final
@dataclass(frozen=True, slots=True)
class CompoundSymmetry(OneVariance, Structure):
    """Σ = s²[(1 − ρ)I + ρ11'] with −1/(m − 1) ≤ ρ ≤ 1.

    Natural parameters are those of SAS: σ²₁ = s²(1 − ρ), which only the diagonal has (`specific`), and the
    common `covariance` s²ρ; Σ is linear in them.

    *Same as* SAS TYPE=CS, nlme corCompSymm and pdCompSymm.

    Examples
    --------
    >>> at = Positions(3, ("a", "b", "c"))
    >>> cs = CompoundSymmetry()
    >>> cs.matrix(cs.from_natural(np.array([3.0, 1.0]), at), at).round(12)
    array([[4., 1., 1.],
           [1., 4., 1.],
           [1., 1., 4.]])
    """

    names: ClassVar[tuple[str, ...]] = ("cs", "corcompsymm", "pdcompsymm", "exchangeable")
    linear = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return Exchangeable()

    def smallest(self) -> int:
        return 2

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return (specific variance s²(1 − ρ), covariance s²ρ)."""
        report = OneVariance.natural(self, theta, at)
        (variance, rho), (d_variance, d_rho) = report.values, report.jacobian
        values = variance * np.array([1.0 - rho, rho])
        covariance = rho * d_variance + variance * d_rho
        jacobian = np.array([d_variance - covariance, covariance])
        return Natural(("specific", "covariance"), values, jacobian, ("variance", "covariance"))

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from (specific variance, covariance)."""
        variance = values[0] + values[1]
        return OneVariance.from_natural(self, joined(variance, values[1] / (variance or 1.0)), at)

    def leading_natural(self, others: Array) -> float:
        return 1.0 - float(others[0])


@final
@dataclass(frozen=True, slots=True)
class HeterogeneousCompoundSymmetry(OwnVariances, Structure):
    """Σ_ij = σ_i σ_j ρ off the diagonal, σ_i² on it, with −1/(m − 1) ≤ ρ ≤ 1.

    *Same as* SAS TYPE=CSH, nlme corCompSymm with varIdent by position.

    Examples
    --------
    >>> at = Positions(2, ("a", "b"))
    >>> hcs = HeterogeneousCompoundSymmetry()
    >>> hcs.matrix(hcs.from_natural(np.array([4.0, 9.0, 0.5]), at), at).round(12)
    array([[4., 3.],
           [3., 9.]])
    """

    names: ClassVar[tuple[str, ...]] = ("hcs", "csh")
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return Exchangeable()

    def smallest(self) -> int:
        return 2
