"""The rows of a field nearest to new places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...lazy import LazyModule
from ...terms.rows import Rows
from ...typing import Array
from .order import AT_ONCE, Places

if TYPE_CHECKING:
    from scipy import spatial
else:
    spatial = LazyModule("scipy.spatial")


def nearest_rows(rows: Rows, field: int, places: Array, m: int, each_axis: bool) -> Places:
    """Return the m rows of a field (all, where it has fewer) nearest to places (k, d), (k, m)."""
    residual = rows.residual
    assert residual is not None
    assert residual.coordinates is not None
    own = np.flatnonzero(residual.clusters == field)
    points = residual.coordinates[own]
    low, spread = points.min(axis=0), np.ptp(points, axis=0)
    spread = spread if each_axis else np.full(len(spread), spread.max(initial=0.0))
    spread[spread == 0.0] = 1.0
    nearest, count = spatial.cKDTree((points - low) / spread).query, min(m, len(own))
    out = np.empty((len(places), count), dtype=np.intp)
    for first in range(0, len(places), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        found = nearest((places[part] - low) / spread, k=count)[1]
        out[part] = own[found.reshape(len(out[part]), count)]
    return out
