"""Rows arranged in independent clusters, and clusters with equal covariance in classes.

Two rows are in one cluster when they share a residual cluster or a level of any random term. Clusters of one
size are handled together as arrays (clusters, t, ·); those whose covariance is the same matrix for every
parameter value, once rows are divided by their standard deviations, form a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...lazy import LazyModule
from ...terms.rows import Rows
from ...typing import Array, Codes
from ..base import SizeGroup
from ..layout import Layout

if TYPE_CHECKING:
    from scipy import sparse
    from scipy.sparse import csgraph
else:
    sparse = LazyModule("scipy.sparse")
    csgraph = LazyModule("scipy.sparse.csgraph")


def cluster_codes(layout: Layout, rows: Rows) -> Codes:
    """Return the independent cluster of each row, (n,), numbered from 0 without gaps."""
    labels = [term.codes for term in rows.random]
    if rows.residual is not None and layout.correlated:
        labels.append(rows.residual.clusters)
    if not labels:
        return np.arange(layout.n, dtype=np.int32)
    if len(labels) == 1:
        return np.asarray(labels[0], dtype=np.int32)
    offsets = np.cumsum([0, *(int(codes.max()) + 1 for codes in labels)])
    first = labels[0]
    source = np.concatenate([first for _ in labels[1:]])
    columns = np.concatenate(
        [codes + offset for codes, offset in zip(labels[1:], offsets[1:-1], strict=True)]
    )
    size = int(offsets[-1])
    graph = sparse.coo_array((np.ones(len(source), dtype=np.int8), (source, columns)), shape=(size, size))
    component = csgraph.connected_components(graph, directed=False)[1]
    return np.asarray(component[first], dtype=np.int32)


def cluster_sizes(layout: Layout, rows: Rows) -> NDArray[np.intp]:
    """Return the number of rows of every independent cluster."""
    return np.bincount(cluster_codes(layout, rows))


def size_groups(layout: Layout, rows: Rows) -> tuple[SizeGroup, ...]:
    """Return the clusters by size, and by class within size."""
    codes = cluster_codes(layout, rows)
    counts = np.bincount(codes)
    if not counts.all():
        codes = (np.cumsum(counts > 0) - 1).astype(np.int32)[codes]
        counts = counts[counts > 0]
    features = _features(layout, rows)
    order = _row_order(layout, rows, codes)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    groups = []
    for t in np.unique(counts):
        chosen = starts[counts == t]
        places = order[chosen[:, None] + np.arange(t)]
        if not features:
            groups.append(SizeGroup.of(places, np.zeros(1, dtype=np.intp)))
            continue
        signature = np.concatenate([_signature(f, places, relative) for f, relative in features], axis=1)
        groups.append(_classified(places, signature))
    return tuple(groups)


def _classified(rows: NDArray[np.intp], signature: Array) -> SizeGroup:
    """Return the clusters sorted into classes of equal signature."""
    kinds, inverse = np.unique(_as_bytes(signature), return_inverse=True)
    inverse = inverse.reshape(-1)
    if len(kinds) == len(rows):
        return SizeGroup.of(rows, np.arange(len(rows)))
    by_class = np.argsort(inverse, kind="stable")
    first = np.searchsorted(inverse[by_class], np.arange(len(kinds)))
    return SizeGroup.of(rows[by_class], first)


def _row_order(layout: Layout, rows: Rows, codes: Codes) -> NDArray[np.intp]:
    """Return the rows cluster by cluster, by residual cluster and position inside."""
    residual = rows.residual
    if residual is None or not layout.correlated:
        return np.argsort(codes, kind="stable")
    keys: list[Codes] = [residual.index] if residual.coordinates is None else []
    if layout.terms:
        keys.append(residual.clusters)
    return np.lexsort((*keys, codes)) if keys else np.argsort(codes, kind="stable")


def _features(layout: Layout, rows: Rows) -> list[tuple[Array, bool]]:
    """Row attributes the scaled V depends on: (values (n, k), whether only equality within the cluster
    matters).

    Variance functions and weights are divided out of the rows, and so matter only where Z is divided too.
    """
    out: list[tuple[Array, bool]] = []
    for term, own in zip(layout.terms, rows.random, strict=True):
        out.append((own.codes[:, None].astype(float), True))
        if term.n_sets > 1:
            out.append((term.sets[own.codes][:, None].astype(float), False))
        if own.values is not None:
            out.append((own.values, False))
    residual, errors = rows.residual, layout.errors
    if residual is not None and errors is not None and errors.correlated:
        if layout.terms:
            out.append((residual.clusters[:, None].astype(float), True))
        if errors.n_sets > 1:
            out.append((errors.sets[residual.clusters][:, None].astype(float), False))
        if residual.coordinates is None:
            out.append((residual.index[:, None].astype(float), False))
        else:
            out.append((residual.coordinates, False))
    if layout.terms:
        out += [(values, False) for values in _scales(rows)]
    return out


def _scales(rows: Rows) -> list[Array]:
    """Attributes that a row's standard deviation is computed from, each (n, k)."""
    out = [] if rows.weights is None else [rows.weights[:, None]]
    for part in rows.residual.variance if rows.residual is not None else ():
        out.append(part.groups[:, None].astype(float))
        if part.covariate is not None:
            out.append(part.covariate.reshape(len(rows), -1))
    return out


def _signature(values: Array, rows: NDArray[np.intp], relative: bool) -> Array:
    """One row of numbers per cluster, equal for clusters that agree in this attribute."""
    part = values[rows]
    if relative:
        # which earlier row of the cluster has the same level
        same = part[:, :, None, 0] == part[:, None, :, 0]
        first: Array = np.argmax(same, axis=2).astype(float)
        return first
    return np.asarray(part.reshape(len(rows), -1))


def _as_bytes(signature: Array) -> NDArray[np.void]:
    flat = np.ascontiguousarray(signature + 0.0)
    return flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).reshape(-1)
