"""A share of structural zeros beside a count family, and hurdles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, Family, MeanFamily, Parameter, refuse
from ..derivatives import Table, added, compose, widened
from ..responses import Responses
from .truncated import Truncated, zeros

special = LazyModule("scipy.special")


def _log_expit(zeta: Array, sign: float) -> Table:
    """Return the table of log expit(sign·ζ): ℓ' = sign·q, then −pq and −sign·pq(q − p) for p = expit(sign·ζ)."""
    p, q = special.expit(sign * zeta), special.expit(-sign * zeta)
    return {
        (0,): -np.logaddexp(0.0, -sign * zeta),
        (1,): sign * q,
        (2,): -p * q,
        (3,): -sign * p * q * (q - p),
    }


@final
@dataclass(frozen=True, slots=True)
class ZeroInflated(Family):
    """P(0) = π + (1 − π)P_c(0), P(y) = (1 − π)P_c(y): the last predictor is logit π.

    Examples
    --------
    >>> from .poisson import Poisson
    >>> rows = ZeroInflated(Poisson()).at(Responses(np.array([0.0])), np.array([[0.0], [0.0]]))
    >>> float(np.exp(rows.value[0]).round(6))         # ½ + ½e^{−1}
    0.68394
    """

    base: MeanFamily | Truncated
    names: ClassVar[Labels] = ("zero_inflated",)
    discrete: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"zero_inflated_{self.base.name}"

    @property
    def predictors(self) -> Labels:
        return (*self.base.predictors, "zero")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.base.parameters

    def check(self, responses: Responses, label: str) -> None:
        self.base.check(responses, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        count = len(self.predictors)
        zeta, own = eta[-1], eta[:-1]
        none = responses.y == 0.0
        # log(e^ζ + e^b) in (ζ, b), b = log P_c(0)
        below = self.base.table(zeros(responses), own, psi, order)
        gap = zeta - next(iter(below.values()))
        p, q = special.expit(gap), special.expit(-gap)
        s = p * q
        k = s * (q - p)
        outer: Table = {
            (0, 0): zeta + np.logaddexp(0.0, -gap),
            (1, 0): p,
            (0, 1): q,
            (2, 0): s,
            (1, 1): -s,
            (0, 2): s,
            (3, 0): k,
            (2, 1): -k,
            (1, 2): k,
            (0, 3): -k,
        }
        at_zero = compose(outer, below, order)
        elsewhere = widened(
            self.base.table(responses, own, psi, order), tuple(range(count - 1)), count, order
        )
        mixed: Table = {key: np.where(none, at_zero[key], elsewhere[key]) for key in at_zero}
        return added(mixed, widened(_log_expit(zeta, -1.0), (count - 1,), count, order))

    def start(self, responses: Responses) -> Array:
        own = self.base.start(responses)
        expected = np.exp(self.base.at(zeros(responses), own, self._psi(), 0).value).mean()
        excess = np.clip((responses.y == 0.0).mean() - expected, 0.05, 0.95)
        return np.vstack([own, np.full(len(responses), np.log(excess / (1.0 - excess)))])

    def _psi(self) -> Array:
        return np.array([parameter.working(parameter.start) for parameter in self.parameters])

    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(special.expit(-eta[-1]) * self.base.mean(eta[:-1], psi))

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        share, mu = special.expit(eta[-1]), self.base.mean(eta[:-1], psi) * responses.trials_or_one
        return np.asarray((1.0 - share) * (self.base.variance(responses, eta[:-1], psi) + share * mu**2))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        share = special.expit(eta[-1])
        return np.where(
            y < 0.0, 0.0, share + (1.0 - share) * self.base.cumulative(y, responses, eta[:-1], psi)
        )

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        structural = rng.random(eta.shape[1]) < special.expit(eta[-1])
        return np.where(structural, 0.0, self.base.simulate(responses, eta[:-1], psi, rng))


@final
@dataclass(frozen=True, slots=True)
class Hurdle(Family):
    """P(0) = π, and a response without zeros where the hurdle is passed: the last predictor is logit π.

    `base` is a truncated count family, or a continuous one (gamma, lognormal, beta), whose density has no zeros.

    Examples
    --------
    >>> from .gamma import Gamma
    >>> rows = Hurdle(Gamma()).at(Responses(np.array([0.0])), np.array([[0.0], [0.0], [0.0]]))
    >>> float(np.exp(rows.value[0]).round(12))
    0.5
    """

    base: MeanFamily | Truncated
    names: ClassVar[Labels] = ("hurdle",)

    @property
    def name(self) -> str:
        return f"hurdle_{self.base.name}"

    @property
    def predictors(self) -> Labels:
        return (*self.base.predictors, "hurdle")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.base.parameters

    def check(self, responses: Responses, label: str) -> None:
        passed = responses.take(responses.y != 0.0)
        refuse(label, responses.y, np.isnan(responses.y), "a response is a number", "Correct the row.")
        if len(passed):
            self.base.check(passed, label)

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        count = len(self.predictors)
        passed = np.flatnonzero(responses.y != 0.0)
        part = self.base.table(responses.take(passed), eta[:-1][:, passed], psi, order)
        spread: Table = {}
        for key, value in part.items():
            spread[key] = np.zeros(len(responses))
            spread[key][passed] = value
        below, above = _log_expit(eta[-1], 1.0), _log_expit(eta[-1], -1.0)
        side = {key: np.where(responses.y == 0.0, below[key], above[key]) for key in below}
        density = widened(spread, tuple(range(count - 1)), count, order)
        return added(density, widened(side, (count - 1,), count, order))

    def start(self, responses: Responses) -> Array:
        seen = responses.y != 0.0
        own = np.zeros((len(self.base.predictors), len(responses)))
        inside = self.base.start(responses.take(seen))
        own[:] = inside.mean(axis=1)[:, None]
        own[:, seen] = inside
        share = np.clip(1.0 - seen.mean(), 0.02, 0.98)
        return np.vstack([own, np.full(len(responses), np.log(share / (1.0 - share)))])

    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(special.expit(-eta[-1]) * self.base.mean(eta[:-1], psi))

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        share, mu = special.expit(eta[-1]), self.base.mean(eta[:-1], psi)
        return np.asarray((1.0 - share) * (self.base.variance(responses, eta[:-1], psi) + share * mu**2))

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        share = special.expit(eta[-1])
        above = self.base.cumulative(y, responses, eta[:-1], psi)
        return np.where(y < 0.0, 0.0, share + (1.0 - share) * np.where(y > 0.0, above, 0.0))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        stopped = rng.random(eta.shape[1]) < special.expit(eta[-1])
        return np.where(stopped, 0.0, self.base.simulate(responses, eta[:-1], psi, rng))
