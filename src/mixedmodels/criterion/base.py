"""What is asked of a criterion, whichever likelihood it is and whichever engine computes it.

`Criterion` is what a search for the optimum needs; `LinearCriterion` what only a linear mixed model has besides. Other
code names these, never a class of criteria.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Equations, Solution
from ..errors import SpecError, Status
from ..terms.design import Design
from ..terms.observed import Observed
from ..typing import Array
from .covariances import CovarianceModel
from .differences import Evaluation
from .mode import Mode, Rest
from .parameters import NaturalParameters


class Criterion(Protocol):
    """−2l of one design as a function of working parameters θ, with exact derivatives.

    `model` has the blocks of θ with their structures; `free` says which parameters may move and `held` which natural
    values every θ has; `joint` whether θ describes absolute covariances, as it always does where there is no `linear`
    part, rather than those relative to σ²; `nu` is the number of observations that −2l is made of; `cheap_hessian`
    whether the exact Hessian costs about as much as the average information.
    """

    evaluations: int
    design: Design
    equations: Equations
    model: CovarianceModel
    n_theta: int
    nu: int
    free: NDArray[np.bool_]
    held: Mapping[str, float]

    @property
    def joint(self) -> bool: ...
    @property
    def cheap_hessian(self) -> bool: ...
    @property
    def linear(self) -> LinearCriterion | None:
        """What only a linear mixed model has, at the same θ; None for other models."""
        ...

    def value(self, theta: Array) -> float:
        """Return −2l, infinite where V is not positive definite."""
        ...

    def gradient(self, theta: Array) -> Array:
        """Return ∂(−2l)/∂θ, (n_theta,)."""
        ...

    def evaluate(self, theta: Array) -> Evaluation:
        """Return −2l with gradient, average information and curvature."""
        ...

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the Hessian of −2l, or the expected information."""
        ...

    def gammas(self, theta: Array) -> Sequence[Array]:
        """Return ∂(−2l)/∂R by class of every size group, (C, t, t)."""
        ...

    def natural(self, theta: Array) -> NaturalParameters:
        """Return every covariance parameter on the reporting scale, those of the errors last."""
        ...

    def unit(self, theta: Array) -> float:
        """Return the variance of an error in units of Σ(θ): one where Σ is relative to it."""
        ...

    def natural_covariance(self, theta: Array) -> Array:
        """Return the asymptotic covariance of the natural parameters, (k, k), in the order of `natural`."""
        ...

    def placed(self, theta: Array, values: Mapping[str, float]) -> Array:
        """Return θ with natural values, by name, of those parameters that are of no structure."""
        ...

    def own_start(self) -> Array | None:
        """Return where a search starts if nothing is said; None to start from second moments of the rows."""
        ...

    def reach(self, theta: Array, step: Array) -> float:
        """Return the largest share of a step from θ, up to 1, that the model of a search is to be trusted with."""
        ...


class LinearCriterion(Criterion, Protocol):
    """−2l of a linear mixed model: σ², relative and absolute parameters, β̂ and b̂, and the covariance of θ̂."""

    reml: bool

    def sigma2(self, theta: Array) -> float:
        """Return the variance that results are relative to."""
        ...

    def scale(self, theta: Array) -> float:
        """Return the factor of V that minimises −2l at the shape θ has."""
        ...

    def absolute(self, theta: Array) -> Array:
        """Return the joint parameters of the same model."""
        ...

    def relative(self, theta: Array) -> Array:
        """Return the parameters of Σ/σ² of the random terms in the design's own structures, (n,)."""
        ...

    def jointly(self) -> LinearCriterion:
        """Return the criterion in joint parameters on the same equations."""
        ...

    def settle(self, theta: Array) -> Equations:
        """Return the equations with V(θ) factored, absolute whatever θ is relative to."""
        ...

    def solve(self, theta: Array) -> tuple[Solution, float]:
        """Return β̂, (X'V⁻¹X)⁻¹ and b̂, and σ²."""
        ...

    def matrices(self, theta: Array) -> tuple[Array, ...]:
        """Return Σ (joint) or Σ/σ² of every random term, each (sets, p, p)."""
        ...

    def natural_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the asymptotic covariance of the natural parameters by the observed or the expected information."""
        ...

    def working_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the asymptotic covariance of the joint working parameters, (k, k), zero for held ones."""
        ...


class LikelihoodCriterion(Criterion, Protocol):
    """−2l of a generalised model: θ holds β in own coordinates and ψ besides the covariance parameters."""

    of_beta: slice
    of_psi: slice
    observed: Observed

    @property
    def remarks(self) -> tuple[Status, ...]:
        """What is to be said of the covariance that was computed last."""
        ...

    def mode(self, theta: Array) -> Mode:
        """Return the mode of the random effects with everything known there."""
        ...

    def mode_slopes(self, theta: Array, mode: Mode) -> tuple[Array, ...]:
        """Return ∂b̂/∂(θ, ψ) at a mode by term, (q, p, k + l)."""
        ...

    def rest(self, theta: Array) -> Rest:
        """Return what results read at the mode."""
        ...

    def covariance(self, theta: Array) -> Array:
        """Return the asymptotic covariance of all parameters, (n_theta, n_theta), zero for held ones."""
        ...

    @property
    def points(self) -> int | None:
        """Quadrature points a dimension; None where there are none."""
        ...

    def raised(self) -> LikelihoodCriterion | None:
        """Return the criterion with about half as many points again; None where that is not possible."""
        ...


def linear_part(criterion: Criterion) -> LinearCriterion:
    """Return what only a linear mixed model has, or raise `SpecError` for other models."""
    if criterion.linear is None:
        raise SpecError(
            "this is asked of linear mixed models; the model is none, and has no σ² and no relative covariances."
        )
    return criterion.linear
