"""Rows arranged in sets: each row behind its neighbours.

A field (a residual cluster) of up to m + 1 rows, and the first m + 1 rows of a larger one, have all rows before them as
neighbours; every later row has the m nearest of those before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...terms.rows import Rows
from ..base import SizeGroup
from .order import far_first, grid_places, nearest_before, nudged

Places = NDArray[np.intp]

NUMBERS = 2**19
"""Numbers in the covariances of the sets handed over at a time."""


def packed_size(t: int) -> int:
    """Return how many numbers the lower triangle of a t×t matrix holds."""
    return t * (t + 1) // 2


def set_counts(sizes: NDArray[np.intp], m: int) -> dict[int, float]:
    """Return how many sets of each number of rows fields of some sizes make."""
    counts: dict[int, float] = {m + 1: float(np.maximum(sizes - m, 0).sum())}
    for t in range(1, m + 1):
        here = float((sizes >= t).sum())
        if here:
            counts[t] = here
    return counts


def arranged_sets(rows: Rows, m: int, *, each_axis: bool) -> tuple[SizeGroup, ...]:
    """Return every row with its neighbours, rows (C, t) with the row itself last, by number of rows t in parts.

    Neighbours stand in the order of the field, so that equal sets of them are equal arrays.
    """
    residual = rows.residual
    assert residual is not None
    assert residual.coordinates is not None
    by_size: dict[int, list[Places]] = {}
    order = _canonical(rows)
    clusters = residual.clusters[order]
    bounds = np.flatnonzero(np.append(True, clusters[1:] != clusters[:-1]))
    for first, stop in zip(bounds, np.append(bounds[1:], len(order)), strict=True):
        own = order[first:stop]
        places = grid_places(residual.coordinates[own], each_axis=each_axis)
        rank = far_first(places)
        own, places = own[rank], nudged(places[rank])
        head = min(len(own), m + 1)
        for t in range(1, head + 1):
            by_size.setdefault(t, []).append(own[None, :t])
        if len(own) > head:
            near = np.sort(nearest_before(places, m), axis=1)
            both = np.column_stack([near, np.arange(head, len(own))])
            by_size.setdefault(m + 1, []).append(own[both])
    return groups_of(by_size)


def groups_of(by_size: Mapping[int, Sequence[Places]]) -> tuple[SizeGroup, ...]:
    """Return sets of rows (C, t) by t as groups of so many sets that their covariances are worked on at a time."""
    groups = []
    for t in sorted(by_size):
        sets = np.concatenate(by_size[t])
        step = max(1, NUMBERS // packed_size(t))
        groups += [_group(sets[i : i + step]) for i in range(0, len(sets), step)]
    return tuple(groups)


def _group(rows: Places) -> SizeGroup:
    return SizeGroup.of(np.ascontiguousarray(rows), np.arange(len(rows)))


def _canonical(rows: Rows) -> Places:
    """Return the rows by field, and inside by coordinates, covariates and response: an order of their own."""
    residual = rows.residual
    assert residual is not None
    coordinates = residual.coordinates
    assert coordinates is not None
    columns = (rows.y[None], rows.fixed.matrix.T[::-1], coordinates.T[::-1], residual.clusters[None])
    return np.asarray(np.lexsort(np.concatenate(columns)))
