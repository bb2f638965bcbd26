"""First-order autoregression on equally spaced positions: `ar1`, `har1` with a variance per position."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..typing import Array
from .base import Natural, Positions, Structure
from .correlation import TRIED, Correlation, lag_means, lags
from .scales import OneVariance, OwnVariances
from .transforms import CORRELATION, Transform


@final
@dataclass(frozen=True, slots=True)
class Autoregression(Correlation):
    """C_ij = ρ^|i − j|, −1 ≤ ρ ≤ 1."""

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (CORRELATION,)

    def of(self, u: Array, at: Positions) -> Array:
        return (u[0] ** np.arange(at.size))[lags(at.size)]  # type: ignore[no-any-return]

    def d_of(self, u: Array, at: Positions) -> Array:
        lag = np.arange(at.size)
        return (lag * u[0] ** np.maximum(lag - 1, 0))[lags(at.size)][None]  # type: ignore[no-any-return]

    def d2_of(self, u: Array, at: Positions) -> Array:
        lag = np.arange(at.size)
        second = lag * (lag - 1) * u[0] ** np.maximum(lag - 2, 0)
        return second[lags(at.size)][None, None]  # type: ignore[no-any-return]

    def start_values(self, target: Array, at: Positions) -> Array:
        return np.clip(lag_means(target)[1:2], -0.9, 0.9)

    def report(self, u: Array, at: Positions) -> Natural:
        return Natural(("correlation",), u, np.eye(1), ("correlation",))

    def trial_values(self, at: Positions) -> Iterable[Array]:
        return np.linspace(-1.0, 1.0, 9)[:, None]

    def ladder(self, at: Positions) -> list[Array]:
        return [np.array([rho]) for rho in TRIED]


@final
@dataclass(frozen=True, slots=True)
class FirstOrderAutoregressive(OneVariance, Structure):
    """Σ_ij = σ²ρ^|i − j| on positions in order, −1 ≤ ρ ≤ 1.

    *Same as* SAS TYPE=AR(1), nlme corAR1, glmmTMB ar1.

    Examples
    --------
    >>> at = Positions(3, ("1", "2", "3"))
    >>> ar1 = FirstOrderAutoregressive()
    >>> ar1.matrix(ar1.from_natural(np.array([4.0, 0.5]), at), at).round(12)
    array([[4., 2., 1.],
           [2., 4., 2.],
           [1., 2., 4.]])
    """

    names: ClassVar[tuple[str, ...]] = ("ar1", "ar(1)", "corar1")
    over_positions = True
    ordered = True
    counted = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return Autoregression()

    def smallest(self) -> int:
        return 2


@final
@dataclass(frozen=True, slots=True)
class HeterogeneousAutoregressive(OwnVariances, Structure):
    """Σ_ij = σ_i σ_j ρ^|i − j| on positions in order, −1 ≤ ρ ≤ 1.

    *Same as* SAS TYPE=ARH(1), nlme corAR1 with varIdent by position.

    Examples
    --------
    >>> at = Positions(3, ("1", "2", "3"))
    >>> har1 = HeterogeneousAutoregressive()
    >>> har1.matrix(har1.from_natural(np.array([1.0, 4.0, 16.0, 0.5]), at), at).round(12)
    array([[ 1.,  1.,  1.],
           [ 1.,  4.,  4.],
           [ 1.,  4., 16.]])
    """

    names: ClassVar[tuple[str, ...]] = ("har1", "arh(1)", "arh1")
    over_positions = True
    ordered = True
    counted = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return Autoregression()

    def smallest(self) -> int:
        return 2
