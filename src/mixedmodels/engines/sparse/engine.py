"""The `sparse` engine: any random terms, with independent errors or with structured ones that they cross."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...control import Control
from ...terms.design import Design
from ...typing import Codes
from ..base import Engine, Equations, memory_refusal
from ..homogeneous import HomogeneousEquations
from ..layout import merge_terms
from ..whitened.equations import WhitenedEquations
from .pattern import Analysis, analyse
from .system import SparseSystem

DENSE_KNOWN = 3000
"""Levels up to which a covariance matrix among levels is inverted to a precision."""
SPARSE_EFFORT = 3.0
"""Time of an operation in a sparse factor over one in a large dense factor."""
PER_ENTRY = 60.0
"""Dense operations in the time that one entry of the factor costs beside its arithmetic."""
PER_PAIR = 30.0
"""Dense operations in the time that one pair of columns of a residual cluster costs."""
CLEARLY = 20.0
"""How many times fewer operations than by independent clusters, which are taken together where they are equal and
give the exact Hessian, whitened rows must promise."""
LARGEST = 2500
"""Rows of one residual cluster up to which its R is worth forming."""


class SparseEngine(Engine):
    """Sparse Cholesky of all random columns, X by a dense Schur complement.

    Structured errors are whitened by residual cluster at every evaluation.
    """

    name: ClassVar[str] = "sparse"

    def __init__(self) -> None:
        self._last: tuple[Design, Analysis] | None = None

    def supports(self, design: Design, control: Control) -> str | None:
        if not design.bounded:
            return "it takes positive semidefinite covariances only (bounds='psd')"
        reason = self._refuse_known(design) or _refuse_errors(design, control)
        if reason is not None:
            return reason
        return memory_refusal("its factor", self.cost(design)[1], control)

    def _refuse_known(self, design: Design) -> str | None:
        for factor in merge_terms(design):
            known = design.random[factor.terms[0]].known
            if known is not None and known.covariance is not None and factor.q > DENSE_KNOWN:
                return (
                    f"it needs the precision (inverse) of a covariance among more than {DENSE_KNOWN} "
                    f"levels; {known.name!r} has {factor.q}"
                )
        return None

    def cost(self, design: Design) -> tuple[float, float]:
        analysis = self._analysis(design)
        rank = design.fixed.rank + 1
        # factorisation and selected inverse are three times the operations of the factorisation
        flops = 3.0 * SPARSE_EFFORT * analysis.flops + analysis.stored * (PER_ENTRY + 4.0 * rank)
        held = 16.0 * analysis.stored + 40.0 * len(analysis.indices) + 32.0 * analysis.order * rank
        held += 12.0 * design.n * sum(f.p for f in analysis.factors)
        if design.residual is not None:
            rows, columns = _cluster_shapes(design)
            flops += float(np.sum(rows**3 + PER_PAIR * (rows**2 + columns**2) + 4.0 * rows * columns**2))
            flops += 4.0 * float(np.sum(rows**2 * (columns + rank)))
            flops *= CLEARLY
            held += 8.0 * float(np.sum(4.0 * rows**2 + 4.0 * columns**2 + 3.0 * rows * columns))
        return flops, held

    def equations(self, design: Design, control: Control) -> Equations:
        analysis = self._analysis(design)
        if design.residual is None:
            return HomogeneousEquations(SparseSystem(design, control, analysis))
        return WhitenedEquations(design, control, analysis)

    def _analysis(self, design: Design) -> Analysis:
        """The analysis of a design, kept for the next question about the same one."""
        if self._last is None or self._last[0] is not design:
            clusters = None if design.residual is None else residual_clusters(design)
            self._last = (design, analyse(design, clusters))
        return self._last[1]


def residual_clusters(design: Design) -> Codes:
    """Return the cluster of each row (n,) within which errors are correlated; rows themselves without structure."""
    residual = design.residual
    if residual is None or residual.structure is None:
        return np.arange(design.n, dtype=np.int32)
    return residual.clusters


def _cluster_shapes(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and (at most) the random columns of every residual cluster."""
    clusters = residual_clusters(design)
    rows = np.bincount(clusters).astype(float)
    columns = np.zeros(len(rows))
    for factor in merge_terms(design):
        pairs = np.sort(clusters.astype(np.int64) * factor.q + factor.codes)
        pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])]
        width = factor.p if factor.values is None else float((factor.values != 0).sum(axis=1).max(initial=0))
        columns += np.bincount(pairs // factor.q, minlength=len(rows)) * min(
            float(factor.p), width * rows.max()
        )
    return rows, columns


def _refuse_errors(design: Design, control: Control) -> str | None:
    """Return why structured errors cannot be taken, if so, before anything large is built."""
    if design.residual is None:
        return None
    if not design.random:
        return "it takes structured errors together with random terms"
    rows, columns = _cluster_shapes(design)
    if rows.max(initial=0.0) > LARGEST:
        return (
            f"the residual clusters of {design.residual.label!r} have up to {int(rows.max())} rows, more than the "
            f"{LARGEST} whose covariance it forms"
        )
    size = 8.0 * float(np.sum(4.0 * rows**2 + 4.0 * columns**2 + 3.0 * rows * columns))
    return memory_refusal("its residual clusters", size, control)
