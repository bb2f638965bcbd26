"""Contrast codings of a factor: the columns that stand for its levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..typing import Array, Labels


def full(k: int) -> Array:
    """Return one indicator per level, (k, k)."""
    return np.eye(k)


def treatment(k: int) -> Array:
    """Return indicators of every level but the first, (k, k − 1)."""
    return np.eye(k)[:, 1:]


def sum_to_zero(k: int) -> Array:
    """Return deviations of every level but the last, which is −1 throughout, (k, k − 1)."""
    return np.vstack([np.eye(k - 1), -np.ones((1, k - 1))])


def helmert(k: int) -> Array:
    """Return each level against the mean of those before it, (k, k − 1): column j is −1 (j times), then j."""
    out = np.zeros((k, k - 1))
    for j in range(1, k):
        out[:j, j - 1] = -1.0
        out[j, j - 1] = j
    return out


def polynomial(k: int) -> Array:
    """Return orthonormal polynomials of degree 1 to k − 1 at equally spaced scores, (k, k − 1)."""
    scores = np.arange(k) - (k - 1) / 2
    q, r = np.linalg.qr(np.vander(scores, k, increasing=True))
    return np.asarray((q * np.sign(np.diagonal(r)))[:, 1:])


CODINGS: Mapping[str, Callable[[int], Array]] = {
    "full": full,
    "treatment": treatment,
    "sum": sum_to_zero,
    "helmert": helmert,
    "poly": polynomial,
}


def coded_names(label: str, coding: str, levels: Sequence[object]) -> Labels:
    """Return the names of a coding's columns: `sex[T.M]`, `sex[M]`, `week[.L]`.

    Examples
    --------
    >>> coded_names("sex", "treatment", ["F", "M"])
    ('sex[T.M]',)
    """
    names = [str(level) for level in levels]
    if coding == "full":
        fields = names
    elif coding == "treatment":
        fields = [f"T.{name}" for name in names[1:]]
    elif coding == "sum":
        fields = [f"S.{name}" for name in names[:-1]]
    elif coding == "helmert":
        fields = [f"H.{name}" for name in names[1:]]
    else:
        fields = [[".L", ".Q", ".C"][d - 1] if d <= 3 else f"^{d}" for d in range(1, len(names))]
    return tuple(f"{label}[{field}]" for field in fields)
