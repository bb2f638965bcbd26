"""A residual variance proportional to a covariate: `fixed`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..natural import Natural
from ..typing import Array, Codes, Labels
from .base import VarianceFunction, refuse_zero
from .grouped import log_magnitude
from .reference import Reference, shares_of


@final
@dataclass(frozen=True, slots=True)
class Fixed(VarianceFunction):
    """g² = |v|: nothing to estimate.

    *Same as* nlme varFixed; weights 1/|v| in lme4 and SAS.

    Examples
    --------
    >>> np.exp(Fixed().log_sd(np.zeros(0), np.array([4.0, 9.0]), np.zeros(2, dtype=np.int32)))
    array([2., 3.])
    """

    names: ClassVar[tuple[str, ...]] = ("fixed", "varfixed")

    def size(self, n_groups: int) -> int:
        return 0

    def log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        assert covariate is not None
        return 0.5 * log_magnitude(covariate)

    def d_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        return np.zeros((0, len(groups)))

    def starts(self, n_groups: int) -> list[Array]:
        return [np.zeros(0)]

    def reference(
        self, covariate: Array | None, groups: Codes, n_groups: int, *, centred: bool = True
    ) -> Reference:
        assert covariate is not None
        mean = float(np.mean(log_magnitude(covariate))) if centred else 0.0
        shares = shares_of(groups, n_groups)
        scale = float(np.exp(mean))
        return Reference(0.0, scale, np.eye(0), np.zeros((n_groups, 0)), shares, 0.5 * mean)

    def natural(self, delta: Array, group_labels: Labels) -> Natural:
        return Natural((), delta, np.zeros((0, 0)), ())

    def from_natural(self, values: Array, group_labels: Labels) -> Array:
        return np.zeros(0)

    def check(self, covariate: Array | None, label: str) -> None:
        refuse_zero(covariate, label)
