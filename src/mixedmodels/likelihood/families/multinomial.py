"""The multinomial logit of unordered categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from ...errors import SpecError
from ...typing import Array, Labels
from ..base import FREE, Family, not_whole, refuse
from ..derivatives import Exponents, Table, exponents
from ..responses import Responses


@final
@dataclass(frozen=True, slots=True)
class Multinomial(Family):
    """P(y = k) ∝ e^{η_k}, η_0 = 0: one predictor for each of the K − 1 levels after the reference.

    g = e_y − p, H = −(diag p − pp'), and T is minus the third cumulant of the indicators.

    Examples
    --------
    >>> rows = Multinomial(levels=3).at(Responses(np.array([2.0])), np.array([[0.0], [0.0]]))
    >>> rows.score[:, 0].round(6).tolist()
    [-0.333333, 0.666667]
    """

    levels: int
    names: ClassVar[Labels] = ("multinomial", "categorical", "glogit")
    discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise SpecError(
                f"family 'multinomial' needs at least two levels; the response has {self.levels}."
            )

    @property
    def predictors(self) -> Labels:
        return tuple(f"level{k}" for k in range(1, self.levels))

    @property
    def log_concave(self) -> bool:
        return True

    def check(self, responses: Responses, label: str) -> None:
        y = responses.y
        refuse(
            label,
            y,
            not_whole(y) | (y >= self.levels),
            f"levels are coded 0 to {self.levels - 1}",
            "Correct the row.",
        )

    def probabilities(self, eta: Array) -> Array:
        """Return P(y = k), (n, K), at η (K − 1, n)."""
        logs = np.vstack([np.zeros(eta.shape[1]), eta])
        logs = logs - logs.max(axis=0)
        weights = np.exp(logs)
        return np.asarray((weights / weights.sum(axis=0)).T)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        count = self.levels - 1
        full = np.vstack([np.zeros(eta.shape[1]), eta])
        top = full.max(axis=0)
        total = top + np.log(np.exp(full - top).sum(axis=0))
        level = responses.y.astype(np.int64)
        chosen = np.take_along_axis(full, level[None], axis=0)[0]
        p = self.probabilities(eta).T[1:]
        found: Table = {}
        for key in exponents(count, order):
            which = tuple(k for k in range(count) for _ in range(key[k]))
            found[key] = chosen - total if not which else -_cumulant(p, which) + _hit(level, which)
        return found

    def start(self, responses: Responses) -> Array:
        counts = np.bincount(responses.y.astype(np.int64), minlength=self.levels) + 0.5
        return np.repeat(np.log(counts[1:] / counts[0])[:, None], len(responses), axis=1)

    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        raise SpecError('an unordered category has no mean; ask for probabilities (type="prob").')

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        raise SpecError('an unordered category has no variance; ask for probabilities (type="prob").')

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        ends = np.cumsum(self.probabilities(eta), axis=1)
        return np.asarray((rng.random((eta.shape[1], 1)) > ends[:, :-1]).sum(axis=1).astype(float))


def _hit(level: NDArray[np.int64], which: tuple[int, ...]) -> Array | float:
    """Return the derivative of η_y: the indicator of level k + 1 at order one, else 0."""
    return (level == which[0] + 1).astype(float) if len(which) == 1 else 0.0


def _cumulant(p: Array, which: Exponents) -> Array:
    """Return the joint cumulant of the indicators `which` (at most three) of one draw, (n,)."""
    if len(which) == 1:
        return np.asarray(p[which[0]])
    if len(which) == 2:
        a, b = which
        return np.asarray((p[a] if a == b else 0.0) - p[a] * p[b])
    a, b, c = which
    found = 2.0 * p[a] * p[b] * p[c]
    if a == b == c:
        found = found + p[a]
    for (i, j), k in (((a, b), c), ((b, c), a), ((a, c), b)):
        if i == j:
            found = found - p[i] * p[k]
    return np.asarray(found)
