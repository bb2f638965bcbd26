"""Where a search for the optimum of a generalised linear mixed model starts.

The generalised linear model without random effects by Newton's method, from the family's own starting predictors; then
the joint mode of (β, b) where every random column has a standard deviation of one on the scale of its predictor.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FitError
from ..terms.observed import Observed
from ..typing import Array
from .mode import Effects, positive_part
from .parameters import Block

if TYPE_CHECKING:
    from .fused import Fused
    from .laplace import Laplace

STEPS = 12
"""Newton steps for β alone, and then for (β, b)."""
SETTLED, SHARE = 1e-2, 1e-4
"""A decrement that is near enough for a start, and the same for each row where there are many."""
FURTHEST = 3.0
"""Change of a predictor, in its units, at most in one step."""
HALVINGS = 20
SMALLER = 6
"""Spreads that are tried, each a quarter of the one before."""
LOOSE = 1e-1
"""Decrement of the mode of b at which β moves on."""


def start_values(criterion: Laplace) -> tuple[Array, Effects]:
    """Return (θ, β, ψ) to start from, and the dual of b̂ there."""
    observed, theta = criterion.observed, np.zeros(criterion.n_theta)
    psi = np.array([p.working(criterion.held.get(p.name, p.start)) for p in observed.family.parameters])
    theta[criterion.of_psi] = psi
    spread = unit_spread(criterion)
    fused = criterion.fused
    beta = glm_coefficients(observed, psi, fused)
    nothing = tuple(np.zeros(shape) for shape in criterion.stack.shapes)
    theta[criterion.of_beta] = beta
    if not criterion.design.random:
        return theta, nothing
    for _ in range(SMALLER):
        theta[: criterion.model.n_theta] = spread
        if fused is None:
            theta[criterion.of_beta], dual = _joint_mode(criterion, theta, psi, beta, nothing)
        else:
            theta[criterion.of_beta], dual = _fused_joint_mode(criterion, fused, theta, beta, nothing)
        if _has_mode(criterion, theta, psi, dual):
            break
        theta[criterion.of_beta], dual = beta, nothing
        if _has_mode(criterion, theta, psi, dual):
            break
        # steps of the mode may leave the range of a link
        spread = _rescaled(criterion, spread, 0.0625)
    return theta, dual


def _has_mode(criterion: Laplace, theta: Array, psi: Array, dual: Effects) -> bool:
    if criterion.fused is not None:
        criterion.fused.start_from(dual)
        found = criterion.fused.at(theta, LOOSE, informed=True)
        if found is not None:
            criterion.fused.settle(theta)
        return found is not None
    covariances = criterion.model.numbers(theta, roots=criterion.equations.takes_roots)
    fixed = criterion.stack.fixed(theta[criterion.of_beta])
    return criterion.search.run(covariances, fixed, psi, dual, LOOSE) is not None


def _rescaled(criterion: Laplace, theta: Array, factor: float) -> Array:
    """Return θ of Σ times a factor."""
    out = theta.copy()
    for block in criterion.model.random_blocks:
        out[block.place] = block.structure.rescale(theta[block.place], factor, block.positions)
    return out


def unit_spread(criterion: Laplace) -> Array:
    """Return θ where every random column, and every smooth, moves its predictor by one unit of standard deviation."""
    theta = np.zeros(criterion.model.n_theta)
    units = criterion.column_units()
    for block in criterion.model.random_blocks:
        target = np.diag(units[block.term] ** 2)
        if criterion.design.random[block.term].penalised:
            theta[block.place] = _unit_smooth(block, units[block.term])
        else:
            theta[block.place] = block.structure.start(target, block.positions)
    return theta


def _unit_smooth(block: Block, units: Array) -> Array:
    """Return θ where a smooth, whose columns differ in size by their roughness, moves its predictor by one unit."""
    base = block.structure.start(np.eye(block.positions.size), block.positions)
    size = float(np.sum(np.diagonal(block.structure.matrix(base, block.positions)) / units**2))
    return block.structure.rescale(base, 1.0 / size, block.positions)


def glm_coefficients(observed: Observed, psi: Array, fused: Fused | None = None) -> Array:
    """Return β of the model without random effects, near its maximum, (rank,).

    Raises
    ------
    FitError
        Where the density is zero at every β that is tried.
    """
    stack, beta, height = observed.stack, *_first_beta(observed, psi, fused)
    for _ in range(STEPS):
        if fused is None:
            rows = observed.at(stack.fixed(beta), psi, 2)
            score = stack.adjoint_fixed(rows.score)
            gram = stack.gram(positive_part(rows.curvature, stack.count))
        else:
            _, score, gram = fused.without_effects(beta)
        step = _solved(gram, score)
        decrement = float(score @ step)
        length = _share(observed, beta, step, fused)
        for _ in range(HALVINGS):
            found = _height(observed, beta + length * step, psi, fused)
            if found <= height:
                break
            length *= 0.5
        else:
            break
        beta, height = beta + length * step, found
        if decrement <= max(SETTLED, SHARE * len(stack)) and length == 1.0:
            break
    return beta


def _share(observed: Observed, beta: Array, step: Array, fused: Fused | None = None) -> float:
    """Return the share of a step in β that moves no predictor too far."""
    if fused is not None:
        still = np.zeros(fused.model.n_theta)
        return min(
            1.0, FURTHEST / max(fused.furthest(np.concatenate([still, step]), observed.units()), 1e-300)
        )
    moved = (observed.stack.fixed(beta + step) - observed.stack.fixed(beta)) / observed.units()[:, None]
    return min(1.0, FURTHEST / max(float(np.abs(moved).max(initial=0.0)), 1e-300))


def _first_beta(observed: Observed, psi: Array, fused: Fused | None) -> tuple[Array, float]:
    """Return β that comes nearest to the family's starting predictors, or to their means, and −2ℓ there."""
    stack, target = observed.stack, observed.family.start(observed.responses)
    known = np.isfinite(target)
    ones = np.zeros((stack.count * (stack.count + 1) // 2, len(stack)))
    for a in range(stack.count):
        ones[a * (a + 3) // 2] = known[a]
    gram = stack.gram(ones)
    means = np.array(
        [own[seen].mean() if seen.any() else 0.0 for own, seen in zip(target, known, strict=True)]
    )
    offsets = stack.fixed(np.zeros(stack.rank))
    for goal in (target, np.broadcast_to(means[:, None], target.shape)):
        beta = _solved(gram, stack.adjoint_fixed(np.where(known, goal - offsets, 0.0)))
        height = _height(observed, beta, psi, fused)
        if isfinite(height):
            return beta, height
    raise FitError(
        f"family {observed.family.name!r}: the likelihood is zero at the starting values, where predictors are "
        "outside what the link allows; choose another link, or give start= values."
    )


def _height(observed: Observed, beta: Array, psi: Array, fused: Fused | None = None) -> float:
    if fused is not None:
        value = fused.without_effects(beta)[0]
    else:
        value = -2.0 * float(observed.at(observed.stack.fixed(beta), psi, 0).value.sum())
    return value if isfinite(value) else np.inf


def _joint_mode(
    criterion: Laplace, theta: Array, psi: Array, beta: Array, dual: Effects
) -> tuple[Array, Effects]:
    """Return β and the dual of b near their joint mode at the covariances of θ."""
    stack, search = criterion.stack, criterion.search
    # b̂ of so large a spread would make a dispersion small
    moving = np.zeros(stack.rank, dtype=bool)
    for one, carrier in zip(stack.predictors, stack.carrier, strict=True):
        if carrier >= 0:
            moving[one.columns] = True
    covariances = criterion.model.numbers(theta, roots=criterion.equations.takes_roots)
    for _ in range(STEPS):
        mode = search.run(covariances, stack.fixed(beta), psi, dual, LOOSE)
        if mode is None or mode.equations is None:
            return beta, dual
        weights, dual = mode.densities.curvature, mode.dual
        columns = stack.random_by_fixed(weights)
        taken = mode.equations.solve_random(list(columns))
        gram = stack.gram(weights)
        right = stack.adjoint_fixed(mode.densities.score - stack.times(weights, mode.moved))
        for side, solved in zip(columns, taken, strict=True):
            gram -= np.tensordot(side, solved, ((0, 1), (0, 1)))
        step = np.zeros(stack.rank)
        step[moving] = _solved(gram[np.ix_(moving, moving)], right[moving])
        length = _share(criterion.observed, beta, step)
        beta = beta + length * step
        if abs(float(right[moving] @ step[moving])) <= max(SETTLED, SHARE * len(stack)):
            break
    return beta, dual


def _fused_joint_mode(
    criterion: Laplace, fused: Fused, theta: Array, beta: Array, nothing: Effects
) -> tuple[Array, Effects]:
    """Return β and the dual of b near their joint mode at the covariances of θ; ζ stays."""
    at, k = theta.copy(), criterion.model.n_theta
    at[criterion.of_beta] = beta
    moving = np.ones(len(beta), dtype=bool)
    if fused.scale:
        moving[-1] = False
    fused.start_from(nothing)
    for _ in range(STEPS):
        found = fused.at(at, LOOSE, informed=True)
        if found is None:
            return beta, nothing
        fused.settle(at)
        beta = at[criterion.of_beta].copy()
        step = np.zeros(len(beta))
        step[moving] = _solved(found.gram[k:, k:][np.ix_(moving, moving)], found.score[moving])
        at[criterion.of_beta] = beta + _share(criterion.observed, beta, step, fused) * step
        if abs(float(found.score @ step)) <= max(SETTLED, SHARE * len(criterion.stack)):
            break
    return at[criterion.of_beta], fused.effects()[1]


def _solved(gram: Array, right: Array) -> Array:
    """Return the step by a Gram matrix, its negative and vanishing curvatures replaced by a share of the largest."""
    scale = np.sqrt(np.maximum(np.abs(gram.diagonal()), 1e-300))
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    values = np.maximum(np.abs(values), 1e-8 * float(np.abs(values).max(initial=0.0)) + 1e-300)
    return np.asarray((vectors @ ((vectors.T @ (right / scale)) / values)) / scale)
