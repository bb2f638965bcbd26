"""The protocol of a residual variance function.

A variance function multiplies the residual standard deviation of a row by g(δ; v, group). Everything is on the log
scale: ℓ = log g, so that products of functions add and R̈ follows from ℓ̇ alone where ℓ is linear in δ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ..covariance.base import Natural
from ..typing import Array, Codes, Labels


class VarianceFunction(ABC):
    """log g(δ) over rows with exact derivatives; subclasses are final and frozen."""

    __slots__ = ()

    names: ClassVar[tuple[str, ...]]
    """Canonical name first, then nlme and SAS spellings."""
    needs_covariate: ClassVar[bool] = True

    @abstractmethod
    def size(self, n_groups: int) -> int:
        """Return the number of working parameters δ."""

    @abstractmethod
    def log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        """Return ℓ, (n,)."""

    @abstractmethod
    def d_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        """Return ∂ℓ/∂δ, (k, n)."""

    @abstractmethod
    def d2_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array | None:
        """Return ∂²ℓ/∂δ∂δ', (k, k, n), or None when ℓ is linear in δ."""

    @abstractmethod
    def start(self, n_groups: int) -> Array:
        """Return δ at which g is constant or nearly so."""

    @abstractmethod
    def natural(self, delta: Array, group_labels: Labels) -> Natural:
        """Return the parameters as nlme reports them, with their Jacobian."""

    @abstractmethod
    def from_natural(self, values: Array, group_labels: Labels) -> Array:
        """Return δ from natural values; ValueError when they are not admissible."""
