"""Components of a generalised model that leave nothing at the optimum: no structural zeros, no overdispersion.

The likelihood has its supremum where such a component is gone, at an infinite coefficient: the search stops where the
density of no row changes any more, at a predictor that says no more than how long it went on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engines.coordinates import FixedBasis
from ..errors import Severity, Status
from ..likelihood.base import Family, MeanFamily
from ..likelihood.families.zero_inflated import ZeroInflated
from ..likelihood.responses import Responses
from ..terms.design import Design
from ..typing import Array

GONE = 15.0
"""Logarithm of one over what is left of a share, or of a variance beyond the limit's: e⁻¹⁵ is 3·10⁻⁷."""
INTERCEPT = "(Intercept)"


@dataclass(frozen=True, slots=True)
class Vanished:
    """The direction in which a coefficient has no end, (rank,) in own coordinates, and what is to be said of it."""

    direction: Array
    status: Status


def vanished(
    family: Family, responses: Responses, eta: Array, design: Design, basis: FixedBasis
) -> Vanished | None:
    """Return the component of a family that is gone at predictors (P, n), None where every one says something.

    It needs an intercept of its own, whose estimate is the infinite one.
    """
    base = family.base if isinstance(family, ZeroInflated) else family
    limits: dict[str, tuple[float, str, str]] = {}
    if isinstance(family, ZeroInflated):
        said = "no structural zeros are left: the fit is the one without zero_inflation="
        limits["zero"] = (-1.0, said, "Leave zero_inflation= out")
    if base.limit is not None:
        sign, name = base.limit
        said = f"no overdispersion is left: the fit is that of family {name!r}"
        limits["dispersion"] = (sign, said, f"Use family={name!r}")
    for component, own in zip(family.predictors, eta, strict=True):
        if component not in limits or not len(own):
            continue
        sign, message, hint = limits[component]
        place, left = _intercept(design, component), sign * own
        if component == "dispersion":
            left = left - _size(base, responses, eta[0])
        if place is None or not float(np.min(left)) >= GONE:
            continue
        written = np.zeros(len(design.fixed.estimable))
        written[place] = sign
        direction = np.asarray(np.linalg.solve(basis.rows(np.eye(len(written))), written), dtype=np.float64)
        return Vanished(direction, Status(Severity.WARNING, message, hint))
    return None


def _size(base: Family, responses: Responses, eta: Array) -> Array:
    """Return the logarithm of what multiplies 1/k in the variance beyond the limit's, (n,): the mean, or the trials."""
    if base.takes_trials:
        return np.log(responses.trials_or_one)
    if base.limit is not None and base.limit[0] > 0.0 and isinstance(base, MeanFamily):
        with np.errstate(all="ignore"):
            return np.log(np.maximum(base.link.inverse(eta)[0], 1.0))
    return np.zeros(len(eta))


def _intercept(design: Design, component: str) -> int | None:
    """Return the place among the estimable columns of the intercept of a component."""
    fixed = design.fixed
    for place, column in enumerate(fixed.estimable):
        own = fixed.components[column : column + 1] == (component,)
        if own and fixed.columns[column].endswith(INTERCEPT):
            return place
    return None
