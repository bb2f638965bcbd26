"""Families whose rows native code sums level by level: by family and link, what of ℓ it leaves out.

ℓ_i = native part(η_i, y_i, ζ) + a part of y_i and ζ alone, ζ one number for all rows. The sum of the latter over rows
is a function of ζ that is found here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, pi
from typing import TypeAlias

import numpy as np

from ..lazy import LazyModule
from ..typing import Array
from .base import Family
from .responses import Responses
from .special import log_choose, log_factorial

special = LazyModule("scipy.special")

Apart: TypeAlias = Callable[[float], tuple[float, float, float]]
"""ζ ↦ the sum over rows of the part of y and ζ alone, with two derivatives in ζ."""

LONGEST = 100_000
"""Counts up to which sums over the counts below are taken at every ζ."""


@dataclass(frozen=True, slots=True)
class NativeDensity:
    """The name of a density of native code, whether it has a ζ, and what it leaves out."""

    name: str
    dispersed: bool
    apart: Callable[[Responses], Apart]


def native_density(family: Family, responses: Responses) -> NativeDensity | None:
    """Return the native density of a family with its link, None where there is none for these responses."""
    link = getattr(family, "link", None)
    if link is None or responses.weights is not None:
        return None
    found = NATIVE.get((family.name, link.name))
    if found is not None and found.name == "nb2" and not float(responses.y.max()) <= LONGEST:
        return None
    return found


def _constant(value: float) -> Apart:
    return lambda zeta: (value, 0.0, 0.0)


def _frequency(responses: Responses) -> Array:
    return np.ones(len(responses)) if responses.frequency is None else responses.frequency


def _binomial(responses: Responses) -> Apart:
    if responses.trials is None:
        return _constant(0.0)
    return _constant(float(_frequency(responses) @ log_choose(responses.trials, responses.y)))


def _poisson(responses: Responses) -> Apart:
    return _constant(-float(_frequency(responses) @ log_factorial(responses.y)))


def _nothing(responses: Responses) -> Apart:
    return _constant(0.0)


def _negative_binomial(responses: Responses) -> Apart:
    """Return Σ_i [Σ_{j<y_i} log(1 + j/k) − log y_i!], by how many rows lie above each j."""
    frequency = _frequency(responses)
    counts = np.bincount(responses.y.astype(np.intp), frequency)
    above = np.cumsum(counts[::-1])[::-1][1:]
    j = np.arange(len(above), dtype=float)
    constant = -float(frequency @ log_factorial(responses.y))

    def apart(zeta: float) -> tuple[float, float, float]:
        k = exp(zeta)
        share = j / (k + j)
        value = float(above @ np.log1p(j / k)) + constant
        return value, -float(above @ share), float(above @ (share * (k / (k + j))))

    return apart


def _gamma(responses: Responses) -> Apart:
    """Return Σ_i [νζ − log Γ(ν) + (ν − 1) log y_i]."""
    frequency = _frequency(responses)
    count, logs = float(frequency.sum()), float(frequency @ np.log(responses.y))

    def apart(zeta: float) -> tuple[float, float, float]:
        shape = exp(zeta)
        gap = zeta + 1.0 - float(special.digamma(shape))
        value = count * (shape * zeta - float(special.gammaln(shape))) + (shape - 1.0) * logs
        slope = shape * (count * gap + logs)
        bend = slope + count * shape * (1.0 - shape * float(special.polygamma(1, shape)))
        return value, slope, bend

    return apart


def _gaussian(responses: Responses) -> Apart:
    count = float(_frequency(responses).sum())
    return lambda zeta: (-0.5 * count * (log(2.0 * pi) + zeta), -0.5 * count, 0.0)


NATIVE: dict[tuple[str, str], NativeDensity] = {
    ("binomial", "logit"): NativeDensity("logit", False, _binomial),
    ("binomial", "probit"): NativeDensity("probit", False, _binomial),
    ("binomial", "cloglog"): NativeDensity("cloglog", False, _binomial),
    ("poisson", "log"): NativeDensity("poisson", False, _poisson),
    ("nb2", "log"): NativeDensity("nb2", True, _negative_binomial),
    ("geometric", "log"): NativeDensity("nb2", False, _nothing),
    ("gamma", "log"): NativeDensity("gamma", True, _gamma),
    ("exponential", "log"): NativeDensity("gamma", False, _nothing),
    ("gaussian", "identity"): NativeDensity("gaussian", True, _gaussian),
}
