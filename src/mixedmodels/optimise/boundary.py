"""Singular covariances: leaving false boundaries, and arriving at true ones exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..covariance.nugget import escape_nugget
from ..criterion.base import Criterion
from ..criterion.differences import Evaluation
from ..criterion.parameters import Block, ResidualBlock
from ..typing import Array

_NEGLIGIBLE = 1e-6
"""A parameter may be set to exact zero when that is predicted to cost less than this in −2l."""
_RISE = 1e-9
"""The criterion may rise by this much (and by rounding) when variances are set to exact zero."""


def escape_boundary(criterion: Criterion, theta: Array, evaluation: Evaluation) -> Array | None:
    """Return a θ with a lower criterion off a singular Σ, or None where the first-order conditions hold.

    Notes
    -----
    At a singular Σ = LL' the gradient in L vanishes along the null directions whatever the data say. The
    point is optimal only if Γ = ∂(−2l)/∂Σ has no negative direction there. Steps of one, an eighth and a
    sixty-fourth of the standard error of a variance are tried.
    """
    residual = _free_structures(criterion)
    # before trials take the place of what is factored at θ
    gammas = criterion.gammas(theta) if residual else ()
    for block in criterion.model.random_blocks:
        if not criterion.free[block.place].all():
            continue
        gamma = evaluation.gammas[block.term][block.set]
        for step in _steps(criterion, block, evaluation):
            moved = block.structure.escape(theta[block.place], gamma, block.positions, step)
            if moved is None:
                break
            trial = theta.copy()
            trial[block.place] = moved
            if criterion.value(trial) < evaluation.value - _NEGLIGIBLE:
                return trial
    return _escape_errors(criterion, theta, evaluation.value, residual, gammas)


def _free_structures(criterion: Criterion) -> list[ResidualBlock]:
    """Return the structures of the errors of which nothing is held."""
    blocks = criterion.model.residual_blocks
    return [b for b in blocks if b.structure is not None and criterion.free[b.place].all()]


def _escape_errors(
    criterion: Criterion, theta: Array, value: float, blocks: list[ResidualBlock], gammas: Sequence[Array]
) -> Array | None:
    """Return a θ with a lower criterion than `value` off a boundary of Σ_R (a nugget of zero, a correlation of one),
    or None."""
    if not blocks:
        return None
    model = criterion.model
    first = criterion.unit(theta) * (2.0 / criterion.nu) ** 0.5
    for block in blocks:
        assert block.structure is not None
        own = theta[block.place]
        for step in (first, first / 8, first / 64):
            if model.errors.on_grid:
                gamma = model.errors.grid_gamma(block, gammas)
                moved = block.structure.escape(own, gamma, block.positions, step)
            else:
                slope = model.errors.trace(block, gammas)
                moved = escape_nugget(block.structure, own, slope, step)
            if moved is None:
                break
            trial = theta.copy()
            trial[block.place] = moved
            if criterion.value(trial) < value - _NEGLIGIBLE:
                return trial
    return None


def _steps(criterion: Criterion, block: Block, evaluation: Evaluation) -> tuple[float, ...]:
    """Return sizes of change of Σ, from the information T carries on a variance of this block."""
    levels = int(np.count_nonzero(criterion.design.random[block.term].sets == block.set))
    trace = evaluation.traces[block.term][block.set].diagonal()
    largest = float(trace.max())
    if not largest > 0:
        return ()
    first = max(levels, 1) ** 0.5 / largest
    return first, first / 8, first / 64


def snap_to_boundary(criterion: Criterion, theta: Array, evaluation: Evaluation) -> Array | None:
    """Return θ with the parameters of numerically zero variances set to exact zero, or None if there are
    none.

    A parameter qualifies when its zero is a boundary (the rank of Σ drops there) and the quadratic model
    says that moving it there costs next to nothing; the caller checks the criterion.
    """
    hessian = evaluation.information.diagonal() + evaluation.curvature.diagonal()
    cheap = (np.abs(hessian) * theta**2 < 2 * _NEGLIGIBLE) & criterion.free & (theta != 0)
    if not cheap.any():
        return None
    snapped = theta.copy()
    for block in criterion.model.random_blocks:
        if not block.structure.bounded:
            continue
        part = snapped[block.place]
        rank = None
        for a in np.flatnonzero(cheap[block.place]):
            rank = _exact_rank(block, part) if rank is None else rank
            trial = part.copy()
            trial[a] = 0.0
            if _exact_rank(block, trial) < rank:
                part[a] = 0.0
                rank -= 1
        if rank is not None:
            tidy = block.structure.canonical(part, block.positions)
            # a factor recomputed from a singular Σ can have rounding error in place of its zeros
            if _exact_rank(block, tidy) <= rank:
                snapped[block.place] = tidy
    for residual in criterion.model.residual_blocks:
        if residual.structure is not None:
            for place in residual.structure.vanishing(residual.positions):
                if cheap[residual.place.start + place]:
                    snapped[residual.place.start + place] = 0.0
    return None if np.array_equal(snapped, theta) else snapped


def nuggets(criterion: Criterion) -> list[int]:
    """Return the places in θ of the nuggets of Σ_R."""
    blocks = [
        b for b in criterion.model.residual_blocks if b.structure is not None and b.structure.with_nugget
    ]
    return [b.place.stop - 1 for b in blocks if criterion.free[b.place.stop - 1]]


def _exact_rank(block: Block, theta: Array) -> int:
    """Return the number of pivots of Σ's factor that are not exactly zero; all where rounding leaves it none."""
    try:
        return int(np.count_nonzero(block.structure.factor(theta, block.positions).diagonal()))
    except np.linalg.LinAlgError:
        return block.positions.size


def rises(value: float, reference: float, nu: int) -> bool:
    """Return whether `value` is above `reference` by more than rounding."""
    return not value <= reference + _RISE + rounding(reference, nu)


def rounding(value: float, nu: int) -> float:
    """Return the error to expect in a criterion of this size from sums over ν terms."""
    return 1e-13 * (abs(value) + nu)
