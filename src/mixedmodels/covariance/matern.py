"""The Matérn correlation `mat`, with its smoothness estimated.

Derivatives in the smoothness come from an integral of the Bessel function, by the trapezoidal rule, which
converges geometrically there; no differences are taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from ..lazy import LazyModule
from ..typing import Array
from .base import Natural, Positions, Structure
from .correlation import Correlation, is_diagonal, nearest
from .scales import OneVariance
from .spatial import LONGEST, SHORTEST, distances, usual_distances
from .transforms import POSITIVE, Transform

if TYPE_CHECKING:
    from scipy import special
else:
    special = LazyModule("scipy.special")

_TAIL = 60.0
"""Fall of the logarithm of an integrand from its peak beyond which it is left out."""
_CHUNK = 2_000_000
"""Numbers held at a time in the integrals, to bound memory."""
ROUGHEST = 1e-3
"""Smallest smoothness searched for: C is then nearly zero off the diagonal."""
_POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
"""Moments that C and its two derivatives are made of."""
_KEPT: tuple[tuple[str, bytes, bytes], list[Array]] = (("", b"", b""), [])
"""θ and distances last asked for, with the moments there: derivatives are asked for several times."""
SMOOTHEST = 1e4
"""Largest smoothness: beyond it C differs from its limit exp(−d²/4νr²) by less than 1e-4."""


def bessel_moments(z: Array, nu: float, powers: tuple[tuple[int, int], ...]) -> list[Array]:
    """Return (z/2)^ν/Γ(ν) ∫ w(t)^b exp(−z cosh t + (ν − a)t) dt for each (a, b), at z (n,) > 0.

    w(t) = log(z/2) − ψ(ν) + t, so that (0, 0) is the Matérn function (z/2)^ν 2K_ν(z)/Γ(ν), (0, 1) its
    derivative in ν, and (1, 0) minus its derivative in z. z and ν may be complex with positive real parts.

    Notes
    -----
    2K_ν(z) = ∫ exp(−z cosh t + νt) dt over the real line (DLMF 10.32.9). The integrand is analytic in a
    strip and decays doubly exponentially, so the trapezoidal rule is exact to rounding once its step
    resolves the peak at arsinh(ν/z), whose width is about ν^(−1/2) (Trefethen and Weideman 2014).
    """
    step = min(0.15, 0.7 / np.sqrt(max(nu.real, 1.0)))
    peak = np.arcsinh(nu.real / z.real)
    # from its peak the logarithm falls by more than ν(cosh s − 1) upwards, and ν(e^s − 1 − s) downwards, s < 0
    above = np.arccosh(1.0 + _TAIL / nu.real)
    below = _TAIL / nu.real + 1.0 if nu.real < _TAIL else np.sqrt(3.0 * _TAIL / nu.real)
    # and below −end it falls doubly exponentially, whatever ν
    end = max(2.0, np.log((1500.0 + 2.0 * nu.real) / np.min(z.real)) + 1.0)
    s = np.arange(-min(below, end + float(np.max(peak))), above + step, step)
    cosh, sinh = np.cosh(s), np.sinh(s)
    out = [np.empty(len(z), dtype=np.result_type(z.dtype, type(nu))) for _ in powers]
    chunk = max(1, _CHUNK // len(s))
    for first in range(0, len(z), chunk):
        rows = slice(first, first + chunk)
        top, here = peak[rows, None], z[rows, None]
        log_half = np.log(0.5 * here)
        exponent = nu * (log_half + top) - special.loggamma(nu) + nu * s
        base = np.exp(exponent - here * np.cosh(top) * cosh - here * np.sinh(top) * sinh)
        weight = log_half + top - special.digamma(nu) + s
        weighted = {0: base}
        for b in range(1, 1 + max(b for _, b in powers)):
            weighted[b] = weighted[b - 1] * weight
        for result, (a, b) in zip(out, powers, strict=True):
            result[rows] = step * np.exp(-a * peak[rows]) * (weighted[b] @ np.exp(-a * s))
    return out


@final
@dataclass(frozen=True, slots=True)
class MaternCorrelation(Correlation):
    """C_ij = (z/2)^ν 2K_ν(z)/Γ(ν), z = d_ij/r, with range r > 0 and smoothness ν > 0."""

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (POSITIVE, POSITIVE)

    def of(self, u: Array, at: Positions) -> Array:
        _check(u)
        d = distances(at)
        if not np.iscomplexobj(u):
            # The library's Bessel function is faster than the integral, but overflows at small z and large ν;
            # its factors go by their logarithms, since the power may underflow where the function does not.
            z = np.where(d > 0.0, d, 1.0) / u[0]
            with np.errstate(all="ignore"):
                power = u[1] * np.log(0.5 * z) - special.gammaln(u[1])
                value: Array = 2.0 * np.exp(power + np.log(special.kve(u[1], z)) - z)
            if np.all(np.isfinite(value)):
                return np.where(d > 0.0, value, 1.0)
        return self._moments(d, u)[0, 0]

    def d_of(self, u: Array, at: Positions) -> Array:
        d = distances(at)
        moments = self._moments(d, u)
        return np.stack([d / u[0] * moments[1, 0] / u[0], moments[0, 1]])

    def d2_of(self, u: Array, at: Positions) -> Array:
        r, nu = u
        d = distances(at)
        z = d / r
        moments = self._moments(d, u)
        out = np.empty((2, 2, *d.shape))
        out[0, 0] = (z * z * moments[2, 0] - 3.0 * z * moments[1, 0]) / r**2
        out[0, 1] = out[1, 0] = z * moments[1, 1] / r
        out[1, 1] = np.where(d > 0.0, moments[0, 2] - special.polygamma(1, nu) * moments[0, 0], 0.0)
        return out

    def start_values(self, target: Array, at: Positions) -> Array:
        if is_diagonal(target):
            return np.array([np.median(usual_distances(at)) / 3.0, 0.8])
        return nearest(self, self.trial_values(at), target, at)

    def trial_values(self, at: Positions) -> Iterable[Array]:
        d = usual_distances(at)
        ranges = np.geomspace(0.3 * np.min(d), 2.0 * np.max(d), 9)
        return [np.array([r, nu]) for nu in (0.5, 1.5) for r in ranges]

    def ladder(self, at: Positions) -> list[Array]:
        return list(self.trial_values(at))

    def limits(self, at: Positions) -> Array:
        d = usual_distances(at)
        # a smooth C is determined by r√ν
        return np.array([[0.01 * SHORTEST * np.min(d), LONGEST * np.max(d)], [ROUGHEST, 0.999 * SMOOTHEST]])

    def report(self, u: Array, at: Positions) -> Natural:
        return Natural(("range", "smoothness"), u, np.eye(2), ("range", "other"))

    def _moments(self, d: Array, u: Array) -> dict[tuple[int, int], Array]:
        """Return the moments of `_POWERS` at every distance; each distinct distance is integrated once."""
        global _KEPT
        _check(u)
        distinct, where = np.unique(d, return_inverse=True)
        key = (u.dtype.str, u.tobytes(), distinct.tobytes())
        known, values = _KEPT
        if known != key:
            positive = distinct > 0.0
            values = [
                np.full(len(distinct), 1.0 if power == (0, 0) else 0.0, dtype=u.dtype) for power in _POWERS
            ]
            if np.any(positive):
                for full, found in zip(
                    values, bessel_moments(distinct[positive] / u[0], u[1], _POWERS), strict=True
                ):
                    full[positive] = found
            _KEPT = (key, values)
        place = where.reshape(d.shape)
        return {power: full[place] for power, full in zip(_POWERS, values, strict=True)}


def _check(u: Array) -> None:
    """Raise ValueError for a range or smoothness that is no number, or a smoothness beyond `SMOOTHEST`."""
    r, nu = u.real
    if not (0.0 < r < np.inf and 0.0 < nu <= SMOOTHEST):
        raise ValueError(
            f"range {r:.6g} and smoothness {nu:.6g} must be positive, the smoothness ≤ {SMOOTHEST:g}"
        )


@final
@dataclass(frozen=True, slots=True)
class Matern(OneVariance, Structure):
    """Σ_ij = σ²/Γ(ν)·(d_ij/2r)^ν·2K_ν(d_ij/r), with `range` r > 0 and `smoothness` ν > 0.

    ν = ½ is `exp` with the same range. The range and the smoothness are only jointly well determined unless
    some positions are close together.

    *Same as* SAS TYPE=SP(MATERN).

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0], [2.0]]))
    >>> mat = Matern()
    >>> bool(np.isclose(mat.matrix(mat.from_natural(np.array([1.0, 2.0, 0.5]), at), at)[0, 1], np.exp(-1)))
    True
    """

    names: ClassVar[tuple[str, ...]] = ("mat", "sp(matern)", "matern")
    needs_coordinates = True
    on_pairs = True
    nugget_allowed = True
    unit_first = True

    @property
    def correlation(self) -> Correlation:
        return MaternCorrelation()

    def smallest(self) -> int:
        return 3
