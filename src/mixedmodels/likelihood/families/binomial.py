"""The binomial distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, not_whole, refuse, through_link
from ..derivatives import Table, up_to
from ..links import Link, ProbabilityLink, make_link
from ..responses import Responses
from ..special import log_choose

special = LazyModule("scipy.special")


def refuse_trials(responses: Responses, label: str) -> None:
    """Raise `DataError` unless 0 ≤ y ≤ trials are counts."""
    y, trials = responses.y, responses.trials_or_one
    refuse(
        label,
        y,
        not_whole(y),
        "a number of events is a whole number from 0",
        "A proportion is written y / n, or with trials=n.",
    )
    refuse(
        "the number of trials", trials, not_whole(trials), "it is a whole number from 0", "Correct the row."
    )
    wrong = y > trials
    if wrong.any():
        most = f"there are {trials[int(np.argmax(wrong))]:g} trials there"
        remedy = "Use cbind(events, non_events), events / n, or trials=n; 1/2 codes are recoded 0/1."
        refuse(label, y, wrong, most, remedy)


@final
@dataclass(frozen=True, slots=True)
class Binomial(MeanFamily):
    """y of m trials, each an event with probability μ.

    Examples
    --------
    >>> rows = Binomial().at(Responses(np.array([1.0]), trials=np.array([4.0])), np.array([[0.0]]))
    >>> rows.value.round(6).tolist(), rows.score.tolist(), rows.curvature.tolist()
    ([-1.386294], [[-1.0]], [[1.0]])
    """

    link: Link = field(default_factory=lambda: make_link("logit"))
    names: ClassVar[Labels] = ("binomial", "bernoulli", "binary", "bin")
    links: ClassVar[Labels] = ("logit", "probit", "cloglog", "loglog", "cauchit", "log", "identity", "power")
    proportional: ClassVar[bool] = True
    takes_trials: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    @property
    def log_concave(self) -> bool:
        return self.link.name in ("logit", "probit", "cloglog", "loglog", "log", "identity")

    def check(self, responses: Responses, label: str) -> None:
        refuse_trials(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        y, trials = responses.y, responses.trials_or_one
        constant = 0.0 if responses.trials is None else log_choose(trials, y)
        if self.link.name == "logit":
            return _logistic(y, trials, eta[0], constant, order)
        if isinstance(self.link, ProbabilityLink):
            events, others = self.link.log_below(eta[0]), self.link.log_above(eta[0])
            own: Table = {(k,): _weighed(y, events[k]) + _weighed(trials - y, others[k]) for k in range(4)}
            return {**own, (0,): own[(0,)] + constant}
        inner = self.link.inverse(eta[0])
        mu = np.where((inner[0] > 0.0) & (inner[0] < 1.0), inner[0], np.nan)
        rest = 1.0 - mu
        own = {
            (0,): constant + special.xlogy(y, mu) + special.xlog1py(trials - y, -mu),
            (1,): y / mu - (trials - y) / rest,
            (2,): -y / mu**2 - (trials - y) / rest**2,
            (3,): 2.0 * y / mu**3 - 2.0 * (trials - y) / rest**3,
        }
        return through_link(own, inner, order)

    def start(self, responses: Responses) -> Array:
        return self.link.forward((responses.y + 0.5) / (responses.trials_or_one + 1.0))[None]

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        mu = self.mean(eta)
        return responses.trials_or_one * mu * (1.0 - mu)

    def deviance(self, responses: Responses, eta: Array) -> Array:
        y, trials, mu = responses.y, responses.trials_or_one, self.mean(eta)
        rest = trials - y
        return np.asarray(
            2.0 * (special.xlogy(y, y / (trials * mu)) + special.xlogy(rest, rest / (trials * (1.0 - mu))))
        )

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        found = special.bdtr(
            np.maximum(np.floor(y), 0.0), responses.trials_or_one.astype(np.int64), self.mean(eta)
        )
        return np.where(y < 0.0, 0.0, found)

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        return rng.binomial(responses.trials_or_one.astype(np.int64), self.mean(eta)).astype(float)


def _logistic(y: Array, trials: Array, eta: Array, constant: Array | float, order: int) -> Table:
    """Return the table in η = log(μ/(1 − μ)), exact in both tails."""
    # NumPy's exp costs less than choosing between two of its results
    mu, rest = 1.0 / (1.0 + np.exp(-eta)), 1.0 / (1.0 + np.exp(eta))
    others = trials - y
    value = y * np.minimum(eta, 0.0) - others * np.maximum(eta, 0.0)
    value -= trials * np.log1p(np.exp(-np.abs(eta)))
    variance = trials * (mu * rest)
    return up_to(order, value + constant, y * rest - others * mu, -variance, variance * (mu - rest))


def _weighed(count: Array, value: Array) -> Array:
    """Return count·value, 0 where the count is 0."""
    return np.where(count == 0.0, 0.0, count * np.where(count == 0.0, 0.0, value))
