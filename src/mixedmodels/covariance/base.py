"""The protocol of a covariance structure.

A structure maps parameters θ to a symmetric positive semidefinite m×m matrix Σ(θ) with exact first and second
derivatives, and knows nothing of likelihoods. The same object serves random effects (G side) and errors (R side).

Working parameters θ are unconstrained reals chosen for the optimiser (raw Cholesky entries, raw standard deviations,
atanh correlations); reporting happens on the natural scale (variances, covariances, correlations, ranges), which is
also the scale of SAS's parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..typing import Array


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the m rows of Σ stand: their number, names, and coordinates when the structure needs any.

    `coordinates` is (m, d): times for `car1`, x and y for `exp`; None for structures that use only the order.
    """

    size: int
    labels: tuple[str, ...]
    coordinates: Array | None = None


@dataclass(frozen=True, slots=True)
class Natural:
    """Parameters on the reporting scale.

    `names` (k,), `values` (k,), `jacobian` (k, number of θ) = ∂values/∂θ, and `kinds` (k,), each one of
    `"variance" "covariance" "correlation" "range" "loading" "other"`.
    """

    names: tuple[str, ...]
    values: Array
    jacobian: Array
    kinds: tuple[str, ...]


class Structure(ABC):
    """A family of covariance matrices. Subclasses are final, frozen and hold only their order (such as q)."""

    names: ClassVar[tuple[str, ...]]
    """Canonical name first, then SAS and nlme spellings, all matched without regard to case."""
    needs_coordinates: ClassVar[bool] = False
    linear: ClassVar[bool] = False
    """Whether Σ is linear in the *natural* parameters (the Kenward–Roger second-derivative term is then zero)."""
    r_side_only: ClassVar[bool] = False

    @abstractmethod
    def size(self, m: int) -> int:
        """Return the number of working parameters for an m×m matrix."""

    @abstractmethod
    def matrix(self, theta: Array, at: Positions) -> Array:
        """Return Σ(θ), (m, m)."""

    @abstractmethod
    def d_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂Σ/∂θ_a, (k, m, m)."""

    @abstractmethod
    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        """Return ∂²Σ/∂θ_a∂θ_b, (k, k, m, m)."""

    @abstractmethod
    def start(self, target: Array, at: Positions) -> Array:
        """Return θ whose Σ(θ) is near the positive definite `target` (m, m)."""

    @abstractmethod
    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        """Return θ' with Σ(θ') = factor · Σ(θ)."""

    @abstractmethod
    def natural(self, theta: Array, at: Positions) -> Natural:
        """Return the parameters on the reporting scale with their Jacobian."""

    @abstractmethod
    def from_natural(self, values: Array, at: Positions) -> Array:
        """Return θ from natural values in the order of `natural`; ValueError when they define no valid Σ."""

    def factor(self, theta: Array, at: Positions) -> Array:
        """Return Λ (m, m) lower triangular with ΛΛ' = Σ(θ); zero pivots are allowed."""
        return semidefinite_cholesky(self.matrix(theta, at))

    def curvature(self, theta: Array, gamma: Array, at: Positions) -> Array:
        """Return ⟨Γ, ∂²Σ/∂θ_a∂θ_b⟩, (k, k), for a symmetric Γ (m, m)."""
        return np.einsum("abij,ij->ab", self.d2_matrix(theta, at), gamma)

    def escape(self, theta: Array, gamma: Array, at: Positions, step: float) -> Array | None:
        """Return θ moved off a false boundary, or None when θ satisfies the first-order conditions there.

        At θ where part of Σ vanishes the gradient in θ vanishes by symmetry whatever the likelihood does. With
        Γ = ∂(−2l)/∂Σ the point is optimal only if no admissible increase of Σ has negative slope; otherwise Σ is
        moved by about `step` (in units of Σ) along such a direction. Structures whose Σ cannot vanish return None.
        """
        return None

    def canonical(self, theta: Array, at: Positions) -> Array:
        """Return the representative of θ among those with the same Σ (for example positive diagonals)."""
        return theta


def semidefinite_cholesky(matrix: Array, tolerance: float = 1e-13) -> Array:
    """Return lower triangular Λ with ΛΛ' = `matrix` (m, m), positive semidefinite, in the order given.

    A pivot below `tolerance` times its diagonal element is zero and its column is zero.

    Examples
    --------
    >>> semidefinite_cholesky(np.array([[4.0, 2.0], [2.0, 1.0]]))
    array([[2., 0.],
           [1., 0.]])
    """
    m = matrix.shape[0]
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        pass
    factor = np.zeros_like(matrix)
    for j in range(m):
        pivot = matrix[j, j] - factor[j, :j] @ factor[j, :j]
        if pivot < -1e-8 * max(abs(matrix[j, j]), 1e-300):
            raise ValueError(f"matrix is not positive semidefinite (pivot {pivot:.3g} at row {j})")
        if pivot <= tolerance * matrix[j, j] or pivot <= 0:
            continue
        factor[j, j] = np.sqrt(pivot)
        factor[j + 1 :, j] = (matrix[j + 1 :, j] - factor[j + 1 :, :j] @ factor[j, :j]) / factor[j, j]
    return factor
