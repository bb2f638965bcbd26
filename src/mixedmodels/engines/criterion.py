"""What optimisers and tools ask of a criterion, whichever engine computes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..terms.design import Design
from ..typing import Array
from .base import Posterior, Solution
from .objective import Evaluation
from .parameters import Block, NaturalParameters


class Criterion(Protocol):
    """−2l of one design as a function of working parameters θ, with exact derivatives.

    `blocks` are the parameter blocks of the random terms; `free` says which parameters may move and `held`
    which natural values every θ has; `joint` whether θ describes absolute covariances rather than those
    relative to σ²; `nu` is n − rank X (REML) or n; `cheap_hessian` whether the exact Hessian costs about as
    much as the average information.
    """

    evaluations: int

    @property
    def design(self) -> Design: ...
    @property
    def system(self) -> Posterior: ...
    @property
    def joint(self) -> bool: ...
    @property
    def cheap_hessian(self) -> bool: ...
    @property
    def reml(self) -> bool: ...
    @property
    def nu(self) -> int: ...
    @property
    def n_theta(self) -> int: ...
    @property
    def blocks(self) -> tuple[Block, ...]: ...
    @property
    def free(self) -> NDArray[np.bool_]: ...
    @property
    def held(self) -> Mapping[str, float]: ...

    def value(self, theta: Array) -> float:
        """Return −2l, infinite where V is not positive definite."""
        ...

    def gradient(self, theta: Array) -> Array:
        """Return ∂(−2l)/∂θ, (n_theta,)."""
        ...

    def evaluate(self, theta: Array) -> Evaluation:
        """Return −2l with gradient, average information and curvature."""
        ...

    def solve(self, theta: Array) -> tuple[Solution, float]:
        """Return the estimates, their covariances relative to σ², and σ²."""
        ...

    def sigma2(self, theta: Array) -> float:
        """Return σ²."""
        ...

    def matrices(self, theta: Array) -> tuple[Array, ...]:
        """Return the covariance of every random term, (sets, p, p), absolute or relative as θ is."""
        ...

    def absolute(self, theta: Array) -> Array:
        """Return the joint parameters of the same model."""
        ...

    def relative(self, theta: Array) -> Array:
        """Return the parameters of covariances divided by σ²."""
        ...

    def jointly(self) -> Criterion:
        """Return the criterion in joint parameters."""
        ...

    def natural(self, theta: Array) -> NaturalParameters:
        """Return every covariance parameter on the reporting scale, those of the errors last."""
        ...

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the Hessian of −2l, or the expected information, in joint parameters when expected."""
        ...

    def natural_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the asymptotic covariance of the natural parameters."""
        ...

    def working_covariance(self, theta: Array, *, expected: bool = False) -> Array:
        """Return the asymptotic covariance of the joint working parameters."""
        ...
