"""Adaptive P-splines, `ad`: roughness is penalised more in some places than in others."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..errors import SpecError
from ..typing import Array, Codes, Labels
from .b_spline import b_spline
from .base import Basis, Given, Smooth, checked_size, numbers, one_order
from .p_spline import WIDER, equal_knots, spline_basis


class Adaptive(Smooth):
    """`ad`: a cubic P-spline of k = 40 columns whose second differences have m = 5 penalties along x.

    Notes
    -----
    S_j = D'diag(b_j)D, where b_j is the j-th B-spline over the places of the differences: the smoothing parameter is
    itself a spline of x (Wood 2011, JRSS B 73:3, section 5.1). *Same as* mgcv's `bs = "ad"` for one variable.
    """

    names: ClassVar[Labels] = ("ad",)
    tensor: ClassVar[bool] = False
    derivatives: ClassVar[int] = 3

    def usual_size(self, d: int) -> int:
        """Return k where it is not given."""
        return 40

    def learn(self, x: tuple[Array | Codes, ...], given: Given) -> Basis:
        """Return the basis for the rows x."""
        m = one_order(given, 5, tuple(range(1, 21)))
        k = checked_size(given, 40, 5)
        if m > k - 2:
            raise SpecError(
                f"{given.label}: m={m} penalties are too many for k={k} columns; give m={k - 2} or fewer."
            )
        measure = equal_knots(np.asarray(x[0], dtype=np.float64), given, k, 3)
        d = np.diff(np.eye(k), 2, axis=0)
        penalties = tuple(d.T @ (column[:, None] * d) for column in _weights(k, m).T)
        labels = numbers(given.label, k)
        return spline_basis(tuple((s + s.T) / 2 for s in penalties), 2, (1.0,) * m, labels, measure, 3)


def _weights(k: int, m: int) -> Array:
    """Return the weights of each penalty at the k − 2 second differences, (k − 2, m)."""
    places = np.arange(1, k - 1) / k
    if m <= 2:
        return np.column_stack((np.ones(k - 2), places))[:, :m]
    degree = min(3, m - 1)
    wide = places[-1] - places[0]
    low, high = places[0] - WIDER * wide, places[-1] + WIDER * wide
    step = (high - low) / (m - degree)
    return b_spline(low + step * np.arange(-degree, m + 1), degree, places)
