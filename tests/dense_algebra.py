"""The oracle: every answer of a `System` by dense algebra on Ṽ (n, n), and random designs to compare on.

Nothing here is clever, which is the point: V is formed, inverted, and each quantity is its definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import linalg, sparse

from mixedmodels.covariance.base import Positions, Structure
from mixedmodels.engines.base import Pieces, Score, Solution
from mixedmodels.engines.relative import RelativeSystem, TermDirection
from mixedmodels.terms.design import Design, FixedTerms, Kernel, RandomTerm
from mixedmodels.typing import Array, Codes


def design_matrix(term: RandomTerm) -> Array:
    """Return Z of one term, (n, q·p), level-major."""
    values = term.dense_values()
    n, p = values.shape
    z = np.zeros((n, term.n_levels, p))
    z[np.arange(n), term.codes] = values
    return z.reshape(n, -1)


def level_covariance(term: RandomTerm) -> Array:
    """Return K (q, q), with levels of different parameter sets independent."""
    kernel = term.kernel
    if kernel is None:
        return np.eye(term.n_levels)
    dense = kernel.covariance if kernel.covariance is not None else np.linalg.inv(kernel.precision.toarray())
    return np.where(term.sets[:, None] == term.sets[None, :], dense, 0.0)


def random_covariance(term: RandomTerm, matrices: Array) -> Array:
    """Return var(b) of one term (q·p, q·p) for Σ of each set, (sets, p, p)."""
    within = matrices[term.sets]
    blocks = level_covariance(term)[:, None, :, None] * within[:, :, None, :]
    q, p = term.n_levels, term.n_columns
    return blocks.reshape(q * p, q * p)


class DenseSystem(RelativeSystem):
    """The mixed-model equations of a small design by dense algebra, for tests."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.x = np.asarray(design.x, dtype=float)
        self.z = [design_matrix(term) for term in design.random]
        self.inverse_weights = np.ones(design.n) if design.weights is None else 1 / design.weights
        self.evaluations = 0

    def covariance(self, matrices: Sequence[Array]) -> Array:
        """Return Ṽ for given Σ̃ per term."""
        v = np.diag(self.inverse_weights)
        for term, z, sigma in zip(self.design.random, self.z, matrices, strict=True):
            v = v + z @ random_covariance(term, sigma) @ z.T
        return v

    def factor(self, factors: Sequence[Array]) -> Pieces:
        return self.factor_matrices([f @ f.transpose(0, 2, 1) for f in factors])

    def factor_matrices(self, matrices: Sequence[Array]) -> Pieces:
        """Take Σ̃ itself, which may be indefinite; LinAlgError unless Ṽ is positive definite."""
        self.evaluations += 1
        self.matrices = list(matrices)
        v = self.covariance(self.matrices)
        if not np.isfinite(v).all():
            raise np.linalg.LinAlgError("V is not finite")
        chol = np.linalg.cholesky(v)
        self.v_inverse = linalg.cho_solve((chol, True), np.eye(len(v)))
        x, y = self.x, self.design.y
        vx = linalg.cho_solve((chol, True), x)
        xvx = x.T @ vx
        self.phi = np.linalg.inv(xvx) if x.shape[1] else np.zeros((0, 0))
        self.p = self.v_inverse - vx @ self.phi @ vx.T
        self.beta = self.phi @ (vx.T @ y)
        residual = y - x @ self.beta
        self.py = linalg.cho_solve((chol, True), residual)
        logdet_x = float(np.linalg.slogdet(xvx)[1]) if x.shape[1] else 0.0
        return Pieces(2 * float(np.log(np.diag(chol)).sum()), logdet_x, float(residual @ self.py))

    def scores(self, reml: bool) -> list[Score]:
        middle = self.p if reml else self.v_inverse
        out = []
        for term, z in zip(self.design.random, self.z, strict=True):
            zpy = z.T @ self.py
            trace, quadratic = self._by_set(term, z.T @ middle @ z), self._by_set(term, np.outer(zpy, zpy))
            out.append(Score(trace, quadratic))
        return out

    def _by_set(self, term: RandomTerm, inner: Array) -> Array:
        """Return Σ_jl K_jl inner_jl over the levels of each set, (sets, p, p)."""
        q, p = term.n_levels, term.n_columns
        blocks = inner.reshape(q, p, q, p)
        k = level_covariance(term)
        sums = np.zeros((term.n_sets, p, p))
        for s in range(term.n_sets):
            chosen = k * np.outer(term.sets == s, term.sets == s)
            sums[s] = np.einsum("jl,jalb->ab", chosen, blocks)
        return sums

    def derivative(self, direction: TermDirection) -> Array:
        """Return ∂Ṽ along a direction, (n, n)."""
        term, z = self.design.random[direction.term], self.z[direction.term]
        matrices = np.zeros((term.n_sets, term.n_columns, term.n_columns))
        matrices[direction.set] = direction.matrix
        return z @ random_covariance(term, matrices) @ z.T

    def average_information(self, directions: Sequence[TermDirection]) -> Array:
        f = [self.derivative(d) @ self.py for d in directions]
        stacked = np.array(f).reshape(len(f), self.design.n)
        return stacked @ self.p @ stacked.T

    def fixed_information(self, directions: Sequence[TermDirection]) -> tuple[Array, Array]:
        vx = self.v_inverse @ self.x
        n = [self.derivative(d) @ vx for d in directions]
        p = np.array([-vx.T @ a for a in n])
        return p, np.array([[a.T @ self.v_inverse @ b for b in n] for a in n])

    def observed_information(self, directions: Sequence[TermDirection], sigma2: float, reml: bool) -> Array:
        """Return the Hessian of −2l in (Σ along `directions`, σ²), from its definition; V̈ = 0."""
        v = [self.derivative(d) for d in directions] + [np.diag(self.inverse_weights)]
        p, py = self.p / sigma2, self.py / sigma2
        middle = p if reml else self.v_inverse / sigma2
        k = len(v)
        hessian = np.empty((k, k))
        for a in range(k):
            for b in range(k):
                trace = np.sum((middle @ v[a]) * (middle @ v[b]).T)
                hessian[a, b] = -trace + 2 * py @ v[a] @ p @ v[b] @ py
        return hessian

    def solution(self) -> Solution:
        random = tuple(
            (random_covariance(term, sigma) @ z.T @ self.py).reshape(term.n_levels, term.n_columns)
            for term, z, sigma in zip(self.design.random, self.z, self.matrices, strict=True)
        )
        return Solution(self.beta, self.phi, random)

    def _joint(self) -> Array:
        """Return var(β̂ − β, b̂ − b)/σ² of everything, (rank + Σ q·p) squared."""
        if not self.z:
            return self.phi
        g = linalg.block_diag(
            *(random_covariance(t, s) for t, s in zip(self.design.random, self.matrices, strict=True))
        )
        gz = g @ np.hstack(self.z).T
        cross = -gz @ self.v_inverse @ self.x @ self.phi
        return np.block([[self.phi, cross.T], [cross, g - gz @ self.p @ gz.T]])

    def _offsets(self) -> list[int]:
        return list(np.cumsum([self.x.shape[1], *(z.shape[1] for z in self.z)]))

    def joint_covariance(self, term: int) -> Array:
        offsets = self._offsets()
        inside = slice(offsets[term], offsets[term + 1])
        return self._joint()[inside, inside]

    def conditional_covariance(self, term: int) -> Array:
        q, p = self.design.random[term].n_levels, self.design.random[term].n_columns
        blocks = self.joint_covariance(term).reshape(q, p, q, p)
        return np.array([blocks[j, :, j, :] for j in range(q)]).reshape(q, p, p)

    def prediction_variance(
        self, x: Array | None, codes: Sequence[Codes | None], values: Sequence[Array | None]
    ) -> Array:
        joint, offsets = self._joint(), self._offsets()
        n = len(x) if x is not None else next(len(c) for c in codes if c is not None)
        rows = np.zeros((n, joint.shape[0]))
        extra = np.zeros(n)
        if x is not None:
            rows[:, : x.shape[1]] = x
        for k, (code, value) in enumerate(zip(codes, values, strict=True)):
            if code is None:
                continue
            term = self.design.random[k]
            z = np.ones((n, 1)) if value is None else value
            for i in range(n):
                if code[i] < 0:
                    extra[i] += z[i] @ self.matrices[k][0] @ z[i]
                else:
                    first = offsets[k] + code[i] * term.n_columns
                    rows[i, first : first + term.n_columns] = z[i]
        return np.einsum("ia,ab,ib->i", rows, joint, rows) + extra

    def effect_variance(self, codes: Sequence[Codes | None], values: Sequence[Array | None]) -> Array:
        known, self.phi, self.p = (self.phi, self.p), np.zeros_like(self.phi), self.v_inverse
        found = self.prediction_variance(None, codes, values)
        self.phi, self.p = known
        return found

    def start_moments(self) -> tuple[Array, Array]:
        scale = 1 / np.sqrt(self.inverse_weights)
        x, y = self.x * scale[:, None], self.design.y * scale
        m = np.eye(len(y)) - x @ np.linalg.pinv(x)
        v = []
        for term, z in zip(self.design.random, self.z, strict=True):
            for a in range(term.n_columns):
                column = z[:, a :: term.n_columns] * scale[:, None]
                v.append(column @ level_covariance(term) @ column.T)
        v.append(np.eye(len(y)))
        mv = [m @ matrix for matrix in v]
        my = m @ y
        return np.array([[np.sum(a * b.T) for b in mv] for a in mv]), np.array([my @ b @ my for b in v])

    def with_response(self, design: Design) -> DenseSystem:
        return DenseSystem(design)


def fixed_terms(matrix: Array) -> FixedTerms:
    """Return fixed terms for a full-rank X (n, p), each column its own term."""
    p = matrix.shape[1]
    names = tuple(f"x{j}" for j in range(p))
    return FixedTerms(matrix, names, names, tuple(range(p)), tuple(range(p)), np.zeros((p, 0)))


def random_term(
    label: str,
    codes: Array,
    values: Array | None,
    structure: Structure,
    *,
    sets: Array | None = None,
    kernel: Kernel | None = None,
    levels: int | None = None,
    coordinates: Array | None = None,
) -> RandomTerm:
    """Return a random term whose levels are 0..q−1 and whose columns are z0, z1, …"""
    q = int(levels or codes.max() + 1)
    p = 1 if values is None else values.shape[1]
    columns = tuple("(Intercept)" if j == 0 else f"z{j}" for j in range(p))
    sets = np.zeros(q, dtype=np.int32) if sets is None else np.asarray(sets, dtype=np.int32)
    n_sets = int(sets.max()) + 1
    return RandomTerm(
        label=label, group=label, columns=columns, level_parts=(np.arange(q),), codes=codes.astype(np.int32),
        values=values, structure=structure, positions=Positions(p, columns, coordinates), sets=sets,
        set_labels=tuple(f"set={s}" for s in range(n_sets)) if n_sets > 1 else ("",), kernel=kernel,
    )  # fmt: skip


def random_kernel(rng: np.random.Generator, q: int, *, precision: bool) -> Kernel:
    """Return a positive definite covariance, dense or as a sparse precision (a chain), over q levels."""
    if precision:
        chain = np.eye(q) * 2.2 - np.eye(q, k=1) - np.eye(q, k=-1)
        return Kernel("Q", precision=sparse.csc_array(chain))
    a = rng.standard_normal((q, q + 3))
    return Kernel("A", covariance=a @ a.T / (q + 3))


def random_codes(rng: np.random.Generator, n: int, q: int) -> Codes:
    """Return n levels in 0..q−1 with each level used at least once."""
    return rng.permutation(np.concatenate([np.arange(q), rng.integers(0, q, n - q)])).astype(np.int32)


def nested_in(rng: np.random.Generator, outer: Codes, per_level: int) -> Codes:
    """Return codes of a factor nested in another, about `per_level` levels in each of its levels."""
    raw = outer * per_level + rng.integers(0, per_level, len(outer))
    return np.unique(raw, return_inverse=True)[1].astype(np.int32)


def simulate_response(rng: np.random.Generator, design: Design, scale: float = 1.0) -> Design:
    """Return the design with y drawn from it, Σ random (sometimes nearly singular) and σ² = 1."""
    y = design.x @ rng.standard_normal(design.x.shape[1])
    for term in design.random:
        p = term.n_columns
        root = rng.standard_normal((term.n_sets, p, p)) * rng.choice([0.1, 0.5, 1.0, 2.0])
        b = np.einsum("jab,jb->ja", root[term.sets], rng.standard_normal((term.n_levels, p)))
        if term.kernel is not None:
            b = np.linalg.cholesky(level_covariance(term)) @ b
        y = y + design_matrix(term) @ b.ravel()
    weights = np.ones(design.n) if design.weights is None else design.weights
    return replace(design, y=scale * (y + rng.standard_normal(design.n) / np.sqrt(weights)))


def make_design(
    rng: np.random.Generator,
    terms: Sequence[RandomTerm],
    *,
    fixed: int = 2,
    weighted: bool = False,
    reml: bool = True,
) -> Design:
    """Return a design with the given random terms, `fixed` columns of X and a simulated response."""
    n = len(terms[0].codes) if terms else 40
    x = np.column_stack([np.ones(n), rng.standard_normal((n, max(fixed - 1, 0)))])[:, :fixed]
    weights = rng.uniform(0.3, 3.0, n) if weighted else None
    design = Design(np.zeros(n), fixed_terms(x), tuple(terms), weights=weights, reml=reml)
    return simulate_response(rng, design)
