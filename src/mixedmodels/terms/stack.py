"""Several linear predictors over one β and one b, and the weighted rows that engines see of them.

A row has predictors η_a = o_a + x_a'β + z_a'b, a = 1..P, and working weights W, P × P. Engines know rows with one z and
one weight. Predictors with the same z (the two ends of an ordinal interval) go together; those without random effects
are left out; for what remains, with C different z,

    Σ_cd z_c W_cd z_d' = Σ_c (W_cc − Σ_{d≠c} W_cd) z_c z_c' + Σ_{c>d} W_cd (z_c + z_d)(z_c + z_d)',

so that n·C(C + 1)/2 rows never change and only their weights do. The variances l of these rows give the covariances of
z_c'b and z_d'b, ½(l_cd − l_c − l_d).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..typing import Array
from .rows import FixedRows, Rows, TermRows

Effects = Sequence[Array]
"""One (q, p) or (q, p, k) array per random term."""


@dataclass(frozen=True, slots=True, eq=False)
class PredictorRows:
    """One linear predictor of n rows.

    Parameters
    ----------
    columns
        Places in β of the coefficients it reads, (r_a,).
    x
        Its columns, (n, r_a).
    random
        For every random term of the model what it reads of it, None for nothing. Level codes are the term's own.
    offset
        (n,), None for zero.
    """

    columns: NDArray[np.intp]
    x: Array
    random: tuple[TermRows | None, ...] = ()
    offset: Array | None = None

    @classmethod
    def only(cls, rows: Rows) -> PredictorRows:
        """Return the one predictor that reads everything the rows of a model have."""
        return cls(np.arange(rows.x.shape[1]), rows.x, rows.random, rows.offset)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The P predictors of n rows over one β (rank,) and one b.

    `carriers` are the C different sets of random columns; `carrier` (P,) says which of them a predictor reads, −1 for
    none.
    """

    predictors: tuple[PredictorRows, ...]
    rank: int
    shapes: tuple[tuple[int, int], ...]
    """Levels and columns of every random term."""
    carriers: tuple[tuple[TermRows | None, ...], ...] = field(init=False)
    carrier: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        found: list[tuple[TermRows | None, ...]] = []
        places = []
        for one in self.predictors:
            if all(part is None for part in one.random):
                places.append(-1)
                continue
            same = [k for k, own in enumerate(found) if _same(own, one.random)]
            places.append(same[0] if same else len(found))
            if not same:
                found.append(one.random)
        object.__setattr__(self, "carriers", tuple(found))
        object.__setattr__(self, "carrier", tuple(places))

    def __len__(self) -> int:
        return len(self.predictors[0].x)

    @property
    def count(self) -> int:
        """P."""
        return len(self.predictors)

    # -- the rows of engines ---------------------------------------------------------------------------------

    def rows(self) -> Rows:
        """Return the rows of engines, n·C(C + 1)/2, without fixed part: those of c, of 1 + c, 2 + c … as `pairs`."""
        n = len(self)
        blocks = [(c, d) for c in range(len(self.carriers)) for d in range(c + 1)]
        random = []
        for k in range(len(self.shapes)):
            codes = next(own[k].codes for own in self.carriers if own[k] is not None)  # type: ignore[union-attr]
            parts = [self._values(k, c, d) for c, d in blocks]
            if len(blocks) == 1:
                random.append(TermRows(codes, parts[0]))
                continue
            dense = [np.ones((n, 1)) if part is None else part for part in parts]
            random.append(TermRows(np.tile(codes, len(blocks)), np.concatenate(dense)))
        total = n * max(len(blocks), 1)
        return Rows(np.zeros(total), FixedRows(np.zeros((total, 0)), ()), tuple(random))

    def _values(self, k: int, c: int, d: int) -> Array | None:
        """Return the Z values of a term in the rows of a pair, (n, p); None for ones."""
        one, two = self.carriers[c][k], self.carriers[d][k]
        if c == d and one is not None:
            return one.values
        zero = np.zeros((len(self), self.shapes[k][1]))
        return sum(
            (part.dense_values() for part in ((one,) if c == d else (one, two)) if part is not None),
            start=zero,
        )

    def weights(self, curvature: Array) -> Array:
        """Return the weights of the rows of engines, (n·C(C + 1)/2,), from W packed by predictors."""
        if self.count == 1:
            return np.asarray(curvature[0])
        matrix = self.carried(curvature)
        count = len(self.carriers)
        parts = []
        for c in range(count):
            for d in range(c):
                parts.append(matrix[c, d])
            own = matrix[c, c] - sum(matrix[c, d] for d in range(count) if d != c)
            parts.append(own)
        return np.concatenate(parts) if parts else np.empty(0)

    def carried(self, curvature: Array) -> Array:
        """Return W summed over the predictors of each carrier, (C, C, n)."""
        count = len(self.carriers)
        out = np.zeros((count, count, len(self)))
        for k, (a, b) in enumerate(_pairs(self.count)):
            c, d = self.carrier[a], self.carrier[b]
            if c >= 0 and d >= 0:
                out[c, d] += curvature[k]
                if a != b:
                    out[d, c] += curvature[k]
        return out

    def covariances(self, variances: Array) -> Array:
        """Return cov(z_a'b, z_b'b) packed by predictors, (P(P + 1)/2, n), from variances of the rows of engines."""
        n, count = len(self), len(self.carriers)
        if self.count == 1:
            return variances.reshape(1, n) if count else np.zeros((1, n))
        parts = variances.reshape(-1, n)
        place = {pair: k for k, pair in enumerate(_pairs(count))}
        out = np.zeros((self.count * (self.count + 1) // 2, n))
        for k, (a, b) in enumerate(_pairs(self.count)):
            c, d = sorted((self.carrier[a], self.carrier[b]), reverse=True)
            if d < 0:
                continue
            own = parts[place[c, c]]
            out[k] = own if c == d else 0.5 * (parts[place[c, d]] - own - parts[place[d, d]])
        return out

    # -- products --------------------------------------------------------------------------------------------

    def fixed(self, beta: Array) -> Array:
        """Return o + Xβ, (P, n)."""
        out = np.empty((self.count, len(self)))
        for a, one in enumerate(self.predictors):
            out[a] = one.x @ beta[one.columns]
            if one.offset is not None:
                out[a] += one.offset
        return out

    def random(self, effects: Effects) -> Array:
        """Return Zb, (P, n) or (P, n, k), for b (q, p) or (q, p, k) by term."""
        trailing = effects[0].shape[2:] if effects else ()
        found = [_products(own, effects, (len(self), *trailing)) for own in self.carriers]
        if self.count == 1 and found:
            return np.asarray(found[0][None])
        out = np.zeros((self.count, len(self), *trailing))
        for a, c in enumerate(self.carrier):
            if c >= 0:
                out[a] = found[c]
        return out

    def adjoint_fixed(self, v: Array) -> Array:
        """Return X'v, (rank,), for v (P, n)."""
        out = np.zeros(self.rank)
        for one, own in zip(self.predictors, v, strict=True):
            out[one.columns] += one.x.T @ own
        return out

    def gram(self, curvature: Array) -> Array:
        """Return X'WX, (rank, rank), for W packed by predictors."""
        out = np.zeros((self.rank, self.rank))
        for k, (a, b) in enumerate(_pairs(self.count)):
            one, two = self.predictors[a], self.predictors[b]
            block = one.x.T @ (curvature[k][:, None] * two.x)
            out[np.ix_(one.columns, two.columns)] += block
            if a != b:
                out[np.ix_(two.columns, one.columns)] += block.T
        return out

    def random_by_fixed(self, curvature: Array) -> tuple[Array, ...]:
        """Return Z'WX by term, (q, p, rank), for W packed by predictors."""
        whole = np.zeros((self.count, len(self), self.rank))
        for a, one in enumerate(self.predictors):
            whole[a][:, one.columns] = one.x
        return self.adjoint_random(self.times(curvature, whole))

    def adjoint_random(self, v: Array) -> tuple[Array, ...]:
        """Return Z'v by term, (q, p) or (q, p, k), for v (P, n) or (P, n, k)."""
        out = [np.zeros((*shape, *v.shape[2:])) for shape in self.shapes]
        for c, own in enumerate(self.carriers):
            chosen = [a for a in range(self.count) if self.carrier[a] == c]
            total = v[chosen[0]] if len(chosen) == 1 else v[chosen].sum(axis=0)
            for k, part in enumerate(own):
                if part is not None:
                    _add_sums(out[k], part, total)
        return tuple(out)

    def times(self, curvature: Array, v: Array) -> Array:
        """Return Wv by row, (P, n) or (P, n, k), for W packed by predictors."""
        if self.count == 1:
            return np.asarray((curvature[0] if v.ndim == 2 else curvature[0][:, None]) * v)
        out = np.zeros_like(v)
        for k, (a, b) in enumerate(_pairs(self.count)):
            own = curvature[k] if v.ndim == 2 else curvature[k][:, None]
            out[a] += own * v[b]
            if a != b:
                out[b] += own * v[a]
        return out


def _pairs(count: int) -> list[tuple[int, int]]:
    """Return the places (a, b), a ≥ b, of a packed lower triangle, row by row."""
    return [(a, b) for a in range(count) for b in range(a + 1)]


def _same(one: tuple[TermRows | None, ...], two: tuple[TermRows | None, ...]) -> bool:
    """Return whether two predictors read the same of every random term."""
    return all(a is b for a, b in zip(one, two, strict=True))


def _products(own: tuple[TermRows | None, ...], effects: Effects, shape: tuple[int, ...]) -> Array:
    """Return z'b of one carrier, (n,) or (n, k)."""
    total: Array | None = None
    for part, b in zip(own, effects, strict=True):
        if part is None:
            continue
        of_level = b[part.codes]
        found = of_level[:, 0] if part.values is None else np.einsum("np,np...->n...", part.values, of_level)
        total = found if total is None else total + found
    return np.zeros(shape) if total is None else total


def _add_sums(out: Array, part: TermRows, v: Array) -> None:
    """Add Z'v of one term, (q, p) or (q, p, k), for v (n,) or (n, k)."""
    q = len(out)
    for a in range(out.shape[1]):
        z = None if part.values is None else part.values[:, a]
        if v.ndim == 1:
            out[:, a] += np.bincount(part.codes, v if z is None else z * v, minlength=q)
            continue
        for j in range(v.shape[1]):
            out[:, a, j] += np.bincount(part.codes, v[:, j] if z is None else z * v[:, j], minlength=q)
