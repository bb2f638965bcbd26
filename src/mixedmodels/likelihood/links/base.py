"""The protocol of a link: η = g(μ), with the inverse and three derivatives of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...typing import Array
from ..derivatives import Inner
from ..special import log1mexp


class Link(ABC):
    """g(μ) = η; subclasses are final."""

    __slots__ = ()

    names: ClassVar[tuple[str, ...]]
    """Canonical name first, then R's and SAS's spellings."""
    ratio: ClassVar[str | None] = None
    """What the exponential of a difference on the link scale is: "ratio", "odds"; None where it is nothing."""

    @property
    def name(self) -> str:
        return self.names[0]

    @abstractmethod
    def forward(self, mu: Array) -> Array:
        """Return η = g(μ)."""

    @abstractmethod
    def inverse(self, eta: Array) -> Inner:
        """Return μ, dμ/dη, d²μ/dη², d³μ/dη³; NaN where no mean has this predictor."""

    def inside(self, eta: Array) -> NDArray[np.bool_]:
        """Return which predictors belong to a mean, (n,) booleans."""
        return np.isfinite(eta)


class ProbabilityLink(Link):
    """μ = F(η) for a distribution function F; log F and log(1 − F) come without cancellation."""

    __slots__ = ()

    @abstractmethod
    def log_below(self, eta: Array) -> Inner:
        """Return log F(η) and three derivatives."""

    @abstractmethod
    def log_above(self, eta: Array) -> Inner:
        """Return log(1 − F(η)) and three derivatives."""

    @abstractmethod
    def latent_variance(self) -> float:
        """Return the variance of the distribution F, infinite where it has none."""

    def log_between(self, upper: Array, lower: Array) -> tuple[Array, Inner, Inner]:
        """Return log[F(a) − F(b)], and f/P, f'/P, f''/P at a and at b with f = F' and P the difference.

        The difference is taken in the tail where it keeps its digits: F(a) − F(b) or [1 − F(b)] − [1 − F(a)]. A limit
        of ±∞ is allowed.
        """
        logs = []
        for log_function, first, second in ((self.log_below, upper, lower), (self.log_above, lower, upper)):
            big, small = log_function(first)[0], log_function(second)[0]
            with np.errstate(invalid="ignore", divide="ignore"):
                gap = np.where(np.isneginf(small), -np.inf, small - big)
                logs.append(np.where(gap < 0.0, big + log1mexp(np.minimum(gap, 0.0)), -np.inf))
        left = (upper + lower) <= 0.0
        left = np.where(np.isnan(upper + lower), True, left)
        value = np.where(left, logs[0], logs[1])
        return value, self._densities(upper, value), self._densities(lower, value)

    def _densities(self, eta: Array, log_probability: Array) -> Inner:
        """Return (η, f/P, f'/P, f''/P), zero at an infinite limit."""
        finite = np.isfinite(eta)
        at = np.where(finite, eta, 0.0)
        mirrored = at > 0.0
        below, above = self.log_below(at), self.log_above(at)
        # derivatives of F through those of log F on the left, of log(1 − F) on the right
        first = np.where(mirrored, -above[1], below[1])
        second = np.where(mirrored, -(above[2] + above[1] ** 2), below[2] + below[1] ** 2)
        third = np.where(
            mirrored,
            -(above[3] + 3.0 * above[1] * above[2] + above[1] ** 3),
            below[3] + 3.0 * below[1] * below[2] + below[1] ** 3,
        )
        with np.errstate(over="ignore", invalid="ignore"):
            share = np.exp(np.where(mirrored, above[0], below[0]) - log_probability)
        keep = finite & np.isfinite(share)
        parts = [np.where(keep, share * part, 0.0) for part in (first, second, third)]
        return eta, parts[0], parts[1], parts[2]


def from_logs(below: Inner, value: Array) -> Inner:
    """Return F and its derivatives from log F and its derivatives."""
    _, l1, l2, l3 = below
    return value, value * l1, value * (l2 + l1**2), value * (l3 + 3.0 * l1 * l2 + l1**3)


def mirrored(at_minus: Inner) -> Inner:
    """Return h(−η) and its derivatives from h at −η."""
    value, h1, h2, h3 = at_minus
    return value, -h1, h2, -h3
