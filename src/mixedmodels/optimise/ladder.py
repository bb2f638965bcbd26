"""Where the search starts when errors are structured: moments of residuals, and a ladder of ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import isfinite, log

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions, Structure
from ..criterion import Criterion, choose_criterion
from ..criterion.parameters import ResidualBlock
from ..errors import SpecError
from ..typing import Array
from .step import newton_step

SHARES = (0.5, 0.1, 0.95)
"""Shares of the residual variance that random effects start from."""
FLOOR = 0.02
"""Smallest eigenvalue of a starting covariance, relative to its largest."""
MOST_MINIMA = 6
"""Local minima among the starting points that searches start from, at most."""
SMALL = 1000
"""Rows up to which searches also start from points that are no such minima."""
LARGE = 20_000
"""Rows beyond which random effects start from those beside independent errors and from half the variance alone."""
FEW = 120
"""Rows up to which a structure without a ladder of its own has one beside variance functions."""
FIRST_STEPS = 3
"""Newton steps of the variance functions alone before the rest of θ moves."""
INDEPENDENT = 6
"""Newton steps of random effects beside independent errors."""
NEAR_ENOUGH = 0.01
"""A decrement at which these stop."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One starting point with the criterion there and its place (row, column) on the ladder."""

    value: float
    theta: Array
    place: tuple[int, int]


def ladder_starts(criterion: Criterion, place: Callable[[Array], Array] | None = None) -> list[Array]:
    """Return the θ to search from, the most promising first; `place` puts held values where they belong.

    Notes
    -----
    Rows of starting points differ in random effects (those of the model with independent errors, then half, a tenth
    and nearly all of the variance), variance functions and nuggets; along a row ranges or correlations grow. Σ_R
    starts near the pairwise moments of least-squares residuals, and all of it is scaled to the V = cV that minimises
    −2l. Searches start from the lowest local minima of the rows, and from the ends and the middle of the first, so
    that a flat or multimodal likelihood does not decide by where it was entered. Where −2l is finite at none of them
    the first is returned.
    """
    tried = _candidates(criterion, place)
    found = [one for one in tried if isfinite(one.value)] or tried[:1]
    width = 1 + max(one.place[1] for one in tried)
    minima = [one for one in found if not any(_beats(other, one, width) for other in found)]
    chosen = sorted(minima, key=lambda one: one.value)[:MOST_MINIMA]
    if width > 1 and criterion.design.n <= SMALL:
        spread = {(0, 0), (0, (width - 1) // 2), (0, width - 1)} - {one.place for one in chosen}
        chosen += [one for one in found if one.place in spread]
    return [_with_variances(criterion, one) for one in chosen]


def _with_variances(criterion: Criterion, one: Candidate) -> Array:
    """Return θ after a few descending steps of the variance functions alone.

    Ranges and random effects that move first take up the unequal variances, and may run away from where they belong.
    """
    own = np.arange(criterion.model.n_structural, criterion.n_theta)
    own = own[criterion.free[own]]
    theta, value = one.theta, one.value
    if not len(own) or not isfinite(value):
        return theta
    return _descended(criterion, theta, FIRST_STEPS, own)


def _descended(criterion: Criterion, theta: Array, steps: int, free: NDArray[np.intp] | None = None) -> Array:
    """Return θ after a few plain Newton steps, as long as they lower −2l and are not yet there."""
    value = criterion.value(theta)
    for _ in range(steps):
        model = newton_step(criterion.evaluate(theta), free)
        moved = theta + model.step
        found = criterion.value(moved)
        if not found < value:
            break
        theta, value = moved, found
        if model.decrement < NEAR_ENOUGH:
            break
    return theta


def _beats(other: Candidate, one: Candidate, width: int) -> bool:
    """Return whether a neighbour is better: in the same row, or in the next where rows have one point each."""
    rows, columns = abs(other.place[0] - one.place[0]), abs(other.place[1] - one.place[1])
    near = rows == 0 and columns == 1 if width > 1 else rows == 1
    return near and other.value < one.value


def _candidates(criterion: Criterion, place: Callable[[Array], Array] | None) -> list[Candidate]:
    """Return every point of the ladder that held values allow; `SpecError` where they allow none."""
    found, reason = [], None
    for at, theta in ladder(criterion):
        try:
            found.append(_candidate(criterion, theta, at, place))
        except SpecError as error:
            reason = error
    if reason is not None and not found:
        raise reason
    return found


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
    """Return starting points by place: rows differ in random effects and variance functions, columns in ranges."""
    functions = _variance_starts(criterion)
    out, row = [], 0
    for (random, variance), deltas in product(_random_starts(criterion), functions):
        theta = np.zeros(criterion.n_theta)
        theta[: len(random)] = random
        for function, delta in zip(criterion.model.variance_blocks, deltas, strict=True):
            theta[function.place] = delta
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


def _random_starts(criterion: Criterion) -> list[tuple[Array, float]]:
    """Return parameters of the random effects with the variance they leave to the errors."""
    total = _ordinary_variance(criterion)
    if not criterion.model.random_blocks:
        return [(np.empty(0), total)]
    shares = SHARES if criterion.design.n <= LARGE else SHARES[:1]
    shared = [(_random_at(criterion, share * total), (1.0 - share) * total) for share in shares]
    alone = _beside_independent(criterion, shared)
    return shared if alone is None else [alone, *shared]


def _beside_independent(
    criterion: Criterion, starts: Sequence[tuple[Array, float]]
) -> tuple[Array, float] | None:
    """Return random effects fitted beside independent errors of equal variances, and the variance of these; None
    where −2l is finite at no start.

    −2l with correlated errors often has one minimum near them, and others where ranges stand in for groups.
    """
    if criterion.linear is None:
        return None
    plain = choose_criterion(replace(criterion.design, residual=None), criterion.equations, {})
    own = criterion.model.random_blocks
    plain.model.random_blocks = own
    points = [np.append(random, log(variance)) for random, variance in starts]
    theta = _descended(plain, min(points, key=plain.value), INDEPENDENT)
    if not isfinite(plain.value(theta)):
        return None
    return theta[:-1], float(np.exp(theta[-1]))


def _variance_starts(criterion: Criterion) -> list[tuple[Array, ...]]:
    terms = [criterion.model.variance[block.index] for block in criterion.model.variance_blocks]
    return list(product(*(term.starts() for term in terms)))


def _ordinary_variance(criterion: Criterion) -> float:
    """Return the residual variance of least squares, of a row of weight one."""
    total = sum(float(np.einsum("cii->", squares)) for squares in criterion.equations.response_squares())
    return max(total / max(criterion.design.n - criterion.design.fixed.rank, 1), 1e-300)


def _random_at(criterion: Criterion, variance: float) -> Array:
    """Return parameters of random effects that add this variance to the data, in equal parts by column."""
    columns = sum(term.n_columns for term in criterion.design.random)
    parts = []
    for block in criterion.model.random_blocks:
        sizes = criterion.equations.column_squares()[block.term] / criterion.design.n
        own = variance / columns / np.where(sizes > 0, sizes, 1.0)
        parts.append(block.structure.start(np.diag(own), block.positions))
    return np.concatenate(parts)


def _residual_starts(criterion: Criterion, block: ResidualBlock, theta: Array, variance: float) -> Array:
    """Return parameters of Σ_R to start from, (a, b, k)."""
    if block.structure is None:
        return np.full((1, 1, 1), np.log(variance))
    if not criterion.model.errors.on_grid:
        return block.structure.starts(variance * np.eye(block.positions.size), block.positions)
    moments = _pairwise_moments(criterion, block, theta, variance)
    points = block.structure.starts(moments, block.positions)
    if points.shape[:2] != (1, 1) or not criterion.model.by_row or criterion.design.n > FEW:
        return points
    return np.append(points, _other_signs(block.structure, block.positions, moments), axis=1)


def _other_signs(structure: Structure, at: Positions, moments: Array) -> Array:
    """Return parameters of errors uncorrelated, and nearly as negatively correlated as all pairs may be, (1, 2, k).

    Weights by a variance function and the sign of a common correlation can stand in for each other in few rows.
    """
    variances = moments.diagonal()
    sizes = np.sqrt(np.outer(variances, variances))
    points = []
    for rho in (0.0, -0.9 / max(at.size - 1, 1)):
        points.append(structure.start(np.where(np.eye(at.size, dtype=bool), sizes, rho * sizes), at))
    return np.array(points)[None]


def _pairwise_moments(criterion: Criterion, block: ResidualBlock, theta: Array, variance: float) -> Array:
    """Return the mean products of residuals of every pair of positions less what random effects explain,
    made PD."""
    model = criterion.model
    counts = [np.ones((len(p.rows), 1, 1)) * p.layout.counts[:, None, None] for p in model.errors.parts]
    sums: Sequence[Array] = criterion.equations.response_squares()
    if criterion.model.random_blocks:
        explained = criterion.equations.explained_squares(model.numbers(theta, roots=False))
        sums = [s - e for s, e in zip(sums, explained, strict=True)]
    shaped = [np.broadcast_to(c, s.shape) for c, s in zip(counts, sums, strict=True)]
    total, number = model.errors.grid_gamma(block, sums), model.errors.grid_gamma(block, shaped)
    moments = np.where(number > 0, total / np.maximum(number, 1.0), 0.0)
    diagonal = np.diag(moments)
    low = 0.1 * variance
    np.fill_diagonal(moments, np.where(diagonal > low, diagonal, low))
    scale = np.sqrt(np.diag(moments))
    values, vectors = np.linalg.eigh(moments / np.outer(scale, scale))
    positive = (vectors * np.maximum(values, FLOOR * values[-1])) @ vectors.T
    return np.asarray(0.5 * (positive + positive.T) * np.outer(scale, scale))
