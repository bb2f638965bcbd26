"""How well effects are known: blocks of ΛM⁻¹Λ' and quadratic forms in it, from the probes of the point.

M⁻¹ over leaf and tail is K for the leaf given the tail, and (KN, −I)ΛS⁻¹Λ'(KN, −I)' beside it. Of S⁻¹ the first order
is exact, D⁻¹, and the rest is estimated; β adds BΦB' with B = ΛM⁻¹Λ'Z'WX, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import SpecError
from ...typing import Array, Codes
from ..layout import Layout
from ..targets import refuse_new_levels
from .point import Point, times, turned
from .traces import Sampled

LARGEST_JOINT = 2_000
"""Effects of a term up to which their joint covariance is solved for."""
EXACT_ROWS = 256
"""Rows up to which each is solved for, without Monte Carlo error."""


class Uncertainty:
    """Variances of b̂ − b, relative to σ², at the point of `sampled`.

    `taken` is B by leaf and tail, and `phi` Φ = (X'Ṽ⁻¹X)⁻¹.
    """

    def __init__(self, layout: Layout, sampled: Sampled, taken: tuple[Array, Array], phi: Array) -> None:
        self.layout, self.sampled, self.taken, self.phi = layout, sampled, taken, phi
        self.point: Point = sampled.point
        self.products = self.point.products
        self.weight = sampled.probes.weight

    def check_joint(self, label: str, size: int) -> None:
        """Raise `SpecError` where a joint covariance is too large."""
        if size > LARGEST_JOINT and not self.sampled.probes.exact:
            raise SpecError(
                f"the joint covariance of the {size:,} effects of {label!r} is not formed by the iterative engine (at "
                f"most {LARGEST_JOINT:,}); fit with control=mm.Control(engine='blocked') where its tail fits in memory."
            )

    def _place(self, term: int) -> tuple[int, int]:
        for f, factor in enumerate(self.products.factors):
            if term in factor.terms:
                return f, factor.starts[factor.terms.index(term)]
        raise KeyError(term)

    # -- levels --------------------------------------------------------------------------------------------------

    def of_levels(self, term: int) -> Array:
        """Return var(b̂ − b) of every level of a term, (q, p, p)."""
        f, start = self._place(term)
        factor = self.products.factors[f]
        found = self._leaf_blocks() if f == 0 else self._tail_blocks(f)
        own = self.taken[0] if f == 0 else self.taken[1][self.products.places(f)]
        columns = own.reshape(factor.q, factor.p, -1)
        found = found + columns @ self.phi @ turned(columns)
        part = slice(start, start + self.layout.terms[term].n_columns)
        return np.asarray(0.5 * (found + turned(found)))[:, part, part]

    def _leaf_blocks(self) -> Array:
        point, factor = self.point, self.products.factors[0]
        out = np.zeros((factor.q, factor.p, factor.p))
        for block in self.sampled.each():
            moved, left = (self._leaf_columns(v) for v in (block.scaled, block.x - block.scaled))
            a, b = (v.reshape(factor.q, factor.p, -1) for v in (moved, left))
            out += np.einsum("qac,qbc->qab", a, b)
        return np.asarray(point.k + self.weight * out + self.sampled.leaf_first_order(point.k))

    def _leaf_columns(self, v: Array) -> Array:
        """Return KNΛv, (q·p, c)."""
        return times(self.point.k, self.products.coupling.times(self.point.scale(v)))

    def _tail_blocks(self, f: int) -> Array:
        factor, at = self.products.factors[f], self.products.places(f)
        out = np.zeros((factor.q, factor.p, factor.p))
        for block in self.sampled.each():
            a, b = (v[at].reshape(factor.q, factor.p, -1) for v in (block.scaled, block.second))
            out += np.einsum("qac,qbc->qab", a, b)
        inverse = self.weight * out + self.sampled.tail_first_order(f)
        root = self.point.by_level[f]
        return np.asarray(root @ inverse @ turned(root))

    # -- rows ----------------------------------------------------------------------------------------------------

    def of_rows(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        """Return the variance of x'(β̂ − β) + z'(b̂ − b) for each of n rows, (n,), with β held where x is None."""
        n = len(x) if x is not None else len(next(c for c in codes if c is not None))
        new = [factor.new_rows(self.layout, n, codes, values) for factor in self.products.factors]
        rows = [(level.astype(np.int64), z) for level, z in new]
        extra = np.zeros(n)
        for f, (level, z) in enumerate(rows):
            self._add_unseen(f, level, z, codes, extra)
        exact = n <= EXACT_ROWS and not self.sampled.probes.exact
        own = self._solved(rows) if exact else self._estimated(rows)
        if x is not None:
            side = x - sum(
                np.einsum("np,npr->nr", z, self._taken(f)[np.maximum(level, 0)] * (level >= 0)[:, None, None])
                for f, (level, z) in enumerate(rows)
            )
            own = own + np.einsum("nr,rs,ns->n", side, self.phi, side)
        return np.asarray(own + extra)

    def _taken(self, f: int) -> Array:
        factor = self.products.factors[f]
        own = self.taken[0] if f == 0 else self.taken[1][self.products.places(f)]
        return own.reshape(factor.q, factor.p, -1)

    def _add_unseen(
        self, f: int, level: NDArray[np.int64], z: Array, codes: Sequence[Codes | None], extra: Array
    ) -> None:
        factor = self.products.factors[f]
        unseen = level < 0
        if all(codes[term] is None for term in factor.terms) or not unseen.any():
            return
        refuse_new_levels(factor.n_sets, unseen)
        zl = z[unseen] @ self.point.roots[f][0]
        extra[unseen] += np.einsum("ij,ij->i", zl, zl)

    def _solved(self, rows: Sequence[tuple[NDArray[np.int64], Array]]) -> Array:
        """Return z'ΛM⁻¹Λ'z of each row by a solution of its own."""
        n = len(rows[0][0])
        sides = []
        for factor, (level, z) in zip(self.products.factors, rows, strict=True):
            side = np.zeros((factor.q, factor.p, n))
            seen = np.flatnonzero(level >= 0)
            side[level[seen], :, seen] = z[seen]
            sides.append(side.reshape(factor.q * factor.p, n))
        leaf, tail = sides[0], np.concatenate(sides[1:])
        found = self.point.effects(leaf, tail)
        return np.asarray(np.einsum("mn,mn->n", leaf, found[0]) + np.einsum("mn,mn->n", tail, found[1]))

    def _estimated(self, rows: Sequence[tuple[NDArray[np.int64], Array]]) -> Array:
        """Return z'ΛM⁻¹Λ'z of each row: z_l'Kz_l + a'D⁻¹a + E (a'D^-½z)(a'(x − D^-½z)), a = Λ'(z_t − N'Kz_l)."""
        level, z = rows[0]
        seen = (level >= 0)[:, None]
        moved = np.where(seen, np.einsum("np,npq->nq", z, self.point.k[np.maximum(level, 0)]), 0.0)
        out = np.asarray(np.einsum("nq,nq->n", moved, z) + self._first_order(rows, moved))
        for block in self.sampled.each():
            forms = [self._forms(rows, moved, v) for v in (block.scaled, block.x - block.scaled)]
            out += self.weight * np.einsum("nc,nc->n", *forms)
        return out

    def _forms(self, rows: Sequence[tuple[NDArray[np.int64], Array]], moved: Array, v: Array) -> Array:
        """Return a'v of each row for v (T, c), (n, c)."""
        scaled = self.point.scale(v)
        leaf, level = self.products.factors[0], np.maximum(rows[0][0], 0)
        met = self.products.coupling.times(scaled).reshape(leaf.q, leaf.p, -1)
        out = -np.einsum("np,npc->nc", moved, met[level])
        for f, (own, z) in enumerate(rows[1:], 1):
            factor = self.products.factors[f]
            effects = scaled[self.products.places(f)].reshape(factor.q, factor.p, -1)
            out += np.einsum("np,npc->nc", np.where((own >= 0)[:, None], z, 0.0), effects[np.maximum(own, 0)])
        return np.asarray(out)

    def _first_order(self, rows: Sequence[tuple[NDArray[np.int64], Array]], moved: Array) -> Array:
        """Return a'D⁻¹a of each row."""
        leaf_level = np.maximum(rows[0][0], 0)
        shape = self.point.k.shape
        eye = np.broadcast_to(np.eye(shape[1]), shape)
        met = self.sampled.leaf_first_order(eye)[leaf_level]
        out = np.einsum("np,npq,nq->n", moved, met, moved)
        for f, (level, z) in enumerate(rows[1:], 1):
            factor, root = self.products.factors[f], self.point.by_level[f]
            inverse = 1.0 / self.point.diagonal[self.products.places(f)].reshape(factor.q, 1, factor.p)
            own = (root * inverse) @ turned(root)
            at, kept = np.maximum(level, 0), np.where((level >= 0)[:, None], z, 0.0)
            side = np.einsum("npq,nq->np", own[at], kept)
            out += np.einsum("np,np->n", kept, side)
            out -= 2.0 * np.einsum("np,npq,nq->n", moved, self._coupling(f, leaf_level, at), side)
        return np.asarray(out)

    def _coupling(self, f: int, leaf: NDArray[np.int64], level: NDArray[np.int64]) -> Array:
        """Return N of pairs of levels, (n, p_l, p), zero where they never meet."""
        pairs, q = self.products.pairs[0, f], self.products.factors[f].q
        keys, wanted = pairs.first * q + pairs.second, leaf * q + level
        order = np.argsort(keys, kind="stable")
        found = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
        there = keys[found] == wanted
        return np.where(there[:, None, None], pairs.values[found], 0.0)
