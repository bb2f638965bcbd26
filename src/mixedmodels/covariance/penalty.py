"""The covariance of the coefficients of a smooth with several penalties: `penalty`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np
from scipy import linalg

from ..errors import SpecError
from ..typing import Array
from .base import EPSILON, SIGNIFICANT, VANISHED, Natural, Positions, Structure
from .scales import standard_deviation

TINY = 1e-60
"""A deviation that stands for zero among diagonal penalties, relative to the largest."""
FLOOR = 1e-7
"""A deviation that is zero among penalties that are not diagonal together, whose sum is inverted."""
NULL = 1e-9
"""Eigenvalue of a sum of penalties, of its largest, that is zero."""
ROOT = 1e-13
"""The same of one penalty, whose root is taken."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Penalty(Structure):
    """Σ⁻¹ = Σ_j S_j/s_j² for known S_j ⪰ 0 whose sum is positive definite, with raw deviations s_j, which may be zero.

    With the smoothing parameters λ_j of the penalised regression s_j² = σ²/λ_j. Where some s_j = 0 Σ is the limit: no
    variance but in the null space of S_j.

    Parameters
    ----------
    weights
        S_j: its diagonal (m,) where all of them are diagonal, else (m, m).
    scales
        What a variance s_j² is multiplied by to be reported: S_j in the units of the data over S_j.

    Notes
    -----
    With diagonal S_j the logarithm of |Σ| is a sum and exact for every ratio of the λ_j; two penalties can always be
    made diagonal together, and so can those of a tensor product. *Same as* the penalties of mgcv's `te`, `t2`, `fs`.

    Examples
    --------
    >>> both = Penalty((np.array([1.0, 0.0]), np.array([1.0, 1.0])))
    >>> np.diag(both.matrix(np.array([1.0, 1.0]), Positions(2, ("a", "b")))).tolist()
    [0.5, 1.0]
    """

    names: ClassVar[tuple[str, ...]] = ("penalty",)
    dependent_columns = True
    weights: tuple[Array, ...]
    scales: tuple[float, ...] = ()
    linear: bool = field(init=False, repr=False)
    """Whether every coefficient has one of the penalties alone."""
    roots: tuple[Array, ...] = field(init=False, repr=False)
    """Rows C_j with C_j'C_j = S_j where penalties are not diagonal."""

    def __post_init__(self) -> None:
        if not self.weights:
            raise SpecError("penalty: no matrices given; smooths in the formula make this structure.")
        if not self.scales:
            object.__setattr__(self, "scales", (1.0,) * len(self.weights))
        single = self.diagonal and bool((np.count_nonzero(np.array(self.weights), axis=0) == 1).all())
        object.__setattr__(self, "linear", single)
        object.__setattr__(self, "roots", () if self.diagonal else _roots(self.weights))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Penalty) or len(self.weights) != len(other.weights):
            return False
        return self.scales == other.scales and all(map(np.array_equal, self.weights, other.weights))

    def __hash__(self) -> int:
        return hash((self.names, self.scales, np.shape(self.weights[0])))

    @property
    def diagonal(self) -> bool:
        """Whether all penalties are diagonal."""
        return self.weights[0].ndim == 1

    def size(self, m: int) -> int:
        return len(self.weights)

    def linear_at(self, m: int) -> bool:
        return self.linear

    def check(self, at: Positions) -> None:
        """Raise `SpecError` unless the penalties have a row for every position and determine every coefficient."""
        Structure.check(self, at)
        m = len(self.weights[0])
        if m != at.size:
            raise SpecError(f"penalty: the matrices have {m} rows and there are {at.size} positions.")
        total = np.sum([one / np.abs(one).max() for one in self.weights], axis=0)
        values = total if self.diagonal else np.linalg.eigvalsh(total)
        if not values.min() > 0:
            raise SpecError(
                "penalty: some coefficient has no penalty; the sum of the matrices must be definite."
            )

    # -- diagonal penalties ------------------------------------------------------------------------------------

    def _deviations(self, theta: Array, least: float) -> Array:
        """Return |s| with zeros off zero, so that shares of the penalties are defined."""
        size = float(np.abs(theta).max()) or 1.0
        return np.where(np.abs(theta) < least * size, least * size, theta)

    def _variances(self, theta: Array) -> tuple[Array, Array, Array]:
        """Return the variances (m,), the share of every penalty in each (J, m), and s off zero."""
        s = self._deviations(theta, TINY)
        parts = np.array(self.weights) / (s**2)[:, None]
        total = parts.sum(axis=0)
        return 1.0 / total, parts / total, s

    def _first(self, theta: Array) -> Array:
        """Return ∂Σ_ii/∂s_j, (J, m)."""
        variances, shares, s = self._variances(theta)
        return 2.0 * shares * variances / s[:, None]

    def _second(self, theta: Array) -> Array:
        """Return ∂²Σ_ii/∂s_i∂s_j, (J, J, m)."""
        variances, shares, s = self._variances(theta)
        ratio = shares / s[:, None]
        out = 8.0 * ratio[:, None] * ratio[None] * variances
        j = np.arange(len(s))
        out[j, j] -= 6.0 * ratio * variances / s[:, None]
        return np.asarray(out)

    # -- the protocol ------------------------------------------------------------------------------------------

    def matrix(self, theta: Array, at: Positions) -> Array:
        if self.diagonal:
            variances = self._variances(theta)[0]
            gone = np.array(self.weights)[np.flatnonzero(theta == 0.0)].any(axis=0)
            return np.diag(np.where(gone, 0.0, variances))
        return self._inverse(theta)

    def _gone(self, theta: Array) -> Array:
        """Return which deviations are so small that Σ is its limit where they are zero, (J,)."""
        return np.asarray(np.abs(theta) <= FLOOR * float(np.abs(theta).max()))

    def _inverse(self, theta: Array) -> Array:
        """Return (Σ_j S_j/s_j²)⁻¹ within what the penalties of vanished deviations leave free, and 0 outside."""
        gone = self._gone(theta)
        free = self._free(gone) if gone.any() else None
        if free is not None and not free.shape[1]:
            return np.zeros_like(self.weights[0])
        if np.iscomplexobj(theta):
            out = np.linalg.inv(
                np.sum([one / own**2 for one, own in zip(self.weights, theta, strict=True)], axis=0)
            )
            return np.asarray(0.5 * (out + out.T))
        kept = [j for j in np.argsort(np.abs(theta)) if not gone[j]]
        rows = np.vstack([self.roots[j] / abs(float(theta[j])) for j in kept])
        inverse = _inverse_root(rows if free is None else rows @ free)
        if free is not None:
            inverse = free @ inverse
        return np.asarray(inverse @ inverse.T)

    def _free(self, gone: Array) -> Array:
        """Return an orthonormal basis (m, ·) of what the chosen penalties do not touch."""
        total = np.sum(
            [one / np.abs(one).max() for one, out in zip(self.weights, gone, strict=True) if out], axis=0
        )
        values, vectors = np.linalg.eigh(total)
        return np.asarray(vectors[:, values < NULL * values[-1]])

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        if self.diagonal:
            return _embedded(self._first(theta))
        sigma, cubes = self._inverse(theta), self._cubes(theta)
        return np.array(
            [2.0 * own * sigma @ one @ sigma for one, own in zip(self.weights, cubes, strict=True)]
        )

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        if self.diagonal:
            return _embedded(self._second(theta))
        sigma, cubes = self._inverse(theta), self._cubes(theta)
        first = [own * one @ sigma for one, own in zip(self.weights, cubes, strict=True)]
        k = len(cubes)
        out = np.empty((k, k, at.size, at.size), dtype=sigma.dtype)
        for i in range(k):
            for j in range(k):
                both = sigma @ first[i] @ first[j]
                out[i, j] = 4.0 * (both + sigma @ first[j] @ first[i])
            if cubes[i]:
                out[i, i] -= 6.0 / theta[i] * sigma @ first[i]
        return out

    def _cubes(self, theta: Array) -> Array:
        """Return s_j^−3, zero for vanished deviations: Σ does not move with them, (J,)."""
        gone = self._gone(theta)
        return np.asarray(np.where(gone, 0.0, 1.0 / np.where(gone, 1.0, theta) ** 3))

    def slopes(self, theta: Array, gamma: Array, at: Positions) -> Array:
        if self.diagonal:
            return np.asarray(self._first(theta) @ np.diagonal(gamma))
        return Structure.slopes(self, theta, gamma, at)

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        if self.diagonal:
            return np.asarray(self._second(theta) @ np.diagonal(gamma))
        return Structure.curvature(self, theta, gamma, at)

    def factor(self, theta: Array, at: Positions) -> Array:
        if self.diagonal:
            return np.sqrt(self.matrix(theta, at))
        return Structure.factor(self, theta, at)

    def start(self, target: Array, at: Positions) -> Array:
        """Return equal shares of the penalties in the mean variance of `target`."""
        level = float(np.trace(target)) / at.size
        unit = np.trace(self.matrix(np.ones(len(self.weights)), at)) / at.size
        return np.full(len(self.weights), np.sqrt(level / unit))

    def starts(self, target: Array, at: Positions) -> Array:
        """Return three starts: equal shares, and each end of their ratio, (1, ·, J)."""
        base = self.start(target, at)
        if self.linear or len(base) == 1:
            return base[None, None]
        tilt = np.exp(np.linspace(-1.0, 1.0, len(base)))
        return np.array([[base, base * tilt**2, base / tilt**2]])

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        value: Array = factor**0.5 * theta
        return value

    def natural(self, theta: Array, at: Positions) -> Natural:
        scales = np.array(self.scales)
        count = len(theta)
        names = ("variance",) if count == 1 else tuple(f"var({j})" for j in range(1, count + 1))
        return Natural(names, scales * theta**2, np.diag(2.0 * scales * theta), ("variance",) * count)

    def from_natural(self, values: Array, at: Positions) -> Array:
        return np.array([standard_deviation(v / u) for v, u in zip(values, self.scales, strict=True)])

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ with vanished deviations moved off zero, one of them or all, where that lowers −2l; or None."""
        gone = np.flatnonzero(theta**2 < VANISHED * step * self._units())
        best, found = -SIGNIFICANT, None
        sets = [gone[[j]] for j in range(len(gone))] + ([gone] if len(gone) > 1 else [])
        for chosen in sets:
            trial = theta.copy()
            trial[chosen] = np.sqrt(step * self._units()[chosen])
            change = self.matrix(trial, at) - self.matrix(theta, at)
            slope = float(np.sum(gamma * change))
            if slope < best:
                best, found = slope, trial
        return found

    def _units(self) -> Array:
        """Return the s_j² at which penalties alone give a variance of about one, (J,)."""
        sizes = [one if self.diagonal else np.diagonal(one) for one in self.weights]
        return np.array([float(np.mean(one[one > EPSILON * one.max()])) for one in sizes])

    def canonical(self, theta: Array, at: Positions) -> Array:
        return np.abs(theta) if self.diagonal else np.where(self._gone(theta), 0.0, np.abs(theta))


def _roots(weights: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return for each penalty rows C_j (rank, m) with C_j'C_j = S_j."""
    found = []
    for one in weights:
        values, vectors = np.linalg.eigh(one)
        kept = values > ROOT * values[-1]
        found.append((vectors[:, kept] * np.sqrt(values[kept])).T)
    return tuple(found)


def _inverse_root(rows: Array) -> Array:
    """Return T (m, m) with TT' = (C'C)⁻¹ for rows C, the largest first.

    Notes
    -----
    By Householder reflections of the rows themselves, whose condition is the root of that of C'C: deviations may differ
    by 1e7 (Wood 2011, appendix B, has the same aim).
    """
    upper, pivot = linalg.qr(rows, mode="r", pivoting=True, check_finite=False)
    m = rows.shape[1]
    out = np.empty((m, m))
    out[pivot] = linalg.solve_triangular(upper[:m], np.eye(m), check_finite=False)
    return out


def _embedded(diagonals: Array) -> Array:
    """Return matrices with these diagonals, (…, m) to (…, m, m)."""
    m = diagonals.shape[-1]
    out = np.zeros((*diagonals.shape, m), dtype=diagonals.dtype)
    i = np.arange(m)
    out[..., i, i] = diagonals
    return out
