"""Penalties without a null space, so that a whole smooth can shrink to nothing."""

from __future__ import annotations

import numpy as np

from ..typing import Array

SHARE = 0.1
"""Penalty of what was free, as a share of the smallest other penalty: mgcv's default."""


def shrunk(penalty: Array, null_dimension: int, share: float = SHARE) -> Array:
    """Return the penalty with the eigenvalues of its null space put to a share of its smallest positive one.

    Notes
    -----
    Marra and Wood (2011), Computational Statistics and Data Analysis 55:2372, section 2.1. All directions of the null
    space get the same eigenvalue, so that the result does not depend on the basis chosen within it.
    """
    values, vectors = np.linalg.eigh(penalty)
    values[:null_dimension] = share * values[null_dimension]
    out: Array = (vectors * values) @ vectors.T
    return (out + out.T) / 2
