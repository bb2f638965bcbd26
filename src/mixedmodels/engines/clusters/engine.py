"""The `clusters` engine: structured errors with any random effects, by independent clusters of moderate size."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...control import Control
from ...terms.design import Design
from ..base import Engine, memory_refusal
from .arrange import cluster_sizes
from .equations import ClusterEquations

LARGEST = 2500
"""Rows of one cluster up to which its V is worth forming."""


class ClustersEngine(Engine):
    """V_i of every cluster small and dense, by classes of equal V."""

    name: ClassVar[str] = "clusters"
    whole_clusters: ClassVar[bool] = True

    def supports(self, design: Design, control: Control) -> str | None:
        known = [term.label for term in design.random if term.known is not None]
        if known:
            return f"the known covariance of {known[0]!r} ties all its levels together"
        sizes = cluster_sizes(design)
        if sizes.max(initial=0) > LARGEST:
            return (
                f"{', '.join(_ties(design))} tie {int(sizes.max())} rows together in one cluster, more than "
                "the "
                f"{LARGEST} whose covariance it forms"
            )
        need = 8.0 * 6.0 * float(np.sum(sizes.astype(float) ** 2))
        return memory_refusal("its clusters", need, control)

    def cost(self, design: Design) -> tuple[float, float]:
        sizes = cluster_sizes(design).astype(float)
        flops = float(np.sum(sizes**3) + design.fixed.rank * np.sum(sizes**2))
        size = 8.0 * 6.0 * float(np.sum(sizes**2))
        # equal independent errors: the mixed-model equations are never larger
        return (flops if design.residual is not None else float("inf")), size

    def equations(self, design: Design, control: Control) -> ClusterEquations:
        return ClusterEquations(design, control)


def _ties(design: Design) -> list[str]:
    """Return what puts rows into one cluster, for a message."""
    names = [f"the random term {term.label!r}" for term in design.random]
    if design.residual is not None and design.residual.structure is not None:
        names.append(f"the residual clusters of {design.residual.label!r}")
    return names
