"""log|S| and Σ_j Z_j'Ṽ⁻¹Z_j by random probes, with what is known exactly taken off first.

With z of random signs and S̃ = D^-½SD^-½ = I − E, of which the diagonal is known to be one,

    log|S| = log|D| + E z'(log S̃ + E)z,   S⁻¹ = D^-½(I + E + O(E²))D^-½:

estimates are made of the terms of second order in E alone, which crossed designs have little of. For a factor of the
tail Σ_j Z_j'Ṽ⁻¹Z_j = Σ_j Λ_j⁻ᵀ(I − [S⁻¹]_jj)Λ_j⁻¹ where Λ has an inverse; elsewhere C(z − ΛS⁻¹Λ'Cz) is solved for.
For the leaf it is Σ_j R_jA_jj less the blocks of (RNΛ)S⁻¹(RNΛ)', S⁻¹ ≈ D⁻¹ exactly and the rest by the same solutions
(Hutchinson 1990; Girard 1989).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...typing import Array
from ..arrangement import Factor
from .conjugate import Solved
from .point import PRECISE, Point, times, turned
from .probes import Probes

TOLERANCE = 1e-6
"""Tolerance of solutions for probes: its error is far below theirs."""
REGULAR = 1e-5
"""Diagonal of Λ'CΛ per column below which Λ counts as singular: (I − S⁻¹) then loses the digits of what it leaves."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block of probes: z (T, c), D^-½z, S⁻¹D^½z, and the latter less what is of first order, x'."""

    z: Array
    scaled: Array
    x: Array
    second: Array


class Sampled:
    """What the probes say at one Λ.

    `logdet` estimates log|S|; `draws` are those of single probes, (N,).
    """

    def __init__(self, point: Point, probes: Probes) -> None:
        self.point, self.probes = point, probes
        self.blocks: list[Block] = []
        self.root = np.sqrt(point.diagonal)[:, None]
        self.tolerance = PRECISE if probes.exact else TOLERANCE
        draws = []
        for number in range(probes.blocks):
            z = probes.block(number)
            solved = point.solve_schur(self.root * z, self.tolerance)
            draws.append(solved.log_forms() - self._first_order(z, solved))
            scaled, x = z / self.root, solved.x
            if probes.exact:
                x = point.corrected(x, self.root * z)
            second = x + solved.first / point.diagonal[:, None] - scaled
            self.blocks.append(Block(z, scaled, x, second))
        self.draws = np.concatenate(draws)
        self.logdet = float(np.log(point.diagonal).sum()) + self.probes.weight * float(self.draws.sum())
        self._traces: list[Array] | None = None

    def _first_order(self, z: Array, solved: Solved) -> Array:
        """Return z'S̃z − z'z, (c,), whose mean is zero."""
        return np.asarray(np.einsum("mc,mc->c", z / self.root, solved.first) - np.einsum("mc,mc->c", z, z))

    # -- traces ------------------------------------------------------------------------------------------------

    def traces(self) -> list[Array]:
        """Return Σ_j Z_j'Ṽ⁻¹Z_j as single probes have it, for every factor (N, sets, p, p); their mean is the estimate,
        their sum where probes are exact."""
        if self._traces is None:
            self._traces = [self._leaf(), *(self._of_tail(f) for f in range(1, len(self.point.by_level)))]
        return self._traces

    def _shared(self, known: Array, draws: list[Array]) -> Array:
        """Return draws (N, sets, p, p) with what is known exactly in each (in shares, where they are summed)."""
        found = np.concatenate(draws)
        found = 0.5 * (found + found.transpose(0, 1, 3, 2))
        return np.asarray(found + (known / len(found) if self.probes.exact else known))

    def _leaf(self) -> Array:
        point, factor = self.point, self.point.products.factors[0]
        moved = [self._leaf_columns(block.scaled) for block in self.blocks]
        left = [self._leaf_columns(block.x - block.scaled) for block in self.blocks]
        known = by_set(factor, point.r @ point.products.block[0] - self.leaf_first_order(point.r))
        return self._shared(known, [-_products(factor, a, b) for a, b in zip(moved, left, strict=True)])

    def _leaf_columns(self, v: Array) -> Array:
        """Return RNΛv, (q·p, c)."""
        return times(self.point.r, self.point.products.coupling.times(self.point.scale(v)))

    def leaf_first_order(self, left: Array) -> Array:
        """Return the blocks of (GNΛ)D⁻¹(GNΛ)' by level of the leaf, (q, p, p), for block-diagonal G (q, p, p)."""
        point, products = self.point, self.point.products
        out = np.zeros_like(left)
        for f in range(1, len(products.factors)):
            pairs, places = products.pairs[0, f], products.places(f)
            inverse = (1.0 / point.diagonal[places]).reshape(-1, 1, products.factors[f].p)
            moved = pairs.values @ point.by_level[f][pairs.second]
            sums = (moved * inverse[pairs.second]) @ moved.transpose(0, 2, 1)
            for a in range(out.shape[1]):
                for b in range(out.shape[1]):
                    out[:, a, b] += np.bincount(pairs.first, weights=sums[:, a, b], minlength=len(out))
        return np.asarray(left @ out @ turned(left))

    def _of_tail(self, f: int) -> Array:
        if self._is_regular(f):
            return self._of_regular(f)
        return self._of_singular(f)

    def _is_regular(self, f: int) -> bool:
        """Return whether every Λ of a factor of the tail is well invertible."""
        point, factor = self.point, self.point.products.factors[f]
        sizes = point.diagonal[point.products.places(f)].reshape(factor.q, factor.p) - 1.0
        for s, root in enumerate(point.roots[f]):
            own = sizes[factor.sets == s]
            if not len(own):
                continue
            scale = np.sqrt(np.maximum(own.mean(axis=0), 0.0))
            smallest = np.linalg.svd(root, compute_uv=False)[-1]
            if scale.min() ** 2 < REGULAR or smallest < REGULAR**0.5 * np.abs(root).max():
                return False
        return True

    def _of_regular(self, f: int) -> Array:
        point, factor = self.point, self.point.products.factors[f]
        inverse = np.asarray(np.linalg.inv(point.roots[f]), dtype=np.float64)
        known = by_set(factor, np.eye(factor.p) - self.tail_first_order(f))
        at = point.products.places(f)
        draws = [-_products(factor, block.scaled[at], block.second[at]) for block in self.blocks]
        return np.asarray(turned(inverse) @ self._shared(known, draws) @ inverse)

    def tail_first_order(self, f: int) -> Array:
        """Return what is of first order in [S⁻¹]_jj by level less the mean that x' adds to it, (q, p, p)."""
        point, factor = self.point, self.point.products.factors[f]
        inverse = 1.0 / point.diagonal[point.products.places(f)].reshape(factor.q, factor.p)
        root = point.by_level[f]
        own = turned(root) @ point.own[f - 1] @ root + np.eye(factor.p)
        # x' has D⁻¹SD⁻¹ − D⁻¹ added, of which the diagonal is zero
        added = inverse[:, :, None] * own * inverse[:, None, :]
        added[:, np.arange(factor.p), np.arange(factor.p)] = 0.0
        return np.asarray(-added)

    def _of_singular(self, f: int) -> Array:
        """Return Σ_j z_jy_j' with y = C(z − ΛS⁻¹Λ'Cz)."""
        point, factor = self.point, self.point.products.factors[f]
        at, draws = point.products.places(f), []
        known = np.zeros((factor.n_sets, factor.p, factor.p))
        if not self.probes.exact:
            known = by_set(factor, point.own[f - 1])
        for block in self.blocks:
            z = np.zeros_like(block.z)
            z[at] = block.z[at]
            first = point.reduced(z)
            right = point.scale(first, turn=True)
            solved = point.solve_schur(right, self.tolerance).x
            y = point.scale(point.corrected(solved, right) if self.probes.exact else solved)
            own = -_products(factor, z[at], point.reduced(y)[at])
            if self.probes.exact:
                own += _products(factor, z[at], first[at])
            draws.append(own)
        return self._shared(known, draws)

    # -- blocks of S⁻¹ -------------------------------------------------------------------------------------------

    def each(self) -> Iterator[Block]:
        """Return the blocks of probes in turn."""
        return iter(self.blocks)


def by_set(factor: Factor, blocks: Array) -> Array:
    """Return the sums of blocks of levels (q, p, p) by parameter set, (sets, p, p)."""
    if factor.n_sets == 1:
        return np.asarray(blocks.sum(axis=0))[None]
    out = np.zeros((factor.n_sets, *blocks.shape[1:]))
    np.add.at(out, factor.sets, blocks)
    return out


def _products(factor: Factor, left: Array, right: Array) -> Array:
    """Return Σ_j left_j·right_j' by column of both, (c, sets, p, p), for (q·p, c)."""
    a, b = left.reshape(factor.q, factor.p, -1), right.reshape(factor.q, factor.p, -1)
    if factor.n_sets == 1:
        return np.asarray(np.einsum("qac,qbc->cab", a, b))[:, None]
    out = np.zeros((a.shape[2], factor.n_sets, factor.p, factor.p))
    for s in range(factor.n_sets):
        own = factor.sets == s
        out[:, s] = np.einsum("qac,qbc->cab", a[own], b[own])
    return out
