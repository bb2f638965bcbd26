"""The distribution of responses given their predictors, as a generalised model has estimated it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import SpecError
from ..spec import PSEUDO
from ..typing import Array, Labels
from .base import FREE, Family, MeanFamily
from .links import Link
from .responses import Responses


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """Family, responses and what is estimated of them beside the mean: all that tools ask of a generalised fit.

    Parameters
    ----------
    family
        ℓ(y; η, ψ).
    responses
        What was observed in the n rows used.
    label
        The response as written.
    approximation
        How random effects were integrated out: `"laplace"`, `"quadrature"`, `"rspl"` …
    beside
        Estimates of the predictors after the first (dispersion, zero …) in the rows used, (P − 1, n).
    psi
        Estimates of ψ.
    scale
        φ that multiplies the variance of a family without a dispersion of its own (quasi-likelihood), (n,); None for
        none.
    dispersion
        The dispersion on the family's natural scale, one number; None where there is none or it differs by row.
    levels
        Levels of a response of categories, in order; empty for numbers.
    points
        Quadrature points a dimension, None for other approximations.

    Examples
    --------
    >>> from .families import make_family
    >>> two = Responses(np.array([1.0, 3.0]), trials=np.array([2.0, 4.0]))
    >>> coin = Distribution(make_family("binomial"), two, "heads / n", "laplace")
    >>> coin.observed.tolist(), coin.mean(np.zeros(2)).tolist(), coin.variance(np.zeros(2)).tolist()
    ([0.5, 0.75], [0.5, 0.5], [0.125, 0.0625])
    """

    family: Family
    responses: Responses
    label: str
    approximation: str
    beside: Array = field(default_factory=lambda: np.empty((0, 0)))
    psi: Array = field(default_factory=lambda: FREE)
    scale: Array | None = None
    dispersion: float | None = None
    levels: Labels = ()
    recession: Array | None = None
    points: int | None = None

    def at(self, eta: Array, psi: Array) -> Distribution:
        """Return the distribution at other estimates: all predictors in the rows used, (P, n), and ψ."""
        categories = len(self.levels) > 2
        dispersion = None
        if "dispersion" in self.family.predictors:
            own = eta[self.family.predictors.index("dispersion")]
            if not np.ptp(own).any():
                dispersion = float(np.exp(own[0]))
        beside = np.empty((0, len(self.responses))) if categories else eta[1:]
        return replace(self, beside=beside, psi=psi, dispersion=dispersion)

    @property
    def pseudo(self) -> bool:
        """Whether the estimates are those of a linear mixed model of pseudo-data."""
        return self.approximation in PSEUDO

    @property
    def link(self) -> Link | None:
        """The link of the mean; None for categories."""
        return getattr(self.family, "link", None) or getattr(getattr(self.family, "base", None), "link", None)

    @property
    def symbol(self) -> str:
        """What the dispersion is called: the family's own symbol, `"phi"` for a scale."""
        own = getattr(self.family, "symbol", "")
        return own or ("" if self.scale is None else "phi")

    @property
    def observed(self) -> Array:
        """The responses per trial, (n,): proportions where there are trials."""
        return self.responses.y / self.responses.trials_or_one

    def predictors(self, eta: Array) -> Array:
        """Return all predictors (P, m) at the first one, (m,): of the rows used, or where the others are constant.

        Raises
        ------
        SpecError
            For rows other than those of the fit where a predictor beside the mean varies.
        """
        if not len(self.beside):
            return np.asarray(eta)[None]
        if len(eta) == self.beside.shape[1]:
            return np.vstack([eta, self.beside])
        if np.ptp(self.beside, axis=1).any():
            raise SpecError(
                "the predictors beside the mean (dispersion, zeros) vary by row and are not known for new rows here."
            )
        return np.vstack([eta, *(np.full(len(eta), one[0]) for one in self.beside)])

    def mean(self, eta: Array) -> Array:
        """Return E y per trial at the first predictor, (m,)."""
        return np.asarray(self.family.mean(self.predictors(eta), self.psi))

    def variance(self, eta: Array) -> Array:
        """Return var y per trial of the rows used at the first predictor, (n,)."""
        own = self.family.variance(self.responses, self.predictors(eta), self.psi)
        scale = 1.0 if self.scale is None else self.scale
        return np.asarray(scale * own / self.responses.trials_or_one**2)

    def deviance(self, eta: Array) -> Array:
        """Return the unit deviances of the rows used, weights included, (n,); `SpecError` where there are none."""
        if not isinstance(self.family, MeanFamily):
            raise SpecError(
                f"family {self.family.name!r} has no deviance; ask for residuals of another kind, such as 'quantile'."
            )
        own = self.family.deviance(self.responses, self.predictors(eta))
        return np.asarray(own * self.responses.weights_or_one)

    def draw(self, eta: Array, rng: np.random.Generator) -> Array:
        """Return responses drawn for the rows used at the first predictor, (n,), in the unit of y itself."""
        return self.family.simulate(self.responses, self.predictors(eta), self.psi, rng)

    def cumulative(self, y: Array, eta: Array) -> Array:
        """Return P(Y ≤ y) of the rows used at the first predictor, (n,), y in its own unit."""
        return np.asarray(self.family.cumulative(y, self.responses, self.predictors(eta), self.psi))
