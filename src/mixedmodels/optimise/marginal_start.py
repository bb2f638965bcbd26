"""Where the search starts when errors are structured: moments of residuals, and a ladder of ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import isfinite

import numpy as np

from ..engines.marginal import ResidualBlock
from ..engines.marginal_objective import MarginalObjective
from ..engines.parameters import place_by_name
from ..errors import SpecError
from ..typing import Array, Labels

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


def marginal_starts(objective: MarginalObjective) -> list[Array]:
    """Return the θ to search from, the most promising first.

    Notes
    -----
    Σ_R starts near the pairwise moments of least-squares residuals, random effects at a share of the
    variance, and all of it is scaled to the V = cV that minimises −2l. Ranges are tried at several values; a
    search starts from the lowest local minima among them, so that a flat or multimodal likelihood does not
    decide by where it was entered. Where −2l is finite at none of them the first is returned.
    """
    held = _held_values(objective)
    tried = [_candidate(objective, theta, place, held) for place, theta in _ladder(objective)]
    found = [one for one in tried if isfinite(one.value)] or tried[:1]
    minima = [one for one in found if not any(_beats(other, one) for other in found)]
    return [one.theta for one in sorted(minima, key=lambda one: one.value)[:MOST_RUNS]]


def _beats(other: Candidate, one: Candidate) -> bool:
    """Return whether a neighbour on the ladder is better."""
    gap = abs(other.place[0] - one.place[0]) + abs(other.place[1] - one.place[1])
    return gap == 1 and other.value < one.value


def _candidate(
    objective: MarginalObjective, theta: Array, place: tuple[int, int], held: Mapping[int, float]
) -> Candidate:
    if held:
        theta = place_values(objective, theta, held, "hold")
        return Candidate(objective.value(theta), theta, place)
    factor = objective.scale(theta)
    if not (isfinite(factor) and factor > 0):
        return Candidate(float("inf"), theta, place)
    if _scalable(objective):
        theta = objective.rescaled(theta, factor)
    return Candidate(objective.value(theta), theta, place)


def _scalable(objective: MarginalObjective) -> bool:
    """Return whether every structure can take a common factor."""
    structures = [b.structure for b in objective.blocks]
    structures += [b.structure for b in objective.residual_blocks if b.structure is not None]
    return all(structure.scale_free for structure in structures)


def _ladder(objective: MarginalObjective) -> list[tuple[tuple[int, int], Array]]:
    """Return starting points by place: rows differ in shares and variance functions, columns in ranges."""
    shares = SHARES if objective.design.random else (0.0,)
    functions = _variance_starts(objective)
    out, row = [], 0
    for share, deltas in product(shares, functions):
        theta = np.zeros(objective.n_theta)
        for function, delta in zip(objective.model.variance_blocks, deltas, strict=True):
            theta[function.place] = delta
        variance = _fill_random(objective, theta, share)
        grids = [_residual_starts(objective, block, theta, variance) for block in objective.residual_blocks]
        for i in range(grids[0].shape[0]):
            for j in range(grids[0].shape[1]):
                point = theta.copy()
                for block, grid in zip(objective.residual_blocks, grids, strict=True):
                    point[block.place] = grid[i, j]
                out.append(((row, j), point))
            row += 1
    return out


def _variance_starts(objective: MarginalObjective) -> list[tuple[Array, ...]]:
    terms = [objective.model.variance[block.index] for block in objective.model.variance_blocks]
    return list(product(*(term.function.starts(len(term.group_labels)) for term in terms)))


def _ordinary_variance(objective: MarginalObjective) -> float:
    """Return the residual variance of least squares, of a row of weight one."""
    total = sum(float(np.einsum("cii->", squares)) for squares in objective.system.response_squares())
    return max(total / max(objective.design.n - objective.design.fixed.rank, 1), 1e-300)


def _fill_random(objective: MarginalObjective, theta: Array, share: float) -> float:
    """Put random effects that explain a share of the variance into θ, and return what is left for the "
    "errors."""
    variance = _ordinary_variance(objective)
    columns = sum(term.n_columns for term in objective.design.random)
    for block in objective.blocks:
        term = objective.design.random[block.term]
        sizes = np.mean(term.dense_values() ** 2, axis=0)
        own = share * variance / columns / np.where(sizes > 0, sizes, 1.0)
        theta[block.place] = block.structure.start(np.diag(own), block.positions)
    return (1.0 - share) * variance


def _residual_starts(
    objective: MarginalObjective, block: ResidualBlock, theta: Array, variance: float
) -> Array:
    """Return parameters of Σ_R to start from, (a, b, k)."""
    if block.structure is None:
        return np.full((1, 1, 1), np.log(variance))
    if not objective.model.on_grid:
        return block.structure.starts(variance * np.eye(block.positions.size), block.positions)
    return block.structure.starts(_pairwise_moments(objective, block, theta, variance), block.positions)


def _pairwise_moments(
    objective: MarginalObjective, block: ResidualBlock, theta: Array, variance: float
) -> Array:
    """Return the mean products of residuals of every pair of positions less what random effects explain, "
    "made PD."""
    model = objective.model
    counts = [np.ones((len(p.rows), 1, 1)) * p.layout.counts[:, None, None] for p in model.parts]
    sums = objective.system.response_squares()
    if objective.blocks:
        explained = objective.system.explained_squares(model.at(theta))
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


# -- values given by name ------------------------------------------------------------------------------------


def placing(objective: MarginalObjective) -> tuple[Labels, Callable[[Mapping[str, float]], Array]]:
    """Return the names of the natural parameters, and the map from given ones to θ, others from moments."""
    usual = marginal_starts(objective)
    base = usual[0] if usual else next(theta for _, theta in _ladder(objective))
    names, held = objective.natural(base).names, _held_values(objective)

    def place(row: Mapping[str, float]) -> Array:
        return place_values(objective, base, place_by_name(row, names, "start") | held, "start")

    return names, place


def _held_values(objective: MarginalObjective) -> dict[int, float]:
    if not objective.held:
        return {}
    names = list(objective.held)
    usual = next(theta for _, theta in _ladder(objective))
    return place_by_name(
        {name: objective.held[name] for name in names}, objective.natural(usual).names, "hold"
    )


def place_values(
    objective: MarginalObjective, theta: Array, given: Mapping[int, float], argument: str
) -> Array:
    """Return θ with some natural values replaced; variances not given are raised where Σ would not be "
    "valid."""
    out = theta.copy()
    first = 0
    for place, found, names in objective.natural_blocks(theta):
        inside = {i - first: v for i, v in given.items() if first <= i < first + len(names)}
        if inside:
            target = np.array(found.values, dtype=float)
            raisable = np.array([kind == "variance" for kind in found.kinds])
            for i, value in inside.items():
                target[i], raisable[i] = value, False
            named = {names[i]: v for i, v in inside.items()}
            out[place] = _from_natural(objective, place, target, raisable, named, argument)
        first += len(names)
    return out


def _from_natural(
    objective: MarginalObjective,
    place: slice,
    target: Array,
    raisable: Array,
    given: Mapping[str, float],
    argument: str,
) -> Array:
    for _ in range(40):
        try:
            return objective.from_natural(place, target)
        except ValueError as error:
            reason = str(error)
        if not raisable.any():
            break
        target = np.where(raisable, 2 * target, target)
    shown = ", ".join(f"{name} = {value:g}" for name, value in given.items())
    raise SpecError(f"no valid covariance has {shown}: {reason}. Change these values of {argument}=.")
