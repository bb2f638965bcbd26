"""Student's t distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from ...errors import SpecError
from ...lazy import LazyModule
from ...typing import Array, Labels
from ..base import FREE, MeanFamily, Parameter, refuse, through_link
from ..derivatives import Table, compose
from ..links import Link, make_link
from ..responses import Responses

special = LazyModule("scipy.special")


@final
@dataclass(frozen=True, slots=True)
class StudentT(MeanFamily):
    """(y − μ)/σ ~ t_ν, ζ = log σ²/w; ν is held at `df`, or estimated (ψ) where `df` is None.

    ℓ = log Γ((ν+1)/2) − log Γ(ν/2) − ½ log(νπ) − ½ζ − (ν+1)/2 · log1p(r²e^{−ζ}/ν).

    Examples
    --------
    >>> rows = StudentT(df=5.0).at(Responses(np.array([2.0])), np.array([[1.0], [0.0]]))
    >>> rows.score[:, 0].round(6).tolist()           # (ν+1)r/(ν + r²) and ½(that·r − 1)
    [1.0, 0.0]
    """

    link: Link = field(default_factory=lambda: make_link("identity"))
    df: float | None = None
    names: ClassVar[Labels] = ("t", "student", "t_family")
    links: ClassVar[Labels] = ("identity", "log", "inverse")
    takes_weights: ClassVar[bool] = True
    symbol: ClassVar[str] = "sigma2"

    def __post_init__(self) -> None:
        if self.df is not None and not self.df > 0.0:
            raise SpecError(f"df={self.df!r} of family 't' must be positive, or None to estimate it.")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("nu", start=8.0, lowest=0.0),) if self.df is None else ()

    def degrees(self, psi: Array) -> float:
        """Return ν."""
        return self.parameters[0].natural(float(psi[0])) if self.df is None else self.df

    def check(self, responses: Responses, label: str) -> None:
        refuse(
            label, responses.y, ~np.isfinite(responses.y), "a response is a finite number", "Correct the row."
        )

    def table(self, responses: Responses, eta: Array, psi: Array, order: int) -> Table:
        nu = self.degrees(psi)
        inner = self.link.inverse(eta[0])
        gap = responses.y - inner[0]
        zeta = eta[1] - np.log(responses.weights_or_one)
        q, two, zero = np.exp(-zeta), np.full_like(gap, 2.0), np.zeros_like(gap)
        square = (gap**2, -2.0 * gap, two, zero)
        # d = r²e^{−ζ}, then f(d) = −(ν+1)/2 · log1p(d/ν)
        standardised: Table = {
            (i, j): (-1.0) ** j * q * square[i] for i in range(4) for j in range(4) if i + j <= 3
        }
        half, reach = 0.5 * (nu + 1.0), nu + standardised[(0, 0)]
        outer: Table = {
            (0,): -half * np.log1p(standardised[(0, 0)] / nu),
            (1,): -half / reach,
            (2,): half / reach**2,
            (3,): -2.0 * half / reach**3,
        }
        own = compose(outer, standardised, order)
        constant = special.gammaln(half) - special.gammaln(0.5 * nu) - 0.5 * np.log(nu * np.pi)
        own[(0, 0)] = own[(0, 0)] + constant - 0.5 * zeta
        if order >= 1:
            own[(0, 1)] = own[(0, 1)] - 0.5
        return through_link(own, inner, order)

    def start(self, responses: Responses) -> Array:
        y = responses.y
        spread = 1.4826 * float(np.median(np.abs(y - np.median(y)))) or float(np.std(y)) or 1.0
        if self.link.name != "identity":
            y = np.maximum(y, 0.1 * float(np.mean(np.abs(y))) or 1.0)
        return np.array([self.link.forward(y), np.full_like(y, 2.0 * np.log(spread))])

    def variance(self, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        nu = self.degrees(psi)
        factor = nu / (nu - 2.0) if nu > 2.0 else np.inf
        return np.asarray(factor * np.exp(eta[1]) / responses.weights_or_one)

    def cumulative(self, y: Array, responses: Responses, eta: Array, psi: Array = FREE) -> Array:
        """Return P(Y ≤ y)."""
        sd = np.sqrt(np.exp(eta[1]) / responses.weights_or_one)
        return np.asarray(special.stdtr(self.degrees(psi), (y - self.mean(eta)) / sd))

    def simulate(self, responses: Responses, eta: Array, psi: Array, rng: np.random.Generator) -> Array:
        sd = np.sqrt(np.exp(eta[1]) / responses.weights_or_one)
        return np.asarray(self.mean(eta) + sd * rng.standard_t(self.degrees(psi), eta.shape[1]))
