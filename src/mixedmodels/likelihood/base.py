"""The protocol of a likelihood whose rows are independent given their linear predictors.

A row has P ≥ 1 predictors η_1..η_P (a mean; where it may have a formula of its own, a dispersion, a zero inflation,
a threshold) and the model has parameters ψ that cannot have one (the degrees of freedom of a t). A criterion asks for
ℓ and its derivatives; what a reader asks, the mean, the variance, the distribution function, is here too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError, suggest
from ..typing import Array, Labels
from .derivatives import Inner, Table, substitute
from .links import Link, ProbabilityLink
from .responses import Responses
from .rows import Rows

Mask: TypeAlias = NDArray[np.bool_]
MOST_SUMMED = 20_000
"""Largest count up to which probabilities are summed."""
FREE: Array = np.empty(0)
"""ψ of a likelihood without parameters of its own."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of ψ: its name, and the map from what the search moves to what is reported; the identity without limits."""

    name: str
    start: float
    lowest: float
    highest: float = np.inf

    def natural(self, working: float) -> float:
        """Return the reported value, in (lowest, highest)."""
        if np.isinf(self.lowest):
            return working
        if np.isinf(self.highest):
            return self.lowest + float(np.exp(working))
        return self.lowest + (self.highest - self.lowest) / (1.0 + float(np.exp(-working)))

    def working(self, natural: float) -> float:
        """Return the value the search moves."""
        if np.isinf(self.lowest):
            return natural
        above = natural - self.lowest
        if np.isinf(self.highest):
            return float(np.log(above))
        return float(np.log(above / (self.highest - natural)))


class Family(ABC):
    """ℓ(y; η, ψ) of rows, with exact derivatives; subclasses are final and frozen.

    `table` gives the derivatives in the P predictors (see `derivatives`); `at` packs them.
    """

    __slots__ = ()

    names: ClassVar[Labels]
    """Canonical name first, then R's and SAS's spellings."""
    takes_trials: ClassVar[bool] = False
    takes_weights: ClassVar[bool] = False
    """Whether the family has a dispersion φ that known precision weights divide."""
    discrete: ClassVar[bool] = False
    symbol: ClassVar[str] = ""
    limit: ClassVar[tuple[float, str] | None] = None
    """The sign of the dispersion's predictor at whose infinity the family is another, and the name of that one."""
    """What the dispersion is called in print (`"phi"`, `"k"`); empty for a family without one."""

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def predictors(self) -> Labels:
        """Names of the P predictors."""
        return ("mean", "dispersion") if self.symbol else ("mean",)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """ψ."""
        return ()

    @property
    def log_concave(self) -> bool:
        """Whether ℓ is concave in the first predictor wherever it is finite, so that b̂ is unique."""
        return False

    @abstractmethod
    def check(self, responses: Responses, label: str) -> None:
        """Raise `DataError` naming the response, its row and the remedy where a value is impossible."""

    @abstractmethod
    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        """Return ℓ and its derivatives of total order ≤ `order` in the predictors; η is (P, n)."""

    def at(self, responses: Responses, eta: Array, psi: Array = FREE, order: int = 3) -> Rows:
        """Return the rows at predictors η (P, n), frequencies included."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore", under="ignore"):
            table = self.table(responses, eta, psi, order)
        rows = Rows.from_table(_where_finite(table), len(self.predictors), order)
        return rows if responses.frequency is None else rows.scaled(responses.frequency)

    @abstractmethod
    def start(self, responses: Responses) -> Array:
        """Return predictors to start from, (P, n): the mean near the response, the others by moments."""

    @abstractmethod
    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        """Return E y per trial, (n,)."""

    @abstractmethod
    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return var y of the rows, (n,), trials and weights of `responses` included."""

    @abstractmethod
    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        """Return responses drawn at η, (n,), with the trials and weights of `responses`."""

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y), (n,), with the trials and weights of `responses`; of counts the sum of probabilities.

        Raises
        ------
        SpecError
            Where the distribution function is not known, or a count is too large to sum up to.
        """
        if not self.discrete:
            raise SpecError(
                f"the distribution function of family {self.name!r} has no form that can be computed."
            )
        top = float(np.floor(np.max(y, initial=0.0)))
        if top > MOST_SUMMED:
            raise SpecError(
                f"family {self.name!r} sums probabilities up to a count, and {top:g} are more than {MOST_SUMMED:,}."
            )
        total = np.zeros(eta.shape[1])
        for count in range(int(top) + 1):
            at = Responses(np.full(eta.shape[1], float(count)), responses.trials, responses.weights)
            inside = count <= np.minimum(y, responses.trials_or_one if self.takes_trials else np.inf)
            total = total + np.where(inside, np.exp(self.at(at, eta, psi, 0).value), 0.0)
        return np.minimum(total, 1.0)


class MeanFamily(Family):
    """A family with a mean μ = h(η) by a link, and at most a dispersion beside it."""

    __slots__ = ()

    links: ClassVar[Labels]
    """Names of the links that can be asked for, the default first."""
    link: Link
    proportional: ClassVar[bool] = False
    """Whether var y = φV(μ)/w with a known V: a family of pseudo-likelihood. Its ζ is 0 at φ = 1."""

    def scaled(self, phi: Array) -> Array:
        """Return the second predictor ζ at which var y = φV(μ)/w."""
        return np.log(phi)

    def deviance(self, responses: Responses, eta: Array) -> Array:
        """Return the unit deviances 2(ℓ_saturated − ℓ)·φ, (n,); for residuals."""
        raise SpecError(
            f"family {self.name!r} has no deviance: its saturated density is unbounded or not defined; "
            'ask for kind="quantile" or "pearson" residuals.'
        )

    def mean(self, eta: Array, psi: Array = FREE) -> Array:
        return self.link.inverse(eta[0])[0]


def through_link(table: Table, mean: Inner, order: int) -> Table:
    """Return the table in (η, …) of a table in (μ, …)."""
    return substitute(table, 0, mean, order)


def log_mean(link: Link, eta: Array) -> Inner:
    """Return log μ(η) and three derivatives; exact for the log link."""
    if link.name == "log":
        zero = np.zeros_like(eta)
        return eta, np.ones_like(eta), zero, zero
    mu, d1, d2, d3 = link.inverse(eta)
    l1, l2 = d1 / mu, d2 / mu
    return np.log(mu), l1, l2 - l1**2, d3 / mu - 3.0 * l1 * l2 + 2.0 * l1**3


def complement(link: Link, eta: Array) -> Array:
    """Return 1 − μ(η), in the tail without cancellation."""
    if isinstance(link, ProbabilityLink):
        return np.exp(link.log_above(eta)[0])
    return 1.0 - link.inverse(eta)[0]


def _where_finite(table: Table) -> Table:
    """Return the table with −∞ for a density that cannot be computed; its derivatives are not used."""
    first = next(iter(table))
    value = table[first]
    return {**table, first: np.where(np.isnan(value), -np.inf, value)}


def choose_link(family: str, name: str | None, allowed: Labels) -> Link:
    """Return the link asked for, or the family's default; `SpecError` where the family does not have it."""
    from .links import make_link

    link = make_link(allowed[0] if name is None else name)
    if link.names[0] not in allowed:
        raise SpecError(
            f"link={name!r} does not go with family={family!r}.{suggest(str(name), allowed)} "
            f"Allowed: {', '.join(allowed)}."
        )
    return link


def refuse(label: str, y: Array, wrong: Mask, what: str, remedy: str) -> None:
    """Raise `DataError` naming the first of the wrong responses, its row, how many there are, and the remedy."""
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    count = int(wrong.sum())
    others = f" ({count} such rows)" if count > 1 else ""
    raise DataError(f"{label} is {y[row]:g} in row {row}{others}; {what}. {remedy}")


def not_whole(y: Array) -> Mask:
    """Return which values are not counts, (n,) booleans."""
    return np.asarray((y < 0.0) | (y != np.round(y)) | ~np.isfinite(y))
