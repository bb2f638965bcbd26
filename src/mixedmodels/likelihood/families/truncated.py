"""Counts of which 0 cannot be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ...typing import Array, Labels
from ..base import FREE, MeanFamily, not_whole, refuse
from ..derivatives import Table, added, compose
from ..responses import Responses
from ..special import log1mexp


def log_seen(none: Table, order: int) -> Table:
    """Return the table of log(1 − P(0)) from that of b = log P(0).

    With ρ = 1/expm1(−b): the derivatives in b are −ρ, −ρ(1 + ρ), −ρ(1 + ρ)(1 + 2ρ).
    """
    b = next(iter(none.values()))
    rho = 1.0 / np.expm1(-b)
    bent = rho * (1.0 + rho)
    outer: Table = {(0,): log1mexp(b), (1,): -rho, (2,): -bent, (3,): -bent * (1.0 + 2.0 * rho)}
    return compose(outer, none, order)


def zeros(responses: Responses) -> Responses:
    """Return the responses with every count at 0."""
    return Responses(np.zeros_like(responses.y), responses.trials, responses.weights)


@final
@dataclass(frozen=True, slots=True)
class Truncated(MeanFamily):
    """A count given that it is not 0: ℓ(y) − log(1 − P(0)).

    Examples
    --------
    >>> from .poisson import Poisson
    >>> rows = Truncated(Poisson()).at(Responses(np.array([1.0])), np.array([[0.0]]))
    >>> float(np.exp(rows.value[0]).round(6))         # e^{−1}/(1 − e^{−1})
    0.581977
    """

    base: MeanFamily
    names: ClassVar[Labels] = ("truncated",)
    discrete: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"truncated_{self.base.name}"

    @property
    def link(self):  # type: ignore[no-untyped-def, override]
        return self.base.link

    @property
    def predictors(self) -> Labels:
        return self.base.predictors

    def check(self, responses: Responses, label: str) -> None:
        y = responses.y
        refuse(
            label,
            y,
            not_whole(y) | (y == 0.0),
            "a truncated count is a whole number from 1",
            "With zeros among the data ask for hurdle= or zero_inflation=.",
        )

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        none = self.base.table(zeros(responses), eta, psi, order)
        return added(self.base.table(responses, eta, psi, order), log_seen(none, order), -1.0)

    def start(self, responses: Responses) -> Array:
        return self.base.start(responses)

    def _seen(self, eta: Array, psi: Array) -> Array:
        none = self.base.at(Responses(np.zeros(eta.shape[1])), eta, psi, 0).value
        return -np.expm1(none)

    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        return self.base.mean(eta, psi) / self._seen(eta, psi)

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        seen, mu = self._seen(eta, psi), self.base.mean(eta, psi)
        return (self.base.variance(responses, eta, psi) + mu**2) / seen - (mu / seen) ** 2

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        none = np.exp(self.base.at(zeros(responses), eta, psi, 0).value)
        return np.maximum(self.base.cumulative(y, responses, eta, psi) - none, 0.0) / self._seen(eta, psi)

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        y = np.zeros(eta.shape[1])
        waiting = np.ones(eta.shape[1], dtype=bool)
        while waiting.any():
            drawn = self.base.simulate(responses, eta, psi, rng)
            y = np.where(waiting, drawn, y)
            # where nearly every count is 0 a draw is 1 to rounding
            rare = waiting & (self._seen(eta, psi) < 1e-4)
            y = np.where(rare, 1.0, y)
            waiting = y == 0.0
        return y
