"""A residual standard deviation for each level of a factor: `ident`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..natural import Natural
from ..typing import Array, Codes, Labels
from .base import VarianceFunction


@final
@dataclass(frozen=True, slots=True)
class Identity(VarianceFunction):
    """g = exp(δ_group), 1 for the first level; reported are the ratios of standard deviations to the first.

    *Same as* nlme varIdent, SAS REPEATED / GROUP= with independent errors.

    Examples
    --------
    >>> np.exp(Identity().log_sd(np.array([np.log(2.0)]), None, np.array([0, 1, 1], dtype=np.int32)))
    array([1., 2., 2.])
    """

    names: ClassVar[tuple[str, ...]] = ("ident", "varident")
    needs_covariate: ClassVar[bool] = False
    linear: ClassVar[bool] = True

    def size(self, n_groups: int) -> int:
        return n_groups - 1

    def log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        return np.concatenate([[0.0], delta])[groups]

    def d_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        return np.equal.outer(np.arange(1, len(delta) + 1), groups).astype(np.float64)

    def starts(self, n_groups: int) -> list[Array]:
        return [np.zeros(n_groups - 1)]

    def natural(self, delta: Array, group_labels: Labels) -> Natural:
        """Return the ratios of standard deviations, `ratio(level)`."""
        ratios = np.exp(delta)
        names = tuple(f"ratio({label})" for label in group_labels[1:])
        return Natural(names, ratios, np.diag(ratios), ("ratio",) * len(delta))

    def from_natural(self, values: Array, group_labels: Labels) -> Array:
        if not np.all(values > 0):
            raise ValueError("a ratio of standard deviations must be positive")
        return np.asarray(np.log(values))
