"""The Huynh–Feldt covariance `hf`: own variances, and equal variances of all differences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np

from ..typing import Array
from .base import SIGNIFICANT, VANISHED, Natural, Positions, Structure, joined
from .correlation import own_name


@lru_cache(maxsize=256)
def _contrasts(m: int) -> Array:
    """Return an orthonormal basis of the vectors of sum zero, (m, m − 1), read-only."""
    out = np.zeros((m, m - 1))
    for k in range(1, m):
        out[:k, k - 1] = 1.0
        out[k, k - 1] = -k
        out[:, k - 1] /= np.sqrt(k * (k + 1.0))
    out.flags.writeable = False
    return out


@final
@dataclass(frozen=True, slots=True)
class HuynhFeldt(Structure):
    """Σ_ij = (σ_i² + σ_j²)/2 + λ for i ≠ j, σ_i² for i = j; differences of positions have variance −2λ.

    Natural parameters are the σ_i² and λ ≤ 0, in which Σ is linear.

    *Same as* SAS TYPE=HF.

    Notes
    -----
    With Q = I − 11'/m, b in the space of contrasts and λ = −s², every Σ ⪰ 0 of the family is
    Σ = s²(Q + 1b')(Q + 1b')' + t²11' = s²(Q + b1' + 1b' + b'b·11') + t²11'.
    θ = (s, t, coordinates of b in an orthonormal basis of contrasts), so no θ is inadmissible. At s = 0 the
    variances are equal and b is arbitrary.

    Examples
    --------
    >>> at = Positions(2, ("a", "b"))
    >>> hf = HuynhFeldt()
    >>> hf.matrix(hf.from_natural(np.array([4.0, 6.0, -2.0]), at), at).round(12)
    array([[4., 3.],
           [3., 6.]])
    """

    names: ClassVar[tuple[str, ...]] = ("hf", "huynh-feldt")
    over_positions = True
    linear = True

    def size(self, m: int) -> int:
        return m + 1

    def smallest(self) -> int:
        return 2

    def matrix(self, theta: Array, at: Positions) -> Array:
        value: Array = theta[0] ** 2 * self._spread(theta, at) + theta[1] ** 2
        return value

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        out = np.empty((len(theta), at.size, at.size), dtype=theta.dtype)
        out[0] = 2.0 * theta[0] * self._spread(theta, at)
        out[1] = 2.0 * theta[1]
        out[2:] = theta[0] ** 2 * self._d_spread(theta, at)
        return out

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        k = len(theta)
        out = np.zeros((k, k, at.size, at.size))
        out[0, 0] = 2.0 * self._spread(theta, at)
        out[1, 1] = 2.0
        out[0, 2:] = out[2:, 0] = 2.0 * theta[0] * self._d_spread(theta, at)
        index = np.arange(2, k)
        out[index, index] = 2.0 * theta[0] ** 2
        return out

    def start(self, target: Array, at: Positions) -> Array:
        variances = np.diag(target)
        gaps = 0.5 * (variances[:, None] + variances[None, :]) - target
        level = max(float(np.sum(gaps)) / (at.size * (at.size - 1)), 0.05 * float(np.mean(variances)))
        flat = float(np.mean(variances))
        while True:
            try:
                return self.from_natural(joined(variances, -level), at)
            except ValueError:
                variances = 0.5 * (variances + flat)  # unequal variances bound the covariance from below
                if np.ptp(variances) < 1e-6 * flat:
                    return self.from_natural(joined(np.full(at.size, flat), -min(level, flat)), at)

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        return joined(np.sqrt(factor) * theta[:2], theta[2:])

    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the m variances σ_i², then λ."""
        m = at.size
        index = np.arange(m)
        values = joined(self.matrix(theta, at)[index, index], -(theta[0] ** 2))
        jacobian = np.zeros((m + 1, len(theta)), dtype=theta.dtype)
        jacobian[:m] = self.d_matrix(theta, at)[:, index, index].T
        jacobian[m, 0] = -2.0 * theta[0]
        names = (*(own_name("var", label) for label in at.labels), "lambda")
        return Natural(names, values, jacobian, ("variance",) * m + ("covariance",))

    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from the m variances and λ."""
        m = at.size
        spread = -float(values[m])
        halves = 0.5 * (np.asarray(values[:m], dtype=np.float64) - spread)
        mean = float(np.mean(halves))
        centred = halves - mean
        tolerance = 1e-12 * float(np.max(np.abs(values)))
        if spread < -tolerance or (spread <= tolerance and np.max(np.abs(centred)) > tolerance):
            raise ValueError(f"lambda {values[m]:.6g} must be negative, or 0 with equal variances")
        b = np.zeros(m - 1) if spread <= tolerance else _contrasts(m).T @ centred / spread
        common = 2.0 * mean + spread / m - spread * float(b @ b)
        if common < -tolerance:
            raise ValueError("these variances and lambda give a covariance that is not positive semidefinite")
        return joined(np.sqrt(max(spread, 0.0)), np.sqrt(max(common, 0.0)), b)

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ with a vanished s or t made positive where that lowers −2l, or None."""
        if theta[1] ** 2 < VANISHED * step and float(np.sum(gamma)) * step < -SIGNIFICANT:
            return joined(theta[0], np.sqrt(step), theta[2:])
        equal = joined(1.0, 0.0, np.zeros(at.size - 1))
        slope = float(np.sum(gamma * self._spread(equal, at)))
        if theta[0] ** 2 < VANISHED * step and slope * step < -SIGNIFICANT:
            return joined(np.sqrt(step), theta[1], equal[2:])
        return None

    def canonical(self, theta: Array, at: Positions) -> Array:
        return joined(np.abs(theta[:2]), theta[2:])

    def _spread(self, theta: Array, at: Positions) -> Array:
        """Return (Q + 1b')(Q + 1b')', (m, m)."""
        b = _contrasts(at.size) @ theta[2:]
        return np.eye(at.size) - 1.0 / at.size + b[:, None] + b[None, :] + theta[2:] @ theta[2:]

    def _d_spread(self, theta: Array, at: Positions) -> Array:
        """Return the derivatives of `_spread` in the coordinates of b, (m − 1, m, m)."""
        basis = _contrasts(at.size).T
        return basis[:, :, None] + basis[:, None, :] + 2.0 * theta[2:, None, None]
