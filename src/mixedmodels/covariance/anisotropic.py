"""Products of one-dimensional correlations, one factor per coordinate: `powa` and `expa`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from ..errors import SpecError
from ..typing import Array
from .base import Natural, Positions, Structure
from .correlation import Correlation, is_diagonal, nearest
from .scales import OneVariance
from .spatial import coordinates_of
from .transforms import POSITIVE, Closed, Transform

_EXPONENT = Closed(0.0, 2.0)


def coordinate_distances(at: Positions) -> Array:
    """Return |x_ik − x_jk| for each coordinate k, (d, ..., m, m), or packed."""
    coordinates = np.moveaxis(coordinates_of(at), -1, 0)
    if at.packed:
        i, j = np.tril_indices(at.size)
        return np.abs(coordinates[..., i] - coordinates[..., j])
    return np.abs(coordinates[..., :, None] - coordinates[..., None, :])


def _typical(distance: Array) -> float:
    positive = distance[distance > 0.0]
    return float(np.median(positive)) if len(positive) else 1.0


@final
@dataclass(frozen=True, slots=True)
class ProductOfPowers(Correlation):
    """C_ij = Π_k ρ_k^(d_ijk) = exp(−Σ_k d_ijk/r_k), with u = r and reported ρ_k = exp(−1/r_k)."""

    dimension: int

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (POSITIVE,) * self.dimension

    def of(self, u: Array, at: Positions) -> Array:
        return np.exp(-np.tensordot(1.0 / u, coordinate_distances(at), 1))

    def d_of(self, u: Array, at: Positions) -> Array:
        value: Array = self.of(u, at) * np.einsum("k,k...->k...", u**-2, coordinate_distances(at))
        return value

    def d2_of(self, u: Array, at: Positions) -> Array:
        c = self.of(u, at)
        slopes = np.einsum("k,k...->k...", u**-2, coordinate_distances(at))
        out: Array = slopes[:, None] * slopes[None, :] * c
        for k in range(self.dimension):
            out[k, k] -= 2.0 / u[k] * slopes[k] * c
        return out

    def start_values(self, target: Array, at: Positions) -> Array:
        usual = np.array([_typical(d) for d in coordinate_distances(at)])
        if is_diagonal(target):
            return usual / 3.0
        return nearest(self, (usual * factor for factor in np.geomspace(0.05, 20.0, 25)), target, at)

    def trial_values(self, at: Positions) -> Iterable[Array]:
        usual = np.array([_typical(d) for d in coordinate_distances(at)])
        return [usual * factor for factor in np.geomspace(0.1, 10.0, 7)]

    def ladder(self, at: Positions) -> list[Array]:
        return list(self.trial_values(at))

    def report(self, u: Array, at: Positions) -> Natural:
        rho = np.exp(-1.0 / u)
        names = tuple(f"correlation({k + 1})" for k in range(len(u)))
        return Natural(names, rho, np.diag(rho / u**2), ("correlation",) * len(u))

    def from_report(self, values: Array, at: Positions) -> Array:
        if not np.all((values > 0.0) & (values < 1.0)):
            raise ValueError("correlations per unit distance must be in (0, 1)")
        return -1.0 / np.log(values)


@final
@dataclass(frozen=True, slots=True)
class ProductOfExponentials(Correlation):
    """C_ij = exp(−Σ_k θ_k d_ijk^(p_k)), with u = (θ, p), θ_k > 0 and 0 < p_k ≤ 2."""

    dimension: int

    def transforms(self, m: int) -> tuple[Transform, ...]:
        return (POSITIVE,) * self.dimension + (_EXPONENT,) * self.dimension

    def of(self, u: Array, at: Positions) -> Array:
        powers, _ = self._terms(u, at)
        return np.exp(-np.tensordot(u[: self.dimension], powers, 1))

    def d_of(self, u: Array, at: Positions) -> Array:
        powers, logs = self._terms(u, at)
        rates = u[: self.dimension]
        slopes = np.concatenate([powers, np.einsum("k,k...->k...", rates, powers * logs)])
        return -slopes * np.exp(-np.tensordot(rates, powers, 1))

    def d2_of(self, u: Array, at: Positions) -> Array:
        n = self.dimension
        powers, logs = self._terms(u, at)
        rates = u[:n]
        c = np.exp(-np.tensordot(rates, powers, 1))
        slopes = np.concatenate([powers, np.einsum("k,k...->k...", rates, powers * logs)])
        out: Array = slopes[:, None] * slopes[None, :] * c
        for k in range(n):
            mixed = powers[k] * logs[k] * c
            out[k, n + k] -= mixed
            out[n + k, k] -= mixed
            out[n + k, n + k] -= rates[k] * logs[k] * mixed
        return out

    def start_values(self, target: Array, at: Positions) -> Array:
        if is_diagonal(target):
            usual = np.array([_typical(d) for d in coordinate_distances(at)])
            return np.concatenate([3.0 / usual / self.dimension, np.ones(self.dimension)])
        return nearest(self, self.trial_values(at), target, at)

    def trial_values(self, at: Positions) -> Iterable[Array]:
        usual = np.array([_typical(d) for d in coordinate_distances(at)])
        powers = np.ones(self.dimension)
        return [np.concatenate([rate / usual, powers]) for rate in np.geomspace(0.02, 20.0, 15)]

    def ladder(self, at: Positions) -> list[Array]:
        return list(self.trial_values(at))

    def report(self, u: Array, at: Positions) -> Natural:
        count = range(1, self.dimension + 1)
        names = tuple(f"rate({k})" for k in count) + tuple(f"power({k})" for k in count)
        return Natural(names, u, np.eye(len(u)), ("other",) * len(u))

    def _terms(self, u: Array, at: Positions) -> tuple[Array, Array]:
        """Return d^p and log d per coordinate, both 0 at distance 0."""
        d = coordinate_distances(at)
        logs = np.log(np.where(d > 0.0, d, 1.0))
        exponents = u[self.dimension :].reshape((-1,) + (1,) * (d.ndim - 1))
        return np.where(d > 0.0, np.exp(exponents * logs), 0.0), logs


def _check_dimension(name: str, dimension: int, at: Positions | None = None) -> None:
    if dimension < 1:
        raise SpecError(f"{name}({dimension}): the number of coordinates must be at least 1.")
    if at is not None and coordinates_of(at).shape[-1] != dimension:
        given = coordinates_of(at).shape[-1]
        raise SpecError(f"structure '{name}' was made for {dimension} coordinates and is given {given}.")


@final
@dataclass(frozen=True, slots=True)
class AnisotropicPower(OneVariance, Structure):
    """Σ_ij = σ²Π_k ρ_k^(d_ijk), d_ijk the distance along coordinate k and 0 < ρ_k < 1.

    *Same as* SAS TYPE=SP(POWA).

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0, 0.0], [1.0, 2.0]]))
    >>> powa = AnisotropicPower(2)
    >>> powa.matrix(powa.from_natural(np.array([1.0, 0.8, 0.5]), at), at).round(12)
    array([[1. , 0.2],
           [0.2, 1. ]])
    """

    names: ClassVar[tuple[str, ...]] = ("powa", "sp(powa)")
    needs_coordinates = True
    on_pairs = True
    by_axis = True
    nugget_allowed = True
    unit_first = True
    dimension: int

    def __post_init__(self) -> None:
        _check_dimension("powa", self.dimension)

    @property
    def correlation(self) -> Correlation:
        return ProductOfPowers(self.dimension)

    def smallest(self) -> int:
        return 2

    def check(self, at: Positions) -> None:
        """Raise `SpecError` unless the positions have the right number of finite coordinates."""
        Structure.check(self, at)
        _check_dimension("powa", self.dimension, at)


@final
@dataclass(frozen=True, slots=True)
class AnisotropicExponential(OneVariance, Structure):
    """Σ_ij = σ²Π_k exp(−θ_k d_ijk^(p_k)), d_ijk the distance along coordinate k, θ_k > 0, 0 < p_k ≤ 2.

    *Same as* SAS TYPE=SP(EXPA).

    Examples
    --------
    >>> at = Positions(2, ("a", "b"), np.array([[0.0], [2.0]]))
    >>> expa = AnisotropicExponential(1)
    >>> bool(np.isclose(expa.matrix(expa.from_natural(np.array([1.0, 0.25, 2.0]), at), at)[0, 1], np.exp(-1)))
    True
    """

    names: ClassVar[tuple[str, ...]] = ("expa", "sp(expa)")
    needs_coordinates = True
    on_pairs = True
    by_axis = True
    nugget_allowed = True
    unit_first = True
    dimension: int

    def __post_init__(self) -> None:
        _check_dimension("expa", self.dimension)

    @property
    def correlation(self) -> Correlation:
        return ProductOfExponentials(self.dimension)

    def smallest(self) -> int:
        return 3

    def check(self, at: Positions) -> None:
        """Raise `SpecError` unless the positions have the right number of finite coordinates."""
        Structure.check(self, at)
        _check_dimension("expa", self.dimension, at)
