"""Designs made by hand or at random, and their matrices written out in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from mixedmodels.covariance.base import Positions, Structure
from mixedmodels.engines.layout import TermLayout
from mixedmodels.terms.design import KnownCovariance, RandomTerm
from mixedmodels.terms.rows import TermRows
from mixedmodels.typing import Array, Codes
from models import Model, ModelTerm, fixed_terms

AnyTerm = RandomTerm | TermLayout | ModelTerm


def design_matrix(term: ModelTerm) -> Array:
    """Return Z of one term, (n, q·p), level-major."""
    return term_matrix(term.layout, term.rows)


def term_matrix(term: TermLayout, rows: TermRows) -> Array:
    """Return Z of one term from its layout and rows, (n, q·p), level-major."""
    values = rows.dense_values()
    n, p = values.shape
    z = np.zeros((n, term.n_levels, p))
    z[np.arange(n), rows.codes] = values
    return z.reshape(n, -1)


def level_covariance(term: AnyTerm) -> Array:
    """Return K (q, q), with levels of different parameter sets independent."""
    known = term.known
    if known is None:
        return np.eye(term.n_levels)
    dense = known.covariance if known.covariance is not None else np.linalg.inv(known.precision.toarray())
    return np.where(term.sets[:, None] == term.sets[None, :], dense, 0.0)


def random_covariance(term: AnyTerm, matrices: Array) -> Array:
    """Return var(b) of one term (q·p, q·p) for Σ of each set, (sets, p, p)."""
    within = matrices[term.sets]
    blocks = level_covariance(term)[:, None, :, None] * within[:, :, None, :]
    q, p = term.n_levels, term.n_columns
    return blocks.reshape(q * p, q * p)


def random_term(
    label: str,
    codes: Array,
    values: Array | None,
    structure: Structure,
    *,
    sets: Array | None = None,
    known: KnownCovariance | None = None,
    levels: int | None = None,
    coordinates: Array | None = None,
) -> ModelTerm:
    """Return a random term whose levels are 0..q−1 and whose columns are z0, z1, …"""
    q = int(levels or codes.max() + 1)
    p = 1 if values is None else values.shape[1]
    columns = tuple("(Intercept)" if j == 0 else f"z{j}" for j in range(p))
    sets = np.zeros(q, dtype=np.int32) if sets is None else np.asarray(sets, dtype=np.int32)
    n_sets = int(sets.max()) + 1
    return ModelTerm(
        label=label, group=label, columns=columns, level_parts=(np.arange(q),), codes=codes.astype(np.int32),
        values=values, structure=structure, positions=Positions(p, columns, coordinates), sets=sets,
        set_labels=tuple(f"set={s}" for s in range(n_sets)) if n_sets > 1 else ("",), known=known,
    )  # fmt: skip


def random_known(rng: np.random.Generator, q: int, *, precision: bool) -> KnownCovariance:
    """Return a positive definite covariance, dense or as a sparse precision (a chain), over q levels."""
    if precision:
        chain = np.eye(q) * 2.2 - np.eye(q, k=1) - np.eye(q, k=-1)
        return KnownCovariance("Q", precision=sparse.csc_array(chain))
    a = rng.standard_normal((q, q + 3))
    return KnownCovariance("A", covariance=a @ a.T / (q + 3))


def singular_known(rng: np.random.Generator, q: int) -> KnownCovariance:
    """Return a dense covariance over q levels of rank q − 2, the first two levels unrelated to the others."""
    a = rng.standard_normal((q, q - 3))
    a[:2], a[2:, 0] = 0.0, 0.0
    a[:2, 0] = [1.0, 0.7]
    return KnownCovariance("S", covariance=a @ a.T / q)


def _root(matrix: Array) -> Array:
    """Return L with LL' = K, by Cholesky where K is definite."""
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def random_codes(rng: np.random.Generator, n: int, q: int) -> Codes:
    """Return n levels in 0..q−1 with each level used at least once."""
    return rng.permutation(np.concatenate([np.arange(q), rng.integers(0, q, n - q)])).astype(np.int32)


def nested_in(rng: np.random.Generator, outer: Codes, per_level: int) -> Codes:
    """Return codes of a factor nested in another, about `per_level` levels in each of its levels."""
    raw = outer * per_level + rng.integers(0, per_level, len(outer))
    return np.unique(raw, return_inverse=True)[1].astype(np.int32)


def simulate_response(rng: np.random.Generator, design: Model, scale: float = 1.0) -> Model:
    """Return the model with y drawn from it, Σ random (sometimes nearly singular) and σ² = 1."""
    y = design.x @ rng.standard_normal(design.x.shape[1])
    for term in design.random:
        p = term.n_columns
        root = rng.standard_normal((term.n_sets, p, p)) * rng.choice([0.1, 0.5, 1.0, 2.0])
        b = np.einsum("jab,jb->ja", root[term.sets], rng.standard_normal((term.n_levels, p)))
        if term.known is not None:
            b = _root(level_covariance(term)) @ b
        y = y + design_matrix(term) @ b.ravel()
    weights = np.ones(design.n) if design.weights is None else design.weights
    return replace(design, y=scale * (y + rng.standard_normal(design.n) / np.sqrt(weights)))


def make_design(
    rng: np.random.Generator,
    terms: Sequence[ModelTerm],
    *,
    fixed: int = 2,
    weighted: bool = False,
    reml: bool = True,
) -> Model:
    """Return a model with the given random terms, `fixed` columns of X and a simulated response."""
    n = len(terms[0].codes) if terms else 40
    x = np.column_stack([np.ones(n), rng.standard_normal((n, max(fixed - 1, 0)))])[:, :fixed]
    weights = rng.uniform(0.3, 3.0, n) if weighted else None
    design = Model(np.zeros(n), fixed_terms(x), tuple(terms), weights=weights, reml=reml)
    return simulate_response(rng, design)
