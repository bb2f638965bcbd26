"""A residual variance whose logarithm is linear in covariates: `log_linear`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..natural import Natural
from ..typing import Array, Codes, Labels
from .base import VarianceFunction
from .reference import Reference, centre_and_spread, shares_of


@final
@dataclass(frozen=True, slots=True)
class LogLinear(VarianceFunction):
    """g² = exp(Σ_j δ_j u_j), for the columns u (n, q) of a formula without intercept, δ by stratum.

    *Same as* SAS LOCAL=EXP(effects).

    Examples
    --------
    >>> LogLinear(("age",)).log_sd(np.array([0.5]), np.array([[4.0], [8.0]]), np.zeros(2, dtype=np.int32))
    array([1., 2.])
    """

    columns: Labels
    names: ClassVar[tuple[str, ...]] = ("log_linear", "loglinear", "local=exp")

    def size(self, n_groups: int) -> int:
        return len(self.columns) * n_groups

    def log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        assert covariate is not None
        own = delta.reshape(-1, len(self.columns))[groups]
        return np.asarray(0.5 * np.einsum("nq,nq->n", own, covariate))

    def d_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        assert covariate is not None
        q = len(self.columns)
        out = np.zeros((len(delta) // q, q, len(groups)))
        out[groups, :, np.arange(len(groups))] = 0.5 * covariate
        return out.reshape(len(delta), len(groups))

    def starts(self, n_groups: int) -> list[Array]:
        return [np.zeros(self.size(n_groups))]

    def reference(
        self, covariate: Array | None, groups: Codes, n_groups: int, *, centred: bool = True
    ) -> Reference:
        assert covariate is not None
        centre, spread = centre_and_spread(covariate, centred=centred)
        plain = np.diag(np.tile(1.0 / spread, n_groups))
        level = np.asarray(np.kron(np.eye(n_groups), 0.5 * (centre / spread)[None]), dtype=np.float64)
        return Reference(centre, spread, plain, level, shares_of(groups, n_groups))

    def natural(self, delta: Array, group_labels: Labels) -> Natural:
        """Return the slopes of the log variance, `log_variance(column)`."""
        names = tuple(
            f"log_variance({column})" if len(group_labels) == 1 else f"log_variance({column}, {label})"
            for label in group_labels
            for column in self.columns
        )
        return Natural(names, delta, np.eye(len(delta), dtype=delta.dtype), ("other",) * len(delta))

    def from_natural(self, values: Array, group_labels: Labels) -> Array:
        return np.array(values, dtype=float)
