"""Penalised columns as fixed and random columns of a mixed model, and the constraint that identifies them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ..typing import Array, Codes
from .base import Basis


@dataclass(frozen=True, slots=True, eq=False)
class MixedForm:
    """The coefficients of a smooth in the coordinates of a mixed model.

    With raw columns B, the fixed columns are `B @ fixed` and the random ones `B @ random`; the random coefficients u
    have precision Σ_j λ_j `penalties[j]` / σ². With one penalty that is λI/σ²: iid with variance σ²/λ.

    Attributes
    ----------
    fixed
        (k, M), what no penalty touches; orthonormal columns.
    random
        (k, r).
    penalties
        (r, r) each.
    diagonal
        (J, r), the diagonals of the penalties where all of them are diagonal (always so for one or two); None
        otherwise.
    """

    fixed: Array
    random: Array
    penalties: tuple[Array, ...]
    diagonal: Array | None


def centring(means: Array) -> Array:
    """Return Z, (k, k − 1), with orthonormal columns and means'Z = 0: the constraint Σ_i f(x_i) = 0, absorbed.

    Notes
    -----
    The Householder reflection that takes the means to one coordinate, without that coordinate's column (Wood 2017,
    section 1.8.1); `B @ Z` has column means zero. *Same as* mgcv's `absorb.cons`, up to a rotation.

    Examples
    --------
    >>> centring(np.array([1.0, 1.0])).round(4).tolist()
    [[-0.7071], [0.7071]]
    """
    length = float(np.linalg.norm(means))
    if not length > 0.0:
        raise ValueError("every mean is zero: there is nothing to constrain")
    v = means / length
    pivot = int(np.abs(v).argmax())
    v[pivot] += np.copysign(1.0, v[pivot])
    v /= np.linalg.norm(v)
    reflection: Array = np.eye(len(v)) - 2.0 * np.outer(v, v)
    return np.delete(reflection, pivot, axis=1)


def constraint(basis: Basis, x: tuple[Array | Codes, ...], means: Array | None = None) -> Array | None:
    """Return Z (k, k − 1) that makes a smooth sum to zero over rows x, or None where it needs no constraint.

    `means` of the columns over the rows where they are known.
    """
    if not basis.centred:
        return None
    means = basis.means(x) if means is None else means
    return centring(means if basis.constrained is None else np.where(basis.constrained, means, 0.0))


def mixed_form(
    penalties: tuple[Array, ...],
    null_dimension: int,
    constraint: Array | None = None,
    *,
    select: bool = False,
) -> MixedForm:
    """Return fixed and random coordinates for penalties S_j (k, k) whose common null space has a known dimension.

    Parameters
    ----------
    penalties
        Symmetric positive semidefinite, (k, k) each.
    null_dimension
        Dimension of the null space of Σ S_j, before the constraint.
    constraint
        Z (k, p) of `centring`: the coefficients are Zγ. The constraint takes a dimension off the null space where there
        is one (the constant lies in it).
    select
        Whether the null space has a penalty of its own, so that the whole smooth can vanish: mgcv's `select=TRUE`.

    Notes
    -----
    S = Σ_j S_j/‖S_j‖ = Udiag(d, 0)U'; fixed ZU₀, random ZU₊d^{−1/2}. So Σ_j S̃_j/‖S_j‖ = I in the random coordinates,
    whatever the λ_j: nothing is ever inverted that a small λ makes singular. Two penalties commute there and are made
    diagonal together: the log-determinant of Σ_jλ_jS̃_j is then a sum of logarithms, exact for any ratio of the λ_j.
    The null space is told by its dimension, which theory gives, and not by a tolerance.
    """
    z = np.eye(len(penalties[0])) if constraint is None else constraint
    if constraint is not None:
        null_dimension = max(null_dimension - (z.shape[0] - z.shape[1]), 0)
    kept = tuple(_symmetric(z.T @ s @ z) for s in penalties)
    if not kept:
        return MixedForm(z, z[:, :0], (), np.zeros((0, 0)))
    sizes = [1.0] if len(kept) == 1 else [float(np.linalg.norm(s)) for s in kept]
    total = sum((s / size for s, size in zip(kept, sizes, strict=True)), np.zeros_like(kept[0]))
    values, vectors = _eigen(total)
    null, penalised = vectors[:, :null_dimension], vectors[:, null_dimension:]
    random = penalised / np.sqrt(values[null_dimension:])
    inside = tuple(_symmetric(random.T @ s @ random) for s in kept)
    if len(kept) == 1:
        inside = (np.eye(random.shape[1]),)
    elif len(kept) == 2 and _diagonals(inside) is None:
        random, inside = _together(random, inside, sizes)
    if select and null_dimension:
        random, inside, null = _selected(random, inside, null)
    return MixedForm(z @ null, z @ random, inside, _diagonals(inside))


def _eigen(s: Array) -> tuple[Array, Array]:
    """Return rising eigenvalues with their vectors; those of a diagonal matrix are unit vectors."""
    diagonal = np.diag(s)
    if (s - np.diag(diagonal)).any():
        values, vectors = np.linalg.eigh(s)
        return values, vectors
    order = np.argsort(diagonal, kind="stable")
    return diagonal[order], np.eye(len(s))[:, order]


def _symmetric(s: Array) -> Array:
    out: Array = (s + s.T) / 2.0
    return out


def _together(
    random: Array, inside: tuple[Array, ...], sizes: list[float]
) -> tuple[Array, tuple[Array, ...]]:
    """Return coordinates in which both penalties are diagonal; S̃₁/‖S₁‖ + S̃₂/‖S₂‖ = I makes them commute."""
    values, vectors = linalg.eigh(inside[0] / sizes[0])
    share = np.clip(values, 0.0, 1.0)
    # A rank that is short shows as shares of rounding size: they are zeros of the one penalty or the other.
    share[share < 1e-12] = 0.0
    share[share > 1.0 - 1e-12] = 1.0
    return random @ vectors, (np.diag(share * sizes[0]), np.diag((1.0 - share) * sizes[1]))


def _selected(
    random: Array, inside: tuple[Array, ...], null: Array
) -> tuple[Array, tuple[Array, ...], Array]:
    """Return coordinates where the null space is penalised too, by one ridge."""
    r, m = random.shape[1], null.shape[1]
    wide = tuple(linalg.block_diag(s, np.zeros((m, m))) for s in inside)
    return np.hstack((random, null)), (*wide, linalg.block_diag(np.zeros((r, r)), np.eye(m))), null[:, :0]


def _diagonals(inside: tuple[Array, ...]) -> Array | None:
    diagonal = np.array([np.diag(s) for s in inside])
    flat = all(not (s - np.diag(np.diag(s))).any() for s in inside)
    return diagonal if flat else None
