"""Vectors over rows and over [β; b]: products with X, Z and the covariance of random effects.

β is in the equations' own coordinates, b by term, (q, p); both may have a further axis of several vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..terms.rows import Rows
from ..typing import Array
from .coordinates import FixedBasis
from .layout import Layout, TermLayout

SMALLEST_WEIGHT = 1e-150
"""Weight that stands for 0: with the response s/w it gives a row's score s exactly, and nothing else of the row."""


def linear_predictor(rows: Rows, basis: FixedBasis, beta: Array, b: Sequence[Array]) -> Array:
    """Return Xβ + Zb, (n,) or (n, k)."""
    out = np.asarray(basis.rows(rows.x) @ beta)
    for term, effects in zip(rows.random, b, strict=True):
        own = effects[term.codes]
        out += own[:, 0] if term.values is None else np.einsum("np,np...->n...", term.values, own)
    return out


def adjoint(layout: Layout, rows: Rows, basis: FixedBasis, v: Array) -> tuple[Array, tuple[Array, ...]]:
    """Return X'v, (r,) or (r, k), and Z'v by term, (q, p) or (q, p, k), for v (n,) or (n, k)."""
    columns = v.reshape(layout.n, -1)
    random = []
    for term, own in zip(layout.terms, rows.random, strict=True):
        values = own.dense_values()
        sums = np.empty((term.n_levels, term.n_columns, columns.shape[1]))
        for a in range(term.n_columns):
            for j in range(columns.shape[1]):
                weights = values[:, a] * columns[:, j]
                sums[:, a, j] = np.bincount(own.codes, weights=weights, minlength=term.n_levels)
        random.append(sums.reshape(*sums.shape[:2], *v.shape[1:]))
    return np.asarray(basis.rows(rows.x).T @ v), tuple(random)


def prior_times(term: TermLayout, sigma: Array, b: Array) -> Array:
    """Return (K⊗Σ)b for b (q, p, k) of one term and Σ of its sets, (sets, p, p); K = I without a known covariance."""
    if term.known is None:
        return np.asarray(sigma[term.sets] @ b)
    out = np.zeros(b.shape)
    for s, own in enumerate(sigma):
        chosen = (term.sets == s)[:, None, None]
        across = term.known.times(np.where(chosen, b, 0.0).reshape(len(b), -1)).reshape(b.shape)
        out += np.where(chosen, own @ across, 0.0)
    return out


def working_rows(weights: Array, scores: Array) -> tuple[Array, Array]:
    """Return weights and responses (n,) with Wy = s, for weights that may be 0."""
    weights = np.where(weights == 0.0, SMALLEST_WEIGHT, weights)
    return weights, np.asarray(scores / weights)


def informative(weights: Array) -> Array:
    """Return the weights (m,) of `working_rows` that are not 0."""
    return np.asarray(weights[weights != SMALLEST_WEIGHT])
