"""The protocol of a residual variance function.

A variance function multiplies the residual standard deviation of a row by g(δ; v, group). Everything is on
the log scale: ℓ = log g, so that products of functions add and the second derivatives of R follow from the
first of ℓ where ℓ is linear in δ.

Rows belong to strata (`groups`, one for all rows without `by=`), and each stratum has its own parameters. A
natural parameter depends on one working parameter, so that holding one is holding the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ..errors import DataError
from ..natural import Natural
from ..typing import Array, Codes, Labels
from .reference import Reference, shares_of


class VarianceFunction(ABC):
    """log g(δ) over rows with exact derivatives; subclasses are final and frozen."""

    __slots__ = ()

    names: ClassVar[tuple[str, ...]]
    """Canonical name first, then nlme and SAS spellings."""
    needs_covariate: ClassVar[bool] = True
    """Whether g is a function of numbers; otherwise it is one of strata alone."""
    linear: ClassVar[bool] = False
    """Whether σ²g² is linear in parameters of its own, such as a variance for each stratum (SAS GROUP=)."""

    @abstractmethod
    def size(self, n_groups: int) -> int:
        """Return the number of working parameters δ."""

    @abstractmethod
    def log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        """Return ℓ, (n,)."""

    @abstractmethod
    def d_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        """Return ∂ℓ/∂δ, (k, n)."""

    def d2_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array | None:
        """Return ∂²ℓ/∂δ∂δ', (k, k, n), or None when ℓ is linear in δ."""
        return None

    @abstractmethod
    def starts(self, n_groups: int) -> list[Array]:
        """Return values of δ to start from, the first one where g is constant or nearly so."""

    def ridges(self, n_groups: int) -> tuple[tuple[int, int], ...]:
        """Return places of log c and δ in the parameters where rows tell little but δ/(1 + c); none for most."""
        return ()

    @abstractmethod
    def natural(self, delta: Array, group_labels: Labels) -> Natural:
        """Return the parameters as nlme reports them, with their Jacobian."""

    @abstractmethod
    def from_natural(self, values: Array, group_labels: Labels) -> Array:
        """Return δ from natural values; ValueError when they are not admissible."""

    def reference(
        self, covariate: Array | None, groups: Codes, n_groups: int, *, centred: bool = True
    ) -> Reference:
        """Return origin and unit of the working parameters for the rows of a covariate.

        Without `centred` only the unit is the data's own, so that every natural parameter, σ² among them, depends on
        one working parameter.
        """
        k = self.size(n_groups)
        return Reference(0.0, 1.0, np.eye(k), np.zeros((n_groups, k)), shares_of(groups, n_groups))

    def check(self, covariate: Array | None, label: str) -> None:
        """Raise `DataError` where g cannot be computed from the covariate."""
        if covariate is not None and not np.isfinite(covariate).all():
            raise DataError(
                f"{label}: the covariate is not finite in every row; check what it is computed from."
            )


def refuse_zero(covariate: Array | None, label: str) -> None:
    """Raise `DataError` when a covariate whose logarithm is taken is zero somewhere."""
    if covariate is not None and (count := int((covariate == 0).sum())):
        raise DataError(
            f"{label}: the covariate is zero in {count} of {len(covariate)} rows, where the standard "
            "deviation would be zero or infinite; shift it, or use const_power."
        )
