"""What optimisers ask of a criterion, whichever likelihood it is and whichever engine computes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Equations
from ..terms.design import Design
from ..typing import Array
from .covariances import CovarianceModel
from .differences import Evaluation
from .parameters import NaturalParameters


class Criterion(Protocol):
    """−2l of one design as a function of working parameters θ, with exact derivatives.

    `model` has the blocks of θ with their structures; `free` says which parameters may move and `held` which natural
    values every θ has; `joint` whether θ describes absolute covariances rather than those relative to σ²; `nu` is the
    number of observations that −2l is made of; `cheap_hessian` whether the exact Hessian costs about as much as the
    average information.
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

    def gammas(self, theta: Array) -> tuple[Array, ...]:
        """Return ∂(−2l)/∂R by class of every size group, (C, t, t)."""
        ...

    def natural(self, theta: Array) -> NaturalParameters:
        """Return every covariance parameter on the reporting scale, those of the errors last."""
        ...

    def sigma2(self, theta: Array) -> float:
        """Return the variance that results are relative to."""
        ...
