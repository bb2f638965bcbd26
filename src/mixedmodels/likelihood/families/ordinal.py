"""Cumulative-link models of ordered categories."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...errors import SpecError
from ...typing import Array, Labels
from ..base import FREE, Family, not_whole, refuse
from ..derivatives import Table
from ..links import ProbabilityLink, make_link
from ..responses import Responses


def log_between(link: ProbabilityLink, upper: Array, lower: Array) -> Table:
    """Return the table of log[F(a) − F(b)] in (a, b); a limit of ±∞ has no derivatives.

    With P = F(a) − F(b), α = f(a)/P, β = f(b)/P: the score is (α, −β), the second derivatives f'(a)/P − α², αβ and
    −f'(b)/P − β², the third ones f''(a)/P − 3αf'(a)/P + 2α³, βf'(a)/P − 2α²β, αf'(b)/P + 2αβ² and
    −f''(b)/P − 3βf'(b)/P − 2β³.
    """
    value, at_upper, at_lower = link.log_between(upper, lower)
    _, a0, a1, a2 = at_upper
    _, b0, b1, b2 = at_lower
    return {
        (0, 0): value,
        (1, 0): a0,
        (0, 1): -b0,
        (2, 0): a1 - a0**2,
        (1, 1): a0 * b0,
        (0, 2): -b1 - b0**2,
        (3, 0): a2 - 3.0 * a0 * a1 + 2.0 * a0**3,
        (2, 1): b0 * a1 - 2.0 * a0**2 * b0,
        (1, 2): a0 * b1 + 2.0 * a0 * b0**2,
        (0, 3): -b2 - 3.0 * b0 * b1 - 2.0 * b0**3,
    }


@final
@dataclass(frozen=True, slots=True)
class Ordinal(Family):
    """P(y ≤ k) = F(τ_k − η), k = 0..K−2, for K ordered levels coded 0..K−1.

    A row has two predictors, the ends of its interval: a = τ_y − η and b = τ_{y−1} − η; −b is infinite in the first
    level and a in the last. Thresholds are coefficients of indicator columns, so that they may have effects.

    Examples
    --------
    >>> middle = Ordinal(levels=3).at(Responses(np.array([1.0])), np.array([[1.0], [-1.0]]))
    >>> float(np.exp(middle.value[0]).round(6)), middle.score[:, 0].round(6).tolist()
    (0.462117, [0.425459, -0.425459])
    """

    levels: int
    link: ProbabilityLink = field(default_factory=lambda: _probability_link("logit"))
    names: ClassVar[Labels] = ("ordinal", "cumulative", "clm", "ordered")
    links: ClassVar[Labels] = ("logit", "probit", "cloglog", "loglog", "cauchit")
    discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise SpecError(
                f"family 'ordinal' needs at least two ordered levels; the response has {self.levels}."
            )

    @property
    def predictors(self) -> Labels:
        return ("upper", "lower")

    @property
    def log_concave(self) -> bool:
        return self.link.name != "cauchit"

    def check(self, responses: Responses, label: str) -> None:
        y = responses.y
        refuse(
            label,
            y,
            not_whole(y) | (y >= self.levels),
            f"levels are coded 0 to {self.levels - 1}",
            "Correct the row.",
        )

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        upper = np.where(responses.y == self.levels - 1, np.inf, eta[0])
        lower = np.where(responses.y == 0, -np.inf, eta[1])
        return log_between(self.link, upper, lower)

    def thresholds(self, responses: Responses) -> Array:
        """Return thresholds to start from, (K−1,): links of the cumulative shares."""
        counts = np.bincount(responses.y.astype(np.int64), minlength=self.levels) + 0.5
        return self.link.forward(np.cumsum(counts)[:-1] / counts.sum())

    def start(self, responses: Responses) -> Array:
        ends = np.concatenate([[-np.inf], self.thresholds(responses), [np.inf]])
        level = responses.y.astype(np.int64)
        return np.array([ends[level + 1], ends[level]])

    def probabilities(self, location: Array, thresholds: Array) -> Array:
        """Return P(y = k), (n, K), at η (n,) and τ (K−1,) or, by row, (n, K−1)."""
        n = len(location)
        ends = np.column_stack(
            [np.full(n, -np.inf), np.atleast_2d(thresholds) - location[:, None], np.full(n, np.inf)]
        )
        return np.exp([self.link.log_between(ends[:, k + 1], ends[:, k])[0] for k in range(self.levels)]).T

    def between(self, ends: Array, level: int) -> Array:
        """Return P(y = level), (n,), at the ends τ_k − η of the first K − 1 levels, (K − 1, n)."""
        n = ends.shape[1]
        upper = ends[level] if level < self.levels - 1 else np.full(n, np.inf)
        lower = ends[level - 1] if level > 0 else np.full(n, -np.inf)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.exp(self.link.log_between(upper, lower)[0]))

    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        raise SpecError('an ordered category has no mean of its own; ask for probabilities (type="prob").')

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        raise SpecError(
            'an ordered category has no variance of its own; ask for probabilities (type="prob").'
        )

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        raise SpecError("levels are drawn from `probabilities`, not from the ends of an interval.")


def _probability_link(name: str) -> ProbabilityLink:
    link = make_link(name)
    if not isinstance(link, ProbabilityLink):
        raise SpecError(f"link={name!r} is not a distribution function.")
    return link
