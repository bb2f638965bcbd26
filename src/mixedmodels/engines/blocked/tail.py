"""The dense tail: how Λ (and a known covariance) of one tail factor acts on its rows and columns.

For a factor with iid levels D = I_q ⊗ Λ; with a known covariance K = L_K L_K' among levels, D = L_K ⊗ Λ (levels of
different parameter sets being independent, K is block-diagonal over sets). All matrices hold their lower triangle only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...lazy import LazyModule
from ...terms.known import root_and_inverse
from ...typing import Array
from ..arrangement import Arrangement, Factor
from ..layout import Layout

if TYPE_CHECKING:
    from scipy import linalg
else:
    linalg = LazyModule("scipy.linalg")

SAFE_SHRINKAGE = 1e-4
"""Below this value of the smallest eigenvalue of Λ'SΛ the score is formed without dividing by Λ.

The division loses the square of this factor: 1e-16/1e-8 is left.
"""


@dataclass(frozen=True, slots=True)
class TailBlock:
    """One tail factor: its index, first column, and a root L (LL' = K), matrix and inverse of its K if any.

    A singular K has no inverse: the score is formed without it.
    """

    factor: int
    first: int
    data: Factor
    known_factor: Array | None = None
    known: Array | None = None
    known_inverse: Array | None = None

    @property
    def columns(self) -> slice:
        return slice(self.first, self.first + self.data.q * self.data.p)

    def diagonal(self, lam: Array) -> Array | None:
        """Return the diagonal of D (q·p,), None where D is not diagonal."""
        if self.known_factor is not None or self.data.p > 1:
            return None
        return np.asarray(lam[self.data.sets, 0, 0])

    def scale(self, m: Array, lam: Array) -> None:
        """m ← D'mD on this block's rows and columns."""
        self._both_sides(m, lam, transpose=True)

    def spread(self, h: Array, lam: Array) -> None:
        """h ← DhD' on this block's rows and columns."""
        self._both_sides(h, lam, transpose=False)

    def _both_sides(self, m: Array, lam: Array, *, transpose: bool) -> None:
        q, p = self.data.q, self.data.p
        rows = m[self.columns]
        self._symmetrise(m)
        if self.known_factor is None:
            per_level = lam[self.data.sets]
            left = per_level.transpose(0, 2, 1) if transpose else per_level
            rows[...] = (left @ rows.reshape(q, p, -1)).reshape(rows.shape)
            below = m[self.first :, self.columns].reshape(-1, q, p)
            m[self.first :, self.columns] = np.einsum("rqi,qij->rqj", below, left.transpose(0, 2, 1)).reshape(
                len(below), q * p
            )
            return
        d = self._known_matrix(lam)
        left = d.T if transpose else d
        rows[...] = left @ rows
        m[self.first :, self.columns] = m[self.first :, self.columns] @ left.T

    def _known_matrix(self, lam: Array) -> Array:
        """D = L_K ⊗ Λ, (q·p, q·p), with the Λ of each level's set."""
        assert self.known_factor is not None
        q, p = self.data.q, self.data.p
        blocks = self.known_factor[:, None, :, None] * lam[self.data.sets].transpose(1, 0, 2)[None]
        return np.asarray(blocks.reshape(q * p, q * p))

    def _symmetrise(self, m: Array) -> None:
        """Fill the upper triangle of the diagonal blocks that D mixes."""
        q, p = self.data.q, self.data.p
        block = m[self.columns, self.columns]
        if self.known_factor is not None:
            upper = np.triu_indices(q * p, 1)
            block[upper] = block.T[upper]
            return
        at = np.arange(q) * p
        for i in range(p):
            for j in range(i + 1, p):
                block[at + i, at + j] = block[at + j, at + i]

    def apply(self, x: Array, lam: Array) -> None:
        """x ← Dx in place on this block's entries; x is (m,) or (m, k)."""
        x[self.columns] = self._times(x[self.columns], lam, transpose=False)

    def transpose_apply(self, x: Array, lam: Array) -> None:
        """x ← D'x in place on this block's entries."""
        x[self.columns] = self._times(x[self.columns], lam, transpose=True)

    def _times(self, part: Array, lam: Array, *, transpose: bool) -> Array:
        q, p = self.data.q, self.data.p
        shaped = part.reshape(q, p, -1)
        if self.known_factor is not None:
            d = self._known_matrix(lam)
            return np.asarray((d.T if transpose else d) @ part)
        per_level = lam[self.data.sets]
        return np.asarray(
            ((per_level.transpose(0, 2, 1) if transpose else per_level) @ shaped).reshape(part.shape)
        )

    def score(self, schur: Array, h: Array, r: Array, lam: Array) -> tuple[Array, Array]:
        """Return T and Q, each (sets, p, p); `r` (m,) is Z'P̃y over the tail."""
        rb = r[self.columns].reshape(self.data.q, self.data.p)
        if self.known is None:
            quadratic = self._sum_levels(rb[:, :, None] * rb[:, None, :])
        else:
            quadratic = np.stack([rb[s].T @ self.known[np.ix_(s, s)] @ rb[s] for s in self._set_levels()])
        return self._trace(schur, h, lam), quadratic

    def _set_levels(self) -> list[NDArray[np.intp]]:
        return [np.flatnonzero(self.data.sets == s) for s in range(self.data.n_sets)]

    def _known_sum(self, weights: Array, m: Array) -> Array:
        """Σ_jl w_jl M_jl over levels of each set, (sets, p, p), for M (q·p, q·p) symmetric."""
        q, p = self.data.q, self.data.p
        shaped = m.reshape(q, p, q, p)
        return np.stack(
            [np.einsum("jl,jalb->ab", weights[np.ix_(s, s)], shaped[s][:, :, s]) for s in self._set_levels()]
        )

    def _sum_levels(self, per_level: Array) -> Array:
        out = np.zeros((self.data.n_sets, self.data.p, self.data.p))
        np.add.at(out, self.data.sets, per_level)
        return out

    def _trace(self, schur: Array, h: Array, lam: Array) -> Array:
        q, p = self.data.q, self.data.p
        if self._well_conditioned(schur, lam):
            inverse = np.linalg.inv(lam)
            precision = inverse.transpose(0, 2, 1) @ inverse
            count = np.bincount(self.data.sets, minlength=self.data.n_sets)[:, None, None]
            if self.known_inverse is None:
                lost = self._sum_levels(self.level_blocks(h))
            else:
                lost = self._known_sum(self.known_inverse, full(h[self.columns, self.columns]))
            return np.asarray(count * precision - precision @ lost @ precision)
        # T = S − S H S directly, without dividing by Λ
        size = len(h)
        couplings = schur[:size, self.columns].copy()
        couplings[self.columns] = full(schur[self.columns, self.columns])
        couplings[: self.first] = schur[self.columns, : self.first].T
        explained = _symmetric_times(h, couplings)
        block = couplings[self.columns] - couplings.T @ explained
        if self.known is not None:
            return self._known_sum(self.known, block)
        shaped = block.reshape(q, p, q, p)
        levels = np.arange(q)
        return self._sum_levels(shaped[levels, :, levels, :])

    def _well_conditioned(self, schur: Array, lam: Array) -> bool:
        if self.known is not None and self.known_inverse is None:
            return False
        information = self.level_blocks(schur).mean(axis=0)
        shrinkage = lam.transpose(0, 2, 1) @ information @ lam
        smallest = float(np.linalg.eigvalsh(shrinkage).min() if lam.shape[1] > 1 else shrinkage.min())
        if self.known_inverse is not None:
            smallest /= float(np.diagonal(self.known_inverse).max())
        return smallest > SAFE_SHRINKAGE

    def level_blocks(self, h: Array) -> Array:
        """Return the (q, p, p) diagonal blocks of a symmetric matrix given by its lower triangle."""
        q, p = self.data.q, self.data.p
        at = self.first + np.arange(q) * p
        out = np.empty((q, p, p))
        for i in range(p):
            for j in range(i + 1):
                out[:, i, j] = out[:, j, i] = h[at + i, at + j]
        return out

    def push(self, matrix: Array, set_: int, r: Array) -> Array:
        """Return c = (I ⊗ Σ̃̇) r or (K ⊗ Σ̃̇) r for one direction of this factor, (q·p,) or (q·p, k)."""
        q, p, own = self.data.q, self.data.p, r[self.columns]
        c = own.reshape(q, p) @ matrix.T if r.ndim == 1 else matrix @ own.reshape(q, p, -1)
        if self.data.n_sets > 1:
            c[self.data.sets != set_] = 0.0
        return (c if self.known is None else np.asarray(self.known @ c.reshape(q, -1))).reshape(own.shape)


def full(lower: Array) -> Array:
    """Return a symmetric matrix from its lower triangle."""
    out = np.tril(lower)
    return out + np.tril(lower, -1).T


def _symmetric_times(lower: Array, b: Array) -> Array:
    """Return H b for H given by its lower triangle (row-major)."""
    return np.asarray(linalg.blas.dsymm(1.0, lower.T, b, lower=0))


def tail_blocks(layout: Layout, arranged: Arrangement) -> tuple[TailBlock, ...]:
    """Return the tail factors of an arrangement with their known covariances prepared."""
    out = []
    for f, first in zip(arranged.tail, arranged.offsets, strict=True):
        data = arranged.factors[f]
        known = layout.terms[data.terms[0]].known
        if known is None:
            out.append(TailBlock(f, first, data))
        else:
            covariance = np.where(data.sets[:, None] == data.sets, known.dense(), 0.0)
            try:
                factor, inverse = root_and_inverse(covariance)
            except linalg.LinAlgError as error:
                raise known.improper() from error
            out.append(TailBlock(f, first, data, factor, covariance, inverse))
    return tuple(out)
