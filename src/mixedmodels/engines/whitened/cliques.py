"""Residual clusters of one size with the columns of Z that they meet: W_i dense, R_i = L_iL_i' by class.

The columns a cluster meets form a clique of Z'R⁻¹Z, so that its t rows and q columns are all that its part of

    Z'R⁻¹Z = Σ_i W_i'R_i⁻¹W_i,      [Z C Z']_ii = W_i C_i W_i'

needs: C on the pattern of Z'R⁻¹Z, which the selected inverse has. Rows are divided by their standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...lazy import LazyModule
from ...terms.rows import Rows
from ...typing import Array
from ..base import SizeGroup
from ..clusters.arrange import size_groups
from ..layout import Layout
from ..sparse.pattern import Analysis

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = LazyModule("scipy.sparse")

CHUNK = 4_000_000
"""Numbers at most in a stack of matrices of single clusters."""
SINGULAR = 1e-8
"""Share of an error's variance that those before it leave unexplained below which R cannot be whitened."""


@dataclass(slots=True)
class CliqueGroup:
    """The m residual clusters of t rows, with R of their C classes factored.

    Parameters
    ----------
    layout
        The clusters.
    place
        Their rows among all rows in the order of groups and clusters.
    columns
        Columns of Z that each cluster meets, (m, q) in rising order, filled up with the number of all columns.
    at
        Places of the pairs of these on the pattern, (m, q, q), filled up with the number of all entries.
    values
        W_i, (m, t, q).

    Notes
    -----
    `unexplained` is the smallest share of an error's variance that the errors before it in its cluster leave open.
    """

    layout: SizeGroup
    place: slice
    columns: NDArray[np.intp]
    at: NDArray[np.intp]
    values: Array
    scaled: Array = field(init=False)
    covariance: Array = field(init=False)
    inverse: Array = field(init=False)
    solved: Array = field(init=False)
    classes: NDArray[np.intp] = field(init=False)
    unexplained: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        self.scaled = self.values
        self.classes = self.layout.class_of

    @property
    def t(self) -> int:
        return int(self.values.shape[1])

    def fresh(self) -> CliqueGroup:
        """Return the same clusters without what is known at one θ."""
        return replace(self)

    def scale(self, factor: Array) -> None:
        """Multiply the rows by `factor` (rows of the group,)."""
        self.scaled = self.values * factor.reshape(-1, self.t, 1)

    def set(self, covariance: Array) -> float:
        """Factor R of every class (C, t, t) and return Σ_i log|R_i|."""
        factor = np.linalg.cholesky(covariance)
        unexplained = np.diagonal(factor, axis1=1, axis2=2) ** 2 / np.diagonal(covariance, axis1=1, axis2=2)
        self.unexplained = float(unexplained.min(initial=1.0))
        if self.unexplained < SINGULAR:
            raise np.linalg.LinAlgError("R is singular to working precision")
        logs = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        half = np.linalg.solve(factor, np.broadcast_to(np.eye(self.t), factor.shape))
        self.covariance = covariance
        self.inverse = np.asarray(half.transpose(0, 2, 1) @ half)
        self.solved = self.times(self.inverse, self.scaled)
        return 2.0 * float(self.layout.counts @ logs)

    def rows(self, b: Array) -> Array:
        """Return rows (n, c) of all clusters as those of this group by cluster, (m, t, c)."""
        own = b[self.place]
        return own.reshape(len(self.columns), self.t, own.shape[1])

    def times(self, by_class: Array, b: Array, part: slice = slice(None)) -> Array:
        """Return A_c b_i for symmetric A by class (C, t, t) and b (m, t, c) of the clusters in `part`."""
        if self.t == 1:
            return np.asarray(by_class[self.classes[part]] * b)
        if self.layout.distinct:
            return np.asarray(by_class[part] @ b)
        if len(by_class) == 1:
            return _common(by_class[0], b)
        classes = self.classes[part]
        found, first = np.unique(classes, return_index=True)
        if 8 * len(found) > len(classes):
            return np.asarray(by_class[classes] @ b)
        out = np.empty(b.shape)
        for c, start, stop in zip(found, first, [*first[1:], len(classes)], strict=True):
            out[start:stop] = _common(by_class[c], b[start:stop])
        return out

    def add_products(self, total: Array) -> None:
        """Add W_i'R_i⁻¹W_i of all clusters to the entries of the pattern, and one that is dropped."""
        lower = np.tril(np.ones(self.at.shape[1:]))
        for part in self.stacks():
            block = self.scaled[part].transpose(0, 2, 1) @ self.solved[part] * lower
            total += np.bincount(self.at[part].ravel(), weights=block.ravel(), minlength=len(total))

    def explained(self, entries: Array, part: slice, *, whitened: bool = True) -> Array:
        """Return R⁻¹W C W'R⁻¹ (WCW' unless `whitened`) of the clusters in `part`, (m, t, t), C on the pattern."""
        own = self.solved[part] if whitened else self.scaled[part]
        return np.asarray(own @ entries[self.at[part]] @ own.transpose(0, 2, 1))

    def sum_classes(self, by_part: Iterator[tuple[slice, Array]]) -> Array:
        """Return sums by class, (C, t, t), of stacks (·, t, t) for successive parts of the clusters."""
        total = np.zeros((len(self.layout.starts), self.t, self.t))
        for part, block in by_part:
            if self.layout.distinct:
                total[part] = block
                continue
            found, first = np.unique(self.classes[part], return_index=True)
            total[found] += np.add.reduceat(block, first, axis=0)
        return total

    def chunks(self, width: float) -> Iterator[slice]:
        """Yield parts of the clusters for which `width` numbers each are few enough to hold."""
        step = max(1, int(CHUNK / max(width, 1.0)))
        for first in range(0, len(self.columns), step):
            yield slice(first, min(first + step, len(self.columns)))

    def stacks(self) -> Iterator[slice]:
        """Yield parts of the clusters whose (t, t) and (q, q) matrices are few enough to hold."""
        q = self.columns.shape[1]
        return self.chunks(q * q + self.t * self.t)


def _common(matrix: Array, b: Array) -> Array:
    """Return A b_i for one symmetric A (t, t) and b (m, t, c)."""
    if b.shape[2] == 1:
        return np.asarray((b[:, :, 0] @ matrix)[:, :, None])
    return np.asarray(matrix @ b)


def residual_layouts(layout: Layout, rows: Rows) -> tuple[SizeGroup, ...]:
    """Return the residual clusters of a model by size and by class of equal R*."""
    return size_groups(layout.errors_alone(), replace(rows, random=()))


def clique_groups(layouts: Sequence[SizeGroup], z: sparse.csr_array, analysis: Analysis) -> list[CliqueGroup]:
    """Return the residual clusters with their columns of Z, whose rows (n, order) are in the order of clusters."""
    groups, first = [], 0
    for layout in layouts:
        place = slice(first, first + layout.rows.size)
        columns, values = _local(z[place], layout.rows.shape, analysis.order)
        groups.append(CliqueGroup(layout, place, columns, _pairs(columns, analysis), values))
        first = place.stop
    return groups


def _local(z: sparse.csr_array, shape: tuple[int, ...], order: int) -> tuple[NDArray[np.intp], Array]:
    """Return the columns that each cluster meets (m, q), and its rows of Z in them (m, t, q)."""
    m, t = shape
    row = np.repeat(np.arange(m * t), np.diff(z.indptr))
    found, inverse = np.unique((row // t) * order + z.indices, return_inverse=True)
    owner = found // order
    local = np.arange(len(found)) - np.searchsorted(owner, np.arange(m))[owner]
    q = int(local.max(initial=0)) + 1
    columns = np.full((m, q), order, dtype=np.intp)
    columns[owner, local] = found % order
    values = np.zeros((m, t, q))
    values[row // t, row % t, local[inverse.reshape(-1)]] = z.data
    return columns, values


def _pairs(columns: NDArray[np.intp], analysis: Analysis) -> NDArray[np.intp]:
    """Return places on the pattern of pairs of columns (m, q), (m, q, q)."""
    m, q = columns.shape
    out = np.full((m, q, q), len(analysis.indices), dtype=np.intp)
    for a in range(q):
        known = np.flatnonzero(columns[:, a] < analysis.order)
        i = columns[known, a].astype(np.int64)
        j = columns[known, : a + 1].astype(np.int64)
        place = analysis.position(np.broadcast_to(i[:, None], j.shape), j)[0]
        out[known, a, : a + 1] = place
        out[known, : a + 1, a] = place
    return out
