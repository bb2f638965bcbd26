"""Rows arranged in independent clusters, and clusters with equal covariance in classes.

Two rows are in one cluster when they share a residual cluster or a level of any random term. Clusters of one size are
handled together as arrays (clusters, t, ·); those whose V_i is the same matrix for every parameter value (same
positions, Z, parameter sets, weights) form a class, and V is evaluated once per class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from ..terms.design import Design
from ..typing import Array, Codes


@dataclass(frozen=True, slots=True)
class SizeGroup:
    """All clusters of t rows: `rows` (m, t), ordered by class; `starts` (C,) first cluster of each class."""

    rows: NDArray[np.intp]
    starts: NDArray[np.intp]

    @property
    def counts(self) -> NDArray[np.intp]:
        """Clusters per class, (C,)."""
        return np.diff(np.append(self.starts, len(self.rows)))

    @property
    def class_of(self) -> NDArray[np.intp]:
        """Class of each cluster, (m,)."""
        return np.repeat(np.arange(len(self.starts)), self.counts)

    @property
    def first_rows(self) -> NDArray[np.intp]:
        """Rows of one cluster per class, (C, t)."""
        return self.rows[self.starts]


def cluster_codes(design: Design) -> Codes:
    """Return the independent cluster of each row, (n,)."""
    labels = [term.codes for term in design.random]
    if design.residual is not None and design.residual.structure is not None:
        labels.append(design.residual.clusters)
    if not labels:
        return np.arange(design.n, dtype=np.int32)
    if len(labels) == 1:
        return np.asarray(labels[0], dtype=np.int32)
    offsets = np.cumsum([0, *(int(codes.max()) + 1 for codes in labels)])
    first = labels[0]
    rows = np.concatenate([first for _ in labels[1:]])
    columns = np.concatenate([codes + offset for codes, offset in zip(labels[1:], offsets[1:-1], strict=True)])
    size = int(offsets[-1])
    graph = sparse.coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size, size))
    component = csgraph.connected_components(graph, directed=False)[1]
    return np.asarray(component[first], dtype=np.int32)


def largest_cluster(design: Design) -> int:
    """Return the number of rows of the largest independent cluster."""
    return int(np.bincount(cluster_codes(design)).max(initial=0))


def size_groups(design: Design) -> tuple[SizeGroup, ...]:
    """Return the clusters by size, and by class within size."""
    codes = np.unique(cluster_codes(design), return_inverse=True)[1].reshape(-1)
    features = _features(design)
    order = np.lexsort((np.arange(design.n), *_within_order(design), codes))
    counts = np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    groups = []
    for t in np.unique(counts):
        chosen = starts[counts == t]
        rows = order[chosen[:, None] + np.arange(t)]
        signature = np.concatenate([_signature(f, rows, relative) for f, relative in features], axis=1)
        kinds, inverse = np.unique(_as_bytes(signature), return_inverse=True)
        by_class = np.argsort(inverse.reshape(-1), kind="stable")
        first = np.searchsorted(inverse.reshape(-1)[by_class], np.arange(len(kinds)))
        groups.append(SizeGroup(rows[by_class], first))
    return tuple(groups)


def _within_order(design: Design) -> list[Array]:
    """Keys that order rows inside a cluster, least significant first."""
    residual = design.residual
    if residual is None:
        return []
    return [residual.index, residual.clusters] if residual.structure is not None else []


def _features(design: Design) -> list[tuple[Array, bool]]:
    """Row attributes V depends on: (values (n, k), whether only equality within the cluster matters)."""
    out: list[tuple[Array, bool]] = []
    for term in design.random:
        out.append((term.codes[:, None].astype(float), True))
        out.append((term.sets[term.codes][:, None].astype(float), False))
        if term.values is not None:
            out.append((term.values, False))
    residual = design.residual
    if residual is not None:
        if residual.structure is not None:
            out.append((residual.clusters[:, None].astype(float), True))
            out.append((residual.sets[residual.clusters][:, None].astype(float), False))
            out.append((residual.index[:, None].astype(float), False))
        if residual.coordinates is not None:
            out.append((residual.coordinates, False))
        for part in residual.variance:
            out.append((part.groups[:, None].astype(float), False))
            if part.covariate is not None:
                out.append((part.covariate[:, None], False))
    if design.weights is not None:
        out.append((design.weights[:, None], False))
    return out or [(np.zeros((design.n, 1)), False)]


def _signature(values: Array, rows: NDArray[np.intp], relative: bool) -> Array:
    """One row of numbers per cluster, equal for clusters that agree in this attribute."""
    part = values[rows]
    if relative:
        # which earlier row of the cluster has the same level
        same = part[:, :, None, 0] == part[:, None, :, 0]
        return np.argmax(same, axis=2).astype(float)
    return part.reshape(len(rows), -1)


def _as_bytes(signature: Array) -> NDArray[np.void]:
    flat = np.ascontiguousarray(signature + 0.0)
    return flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).reshape(-1)
