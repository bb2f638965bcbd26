"""The order in which points of a field follow one another, and the nearest among those before each.

Points far apart come first, so that every later one has neighbours on all sides (Guinness 2018). Neither depends on
the order of the rows, nor on origin and unit of the coordinates: distances are compared between places on a grid of
2²⁴ cells along the longest side of the field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...lazy import LazyModule
from ...typing import Array

if TYPE_CHECKING:
    from scipy import spatial
else:
    spatial = LazyModule("scipy.spatial")

BITS = 24
"""Binary digits that places are kept to."""
KEY_BITS = 62
"""Binary digits of the number of a cell in all dimensions together."""
AT_ONCE = 20_000
"""Points whose neighbours are looked up at a time, between which an interruption is answered."""
NUDGE = 0.25
"""Cells by which places are moved, so that no two neighbours are equally far."""
APART = 0.6
"""Sides of a cell that points of its size are away from those before them."""
MARGIN = 8
"""Rows looked up besides twice the neighbours, half of which come before on average."""

Places = NDArray[np.intp]


def grid_places(points: Array, *, each_axis: bool) -> Array:
    """Return whole numbers from 0 to 2²⁴, (n, d), for points (n, d): one unit for all axes, or one for each."""
    low, high = points.min(axis=0), points.max(axis=0)
    spread = high - low
    if not each_axis:
        spread = np.full(len(spread), spread.max(initial=0.0))
    spread[spread == 0.0] = 1.0
    return np.asarray(np.rint((points - low) / spread * 2.0**BITS))


def far_first(places: Array) -> Places:
    """Return the order (n,) of places on the grid (n, d): of ever smaller cells one point each, the most central.

    Points of one place come one after another only when all others have had their turn; between them the order given
    counts.

    Examples
    --------
    >>> far_first(np.array([[0.0], [1.0], [8.0], [9.0], [16.0]]) * 2.0**20).tolist()[:1]
    [2]
    """
    n, d = places.shape
    bits = min(BITS, KEY_BITS // max(d, 1))
    taken = np.zeros(n, dtype=bool)
    order: list[Places] = []
    left = np.arange(n)
    for level in range(bits + 1):
        if not len(left):
            break
        keys, off_centre = _cells(places, level, bits)
        used = np.unique(keys[taken])
        open_ = left[~np.isin(keys[left], used)]
        if len(open_):
            ranked = open_[np.lexsort((open_, off_centre[open_], keys[open_]))]
            first = ranked[np.append(True, keys[ranked[1:]] != keys[ranked[:-1]])]
            if taken.any() and level < bits:
                nearest = spatial.cKDTree(places[taken]).query
                near = nearest(places[first])[0]
                first = first[near >= APART * 2.0 ** (BITS - level)]
            # cells of one size in no order, or those on one side would come first
            order.append(first[np.random.default_rng(level).permutation(len(first))])
            taken[first] = True
            left = left[~taken[left]]
    if len(left):
        order.append(left[np.lexsort((left, _occurrence(keys[left])))])
    return np.concatenate(order)


def _cells(places: Array, level: int, bits: int) -> tuple[NDArray[np.int64], Array]:
    """Return the number of each point's cell at a level, (n,), and its squared distance from the centre of the cell."""
    side = 2.0 ** (BITS - level)
    cell = np.minimum(np.floor(places / side), 2.0**level - 1.0)
    key = np.zeros(len(places), dtype=np.int64)
    for column in cell.T:
        key = (key << bits) + column.astype(np.int64) if level else key
    return key, np.asarray((((places / side) - cell - 0.5) ** 2).sum(axis=1))


def _occurrence(keys: NDArray[np.int64]) -> Places:
    """Return how many equal keys stand before each, (n,)."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    new = np.append(True, ranked[1:] != ranked[:-1])
    start = np.maximum.accumulate(np.where(new, np.arange(len(keys)), 0))
    out = np.empty(len(keys), dtype=np.intp)
    out[order] = np.arange(len(keys)) - start
    return out


def nudged(places: Array) -> Array:
    """Return places in their order moved by fractions of a cell that depend on the order alone."""
    return np.asarray(places + NUDGE * (np.random.default_rng(0).random(places.shape) - 0.5))


def nearest_before(points: Array, m: int) -> Places:
    """Return for the points from the (m + 1)-th on the m nearest of those before them, (n − m − 1, m), nearest first.

    Parameters
    ----------
    points
        Places in their order (n, d), no two pairs equally far apart.
    m
        Number of neighbours, at least 1.

    Examples
    --------
    >>> nearest_before(np.array([[0.0], [10.0], [4.0], [9.0]]), 2)
    array([[1, 2]])
    """
    n = len(points)
    out = np.empty((max(n - m - 1, 0), m), dtype=np.intp)
    first = m + 1
    while first < n:
        stop = min(2 * first, n)
        tree = spatial.cKDTree(points[:stop])
        for begin in range(first, stop, AT_ONCE):
            own = np.arange(begin, min(begin + AT_ONCE, stop))
            out[own - m - 1] = _among(tree, points, own, m)
        first = stop
    return out


def _among(tree: spatial.cKDTree, points: Array, own: Places, m: int) -> Places:
    """Return the m nearest in the tree of those before each of some points, (len(own), m)."""
    out = np.empty((len(own), m), dtype=np.intp)
    nearest = tree.query
    count, left = min(2 * m + MARGIN, tree.n), np.arange(len(own))
    while len(left):
        found = nearest(points[own[left]], k=count)[1].reshape(len(left), count)
        before = found < own[left][:, None]
        enough = before.sum(axis=1) >= m
        # places of those before come first, in their order
        rank = np.argsort(~before[enough], axis=1, kind="stable")[:, :m]
        out[left[enough]] = np.take_along_axis(found[enough], rank, axis=1)
        left = left[~enough]
        count = min(2 * count, tree.n)
    return out
