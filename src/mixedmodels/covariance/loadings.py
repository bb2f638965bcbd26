"""Matrices Σ = LL' of a factor L with a fixed pattern of free entries, and their exact derivatives.

A `Pattern` lists the free entries of L column by column: the lower triangle for `us`, its first q columns
for the loadings of `fa`, its first q diagonals for `banded_us`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..typing import Array
from .base import SIGNIFICANT, VANISHED

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """Free entries of L (m, columns): `rows` and `cols` (k,) in the order of θ, and derived index sets."""

    m: int
    columns: int
    rows: Index
    cols: Index
    count: Index
    """0, 1, …, k−1."""
    flat: Index
    """Positions of the entries in L.ravel()."""
    pairs: Index
    """Positions of Γ[row_a, row_b] in Γ.ravel(), (k, k)."""
    twice_same_column: Array
    """2 where entries a and b stand in one column of L, else 0, (k, k)."""


def _pattern(m: int, columns: int, entries: list[tuple[int, int]]) -> Pattern:
    rows = np.array([i for i, _ in entries], dtype=np.intp)
    cols = np.array([j for _, j in entries], dtype=np.intp)
    same = 2.0 * (cols[:, None] == cols[None, :])
    pairs = rows[:, None] * m + rows[None, :]
    return Pattern(m, columns, rows, cols, np.arange(len(entries)), rows * columns + cols, pairs, same)


@lru_cache(maxsize=256)
def trapezoid(m: int, columns: int) -> Pattern:
    """Return the pattern of the first `columns` columns of a lower triangle.

    Examples
    --------
    >>> pattern = trapezoid(3, 2)
    >>> [(int(i), int(j)) for i, j in zip(pattern.rows, pattern.cols)]
    [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1)]
    """
    return _pattern(m, columns, [(i, j) for j in range(columns) for i in range(j, m)])


@lru_cache(maxsize=256)
def band(m: int, diagonals: int) -> Pattern:
    """Return the pattern of a lower triangle with `diagonals` diagonals, the main one included."""
    return _pattern(m, m, [(i, j) for j in range(m) for i in range(j, min(j + diagonals, m))])


def fill(theta: Array, pattern: Pattern) -> Array:
    """Return L (m, columns) with the entries θ."""
    out = np.zeros((pattern.m, pattern.columns), dtype=theta.dtype)
    out.ravel()[pattern.flat] = theta
    return out


def outer(theta: Array, pattern: Pattern) -> Array:
    """Return LL', (m, m)."""
    loading = fill(theta, pattern)
    return loading @ loading.T


def d_outer(theta: Array, pattern: Pattern) -> Array:
    """Return ∂LL'/∂θ_a = e_i L_j' + L_j e_i' for the entry (i, j) of L, (k, m, m)."""
    columns = fill(theta, pattern).T[pattern.cols]
    out = np.zeros((len(theta), pattern.m, pattern.m), dtype=theta.dtype)
    out[pattern.count, pattern.rows] = columns
    return out + out.transpose(0, 2, 1)


def d2_outer(pattern: Pattern) -> Array:
    """Return ∂²LL'/∂θ_a∂θ_b = (e_i e_k' + e_k e_i')·1(j = l) for entries (i, j) and (k, l), (k, k, m, m)."""
    k, m = len(pattern.rows), pattern.m
    out = np.zeros((k, k, m, m))
    a, b = np.nonzero(pattern.twice_same_column)
    out[a, b, pattern.rows[a], pattern.rows[b]] = 1.0
    return out + out.transpose(0, 1, 3, 2)


def outer_curvature(gamma: Array, pattern: Pattern) -> Array:
    """Return ⟨Γ, ∂²LL'/∂θ_a∂θ_b⟩ = 2Γ_ik·1(j = l), (k, k), without the second derivatives."""
    return gamma.ravel()[pattern.pairs] * pattern.twice_same_column


def positive_columns(theta: Array, pattern: Pattern) -> Array:
    """Return θ with the sign of each column of L chosen so that its first entry is not negative."""
    loading = fill(theta, pattern)
    first = loading[np.arange(pattern.columns), np.arange(pattern.columns)]
    return (loading * np.where(first < 0.0, -1.0, 1.0)).ravel()[pattern.flat]


def lower_trapezoid(loading: Array) -> Array:
    """Return a lower trapezoidal L with LL' = FF' for any F (m, q), q ≤ m; its diagonal is not negative.

    Examples
    --------
    >>> lower_trapezoid(np.array([[3.0, 4.0], [0.0, 5.0]])).round(12)
    array([[5., 0.],
           [4., 3.]])
    """
    q = loading.shape[1]
    rotation, _ = np.linalg.qr(loading[:q].T)
    out = np.tril(loading @ rotation)
    value: Array = out * np.where(np.diagonal(out) < 0.0, -1.0, 1.0)
    return value


def missing_direction(loading: Array, gamma: Array, step: float) -> Array | None:
    """Return the unit vector w along which LL' + w·w' lowers −2l most, if L has a rank to spare; else None.

    Parameters
    ----------
    loading
        L, (m, q).
    gamma
        Γ = ∂(−2l)/∂Σ, (m, m).
    step
        Size of the change of Σ under consideration.

    Notes
    -----
    With N the directions in which LL' is below `VANISHED` times `step`, w is the eigenvector of N'ΓN with
    the smallest eigenvalue λ, if λ·step < −`SIGNIFICANT`. When fewer than q directions are present in L,
    LL' + step·ww' again has a factor of q columns.
    """
    left, singular, _ = np.linalg.svd(loading, full_matrices=True)
    present = int(np.sum(singular**2 >= VANISHED * step))
    if present == loading.shape[1]:
        return None
    null = left[:, present:]
    eigenvalues, vectors = np.linalg.eigh(null.T @ gamma @ null)
    if eigenvalues[0] * step >= -SIGNIFICANT:
        return None
    value: Array = null @ vectors[:, 0]
    return value


def with_direction(loading: Array, direction: Array, step: float) -> Array:
    """Return a lower trapezoidal factor (m, q) of LL' + step·ww'; the smallest direction of L makes room."""
    left, singular, _ = np.linalg.svd(loading, full_matrices=False)
    columns = left * singular
    columns[:, -1] = np.sqrt(step) * direction
    return lower_trapezoid(columns)
