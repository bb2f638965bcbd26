"""Dense definition of `Blocked`: what the native class computes, by forming V₁ = W⁻¹ + Z_c(I⊗ΛΛ')Z_c' (n, n).

Z_c are the random columns of the chain, O = [Z_t | X] those of the tail and of X, standardised; y comes last.
Used by tests and for reading; order n³, so for few rows only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..typing import Array, Codes

FactorRows = tuple[Codes, Array | None, int, int]


def _columns(codes: Codes, values: Array, q: int) -> Array:
    """Z (n, q·p), level-major; a negative code is a row without a level."""
    n, p = values.shape
    z = np.zeros((n, q, p))
    seen = codes >= 0
    z[np.flatnonzero(seen), codes[seen]] = values[seen]
    return z.reshape(n, q * p)


def _full(lower: Array) -> Array:
    return np.tril(lower) + np.tril(lower, -1).T


class Blocked:
    """The mixed-model equations with the chain integrated out, by dense algebra.

    Parameters are those of the native class: factors are (codes (n,), values (n, p) or None, p, q), `sets`
    has the parameter set of every level of each chain factor, the columns of X are (x − centre)·scale and the
    response is y − X beta0.
    """

    def __init__(
        self,
        chain: Sequence[FactorRows],
        tail: Sequence[FactorRows],
        sets: Sequence[Codes],
        x: Array,
        y: Array,
        centre: Array,
        scale: Array,
        beta0: Array,
        weights: Array | None,
        threads: int = 1,
    ) -> None:
        self.sizes = [(p, q) for _, _, p, q in chain]
        self.sets = list(sets)
        self.chain = [self._design(f) for f in chain]
        self.tail = [self._design(f) for f in tail]
        dense = (x - centre) * scale
        self.x, self.y = dense, y - dense @ beta0
        self.w = np.ones(len(y)) if weights is None else weights
        self.o = np.hstack([*self.tail, dense])

    @staticmethod
    def _design(factor: FactorRows) -> Array:
        codes, values, p, q = factor
        return _columns(codes, np.ones((len(codes), p)) if values is None else values, q)

    def tail_products(self) -> tuple[Array, Array]:
        """Return Z_t'WZ_t, lower triangle, and Z_t'W[X y], both flat."""
        t = self.o[:, : self.o.shape[1] - self.x.shape[1]]
        right = np.column_stack([self.x, self.y])
        return np.tril(t.T @ (self.w[:, None] * t)).ravel(), (t.T @ (self.w[:, None] * right)).ravel()

    def eliminate(self, factors: Sequence[Array], dense: Array, schur: Array) -> float:
        """Fill the lower triangle of [O y]'V₁⁻¹[O y] at Λ (flat per factor); return log|V₁| + log|W|."""
        self.lam = [
            np.reshape(values, (-1, p, p))[sets]
            for values, (p, _), sets in zip(factors, self.sizes, self.sets, strict=True)
        ]
        v = np.diag(1 / self.w)
        for z, lam in zip(self.chain, self.lam, strict=True):
            half = self._times_lambda(z, lam)
            v = v + half @ half.T
        self.inverse = np.linalg.inv(v)
        every = np.column_stack([self.o, self.y])
        lower = np.tril_indices(len(schur))
        schur[lower] = (every.T @ self.inverse @ every)[lower]
        return float(np.linalg.slogdet(v)[1] + np.log(self.w).sum())

    @staticmethod
    def _times_lambda(z: Array, lam: Array) -> Array:
        """Z blkdiag(Λ_j)."""
        q, p, _ = lam.shape
        return np.asarray(np.einsum("njp,jpk->njk", z.reshape(len(z), q, p), lam).reshape(len(z), q * p))

    def backward(self, h: Array, x: Array, keep_levels: bool) -> list[tuple[Array, Array]]:
        """Return per chain factor Σ_j Z_j'PZ_j and Σ_j r_jr_j', flat (sets, p, p), r_j = Z_j'V₁⁻¹(y − O x).

        P = V₁⁻¹ − V₁⁻¹O H O'V₁⁻¹ for H (m, m) given by its lower triangle.
        """
        vo = self.inverse @ self.o
        middle = self.inverse - vo @ _full(h) @ vo.T
        score = self.inverse @ (self.y - self.o @ x)
        self._levels, out = [], []
        for z, lam, (p, q), sets in zip(self.chain, self.lam, self.sizes, self.sets, strict=True):
            blocks = (z.T @ middle @ z).reshape(q, p, q, p)
            t = np.array([blocks[j, :, j, :] for j in range(q)]).reshape(q, p, p)
            r = (z.T @ score).reshape(q, p)
            b = np.einsum("jab,jcb,jc->ja", lam, lam, r)
            self._levels.append((b, r, t if keep_levels else np.zeros(0)))
            trace, quadratic = np.zeros((2, int(sets.max(initial=-1)) + 1, p, p))
            np.add.at(trace, sets, t)
            np.add.at(quadratic, sets, r[:, :, None] * r[:, None, :])
            out.append((trace.ravel(), quadratic.ravel()))
        return out

    def predictions(self, x: Array) -> list[Array]:
        """Return b̂ = ΛΛ'Z'V₁⁻¹(y − O x) per chain factor, flat (q, p)."""
        score = self.inverse @ (self.y - self.o @ x)
        scores = [(z.T @ score).reshape(q, p) for z, (p, q) in zip(self.chain, self.sizes, strict=True)]
        pairs = zip(self.lam, scores, strict=True)
        return [np.einsum("jab,jcb,jc->ja", lam, lam, r).ravel() for lam, r in pairs]

    def levels(self, c: int) -> tuple[Array, Array, Array]:
        """Return b̂ and r of chain factor `c`, flat (q, p), and Z_j'PZ_j if kept, flat (q, p, p)."""
        b, r, t = self._levels[c]
        return b.ravel(), r.ravel(), t.ravel()

    def information(self, directions: Sequence[tuple[int, int, Array]]) -> tuple[Array, Array]:
        """Return O'V₁⁻¹f_a, flat (m, D), and f_a'V₁⁻¹f_b, flat (D, D), f_a = Σ_j Z_jΣ̇_a r_j over a set."""
        f = np.zeros((len(self.y), len(directions)))
        for a, (c, s, matrix) in enumerate(directions):
            p, _ = self.sizes[c]
            pushed = self._levels[c][1] @ np.reshape(matrix, (p, p)).T
            f[:, a] = self.chain[c] @ np.where((self.sets[c] == s)[:, None], pushed, 0.0).ravel()
        return self._products(f)

    def level_columns(self, x_tail: Array) -> list[Array]:
        """Return Z_c'V₁⁻¹(X − Z_t x_tail) per chain factor, flat (q, p, r)."""
        width = len(x_tail)
        residual = self.inverse @ (self.x - self.o[:, :width] @ x_tail)
        return [(z.T @ residual).ravel() for z in self.chain]

    def products(self, coefficients: Sequence[Array], count: int) -> tuple[Array, Array]:
        """Return O'V₁⁻¹F, flat (m, D), and F'V₁⁻¹F, flat (D, D), with F = Σ_c Z_c C_c, C_c flat (q, p, D)."""
        f = np.zeros((len(self.y), count))
        for z, c in zip(self.chain, coefficients, strict=True):
            f += z @ np.reshape(c, (z.shape[1], count))
        return self._products(f)

    def _products(self, f: Array) -> tuple[Array, Array]:
        weighted = self.inverse @ f
        return (self.o.T @ weighted).ravel(), (f.T @ weighted).ravel()

    def reduce(self, sides: Sequence[Array], count: int) -> Array:
        """Return −Z_t'WZ_cC₁g, flat (tail, count), C₁ the covariance of the chain's effects given y and all others."""
        z, c = self._posterior()
        g = np.concatenate([np.reshape(one, (-1, count)) for one in sides])
        return np.asarray(-self._tail_columns().T @ (self.w[:, None] * (z @ (c @ g)))).ravel()

    def substitute(self, sides: Sequence[Array], x_tail: Array) -> list[Array]:
        """Return C₁(g − Z_c'WZ_t x) per chain factor, flat (q, p, count)."""
        z, c = self._posterior()
        g = np.concatenate([np.reshape(one, (-1, x_tail.shape[1])) for one in sides])
        b = c @ (g - z.T @ (self.w[:, None] * (self._tail_columns() @ x_tail)))
        return [one.ravel() for one in np.split(b, np.cumsum([p * q for p, q in self.sizes])[:-1])]

    def _tail_columns(self) -> Array:
        return self.o[:, : self.o.shape[1] - self.x.shape[1]]

    def _posterior(self) -> tuple[Array, Array]:
        """Z_c (n, k) and C₁ = G − GZ_c'V₁⁻¹Z_cG, (k, k)."""
        z, first = np.hstack(self.chain), 0
        g = np.zeros((z.shape[1], z.shape[1]))
        for lam in self.lam:
            for one in lam:
                place = slice(first, first + len(one))
                g[place, place] = one @ one.T
                first += len(one)
        zg = z @ g
        return z, g - zg.T @ self.inverse @ zg

    def prediction_variance(
        self,
        h: Array,
        x: Array,
        chain: Sequence[tuple[Codes, Array]],
        tail: Sequence[tuple[Codes, Array, int, int]],
    ) -> Array:
        """Return var(o'(û − u) + z'(b̂ − b))/σ² of new rows (n,), u = (b_tail, β) with covariance H.

        `chain` holds (codes, flat values) per chain factor, `tail` (codes, flat values, p, first column); a
        negative code is a row without a level.
        """
        o = np.zeros((len(x), len(h)))
        o[:, len(h) - x.shape[1] :] = x
        for codes, values, p, first in tail:
            for i in np.flatnonzero(codes >= 0):
                start = first + codes[i] * p
                o[i, start : start + p] += values.reshape(-1, p)[i]
        new, old = [], []
        for (codes, values), z, lam, (p, q) in zip(chain, self.chain, self.lam, self.sizes, strict=True):
            new.append(self._times_lambda(_columns(codes, values.reshape(-1, p), q), lam))
            old.append(self._times_lambda(z, lam))
        if new:
            z_new, z_old = np.hstack(new), np.hstack(old)
            carried = z_new @ z_old.T @ self.inverse
            own = np.square(z_new).sum(axis=1) - np.einsum("in,in->i", carried, z_new @ z_old.T)
            o = o - carried @ self.o
        else:
            own = np.zeros(len(x))
        return np.asarray(own + np.einsum("ia,ab,ib->i", o, _full(h), o))
