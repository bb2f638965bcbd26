"""Covariances by lag alone: `toep`, `toep(q)` with q diagonals, and `htoep` with own variances."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, final

import numpy as np

from ..errors import SpecError
from ..typing import Array
from .base import Natural, Positions, Structure, joined
from .correlation import TRIED, Correlation, lag_means, lags
from .jet import (
    Jet,
    autocorrelations,
    concatenated,
    constant,
    levinson,
    partial_autocorrelations,
    variables,
)
from .scales import OneVariance, OwnVariances
from .transforms import CORRELATION, Transform


@final
@dataclass(frozen=True, slots=True)
class StationaryCorrelation(Correlation):
    """C_ij = r_|i−j|, parametrised by partial autocorrelations, with r zero from lag `bands` on.

    Without `bands` every positive semidefinite Toeplitz correlation matrix is reached and nothing else.
    With it the admissible region is smaller than the cube of partial autocorrelations.
    """

    bands: int | None

    def count(self, m: int) -> int:
        """Return the number of free lags."""
        return (m if self.bands is None else min(self.bands, m)) - 1

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (CORRELATION,) * self.count(m)

    def of(self, u: Array, at: Positions) -> Array:
        r = np.zeros(at.size, dtype=u.dtype)
        r[: len(u) + 1] = autocorrelations(u)
        return r[lags(at.size)]

    def d_of(self, u: Array, at: Positions) -> Array:
        return self._lags(u, at.size).first[:, lags(at.size)]

    def d2_of(self, u: Array, at: Positions) -> Array:
        return self._lags(u, at.size).second[:, :, lags(at.size)]

    def start_values(self, target: Array, at: Positions) -> Array:
        count = self.count(at.size)
        r = lag_means(target)[1 : count + 1]
        while True:
            u = np.clip(partial_autocorrelations(np.clip(r, -0.9, 0.9)), -0.9, 0.9)
            if np.linalg.eigvalsh(self.of(u, at))[0] > 0.01:
                return u
            r = 0.5 * r

    def ladder(self, at: Positions) -> list[Array]:
        if not self.count(at.size):
            return []
        powers = [np.asarray(rho ** lags(at.size), dtype=np.float64) for rho in TRIED]
        return [self.start_values(one, at) for one in powers]

    def report(self, u: Array, at: Positions) -> Natural:
        r = self._lags(u, at.size)[1 : len(u) + 1]
        names = tuple(f"correlation({lag})" for lag in range(1, len(u) + 1))
        return Natural(names, r.value, r.first.T, ("correlation",) * len(u))

    def from_report(self, values: Array, at: Positions) -> Array:
        return partial_autocorrelations(values)

    def _lags(self, u: Array, m: int) -> Jet:
        """Return r₀, …, r_{m−1} with their derivatives."""
        return _jet(u.tobytes(), u.dtype, m)


@lru_cache(maxsize=64)
def _jet(values: bytes, dtype: np.dtype[np.float64], m: int) -> Jet:
    u = np.frombuffer(values, dtype=dtype)
    k = len(u)
    r, _ = levinson(variables(u), k + 1, k, u.dtype)
    return concatenated([r, constant(np.zeros(m - k - 1, dtype=u.dtype), k)])


def _check_bands(name: str, bands: int | None) -> None:
    if bands is not None and bands < 1:
        raise SpecError(f"{name}({bands}): the number of diagonals must be at least 1.")


@final
@dataclass(frozen=True, slots=True)
class Toeplitz(OneVariance, Structure):
    """Σ_ij = γ_|i−j|, or with q diagonals γ_|i−j| for |i − j| < q and 0 beyond.

    Natural parameters are γ₀ (`variance`) and γ₁, γ₂, … (`covariance(1)`, …), in which Σ is linear; θ are s
    with γ₀ = s² and one angle per partial autocorrelation. With q diagonals not every θ gives Σ ⪰ 0.

    *Same as* SAS TYPE=TOEP and TOEP(q).

    Examples
    --------
    >>> at = Positions(3, ("1", "2", "3"))
    >>> toep = Toeplitz()
    >>> toep.matrix(toep.from_natural(np.array([4.0, 2.0, -1.0]), at), at).round(12)
    array([[ 4.,  2., -1.],
           [ 2.,  4.,  2.],
           [-1.,  2.,  4.]])
    """

    names: ClassVar[tuple[str, ...]] = ("toep", "toeplitz")
    over_positions = True
    ordered = True
    counted = True
    linear = True
    unit_first = True
    bands: int | None = None
    always_psd: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_bands("toep", self.bands)
        object.__setattr__(self, "always_psd", self.bands is None)

    @property
    def correlation(self) -> Correlation:
        return StationaryCorrelation(self.bands)

    def smallest(self) -> int:
        return self.bands or 2

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the variance and the covariance at each lag."""
        report = OneVariance.natural(self, theta, at)
        variance, r = report.values[0], report.values[1:]
        jacobian = report.jacobian.copy()
        jacobian[1:] = variance * report.jacobian[1:] + r[:, None] * report.jacobian[0]
        names = ("variance", *(f"covariance({lag})" for lag in range(1, len(theta))))
        return Natural(
            names, joined(variance, variance * r), jacobian, ("variance",) + ("covariance",) * len(r)
        )

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from the variance and the covariances by lag."""
        r = np.asarray(values[1:]) / (values[0] or 1.0)
        return OneVariance.from_natural(self, joined(values[0], r), at)


@final
@dataclass(frozen=True, slots=True)
class HeterogeneousToeplitz(OwnVariances, Structure):
    """Σ_ij = σ_i σ_j ρ_|i−j|, or with q diagonals the same for |i − j| < q and 0 beyond.

    *Same as* SAS TYPE=TOEPH and TOEPH(q), glmmTMB toep.

    Examples
    --------
    >>> at = Positions(2, ("1", "2"))
    >>> htoep = HeterogeneousToeplitz()
    >>> htoep.matrix(htoep.from_natural(np.array([4.0, 9.0, 0.5]), at), at).round(12)
    array([[4., 3.],
           [3., 9.]])
    """

    names: ClassVar[tuple[str, ...]] = ("htoep", "toeph")
    over_positions = True
    ordered = True
    counted = True
    unit_first = True
    bands: int | None = None
    always_psd: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_bands("htoep", self.bands)
        object.__setattr__(self, "always_psd", self.bands is None)

    @property
    def correlation(self) -> Correlation:
        return StationaryCorrelation(self.bands)

    def smallest(self) -> int:
        return self.bands or 2
