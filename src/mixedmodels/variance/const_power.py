"""A residual standard deviation that is a constant plus a power of a covariate: `const_power`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..natural import Natural
from ..typing import Array, Codes, Labels
from .base import VarianceFunction
from .grouped import group_names, log_magnitude
from .reference import Reference, mean_log, shares_of


@final
@dataclass(frozen=True, slots=True)
class ConstantPlusPower(VarianceFunction):
    """g = c + |v|^δ with c > 0, both by stratum; θ = (log c, δ) for each stratum in turn.

    *Same as* nlme varConstPower.

    Examples
    --------
    >>> delta = np.array([np.log(3.0), 0.5])
    >>> np.exp(ConstantPlusPower().log_sd(delta, np.array([4.0, 0.0]), np.zeros(2, dtype=np.int32)))
    array([5., 3.])
    """

    names: ClassVar[tuple[str, ...]] = ("const_power", "varconstpower", "constpower")

    def size(self, n_groups: int) -> int:
        return 2 * n_groups

    def log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        constant, power, _ = _parts(delta, covariate, groups)
        return np.asarray(np.log(constant + power))

    def d_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array:
        constant, power, logs = _parts(delta, covariate, groups)
        share = constant / (constant + power)
        out = np.zeros((len(delta), len(groups)), dtype=delta.dtype)
        rows = np.arange(len(groups))
        out[2 * groups, rows] = share
        out[2 * groups + 1, rows] = (1 - share) * logs
        return out

    def d2_log_sd(self, delta: Array, covariate: Array | None, groups: Codes) -> Array | None:
        constant, power, logs = _parts(delta, covariate, groups)
        share = constant / (constant + power)
        both = share * (1 - share)
        out = np.zeros((len(delta), len(delta), len(groups)))
        rows, a, b = np.arange(len(groups)), 2 * groups, 2 * groups + 1
        out[a, a, rows] = both
        out[a, b, rows] = out[b, a, rows] = -both * logs
        out[b, b, rows] = both * logs**2
        return out

    def starts(self, n_groups: int) -> list[Array]:
        # at δ = 0 the constant could not be told from σ
        pairs = ((1.0, 0.25), (0.1, 1.0), (10.0, 1.0), (1.0, -0.5))
        return [np.tile([np.log(c), power], n_groups) for c, power in pairs]

    def ridges(self, n_groups: int) -> tuple[tuple[int, int], ...]:
        # log(c + u^δ) = log(1 + c) + δ/(1 + c)·log u + … about u = 1
        return tuple((2 * j, 2 * j + 1) for j in range(n_groups))

    def reference(
        self, covariate: Array | None, groups: Codes, n_groups: int, *, centred: bool = True
    ) -> Reference:
        assert covariate is not None
        mean = mean_log(covariate, centred=centred)
        # c + |v|^δ = ṽ^δ(c* + |v/ṽ|^δ) with log c = log c* + δ log ṽ
        plain = np.kron(np.eye(n_groups), np.array([[1.0, mean], [0.0, 1.0]]))
        level = np.kron(np.eye(n_groups), np.array([[0.0, mean]]))
        return Reference(0.0, float(np.exp(mean)), plain, level, shares_of(groups, n_groups))

    def natural(self, delta: Array, group_labels: Labels) -> Natural:
        """Return `const` and `power`, by stratum."""
        constants, powers = np.exp(delta[::2]), delta[1::2]
        values = np.empty_like(delta)
        values[::2], values[1::2] = constants, powers
        slopes = np.ones_like(delta)
        slopes[::2] = constants
        pairs = zip(group_names("const", group_labels), group_names("power", group_labels), strict=True)
        names = tuple(name for pair in pairs for name in pair)
        return Natural(names, values, np.diag(slopes), ("ratio", "other") * len(group_labels))

    def from_natural(self, values: Array, group_labels: Labels) -> Array:
        out = np.array(values, dtype=float)
        if not np.all(out[::2] > 0):
            raise ValueError("the constant of const_power must be positive")
        out[::2] = np.log(out[::2])
        return out


def _parts(delta: Array, covariate: Array | None, groups: Codes) -> tuple[Array, Array, Array]:
    """Return c, |v|^δ and log|v| (zero where |v|^δ is), each (n,)."""
    assert covariate is not None
    logs, powers = log_magnitude(covariate), delta[1::2][groups]
    with np.errstate(invalid="ignore", over="ignore"):
        raised = np.where(np.isfinite(logs), np.exp(powers * np.where(np.isfinite(logs), logs, 0.0)), 0.0)
    return np.exp(delta[::2])[groups], raised, np.where(np.isfinite(logs), logs, 0.0)
