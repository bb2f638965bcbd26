"""Random effects drawn from their distribution."""

from __future__ import annotations

import numpy as np

from ..covariance.base import semidefinite_cholesky
from ..terms.design import RandomTerm
from ..terms.known import root_and_inverse
from ..typing import Array


def draw_effects(rng: np.random.Generator, term: RandomTerm, sigmas: Array, root: Array | None) -> Array:
    """Return b ~ N(0, K ⊗ Σ) for the levels of a term, (q, p); `root` (q, q) is a factor of K."""
    factors = np.array([semidefinite_cholesky(sigma) for sigma in sigmas])
    standard = rng.standard_normal((term.n_levels, term.n_columns))
    if root is not None:
        standard = root @ standard
    return np.asarray(np.einsum("jab,jb->ja", factors[term.sets], standard))


def level_root(term: RandomTerm) -> Array | None:
    """Return a square root of K, (q, q), None for independent levels."""
    if term.known is None:
        return None
    dense = term.known.dense()
    # levels of different parameter sets are independent, whatever K says
    return root_and_inverse(np.where(term.sets[:, None] == term.sets[None, :], dense, 0.0))[0]
