"""Cross-products of random columns without groups, those of smooths: all rows are one level."""

from __future__ import annotations

import numpy as np

from ...kernels import Blocked, blocked_from_products
from ...typing import Array, Codes
from ..standardise import ROWS_AT_ONCE, Standardised

WIDE = 12
"""Columns from which BLAS on blocks of rows beats the native pass."""


def one_level(values: Array, sets: Codes, standard: Standardised, weights: Array | None) -> Blocked:
    """Return the products of Z (n, p) with itself and with the dense columns, a block of rows at a time."""
    s, (n, p), r = standard, values.shape, len(standard.beta)
    block, dense = np.zeros((p, p)), np.zeros((p, r + 1))
    for first in range(0, n, ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        z, own = values[rows], np.empty((len(values[rows]), r + 1))
        own[:, :r] = (s.x[rows] - s.centre) * s.scale
        own[:, r] = s.y[rows] - own[:, :r] @ s.beta
        if weights is not None:
            own *= weights[rows, None]
        block += z.T @ (z if weights is None else z * weights[rows, None])
        dense += z.T @ own
    parents: list[Codes] = []
    none: Array = np.empty(0)
    factor = (
        p, 1, parents, (0.5 * (block + block.T)).reshape(-1), none, dense.reshape(-1),
        np.zeros(2, dtype=np.int64), np.empty(0, dtype=np.int32), none,
    )  # fmt: skip
    return blocked_from_products([factor], [sets], 0, r + 1, none, none, s.threads)
