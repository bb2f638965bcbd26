"""Structures without bounds: the raw elements of Σ as parameters, so that Σ may be indefinite (NOBOUND)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import ClassVar, final

import numpy as np

from ..errors import SpecError
from ..typing import Array
from .base import Natural, Positions, Structure, positive_diagonal


@final
@dataclass(frozen=True, slots=True)
class Unbounded(Structure):
    """Σ = Σ_c η_cB_c in the natural parameters η of a structure that is linear in them; any symmetric Σ of that form.

    Nothing keeps Σ positive semidefinite: what must be positive definite is V, which an engine decides.

    *Same as* SAS NOBOUND.

    Examples
    --------
    >>> from mixedmodels.covariance.unstructured import Unstructured
    >>> us = Unbounded(Unstructured())
    >>> us.matrix(np.array([-1.0, 2.0, 3.0]), Positions(2, ("a", "b")))
    array([[-1.,  2.],
           [ 2.,  3.]])
    """

    inner: Structure
    names: tuple[str, ...] = field(init=False, repr=False)  # type: ignore[misc]
    over_positions: bool = field(init=False, repr=False)
    ordered: bool = field(init=False, repr=False)
    counted: bool = field(init=False, repr=False)
    own_variances: bool = field(init=False, repr=False)
    closed_under: frozenset[str] = field(init=False, repr=False)
    dependent_columns: bool = field(init=False, repr=False)
    linear = True
    always_psd = False
    bounded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.inner.linear:
            raise SpecError(
                f"bounds='none': structure {self.inner.names[0]!r} is made of standard deviations and correlations, "
                "which have no meaning for negative variances; use one of us, diag, homdiag, cs, toep, banded_us, hf, "
                "or bounds='psd'."
            )
        for fact in fields(self):
            if not fact.init:
                object.__setattr__(self, fact.name, getattr(self.inner, fact.name))

    def size(self, m: int) -> int:
        return self.inner.size(m)

    def smallest(self) -> int:
        return self.inner.smallest()

    def check(self, at: Positions) -> None:
        self.inner.check(at)

    def matrix(self, theta: Array, at: Positions) -> Array:
        return np.asarray(np.tensordot(theta, self._basis(at), 1))

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        return self._basis(at)

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        return np.zeros((len(theta), len(theta), at.size, at.size))

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        return np.zeros((len(theta), len(theta)))

    def factor(self, theta: Array, at: Positions) -> Array:
        raise ValueError("a covariance without bounds has no Cholesky factor")

    def start(self, target: Array, at: Positions) -> Array:
        return self.inner.natural(self.inner.start(target, at), at).values

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        return factor * theta

    def transform(self, theta: Array, t: Array, at: Positions) -> Array:
        """Return the natural values of TΣ(θ)T', for the T that the bounded structure allows."""
        if "linear" not in self.closed_under:
            if "scale" not in self.closed_under:
                return Structure.transform(self, theta, t, at)
            positive_diagonal(t, self.names[0])
        columns = self._basis(at).reshape(len(theta), -1).T
        return np.asarray(np.linalg.lstsq(columns, np.ravel(t @ self.matrix(theta, at) @ t.T), rcond=None)[0])

    def natural(self, theta: Array, at: Positions) -> Natural:
        regular = self._regular(at)
        return Natural(regular.names, np.array(theta), np.eye(len(theta)), regular.kinds)

    def from_natural(self, values: Array, at: Positions) -> Array:
        return np.array(values, dtype=np.float64)

    def rank(self, theta: Array, at: Positions, scale: Array | float) -> int:
        """Return m: zero is inside the parameter space, so that no Σ counts as singular."""
        return at.size

    def d_natural(self, theta: Array, at: Positions) -> Array:
        return self._basis(at)

    def _regular(self, at: Positions) -> Natural:
        return self.inner.natural(self.inner.start(_regular_target(at.size), at), at)

    def _basis(self, at: Positions) -> Array:
        return _basis(self.inner, at.size)


@lru_cache(maxsize=256)
def _basis(inner: Structure, m: int) -> Array:
    """Return B_c = ∂Σ/∂η_c, (k, m, m), read-only; they are the same everywhere."""
    at = Positions(m, tuple(map(str, range(m))))
    found = inner.d_natural(inner.start(_regular_target(m), at), at)
    # multiples of a half in every structure but `lin`: rounding is taken off them
    halves = 0.5 * np.round(2.0 * found)
    out = np.where(np.abs(found - halves) < 1e-9, halves, found)
    out.flags.writeable = False
    return out


def _regular_target(m: int) -> Array:
    """Return a positive definite matrix in which no variance vanishes and no covariance is zero, (m, m)."""
    return np.diag(1.0 + np.arange(m) / m) + 0.25
