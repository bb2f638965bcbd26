"""The Tweedie distribution with a mass at zero: a Poisson number of gamma amounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...errors import SpecError
from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, Parameter, log_mean, refuse, through_link
from ..derivatives import Table
from ..links import Link, make_link
from ..responses import Responses

special = LazyModule("scipy.special")

_NEGLIGIBLE = 37.0
"""Terms e^{−37} below the largest are left out of the series: 1e-16 of it."""
_MOST_TERMS = 20_000
_CELLS = 4_000_000
"""Numbers held at once by the series."""


@final
@dataclass(frozen=True, slots=True)
class Tweedie(MeanFamily):
    """y ≥ 0 with mean μ and variance φμ^p/w, 1 < p < 2; ζ = log φ.

    ℓ = κ/φ + log a(y, φ), κ = yμ^{1−p}/(1−p) − μ^{2−p}/(2−p), and a is the series of Dunn and Smyth (2005, eq. 5) for
    y > 0, 1 at y = 0. p is held at `power`, or estimated (ψ) where that is None.

    Examples
    --------
    >>> rows = Tweedie(power=1.5).at(Responses(np.array([0.0])), np.array([[0.0], [0.0]]))
    >>> rows.value.tolist()                          # −μ^½/(½φ)
    [-2.0]
    """

    link: Link = field(default_factory=lambda: make_link("log"))
    power: float | None = None
    names: ClassVar[Labels] = ("tweedie",)
    links: ClassVar[Labels] = ("log", "identity", "power")
    takes_weights: ClassVar[bool] = True
    symbol: ClassVar[str] = "phi"

    def __post_init__(self) -> None:
        if self.power is not None and not 1.0 < self.power < 2.0:
            raise SpecError(
                f"power={self.power!r} of family 'tweedie' must lie between 1 and 2, or be None to estimate it."
            )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("p", start=1.5, lowest=1.0, highest=2.0),) if self.power is None else ()

    def exponent(self, psi: Array) -> float:
        """Return p."""
        return self.parameters[0].natural(float(psi[0])) if self.power is None else self.power

    def check(self, responses: Responses, label: str) -> None:
        y = responses.y
        refuse(
            label,
            y,
            ~(np.isfinite(y) & (y >= 0.0)),
            "a Tweedie response is 0 or positive",
            "Correct the row.",
        )

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        p = self.exponent(psi)
        inner = log_mean(self.link, eta[0])
        y, zeta = responses.y, eta[1] - np.log(responses.weights_or_one)
        tau = np.exp(-zeta)
        first = tau * y * np.exp((1.0 - p) * inner[0])
        second = tau * np.exp((2.0 - p) * inner[0])
        series = _log_series(y, zeta, p)
        # κ/φ has the j-th derivative (−1)^j κ/φ in ζ, and powers of 1 − p and 2 − p in log μ
        own: Table = {
            (i, j): (-1.0) ** j * (first * (1.0 - p) ** (i - 1) - second * (2.0 - p) ** (i - 1))
            for i in range(4)
            for j in range(4)
            if i + j <= 3
        }
        for j in range(4):
            own[(0, j)] = own[(0, j)] + series[j]
        return through_link(own, inner, order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        centre = float(np.mean(y)) or 1.0
        phi = (float(np.var(y)) or 1.0) / centre**1.5
        return np.array([self.link.forward(y + 0.1 * centre), np.full_like(y, np.log(phi))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        return np.asarray(np.exp(eta[1]) * self.mean(eta) ** self.exponent(psi) / responses.weights_or_one)

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        p, mu = self.exponent(psi), self.mean(eta)
        phi = np.exp(eta[1]) / responses.weights_or_one
        amounts = rng.poisson(mu ** (2.0 - p) / (phi * (2.0 - p)))
        shape = amounts * (2.0 - p) / (p - 1.0)
        drawn = rng.gamma(np.maximum(shape, 1e-300), phi * (p - 1.0) * mu ** (p - 1.0))
        return np.where(amounts == 0, 0.0, drawn)


def _log_series(y: Array, zeta: Array, p: float) -> list[Array]:
    """Return log a(y, φ) and three derivatives in ζ = log φ, each (n,); zero where y is 0.

    a = y⁻¹ΣW_j, log W_j = jc − log j! − log Γ(−jα) with α = (2 − p)/(1 − p) and c = −α log y + α log(p − 1) − (1 − α)ζ
    − log(2 − p). So the derivatives are those of a cumulant function of j: with s = −(1 − α), sE j, s²var j, s³κ₃(j).
    """
    found = [np.zeros_like(y) for _ in range(4)]
    positive = np.flatnonzero(y > 0.0)
    if not len(positive):
        return found
    alpha = (2.0 - p) / (1.0 - p)
    peak = y[positive] ** (2.0 - p) * np.exp(-zeta[positive]) / (2.0 - p)
    reach = np.ceil(np.sqrt(2.0 * _NEGLIGIBLE * np.maximum(peak, 1.0) / (1.0 - alpha)) * 1.6 + 12.0)
    low = np.maximum(np.floor(peak - reach), 1.0)
    terms = np.minimum(np.floor(peak + reach) - low + 1.0, _MOST_TERMS).astype(np.int64)
    start = 0
    while start < len(positive):
        widest = int(terms[start:].max())
        stop = min(len(positive), start + max(1, _CELLS // widest))
        rows = positive[start:stop]
        sums = _sums(y[rows], zeta[rows], p, alpha, low[start:stop], int(terms[start:stop].max()))
        for whole, part in zip(found, sums, strict=True):
            whole[rows] = part
        start = stop
    return found


def _sums(y: Array, zeta: Array, p: float, alpha: float, low: Array, width: int) -> tuple[Array, ...]:
    """Return log Σ W_j − log y and its derivatives in ζ over `width` terms from `low`."""
    j = low[:, None] + np.arange(width)
    rate = -alpha * np.log(y) + alpha * np.log(p - 1.0) - (1.0 - alpha) * zeta - np.log(2.0 - p)
    logs = j * rate[:, None] - special.gammaln(j + 1.0) - special.gammaln(-alpha * j)
    top = logs.max(axis=1, keepdims=True)
    weights = np.exp(logs - top)
    total = weights.sum(axis=1)
    mean = (weights * j).sum(axis=1) / total
    gap = j - mean[:, None]
    second = (weights * gap**2).sum(axis=1) / total
    third = (weights * gap**3).sum(axis=1) / total
    s = -(1.0 - alpha)
    return top[:, 0] + np.log(total) - np.log(y), s * mean, s**2 * second, s**3 * third
