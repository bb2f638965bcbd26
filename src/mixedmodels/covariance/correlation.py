"""Families of correlation matrices C(u) and the chain rule to unconstrained parameters φ.

A structure is made of a correlation family and variances (`scales`): the family supplies C and its
derivatives in its own parameters u (a correlation, a range, partial autocorrelations), each the image of
one φ under a `Transform`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..typing import Array
from .base import Natural, Positions
from .transforms import POSITIVE, Transform

TRIED = (-0.5, 0.0, 0.15, 0.55, 0.93)
"""Correlations of neighbours that searches start from besides that of the data."""


class Correlation(ABC):
    """A family of correlation matrices; stateless but for its order."""

    __slots__ = ()

    @abstractmethod
    def transforms(self, m: int) -> tuple[Transform, ...]:
        """Return the map φ_a ↦ u_a of each parameter."""

    @abstractmethod
    def of(self, u: Array, at: Positions) -> Array:
        """Return C(u), (..., m, m)."""

    @abstractmethod
    def d_of(self, u: Array, at: Positions) -> Array:
        """Return ∂C/∂u_a, (k, ..., m, m)."""

    @abstractmethod
    def d2_of(self, u: Array, at: Positions) -> Array:
        """Return ∂²C/∂u_a∂u_b, (k, k, ..., m, m)."""

    @abstractmethod
    def start_values(self, target: Array, at: Positions) -> Array:
        """Return u whose C(u) is near the correlation matrix `target` (m, m), inside the range of each u."""

    @abstractmethod
    def report(self, u: Array, at: Positions) -> Natural:
        """Return the reported parameters with their Jacobian in u."""

    def from_report(self, values: Array, at: Positions) -> Array:
        """Return u from reported values; ValueError when there is none."""
        return values

    def trial_values(self, at: Positions) -> Iterable[Array]:
        """Return a few u worth trying when the variance is zero and u therefore arbitrary."""
        return (self.start_values(np.eye(at.size), at),)

    def ladder(self, at: Positions) -> list[Array]:
        """Return u at increasing ranges or correlations, each worth starting from; empty where one start is enough."""
        return []

    def limits(self, at: Positions) -> Array:
        """Return the limits of parameters on a logarithmic scale, (k, 2), beyond which C is as there, to rounding."""
        return np.tile([0.0, np.inf], (self.size(at.size), 1))

    def ladder_near(self, target: Array, at: Positions) -> list[Array]:
        """Return the ladder, with u near the correlation matrix `target` in its place among correlations.

        Ladders of ranges are close enough to have it among them.
        """
        found = self.ladder(at)
        if found and any(one is POSITIVE for one in self.transforms(at.size)):
            return found
        return sorted([*found, self.start_values(target, at)], key=lambda u: float(u[0]) if len(u) else 0.0)

    def escape_flat(self, u: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return u moved off a region where C does not depend on it, if that lowers −2l; else None.

        `gamma` is the slope of −2l in C, and `step` the change of C to be kept to.
        """
        return None

    def size(self, m: int) -> int:
        """Return the number of parameters."""
        return len(self.transforms(m))

    def values(self, phi: Array, m: int) -> Array:
        """Return u(φ), (k,)."""
        return np.array([t.value(p) for t, p in zip(self.transforms(m), phi, strict=True)], dtype=phi.dtype)

    def inverse(self, u: Array, m: int) -> Array:
        """Return φ(u), (k,); ValueError outside the range."""
        return np.array([t.inverse(v) for t, v in zip(self.transforms(m), u, strict=True)], dtype=np.float64)

    def moved(self, phi: Array, u: Array, m: int) -> Array:
        """Return φ' with u(φ') = u in the main branch of each map; what u leaves where it was may have left the range.

        tanh φ is 1 in floating point long before φ is infinite.
        """
        pairs = zip(self.transforms(m), phi, u, strict=True)
        new = [p if not t.attained and t.value(p) == v else t.inverse(v) for t, p, v in pairs]
        return np.array(new, dtype=np.float64)

    def slopes(self, phi: Array, m: int) -> Array:
        """Return du_a/dφ_a, (k,)."""
        return np.array([t.slope(p) for t, p in zip(self.transforms(m), phi, strict=True)], dtype=phi.dtype)

    def matrix(self, phi: Array, at: Positions) -> Array:
        """Return C as a function of φ, (..., m, m)."""
        return self.of(self.values(phi, at.size), at)

    def d_matrix(self, phi: Array, at: Positions) -> Array:
        """Return ∂C/∂φ_a, (k, ..., m, m)."""
        first = self.d_of(self.values(phi, at.size), at)
        return _each(self.slopes(phi, at.size), first.ndim) * first

    def d2_matrix(self, phi: Array, at: Positions) -> Array:
        """Return ∂²C/∂φ_a∂φ_b, (k, k, ..., m, m)."""
        u, slopes = self.values(phi, at.size), self.slopes(phi, at.size)
        second = self.d2_of(u, at)
        out = _each(slopes, second.ndim) * _each(slopes, second.ndim - 1) * second
        first = self.d_of(u, at)
        for a, (transform, p) in enumerate(zip(self.transforms(at.size), phi, strict=True)):
            out[a, a] += transform.curvature(p) * first[a]
        return out

    def d_along(self, phi: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂C/∂φ_a⟩, (k,), for Γ of the shape of C."""
        return self.slopes(phi, at.size) * self.d_of_along(self.values(phi, at.size), gamma, at)

    def d2_along(self, phi: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂²C/∂φ_a∂φ_b⟩, (k, k), for Γ of the shape of C."""
        u, slopes = self.values(phi, at.size), self.slopes(phi, at.size)
        bends = [t.curvature(p) for t, p in zip(self.transforms(at.size), phi, strict=True)]
        own = np.diag(np.array(bends) * self.d_of_along(u, gamma, at))
        return np.asarray(np.outer(slopes, slopes) * self.d2_of_along(u, gamma, at) + own)

    def d_of_along(self, u: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂C/∂u_a⟩, (k,)."""
        return np.asarray(np.tensordot(self.d_of(u, at), gamma, gamma.ndim))

    def d2_of_along(self, u: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂²C/∂u_a∂u_b⟩, (k, k)."""
        return np.asarray(np.tensordot(self.d2_of(u, at), gamma, gamma.ndim))


def _each(values: Array, ndim: int) -> Array:
    """Return `values` (k,) shaped to multiply along the first of `ndim` axes."""
    return values.reshape((-1,) + (1,) * (ndim - 1))


@lru_cache(maxsize=256)
def lags(m: int) -> NDArray[np.intp]:
    """Return |i − j|, (m, m), read-only.

    Examples
    --------
    >>> lags(3)
    array([[0, 1, 2],
           [1, 0, 1],
           [2, 1, 0]])
    """
    index = np.arange(m)
    out: NDArray[np.intp] = np.abs(index[:, None] - index[None, :])
    out.flags.writeable = False
    return out


def lag_means(target: Array) -> Array:
    """Return the mean of `target` (m, m) along each subdiagonal, (m,)."""
    m = len(target)
    return np.array([np.mean(np.diagonal(target, -k)) for k in range(m)])


def mean_off_diagonal(target: Array) -> float:
    """Return the mean of the elements of `target` off the diagonal."""
    m = len(target)
    return float((np.sum(target) - np.trace(target)) / (m * (m - 1))) if m > 1 else 0.0


def nearest(family: Correlation, candidates: Iterable[Array], target: Array, at: Positions) -> Array:
    """Return the candidate u for which C(u) is nearest to `target` (m, m) in the Frobenius norm."""
    return min(candidates, key=lambda u: float(np.sum((family.of(u, at) - target) ** 2)))


def is_diagonal(target: Array) -> bool:
    """Return whether every covariance in `target` (m, m) is zero."""
    return not np.any(target - np.diag(np.diag(target)))


def inside(label: str) -> str:
    """Return a position's label as it reads inside parentheses: `"(Intercept)"` becomes `"Intercept"`."""
    return label[1:-1] if label == "(Intercept)" else label


def pair_name(kind: str, first: str, second: str) -> str:
    """Return the name of a parameter of two positions, `"cov(Intercept, Days)"`."""
    return f"{kind}({inside(first)}, {inside(second)})"


def own_name(kind: str, label: str) -> str:
    """Return the name of a parameter of one position, `"var(Intercept)"`."""
    return f"{kind}({inside(label)})"
