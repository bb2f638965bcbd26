"""The expected curvature of rows, which takes the place of the observed one in Laplace's determinant as in lme4.

For a density of the exponential family with mean m·μ(η) in m trials, E(−∂²ℓ/∂η²) = (mμ')²/var y. With a link other than
the canonical one it differs from −∂²ℓ/∂η² and loses what depends on y − mμ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SpecError
from ..likelihood.base import MeanFamily
from ..terms.observed import Observed
from ..typing import Array

STEP = 1e-3
"""Step of differences of the fourth order, in units of a predictor."""
BESIDE_FACTOR = ("nb2",)
"""Families besides those whose variance is known but for a factor that are exponential where the dispersion is held."""


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedCurvature:
    """E(W) of the mean of every row, as a function of the predictors."""

    observed: Observed

    def __post_init__(self) -> None:
        family, stack = self.observed.family, self.observed.stack
        known = isinstance(family, MeanFamily) and (family.proportional or family.name in BESIDE_FACTOR)
        if not known or any(carrier >= 0 for carrier in stack.carrier[1:]):
            raise SpecError(
                "information='expected' is for binomial, Poisson, gamma, inverse Gaussian, Gaussian and nb2 models "
                f"whose random effects are all in the mean, not for family {family.name!r} as asked; use 'observed'."
            )

    def weights(self, eta: Array) -> Array:
        """Return E(W) packed by predictors, (P(P + 1)/2, n): zero but for the mean."""
        count = self.observed.stack.count
        out = np.zeros((count * (count + 1) // 2, eta.shape[1]))
        out[0] = self._of_mean(eta)
        return out

    def bend(self, eta: Array, variances: Array) -> Array:
        """Return S:∂E(W)/∂η, (P, n), for S packed by predictors."""
        out = np.empty_like(eta)
        for a, unit in enumerate(self.observed.units()):
            step = np.zeros((len(eta), 1))
            step[a] = STEP * unit
            near = self._of_mean(eta + step) - self._of_mean(eta - step)
            far = self._of_mean(eta + 2.0 * step) - self._of_mean(eta - 2.0 * step)
            out[a] = variances[0] * (8.0 * near - far) / (12.0 * STEP * unit)
        return out

    def _of_mean(self, eta: Array) -> Array:
        family, responses = self.observed.family, self.observed.responses
        assert isinstance(family, MeanFamily)
        slope = family.link.inverse(eta[0])[1] * responses.trials_or_one
        found = slope**2 / family.variance(responses, eta)
        return np.asarray(found if responses.frequency is None else responses.frequency * found)
