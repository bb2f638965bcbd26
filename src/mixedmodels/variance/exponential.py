"""A residual standard deviation that grows exponentially with a covariate: `exp`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..natural import Natural
from ..typing import Array, Codes, Labels
from .base import VarianceFunction
from .grouped import by_group, identity_natural
from .reference import Reference, centre_and_spread, shares_of


@final
@dataclass(frozen=True, slots=True)
class Exponential(VarianceFunction):
    """g = exp(δv), δ by stratum.

    *Same as* nlme varExp.

    Examples
    --------
    >>> Exponential().log_sd(np.array([0.5]), np.array([4.0, -2.0]), np.zeros(2, dtype=np.int32))
    array([ 2., -1.])
    """

    names: ClassVar[tuple[str, ...]] = ("exp", "varexp")

    def size(self, n_groups: int) -> int:
        return n_groups

    def log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        assert covariate is not None
        return np.asarray(delta[groups] * covariate)

    def d_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        assert covariate is not None
        return by_group(covariate, groups, len(delta))

    def starts(self, n_groups: int) -> list[Array]:
        return [np.zeros(n_groups)]

    def reference(
        self, covariate: Array | None, groups: Codes, n_groups: int, *, centred: bool = True
    ) -> Reference:
        assert covariate is not None
        centre, spread = centre_and_spread(covariate, centred=centred)
        one = np.eye(n_groups)
        shares = shares_of(groups, n_groups)
        return Reference(centre, spread, one / spread, one * (centre / spread), shares)

    def natural(self, delta: Array, group_labels: Labels) -> Natural:
        """Return the rates δ, by nlme's name `expon`."""
        return identity_natural("expon", delta, group_labels)

    def from_natural(self, values: Array, group_labels: Labels) -> Array:
        return np.array(values, dtype=float)
