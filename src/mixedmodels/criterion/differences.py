"""The criterion at one θ with its derivatives, and the Hessian by differences of the gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..typing import Array


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The criterion at one θ with its derivatives, k parameters.

    Parameters
    ----------
    value
        −2 log likelihood (restricted or not), constants included.
    gradient
        ∂value/∂θ, (k,).
    information
        Average information (k, k), positive semidefinite: the Hessian but for the curvature of Σ(θ) and
        for the replacement of tr(PV̇_aPV̇_b) by its data counterpart.
    curvature
        ⟨Γ, ∂²Σ/∂θ_a∂θ_b⟩, (k, k), to be added to `information` where the sum is positive definite.
    gammas
        Γ = ∂value/∂Σ̃ (profiled) or ∂value/∂Σ (joint) of each random term, (sets, p, p).
    traces
        The part of each Γ that does not depend on y, tr(PV̇): the information on Σ's size.
    """

    value: float
    gradient: Array
    information: Array
    curvature: Array
    gammas: tuple[Array, ...]
    traces: tuple[Array, ...]


def hessian_by_differences(gradient: Callable[[Array], Array], theta: Array, here: Evaluation) -> Array:
    """Return ∂²value/∂θ∂θ' (k, k) from central differences of the analytic gradient about θ.

    Notes
    -----
    Steps are a two-thousandth of a standard error (at most 1e-4 of the size of θ), so that the truncation
    error is of the order of 1e-7 relative.
    """
    size = np.maximum(here.information.diagonal() + np.abs(here.curvature.diagonal()), 1e-300)
    steps = np.minimum(5e-4 * np.sqrt(2 / size), 1e-4 * np.maximum(np.abs(theta), 1.0))
    hessian = np.empty((len(theta), len(theta)))
    for a, step in enumerate(steps):
        moved = theta.copy()
        moved[a] = theta[a] + step
        above = gradient(moved)
        moved = theta.copy()
        moved[a] = theta[a] - step
        hessian[a] = (above - gradient(moved)) / (2 * step)
    return np.asarray(0.5 * (hessian + hessian.T))


STEP = 1e-3
"""Relative step of differences of the fourth order."""


def slopes_by_differences(function: Callable[[Array], float], at: Array) -> Array:
    """Return ∂f/∂x (k,) by central differences of the fourth order.

    Examples
    --------
    >>> slopes_by_differences(lambda x: float(np.exp(x[0]) + x[1] ** 3), np.array([0.0, 2.0])).round(9).tolist()
    [1.0, 12.0]
    """
    out = np.empty(len(at))
    for j, value in enumerate(at):
        shift = np.zeros(len(at))
        shift[j] = STEP * max(abs(float(value)), 1.0)
        near = function(at + shift) - function(at - shift)
        far = function(at + 2 * shift) - function(at - 2 * shift)
        out[j] = (8.0 * near - far) / (12.0 * shift[j])
    return out


UNDETERMINED = 1e-7
"""Eigenvalue of the scaled Hessian, relative to the largest, below which a direction is not determined."""
LEAST = 1e-10
"""The same that stands for such a direction of a coefficient."""


def inverted(hessian: Array, free: NDArray[np.bool_], first_coefficient: int) -> Array:
    """Return 2H⁻ over the free parameters, zero for others; coefficients start at `first_coefficient`.

    Of directions that H does not determine those among covariance parameters alone are left out (rotations of a
    factor of Σ); those that a coefficient moves along, as towards an infinite estimate, have a very large variance.
    """
    places = np.flatnonzero(free)
    inside = hessian[np.ix_(places, places)]
    scale = np.sqrt(np.maximum(np.abs(inside.diagonal()), 1e-300))
    values, vectors = np.linalg.eigh(inside / np.outer(scale, scale))
    largest = max(float(values[-1]), 1e-300) if len(values) else 1.0
    kept = values > UNDETERMINED * largest
    coefficient = np.linalg.norm(vectors[places >= first_coefficient], axis=0) > 0.5
    values = np.where(kept, values, LEAST * largest)
    kept |= coefficient
    root = (vectors[:, kept] / np.sqrt(values[kept])) / scale[:, None]
    out = np.zeros(hessian.shape)
    out[np.ix_(places, places)] = 2.0 * root @ root.T
    return out


def profiled(gram: Array, k: int) -> Array:
    """Return the information on θ whose Schur complement over the rest is the average one: N + F'A⁻¹F.

    N is half the exact Hessian of 2h between parameters of θ, F between the others and θ, A among the others.
    """
    inner_part, cross, others = gram[:k, :k], gram[k:, :k], gram[k:, k:]
    scale = np.sqrt(np.maximum(np.abs(others.diagonal()), 1e-300))
    values, vectors = np.linalg.eigh(others / np.outer(scale, scale))
    kept = values > 1e-10 * max(float(values[-1]), 0.0) if len(values) else values > 0
    root = vectors[:, kept].T @ (cross / scale[:, None])
    return np.asarray(inner_part + (root / values[kept][:, None]).T @ root)
