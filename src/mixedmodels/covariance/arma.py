"""Autoregressive moving averages on equally spaced positions: `arma(p, q)`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np

from ..errors import SpecError
from ..typing import Array
from .base import Natural, Positions, Structure
from .correlation import TRIED, Correlation, is_diagonal, lags, nearest
from .jet import Jet, concatenated, constant, levinson, partials_of_coefficients, variables
from .scales import OneVariance
from .transforms import OPEN, Transform


@final
@dataclass(frozen=True, slots=True)
class MovingAutoregression(Correlation):
    """Autocorrelations of e_t = Σ φ_i e_{t−i} + a_t + Σ θ_j a_{t−j}, stationary and invertible.

    u are the partial autocorrelations of φ and of −θ (with the sign of θ), each in (−1, 1).

    Notes
    -----
    With r the autocorrelations of the autoregression alone, those of the sum are proportional to
    Σ_ij θ_i θ_j r_|lag + i − j|, θ₀ = 1.
    """

    p: int
    q: int

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (OPEN,) * (self.p + self.q)

    def of(self, u: Array, at: Positions) -> Array:
        return self._process(u, at.size, derivatives=False)[0].value[lags(at.size)]

    def d_of(self, u: Array, at: Positions) -> Array:
        return self._process(u, at.size)[0].first[:, lags(at.size)]

    def d2_of(self, u: Array, at: Positions) -> Array:
        return self._process(u, at.size)[0].second[:, :, lags(at.size)]

    def start_values(self, target: Array, at: Positions) -> Array:
        if is_diagonal(target):
            return self._trial(0.3, 0.25)
        strengths = (-0.8, -0.5, -0.2, 0.2, 0.5, 0.8)
        trials = [self._trial(a, b) for a in strengths for b in strengths if a != -b]
        return nearest(self, trials, target, at)

    def ladder(self, at: Positions) -> list[Array]:
        return [self._trial(rho, 0.25 if self.p else rho) for rho in TRIED]

    def _trial(self, first: float, moving: float) -> Array:
        """Return u with no factor common to both parts, where neither would be identified."""
        autoregressive = np.where(np.arange(self.p) == 0, first, -0.15)
        return np.concatenate([autoregressive, np.where(np.arange(self.q) == 0, moving, 0.1)])

    def report(self, u: Array, at: Positions) -> Natural:
        r, ar, ma = self._process(u, max(at.size, 2))
        if (self.p, self.q) == (1, 1):
            both = concatenated([ar, r[1:2]])
            return Natural(("rho", "gamma"), both.value, both.first.T, ("correlation",) * 2)
        both = concatenated([ar, ma])
        names = [f"ar({i + 1})" for i in range(self.p)] + [f"ma({j + 1})" for j in range(self.q)]
        return Natural(tuple(names), both.value, both.first.T, ("other",) * len(names))

    def from_report(self, values: Array, at: Positions) -> Array:
        ar, ma = np.array(values[: self.p]), np.array(values[self.p :])
        if (self.p, self.q) == (1, 1):
            ma = np.array([_moving_coefficient(float(ar[0]), float(ma[0]))])
        return np.concatenate([partials_of_coefficients(ar), -partials_of_coefficients(-ma)])

    def _process(self, u: Array, m: int, derivatives: bool = True) -> tuple[Jet, Jet, Jet]:
        """Return autocorrelations (m,), φ (p,) and θ (q,)."""
        return _process(self.p, self.q, u.tobytes(), u.dtype.str, m, derivatives)


@lru_cache(maxsize=64)
def _process(p: int, q: int, values: bytes, dtype: str, m: int, derivatives: bool) -> tuple[Jet, Jet, Jet]:
    """Return autocorrelations (m,), φ (p,) and θ (q,), which every group of clusters asks for at the same u."""
    u = np.frombuffer(values, dtype=dtype)
    k = len(u) if derivatives else 0
    jets = variables(u, derivatives)
    r, ar = levinson(jets[:p], max(m + q, p + 1), k, u.dtype)
    zero = constant(np.zeros(1, dtype=u.dtype), k)
    _, negative = levinson([zero - jet for jet in jets[p:]], q + 1, k, u.dtype)
    ma = constant(np.zeros(q, dtype=u.dtype), k) - negative
    weights = concatenated([constant(np.ones(1, dtype=u.dtype), k), ma])
    total = constant(np.zeros(m, dtype=u.dtype), k)
    for i in range(q + 1):
        for j in range(q + 1):
            shifted = r[np.abs(np.arange(m) + i - j)]
            total = total + weights[i : i + 1] * weights[j : j + 1] * shifted
    return total * total[:1].reciprocal(), ar, ma


def _moving_coefficient(phi: float, gamma: float) -> float:
    """Return the invertible θ for which an ARMA(1, 1) with φ has first autocorrelation γ.

    From γ(1 + 2φθ + θ²) = (1 + φθ)(φ + θ); the two roots are reciprocal.
    """
    gap, middle = gamma - phi, 1.0 + phi * phi - 2.0 * phi * gamma
    if gap == 0.0:
        return 0.0
    discriminant = middle**2 - 4.0 * gap**2
    if not discriminant > 0.0:
        raise ValueError(f"no stationary, invertible process has rho {phi:.6g} and gamma {gamma:.6g}")
    return float(2.0 * gap / (middle + np.sign(middle) * np.sqrt(discriminant)))


@final
@dataclass(frozen=True, slots=True)
class AutoregressiveMovingAverage(OneVariance, Structure):
    """Σ = σ² times the autocorrelations of a stationary, invertible ARMA(p, q) on positions in order.

    Natural parameters of arma(1, 1) are SAS's, Σ_ij = σ²γρ^(|i−j|−1) off the diagonal; of other orders the
    coefficients φ and θ, as in nlme.

    *Same as* SAS TYPE=ARMA(1,1), nlme corARMA(p=, q=).

    Examples
    --------
    >>> at = Positions(3, ("1", "2", "3"))
    >>> arma = AutoregressiveMovingAverage(1, 1)
    >>> arma.matrix(arma.from_natural(np.array([4.0, 0.5, 0.25]), at), at).round(12)
    array([[4. , 1. , 0.5],
           [1. , 4. , 1. ],
           [0.5, 1. , 4. ]])
    """

    names: ClassVar[tuple[str, ...]] = ("arma", "arma(1,1)", "corarma")
    over_positions = True
    ordered = True
    counted = True
    unit_first = True
    p: int = 1
    q: int = 1

    def __post_init__(self) -> None:
        if min(self.p, self.q) < 0 or self.p + self.q < 1:
            raise SpecError(
                f"arma({self.p}, {self.q}): orders must not be negative, and one must be positive."
            )

    @property
    def correlation(self) -> Correlation:
        return MovingAutoregression(self.p, self.q)

    def smallest(self) -> int:
        return self.p + self.q + 1
