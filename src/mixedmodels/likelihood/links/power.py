"""The power link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from ...errors import SpecError
from ...typing import Array
from ..derivatives import Inner
from .base import Link


@final
@dataclass(frozen=True, slots=True)
class Power(Link):
    """η = μ^λ for positive means, λ ≠ 0 (λ = 0 is the log link)."""

    exponent: float
    names: ClassVar[tuple[str, ...]] = ("power",)

    def __post_init__(self) -> None:
        if not np.isfinite(self.exponent) or self.exponent == 0.0:
            raise SpecError(
                f'link="power({self.exponent:g})": the exponent must be a number other than 0; power 0 is link="log".'
            )

    @property
    def name(self) -> str:
        return f"power({self.exponent:g})"

    def forward(self, mu: Array) -> Array:
        return mu**self.exponent

    def inverse(self, eta: Array) -> Inner:
        inside = np.where(self.inside(eta), eta, np.nan)
        r = 1.0 / self.exponent
        mu = inside**r
        first = r * mu / inside
        second = (r - 1.0) * first / inside
        return mu, first, second, (r - 2.0) * second / inside

    def inside(self, eta: Array) -> NDArray[np.bool_]:
        return np.isfinite(eta) & (eta > 0.0)
