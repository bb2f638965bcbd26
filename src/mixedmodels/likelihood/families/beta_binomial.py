"""The beta-binomial distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, complement, through_link
from ..derivatives import Table, exponential, substitute
from ..links import Link, make_link
from ..responses import Responses
from ..special import gamma_difference, log_choose
from .beta import of_two_sides
from .binomial import refuse_trials

special = LazyModule("scipy.special")


@final
@dataclass(frozen=True, slots=True)
class BetaBinomial(MeanFamily):
    """y of m trials whose probability is beta with mean μ and precision φ, ζ = log φ.

    Its variance is mμ(1 − μ)(m + φ)/(1 + φ).

    Examples
    --------
    >>> three = Responses(np.array([1.0]), trials=np.array([3.0]))
    >>> rows = BetaBinomial().at(three, np.array([[0.0], [np.log(2.0)]]))
    >>> float(np.exp(rows.value[0]).round(12))        # a = b = 1: uniform on 0..3
    0.25
    """

    link: Link = field(default_factory=lambda: make_link("logit"))
    names: ClassVar[Labels] = ("betabinomial", "beta_binomial")
    links: ClassVar[Labels] = ("logit", "probit", "cloglog", "loglog", "cauchit")
    takes_trials: ClassVar[bool] = True
    discrete: ClassVar[bool] = True
    symbol: ClassVar[str] = "phi"
    limit: ClassVar[tuple[float, str] | None] = (1.0, "binomial")

    def check(self, responses: Responses, label: str) -> None:
        refuse_trials(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        y, trials = responses.y, responses.trials_or_one
        inner = self.link.inverse(eta[0])
        mu, rest, phi = inner[0], complement(self.link, eta[0]), np.exp(eta[1])
        sides = [
            [gamma_difference(shape, count, j) if j <= order else 0.0 * shape for j in range(4)]
            for shape, count in ((mu * phi, y), (rest * phi, trials - y), (phi, trials))
        ]
        own = of_two_sides(mu, rest, phi, *sides)
        own[(0, 0)] = own[(0, 0)] + log_choose(trials, y)
        return through_link(substitute(own, 1, exponential(eta[1]), order), inner, order)

    def start(self, responses: Responses) -> Array:
        y, trials = responses.y, responses.trials_or_one
        centre = (y.sum() + 0.5) / (trials.sum() + 1.0)
        binomial = trials * centre * (1.0 - centre)
        excess = float(np.mean((y - trials * centre) ** 2 / np.maximum(binomial, 1e-300)))
        size = float(np.mean(trials))
        phi = (size - excess) / (excess - 1.0) if 1.0 < excess < size else 10.0
        return np.array(
            [self.link.forward((y + 0.5) / (trials + 1.0)), np.full_like(y, np.log(np.clip(phi, 0.1, 1e4)))]
        )

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        mu, phi, trials = self.mean(eta), np.exp(eta[1]), responses.trials_or_one
        return np.asarray(trials * mu * (1.0 - mu) * (trials + phi) / (1.0 + phi))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        mu, phi = self.mean(eta), np.exp(eta[1])
        chance = rng.beta(mu * phi, (1.0 - mu) * phi)
        return rng.binomial(responses.trials_or_one.astype(np.int64), chance).astype(float)
