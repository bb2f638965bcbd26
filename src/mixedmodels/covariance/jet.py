"""Arrays with their first and second derivatives in k parameters, for recursions without a closed form.

The recursions of Durbin and Levinson give autocorrelations from partial autocorrelations step by step;
carrying `Jet`s through them gives exact derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..typing import Array


@dataclass(frozen=True, slots=True)
class Jet:
    """A vector (n,) with its gradient (k, n) and Hessian (k, k, n); n = 1 is a scalar, which broadcasts."""

    value: Array
    first: Array
    second: Array

    def __add__(self, other: Jet) -> Jet:
        return Jet(self.value + other.value, self.first + other.first, self.second + other.second)

    def __sub__(self, other: Jet) -> Jet:
        return Jet(self.value - other.value, self.first - other.first, self.second - other.second)

    def __mul__(self, other: Jet) -> Jet:
        cross = self.first[:, None] * other.first[None, :]
        return Jet(
            self.value * other.value,
            self.first * other.value + self.value * other.first,
            self.second * other.value + self.value * other.second + cross + cross.swapaxes(0, 1),
        )

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Jet:
        return Jet(self.value[index], self.first[:, index], self.second[:, :, index])

    def reciprocal(self) -> Jet:
        """Return 1/x."""
        inverse = 1.0 / self.value
        outer = self.first[:, None] * self.first[None, :]
        return Jet(inverse, -self.first * inverse**2, 2.0 * outer * inverse**3 - self.second * inverse**2)

    def sum(self) -> Jet:
        """Return the sum of the elements as a scalar jet."""
        return Jet(
            self.value.sum(keepdims=True),
            self.first.sum(axis=1, keepdims=True),
            self.second.sum(axis=2, keepdims=True),
        )


def variables(values: Array, derivatives: bool = True) -> list[Jet]:
    """Return the parameters (k,) as scalar jets; without derivatives their gradients have length 0."""
    k = len(values) if derivatives else 0
    out = []
    for a, value in enumerate(values):
        first = np.zeros((k, 1), dtype=values.dtype)
        if derivatives:
            first[a] = 1.0
        out.append(Jet(np.array([value]), first, np.zeros((k, k, 1), dtype=values.dtype)))
    return out


def constant(values: Array, k: int) -> Jet:
    """Return `values` (n,) as a jet of k parameters with derivatives zero."""
    n = len(values)
    return Jet(values, np.zeros((k, n), dtype=values.dtype), np.zeros((k, k, n), dtype=values.dtype))


def concatenated(parts: list[Jet]) -> Jet:
    """Return jets one after another."""
    return Jet(
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.first for p in parts], axis=1),
        np.concatenate([p.second for p in parts], axis=2),
    )


def levinson(partials: list[Jet], length: int, k: int, dtype: np.dtype[np.float64]) -> tuple[Jet, Jet]:
    """Return autocorrelations (length,) and coefficients (p,) from p partial autocorrelations.

    Notes
    -----
    Durbin–Levinson: with a⁽⁰⁾ empty, v₀ = 1 and partial autocorrelation u_i at lag i, r_i = u_i v_{i−1} +
    Σ_j a⁽ⁱ⁻¹⁾_j r_{i−j},  a⁽ⁱ⁾ = (a⁽ⁱ⁻¹⁾ − u_i·reversed a⁽ⁱ⁻¹⁾, u_i),  v_i = v_{i−1}(1 − u_i²); beyond lag
    p, r_i = Σ_j a_j r_{i−j} (Brockwell and Davis 1991, section 5.2).
    """
    one = constant(np.ones(1, dtype=dtype), k)
    r, a, v = one, constant(np.zeros(0, dtype=dtype), k), one
    for i in range(1, length):
        reverse = r[::-1]
        if i > len(partials):
            r = concatenated([r, (a * reverse[: len(partials)]).sum()])
            continue
        u = partials[i - 1]
        r = concatenated([r, u * v + (a * reverse[: i - 1]).sum()])
        a = concatenated([a - u * a[::-1], u])
        v = v - v * u * u
    return r, a


def autocorrelations(partials: Array) -> Array:
    """Return r₀ = 1, r₁, …, r_p (p + 1,) from p partial autocorrelations: `levinson` without derivatives.

    Examples
    --------
    >>> autocorrelations(np.array([0.5, 0.0])).round(12)
    array([1.  , 0.5 , 0.25])
    """
    r = np.ones(len(partials) + 1, dtype=partials.dtype)
    a, v = r[:0], r[0]
    for i, u in enumerate(partials):
        r[i + 1] = u * v + a @ r[i:0:-1]
        a = np.append(a - u * a[::-1], u)
        v = v * (1.0 - u * u)
    return r


def partial_autocorrelations(autocorrelations: Array) -> Array:
    """Return the partial autocorrelations (n,) of autocorrelations r₁, …, r_n by Durbin–Levinson.

    Where the prediction variance is exhausted the remaining partial autocorrelations are 0.

    Examples
    --------
    >>> partial_autocorrelations(np.array([0.5, 0.25, 0.125])).round(12)
    array([0.5, 0. , 0. ])
    """
    n = len(autocorrelations)
    out, a, v = np.zeros(n), np.zeros(0), 1.0
    for i in range(n):
        if v <= 1e-14:
            break
        u = (autocorrelations[i] - a @ autocorrelations[:i][::-1]) / v
        a = np.append(a - u * a[::-1], u)
        v *= 1.0 - u * u
        out[i] = u
    return out


def partials_of_coefficients(coefficients: Array) -> Array:
    """Return the partial autocorrelations (p,) of autoregressive coefficients; ValueError if not stationary.

    Examples
    --------
    >>> partials_of_coefficients(np.array([0.5, 0.2])).round(12)
    array([0.625, 0.2  ])
    """
    a = np.asarray(coefficients, dtype=np.float64)
    out = np.zeros(len(a))
    for i in range(len(a) - 1, -1, -1):
        u = out[i] = a[-1]
        if not abs(u) < 1.0:
            raise ValueError(
                f"coefficients {list(map(float, coefficients))} are not stationary or invertible"
            )
        a = (a[:-1] + u * a[:-1][::-1]) / (1.0 - u * u)
    return out
