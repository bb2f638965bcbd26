"""Maps from an unconstrained working parameter φ to the admissible values u of one parameter.

A map whose ends are legitimate estimates (`attained`) reaches them at a finite φ with slope zero, as s ↦ s²
does for a variance: the sine for a correlation in [low, high]. The others approach their ends at infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np


class Transform(Protocol):
    """A smooth map φ ↦ u of one parameter with two derivatives; φ may be complex."""

    @property
    def attained(self) -> bool:
        """Whether the ends of the range are reached at finite φ."""
        ...

    def value(self, phi: float) -> float:
        """Return u(φ)."""
        ...

    def slope(self, phi: float) -> float:
        """Return u'(φ)."""
        ...

    def curvature(self, phi: float) -> float:
        """Return u''(φ)."""
        ...

    def inverse(self, u: float) -> float:
        """Return φ with u(φ) = u; ValueError outside the range."""
        ...


def _outside(u: float, allowed: str) -> ValueError:
    return ValueError(f"value {u:.6g} is outside {allowed}")


@dataclass(frozen=True, slots=True)
class Closed:
    """u = c + h sin φ in [low, high], with c and h the middle and half the length."""

    low: float
    high: float
    attained: ClassVar[bool] = True

    @property
    def half(self) -> float:
        return 0.5 * (self.high - self.low)

    def value(self, phi: float) -> float:
        value: float = 0.5 * (self.high + self.low) + self.half * np.sin(phi)
        return value

    def slope(self, phi: float) -> float:
        value: float = self.half * np.cos(phi)
        return value

    def curvature(self, phi: float) -> float:
        value: float = -self.half * np.sin(phi)
        return value

    def inverse(self, u: float) -> float:
        sine = (u - 0.5 * (self.high + self.low)) / self.half
        if not abs(sine) <= 1.0 + 1e-10:  # values computed from a Σ on the boundary carry rounding error
            raise _outside(u, f"[{self.low:.6g}, {self.high:.6g}]")
        return float(np.arcsin(min(1.0, max(-1.0, sine))))


@dataclass(frozen=True, slots=True)
class Open:
    """u = tanh φ in (−1, 1), for parameters whose ends leave the family (a unit root)."""

    attained: ClassVar[bool] = False

    def value(self, phi: float) -> float:
        value: float = np.tanh(phi)
        return value

    def slope(self, phi: float) -> float:
        value: float = 1.0 - np.tanh(phi) ** 2
        return value

    def curvature(self, phi: float) -> float:
        value: float = -2.0 * np.tanh(phi) * (1.0 - np.tanh(phi) ** 2)
        return value

    def inverse(self, u: float) -> float:
        if not abs(u) < 1.0:
            raise _outside(u, "(-1, 1)")
        return float(np.arctanh(u))


@dataclass(frozen=True, slots=True)
class Positive:
    """u = exp φ > 0, for ranges."""

    attained: ClassVar[bool] = False

    def value(self, phi: float) -> float:
        value: float = np.exp(phi)
        return value

    def slope(self, phi: float) -> float:
        value: float = np.exp(phi)
        return value

    def curvature(self, phi: float) -> float:
        value: float = np.exp(phi)
        return value

    def inverse(self, u: float) -> float:
        if not (u > 0.0 and np.isfinite(u)):
            raise _outside(u, "(0, ∞)")
        return float(np.log(u))


CORRELATION = Closed(-1.0, 1.0)
OPEN = Open()
POSITIVE = Positive()
