"""The definition of the kernels of `neighbours`: each row given its neighbours, in NumPy.

Every sum is that of all t rows of a set less that of the t − 1 before the last, by their dense covariances.
"""

from __future__ import annotations

import numpy as np

from ..typing import Array


def unpacked(v: Array) -> Array:
    """Return symmetric matrices (..., t, t) from lower triangles by rows (..., t(t+1)/2).

    Examples
    --------
    >>> unpacked(np.array([2.0, 0.5, 1.0]))
    array([[2. , 0.5],
           [0.5, 1. ]])
    """
    t = int(np.sqrt(2 * v.shape[-1]))
    i, j = np.tril_indices(t)
    out = np.empty((*v.shape[:-1], t, t))
    out[..., i, j] = out[..., j, i] = v
    return out


def pair_distances(coordinates: Array) -> Array:
    """Return the distances between positions (C, t, d), packed (C, t(t+1)/2)."""
    i, j = np.tril_indices(coordinates.shape[1])
    return np.asarray(np.linalg.norm(coordinates[:, i] - coordinates[:, j], axis=2))


def conditional_sums(v: Array, z: Array) -> tuple[float, Array]:
    """Return Σ log d and Σ hh'/d (c, c)."""
    logdet, total = 0.0, np.zeros((z.shape[2], z.shape[2]))
    for own, data in zip(unpacked(v), z, strict=True):
        for sign, part in ((1.0, slice(None)), (-1.0, slice(0, len(own) - 1))):
            logdet += sign * float(np.linalg.slogdet(own[part, part])[1])
            total += sign * data[part].T @ np.linalg.solve(own[part, part], data[part])
    return logdet, total


def conditional_products(v: Array, z: Array, directions: Array) -> tuple[Array, Array, Array]:
    """Return Σ tr(V⁻¹V̇_aV⁻¹V̇_b) (k, k), −Σ Z'V⁻¹V̇_aV⁻¹Z (k, c, c) and Σ Z'V⁻¹V̇_aV⁻¹V̇_bV⁻¹Z (k, k, c, c)."""
    k, c = len(directions), z.shape[2]
    e, p, q = np.zeros((k, k)), np.zeros((k, c, c)), np.zeros((k, k, c, c))
    for own, moved, data in zip(unpacked(v), unpacked(directions).swapaxes(0, 1), z, strict=True):
        for sign, stop in ((1.0, len(own)), (-1.0, len(own) - 1)):
            inverse = np.linalg.inv(own[:stop, :stop])
            half = inverse @ moved[:, :stop, :stop]
            solved = inverse @ data[:stop]
            e += sign * np.einsum("aij,bji->ab", half, half)
            p -= sign * np.einsum("ix,aij,jz->axz", solved, moved[:, :stop, :stop], solved)
            q += sign * np.einsum("ix,aij,bjk,kz->abxz", solved, moved[:, :stop, :stop], half, solved)
    return e, p, q
