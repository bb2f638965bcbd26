"""A residual standard deviation that grows as a power of a covariate: `power`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..natural import Natural
from ..typing import Array, Codes, Labels
from .base import VarianceFunction, refuse_zero
from .grouped import by_group, identity_natural, log_magnitude
from .reference import Reference, mean_log, shares_of


@final
@dataclass(frozen=True, slots=True)
class Power(VarianceFunction):
    """g = |v|^δ, δ by stratum.

    *Same as* nlme varPower, SAS LOCAL=POM (for the fitted mean).

    Examples
    --------
    >>> np.exp(Power().log_sd(np.array([0.5]), np.array([4.0, -9.0]), np.zeros(2, dtype=np.int32)))
    array([2., 3.])
    """

    names: ClassVar[tuple[str, ...]] = ("power", "varpower")

    def size(self, n_groups: int) -> int:
        return n_groups

    def log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        assert covariate is not None
        return np.asarray(delta[groups] * log_magnitude(covariate))

    def d_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        assert covariate is not None
        return by_group(log_magnitude(covariate), groups, len(delta))

    def starts(self, n_groups: int) -> list[Array]:
        return [np.zeros(n_groups)]

    def reference(
        self, covariate: Array | None, groups: Codes, n_groups: int, *, centred: bool = True
    ) -> Reference:
        assert covariate is not None
        mean = mean_log(covariate, centred=centred)
        one = np.eye(n_groups)
        return Reference(0.0, float(np.exp(mean)), one, one * mean, shares_of(groups, n_groups))

    def natural(self, delta: Array, group_labels: Labels) -> Natural:
        """Return the exponents δ."""
        return identity_natural("power", delta, group_labels)

    def from_natural(self, values: Array, group_labels: Labels) -> Array:
        return np.array(values, dtype=float)

    def check(self, covariate: Array | None, label: str) -> None:
        refuse_zero(covariate, label)
