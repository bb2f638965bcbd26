"""The `sparse` engine: any random terms, with independent errors or with structured ones that they cross."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...control import Control
from ...terms.rows import Rows
from ...typing import Codes
from ..arrangement import merge_terms
from ..base import Engine, Equations, memory_refusal
from ..homogeneous import HomogeneousEquations
from ..layout import Layout
from ..whitened.equations import WhitenedEquations
from .pattern import Analysis, analyse
from .system import SparseSystem
from .turned import Turn

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
        self._last: tuple[Rows, Analysis, Turn | None] | None = None

    def supports(self, layout: Layout, rows: Rows, control: Control) -> str | None:
        if not layout.bounded:
            return "it takes positive semidefinite covariances only (bounds='psd')"
        reason = self._refuse_known(layout, rows) or _refuse_errors(layout, rows, control)
        if reason is not None:
            return reason
        return memory_refusal("its factor", self.cost(layout, rows)[1], control)

    def _refuse_known(self, layout: Layout, rows: Rows) -> str | None:
        for factor in merge_terms(layout, rows):
            known = layout.terms[factor.terms[0]].known
            if known is not None and known.covariance is not None and factor.q > DENSE_KNOWN:
                return (
                    f"it needs the precision (inverse) of a covariance among more than {DENSE_KNOWN} "
                    f"levels; {known.name!r} has {factor.q}"
                )
        return None

    def cost(self, layout: Layout, rows: Rows) -> tuple[float, float]:
        written, turn = self._analysis(layout, rows)
        analysis = written if turn is None else turn.analysis
        rank = layout.rank + 1
        # factorisation and selected inverse are three times the operations of the factorisation
        flops = 3.0 * SPARSE_EFFORT * analysis.flops + analysis.stored * (PER_ENTRY + 4.0 * rank)
        held = 16.0 * analysis.stored + 40.0 * len(analysis.indices) + 32.0 * analysis.order * rank
        held += 12.0 * layout.n * sum(f.p for f in analysis.factors)
        if layout.errors is not None:
            sizes, columns = _cluster_shapes(layout, rows)
            flops += float(np.sum(sizes**3 + PER_PAIR * (sizes**2 + columns**2) + 4.0 * sizes * columns**2))
            flops += 4.0 * float(np.sum(sizes**2 * (columns + rank)))
            flops *= CLEARLY
            held += 8.0 * float(np.sum(4.0 * sizes**2 + 4.0 * columns**2 + 3.0 * sizes * columns))
        return flops, held

    def equations(self, layout: Layout, rows: Rows, control: Control) -> Equations:
        analysis, turn = self._analysis(layout, rows)
        if layout.errors is None:
            return HomogeneousEquations(SparseSystem(layout, rows, control, analysis, turn))
        return WhitenedEquations(layout, rows, control, analysis, turn)

    def _analysis(self, layout: Layout, rows: Rows) -> tuple[Analysis, Turn | None]:
        """The analysis of a model, and its turn, kept for the next question about the same one."""
        if self._last is None or self._last[0] is not rows:
            clusters = None if layout.errors is None else residual_clusters(layout, rows)
            analysis = analyse(layout, rows, clusters)
            self._last = (rows, analysis, Turn.of(analysis))
        return self._last[1:]


def residual_clusters(layout: Layout, rows: Rows) -> Codes:
    """Return the cluster of each row (n,) within which errors are correlated; rows themselves without structure."""
    if rows.residual is None or not layout.correlated:
        return np.arange(layout.n, dtype=np.int32)
    return rows.residual.clusters


def _cluster_shapes(layout: Layout, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and (at most) the random columns of every residual cluster."""
    clusters = residual_clusters(layout, rows)
    sizes = np.bincount(clusters).astype(float)
    columns = np.zeros(len(sizes))
    for factor in merge_terms(layout, rows):
        pairs = np.sort(clusters.astype(np.int64) * factor.q + factor.codes)
        pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])]
        width = factor.p if factor.values is None else float((factor.values != 0).sum(axis=1).max(initial=0))
        columns += np.bincount(pairs // factor.q, minlength=len(sizes)) * min(
            float(factor.p), width * sizes.max()
        )
    return sizes, columns


def _refuse_errors(layout: Layout, rows: Rows, control: Control) -> str | None:
    """Return why structured errors cannot be taken, if so, before anything large is built."""
    if layout.errors is None:
        return None
    if not layout.terms:
        return "it takes structured errors together with random terms"
    sizes, columns = _cluster_shapes(layout, rows)
    if sizes.max(initial=0.0) > LARGEST:
        return (
            f"the residual clusters of {layout.errors.label!r} have up to {int(sizes.max())} rows, more than the "
            f"{LARGEST} whose covariance it forms"
        )
    size = 8.0 * float(np.sum(4.0 * sizes**2 + 4.0 * columns**2 + 3.0 * sizes * columns))
    return memory_refusal("its residual clusters", size, control)
