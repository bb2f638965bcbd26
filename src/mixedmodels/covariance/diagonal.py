"""Independent positions: own variances `diag`, one common variance `homdiag`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np

from ..typing import Array
from .base import SIGNIFICANT, VANISHED, Natural, Positions, Structure, positive_diagonal
from .correlation import own_name
from .scales import standard_deviation


@final
@dataclass(frozen=True, slots=True)
class Diagonal(Structure):
    """Σ = diag(s₁², …, s_m²) with raw standard deviations s_i, which may be zero.

    *Same as* SAS TYPE=VC for several effects and UN(1), lme4 `(x || g)`, nlme pdDiag.

    Examples
    --------
    >>> Diagonal().matrix(np.array([2.0, 3.0]), Positions(2, ("a", "b")))
    array([[4., 0.],
           [0., 9.]])
    """

    names: ClassVar[tuple[str, ...]] = ("diag", "vc", "simple", "un(1)", "pddiag")
    linear = True
    unit_first = True
    own_variances = True
    closed_under = frozenset({"scale"})

    def size(self, m: int) -> int:
        return m

    def matrix(self, theta: Array, at: Positions) -> Array:
        return np.diag(theta**2)

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        out = np.zeros((at.size,) * 3, dtype=theta.dtype)
        index = np.arange(at.size)
        out[index, index, index] = 2.0 * theta
        return out

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        out = np.zeros((at.size,) * 4)
        index = np.arange(at.size)
        out[index, index, index, index] = 2.0
        return out

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        return np.diag(2.0 * np.diagonal(gamma))

    def factor(self, theta: Array, at: Positions) -> Array:
        return np.diag(theta)

    def factor_entries(self, m: int) -> tuple[tuple[int, int, int], ...]:
        return tuple((i, i, i) for i in range(m))

    def start(self, target: Array, at: Positions) -> Array:
        return np.sqrt(np.diagonal(target))

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        value: Array = factor**0.5 * theta
        return value

    def transform(self, theta: Array, t: Array, at: Positions) -> Array:
        value: Array = positive_diagonal(t, self.names[0]) * theta
        return value

    def natural(self, theta: Array, at: Positions) -> Natural:
        names = tuple(own_name("var", label) for label in at.labels)
        return Natural(names, theta**2, np.diag(2.0 * theta), ("variance",) * at.size)

    def from_natural(self, values: Array, at: Positions) -> Array:
        return np.array([standard_deviation(v) for v in values])

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ with the vanished s_i of most negative slope Γ_ii set to √step, or None."""
        return escape_diagonal(theta, np.diagonal(gamma), step)

    def canonical(self, theta: Array, at: Positions) -> Array:
        return np.abs(theta)


@final
@dataclass(frozen=True, slots=True)
class CommonDiagonal(Structure):
    """Σ = s²I with one raw standard deviation s, which may be zero.

    *Same as* SAS TYPE=VC for one effect with many columns, nlme pdIdent.

    Examples
    --------
    >>> CommonDiagonal().natural(np.array([3.0]), Positions(2, ("a", "b"))).values
    array([9.])
    """

    names: ClassVar[tuple[str, ...]] = ("homdiag", "iid", "pdident")
    linear = True
    unit_first = True
    dependent_columns = True

    def size(self, m: int) -> int:
        return 1

    def matrix(self, theta: Array, at: Positions) -> Array:
        value: Array = theta[0] ** 2 * identity(at.size)
        return value

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        value: Array = (2.0 * theta[0] * identity(at.size))[None]
        return value

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        return (2.0 * identity(at.size))[None, None]

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        return np.array([[2.0 * np.trace(gamma)]])

    def factor(self, theta: Array, at: Positions) -> Array:
        value: Array = theta[0] * identity(at.size)
        return value

    def start(self, target: Array, at: Positions) -> Array:
        return np.array([np.sqrt(np.trace(target) / at.size)])

    def factor_entries(self, m: int) -> tuple[tuple[int, int, int], ...]:
        return tuple((i, i, 0) for i in range(m))

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        value: Array = factor**0.5 * theta
        return value

    def natural(self, theta: Array, at: Positions) -> Natural:
        return Natural(("variance",), theta**2, 2.0 * theta[:, None], ("variance",))

    def from_natural(self, values: Array, at: Positions) -> Array:
        return np.array([standard_deviation(values[0])])

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return √step when s has vanished and the trace of Γ is negative, or None."""
        return escape_diagonal(theta, np.array([np.trace(gamma)]), step)

    def canonical(self, theta: Array, at: Positions) -> Array:
        return np.abs(theta)


@lru_cache(maxsize=256)
def identity(m: int) -> Array:
    """Return the identity, (m, m), read-only."""
    out = np.eye(m)
    out.flags.writeable = False
    return out


def escape_diagonal(deviations: Array, slopes: Array, step: float) -> Array | None:
    """Return `deviations` (k,) with one vanished entry set to √step where its slope is negative, or None.

    `slopes` (k,) are ∂(−2l)/∂s_i².
    """
    candidates = np.where(deviations**2 < VANISHED * step, slopes * step, np.inf)
    i = int(np.argmin(candidates))
    if candidates[i] >= -SIGNIFICANT:
        return None
    out = deviations.copy()
    out[i] = np.sqrt(step)
    return out
