"""What random effects add to the covariance of independent clusters: Z*ΣZ*' on pairs of rows of one level.

Z* are the rows of Z divided by their standard deviations. Nothing here knows what Σ is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...terms.rows import Rows
from ...typing import Array
from ..base import SizeGroup
from ..layout import Layout

ScaledRows = tuple[tuple[Array, ...], ...]
"""Z* per size group and term, each (C, t, p)."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One size group: rows (C, t) of one cluster per class, and per term same-level masks, sets and Z."""

    rows: NDArray[np.intp]
    same_level: tuple[Array, ...]
    level_set: tuple[NDArray[np.int32], ...]
    z: tuple[Array, ...]


class RandomRows:
    """The random terms of a model on the rows of every class of clusters."""

    def __init__(self, layout: Layout, rows: Rows, groups: Sequence[SizeGroup]) -> None:
        self.terms, self.rows = layout.terms, rows.random
        root = None if rows.weights is None else np.sqrt(rows.weights)
        self.parts = [self._part(group, root) for group in groups]

    def _part(self, group: SizeGroup, root_weights: Array | None) -> _Part:
        rows = group.first_rows
        same, sets, z = [], [], []
        for term, given in zip(self.terms, self.rows, strict=True):
            codes = given.codes[rows]
            same.append((codes[:, :, None] == codes[:, None, :]).astype(float))
            sets.append(term.sets[codes])
            own = np.ones((*rows.shape, 1)) if given.values is None else given.values[rows]
            z.append(own if root_weights is None else own * root_weights[rows][:, :, None])
        return _Part(rows, tuple(same), tuple(sets), tuple(z))

    def scaled(self, sd: Array | None) -> ScaledRows:
        """Return Z*, rows divided by `sd` (n,) and by what the weights imply."""
        if sd is None:
            return tuple(part.z for part in self.parts)
        return tuple(tuple(own / sd[part.rows][:, :, None] for own in part.z) for part in self.parts)

    def sandwich(self, g: int, z: ScaledRows, k: int, which: int, sigma: Array) -> Array:
        """Return Z*ΣZ*' of one term on pairs of rows of one level that have parameter set `which`, (C, t, t)."""
        own, part = z[g][k], self.parts[g]
        out = (own @ sigma) @ own.transpose(0, 2, 1) * part.same_level[k]
        if self.terms[k].n_sets > 1:
            out *= (part.level_set[k] == which)[:, :, None]
        return np.asarray(out)

    def covariance(self, g: int, z: ScaledRows, matrices: Sequence[Array]) -> Array:
        """Return Σ_k Z*_kΣ_kZ*_k' of one size group, (C, t, t), for Σ of every term (sets, p, p)."""
        c, t = self.parts[g].rows.shape
        total = np.zeros((c, t, t))
        for k, stack in enumerate(matrices):
            for which, sigma in enumerate(stack):
                total += self.sandwich(g, z, k, which, sigma)
        return total

    def folded(self, z: ScaledRows, k: int, blocks: Sequence[Array]) -> Array:
        """Return the sums of Z*'BZ* over clusters and levels by set of one term, (sets, p, p), B by class."""
        term = self.terms[k]
        p = term.n_columns
        total = np.zeros((term.n_sets, p, p))
        for part, own_z, b in zip(self.parts, z, blocks, strict=True):
            masked, own = b * part.same_level[k], own_z[k]
            for which in range(term.n_sets):
                if term.n_sets > 1:
                    inside = masked * (part.level_set[k] == which)[:, :, None]
                else:
                    inside = masked
                total[which] += own.reshape(-1, p).T @ (inside @ own).reshape(-1, p)
        return total
