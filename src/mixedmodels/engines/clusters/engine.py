"""The `clusters` engine: structured errors with any random effects, by independent clusters of moderate size."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...control import Control
from ...terms.rows import Rows
from ...typing import Array
from ..base import Engine, memory_refusal
from ..layout import Layout
from .arrange import cluster_sizes
from .equations import ClusterEquations

LARGEST = 2500
"""Rows of one cluster up to which its V is worth forming; correlated errors are formed as far as memory goes."""
PER_PAIR = 112.0
"""Bytes for each pair of rows of a large cluster: V, its inverse and derivatives."""


class ClustersEngine(Engine):
    """V_i of every cluster small and dense, by classes of equal V."""

    name: ClassVar[str] = "clusters"
    whole_clusters: ClassVar[bool] = True

    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        known = [term.label for term in layout.terms if term.known is not None]
        if known:
            return f"the known covariance of {known[0]!r} ties all its levels together"
        sizes = cluster_sizes(layout, rows)
        if sizes.max(initial=0) > LARGEST and not layout.correlated:
            return (
                f"{', '.join(_ties(layout))} tie {int(sizes.max())} rows together in one cluster, more than "
                "the "
                f"{LARGEST} whose covariance it forms"
            )
        return memory_refusal("its clusters", _bytes(sizes.astype(float)), control)

    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        sizes = cluster_sizes(layout, rows).astype(float)
        flops = float(np.sum(sizes**3) + layout.rank * np.sum(sizes**2))
        return flops, _bytes(sizes)

    def equations(self, layout: Layout, rows: Rows, control: Control) -> ClusterEquations:
        return ClusterEquations(layout, rows, control)


def _bytes(sizes: Array) -> float:
    """Return what clusters of some sizes take: of small ones a class at a time is worked on."""
    return 48.0 * float(np.sum(sizes**2)) + (PER_PAIR - 48.0) * float(sizes.max(initial=0.0)) ** 2


def _ties(layout: Layout) -> list[str]:
    """Return what puts rows into one cluster, for a message."""
    names = [f"the random term {term.label!r}" for term in layout.terms]
    if layout.errors is not None and layout.errors.correlated:
        names.append(f"the residual clusters of {layout.errors.label!r}")
    return names
