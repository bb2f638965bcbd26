"""Where the search starts when errors are structured: moments of residuals, and a ladder of ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite, log

import numpy as np

from ..criterion.base import Criterion
from ..criterion.parameters import ResidualBlock
from ..typing import Array

SHARES = (0.5, 0.1)
"""Shares of the residual variance that random effects start from."""
FLOOR = 0.02
"""Smallest eigenvalue of a starting covariance, relative to its largest."""
MOST_RUNS = 3
"""Searches at most, one from each of the lowest local minima among the starting points."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One starting point with the criterion there and its place (a, b) on the ladder."""

    value: float
    theta: Array
    place: tuple[int, int]


def ladder_starts(criterion: Criterion, place: Callable[[Array], Array] | None = None) -> list[Array]:
    """Return the θ to search from, the most promising first; `place` puts held values where they belong.

    Notes
    -----
    Σ_R starts near the pairwise moments of least-squares residuals, random effects at a share of the
    variance, and all of it is scaled to the V = cV that minimises −2l. Ranges are tried at several values; a
    search starts from the lowest local minima among them, so that a flat or multimodal likelihood does not
    decide by where it was entered. Where −2l is finite at none of them the first is returned.
    """
    tried = [_candidate(criterion, theta, at, place) for at, theta in ladder(criterion)]
    found = [one for one in tried if isfinite(one.value)] or tried[:1]
    minima = [one for one in found if not any(_beats(other, one) for other in found)]
    return [one.theta for one in sorted(minima, key=lambda one: one.value)[:MOST_RUNS]]


def _beats(other: Candidate, one: Candidate) -> bool:
    """Return whether a neighbour on the ladder is better."""
    gap = abs(other.place[0] - one.place[0]) + abs(other.place[1] - one.place[1])
    return gap == 1 and other.value < one.value


def _candidate(
    criterion: Criterion, theta: Array, at: tuple[int, int], place: Callable[[Array], Array] | None
) -> Candidate:
    if place is not None:
        theta = place(theta)
        return Candidate(criterion.value(theta), theta, at)
    if criterion.linear is None:
        return Candidate(criterion.value(theta), theta, at)
    factor = criterion.linear.scale(theta)
    if not (isfinite(factor) and factor > 0):
        return Candidate(float("inf"), theta, at)
    value = criterion.value(theta)
    if _scalable(criterion):
        theta = criterion.model.rescaled(theta, factor)
        # −2l of cV from that of V, c = y'Py/ν: nothing is factored again
        value += criterion.nu * (1.0 - factor + log(factor))
    return Candidate(value, theta, at)


def _scalable(criterion: Criterion) -> bool:
    """Return whether every structure can take a common factor."""
    structures = [b.structure for b in criterion.model.random_blocks]
    structures += [b.structure for b in criterion.model.residual_blocks if b.structure is not None]
    return all(structure.scale_free for structure in structures)


def ladder(criterion: Criterion) -> list[tuple[tuple[int, int], Array]]:
    """Return starting points by place: rows differ in shares and variance functions, columns in ranges."""
    shares = SHARES if criterion.design.random else (0.0,)
    functions = _variance_starts(criterion)
    out, row = [], 0
    for share, deltas in product(shares, functions):
        theta = np.zeros(criterion.n_theta)
        for function, delta in zip(criterion.model.variance_blocks, deltas, strict=True):
            theta[function.place] = delta
        variance = _fill_random(criterion, theta, share)
        grids = [
            _residual_starts(criterion, block, theta, variance) for block in criterion.model.residual_blocks
        ]
        for i in range(grids[0].shape[0]):
            for j in range(grids[0].shape[1]):
                point = theta.copy()
                for block, grid in zip(criterion.model.residual_blocks, grids, strict=True):
                    point[block.place] = grid[i, j]
                out.append(((row, j), point))
            row += 1
    return out


def _variance_starts(criterion: Criterion) -> list[tuple[Array, ...]]:
    terms = [criterion.model.variance[block.index] for block in criterion.model.variance_blocks]
    return list(product(*(term.function.starts(len(term.group_labels)) for term in terms)))


def _ordinary_variance(criterion: Criterion) -> float:
    """Return the residual variance of least squares, of a row of weight one."""
    total = sum(float(np.einsum("cii->", squares)) for squares in criterion.equations.response_squares())
    return max(total / max(criterion.design.n - criterion.design.fixed.rank, 1), 1e-300)


def _fill_random(criterion: Criterion, theta: Array, share: float) -> float:
    """Put random effects that explain a share of the variance into θ, and return what is left for the
    errors."""
    variance = _ordinary_variance(criterion)
    columns = sum(term.n_columns for term in criterion.design.random)
    for block in criterion.model.random_blocks:
        term = criterion.design.random[block.term]
        sizes = np.mean(term.dense_values() ** 2, axis=0)
        own = share * variance / columns / np.where(sizes > 0, sizes, 1.0)
        theta[block.place] = block.structure.start(np.diag(own), block.positions)
    return (1.0 - share) * variance


def _residual_starts(criterion: Criterion, block: ResidualBlock, theta: Array, variance: float) -> Array:
    """Return parameters of Σ_R to start from, (a, b, k)."""
    if block.structure is None:
        return np.full((1, 1, 1), np.log(variance))
    if not criterion.model.on_grid:
        return block.structure.starts(variance * np.eye(block.positions.size), block.positions)
    return block.structure.starts(_pairwise_moments(criterion, block, theta, variance), block.positions)


def _pairwise_moments(criterion: Criterion, block: ResidualBlock, theta: Array, variance: float) -> Array:
    """Return the mean products of residuals of every pair of positions less what random effects explain,
    made PD."""
    model = criterion.model
    counts = [np.ones((len(p.rows), 1, 1)) * p.layout.counts[:, None, None] for p in model.parts]
    sums: Sequence[Array] = criterion.equations.response_squares()
    if criterion.model.random_blocks:
        explained = criterion.equations.explained_squares(model.numbers(theta, roots=False))
        sums = [s - e for s, e in zip(sums, explained, strict=True)]
    shaped = [np.broadcast_to(c, s.shape) for c, s in zip(counts, sums, strict=True)]
    total, number = model.grid_gamma(block, sums), model.grid_gamma(block, shaped)
    moments = np.where(number > 0, total / np.maximum(number, 1.0), 0.0)
    diagonal = np.diag(moments)
    low = 0.1 * variance
    np.fill_diagonal(moments, np.where(diagonal > low, diagonal, low))
    scale = np.sqrt(np.diag(moments))
    values, vectors = np.linalg.eigh(moments / np.outer(scale, scale))
    positive = (vectors * np.maximum(values, FLOOR * values[-1])) @ vectors.T
    return np.asarray(0.5 * (positive + positive.T) * np.outer(scale, scale))
