"""Where the optimisation starts: MIVQUE0 moments, or values given by the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.criterion import Criterion
from ..engines.marginal_objective import MarginalObjective
from ..engines.objective import Block, Objective
from ..engines.parameters import place_by_name
from ..errors import SpecError
from ..terms.design import RandomTerm, column_squares
from ..typing import Array, Labels
from .marginal_start import marginal_starts, placing

Start: TypeAlias = Array | Mapping[str, float] | Sequence[Mapping[str, float]] | None

_SMALL, _LARGE = 1e-3, 1e4
"""Limits of a starting variance's share, relative to the residual variance of ordinary least squares."""
_WIDE = 10.0
"""Residual variances that each column adds to the data at a wide start."""
_FEW_LEVELS = 4
"""A term with fewer levels than this starts from one variance for all its columns."""


def starting_points(objective: Criterion, start: Start) -> list[Array]:
    """Return the θ to search from, the most promising first.

    Parameters
    ----------
    objective
        The criterion.
    start
        θ itself, natural values by parameter name, several such sets, or None for moments.
    """
    if isinstance(start, np.ndarray):
        return [np.array(start, dtype=float)]
    if not start and isinstance(objective, MarginalObjective):
        return marginal_starts(objective)
    if not start and not objective.held:
        assert isinstance(objective, Objective)
        return [moment_start(objective)]
    points = [point for point in given_points(objective, start or {}) if point is not None]
    return [min(points, key=objective.value)] if len(points) > 1 else points


def given_points(
    objective: Criterion, start: Mapping[str, float] | Sequence[Mapping[str, float]]
) -> list[Array | None]:
    """Return θ at natural values given by name, one for each set; None for sets of a grid that define no Σ."""
    rows = [start] if isinstance(start, Mapping) else list(start)
    names, place = _placing(objective)
    for row in rows:
        place_by_name(row, names, "start")
    if len(rows) == 1:
        return [place(rows[0])]
    found: list[Array | None] = []
    reasons: list[str] = []
    for row in rows:
        try:
            found.append(place(row))
        except SpecError as error:
            found.append(None)
            reasons.append(str(error))
    if len(reasons) == len(rows):
        raise SpecError(f"start: none of {len(rows)} combinations of values can be used: {reasons[0]}")
    return found


def _placing(objective: Criterion) -> tuple[Labels, Callable[[Mapping[str, float]], Array]]:
    """Return the names of the natural parameters, and the map from given ones to θ."""
    if isinstance(objective, MarginalObjective):
        return placing(objective)
    assert isinstance(objective, Objective)
    return objective.natural(moment_start(objective)).names, partial(natural_start, objective)


def moment_start(objective: Objective) -> Array:
    """Return θ at the MIVQUE0 estimate of one variance per random column, covariances zero.

    Notes
    -----
    MIVQUE0 (Hartley, Rao and LaMotte 1978; SAS PROC VARCOMP's default) equates the quadratic forms
    y'MZ_aZ_a'My to their expectations at V = σ²I. It is unbiased and needs cross-products only, but not
    positive: estimates below a thousandth of their column's share of the residual variance are raised to
    it.
    """
    terms = objective.design.random
    moments, forms = objective.system.start_moments()
    pooling = _pooling(terms)
    moments, forms = pooling @ moments @ pooling.T, pooling @ forms
    ordinary = forms[-1] / moments[-1, -1]
    shares = moments[:-1, -1] / moments[-1, -1]
    # what X leaves of a column counts against its own size, whatever the units of the columns
    whole = pooling[:-1, :-1] @ np.concatenate([column_squares(term) for term in terms] or [np.empty(0)])
    shares = np.where(shares > 1e-10 * whole / moments[-1, -1], shares, whole / moments[-1, -1])
    shares = np.where(shares > 0, shares, 1.0)
    estimate = _solve_moments(moments, forms)
    residual = min(max(float(estimate[-1]), 0.05 * ordinary), ordinary) if ordinary > 0 else 1.0
    unit = (ordinary if ordinary > 0 else 1.0) / shares
    variances = np.clip(estimate[:-1], _SMALL * unit, _LARGE * unit)
    return _theta(objective, pooling[:-1, :-1].T @ variances, residual)


def wide_start(objective: Criterion, theta: Array) -> Array:
    """Return relative θ with large variances, and no covariances, for every term of several columns."""
    out = np.array(theta)
    for block in objective.blocks:
        term = objective.design.random[block.term]
        if term.n_columns > 1:
            total = column_squares(term)
            unit = term.n_levels / np.where(total > 0, total, 1.0)
            out[block.place] = block.structure.start(np.diag(_WIDE * unit), block.positions)
    return out


def natural_start(objective: Objective, values: Mapping[str, float]) -> Array:
    """Return θ at natural values given by name; parameters not named start from moments.

    Values that the objective holds are put in place too. Where the given values leave no positive
    semidefinite matrix with the moments of the others, the variances not given are raised until they do.
    """
    moments = moment_start(objective)
    natural = objective.natural(moments)
    given = place_by_name(values, natural.names, "start")
    given |= place_by_name(objective.held, natural.names, "hold")
    theta = objective.absolute(moments).copy()
    theta[-1] = _log_residual(given.get(len(natural.names) - 1, float(natural.values[-1])))
    first = 0
    for block in objective.blocks:
        found = block.structure.natural(theta[block.place], block.positions)
        inside = {i - first: v for i, v in given.items() if first <= i < first + len(found.values)}
        if inside:
            given_names = {natural.names[first + i]: v for i, v in inside.items()}
            raisable = np.array([kind == "variance" for kind in found.kinds])
            raisable[list(inside)] = False
            target = found.values.copy()
            target[list(inside)] = list(inside.values())
            theta[block.place] = _from_natural(block, target, raisable, given_names)
        first += len(found.values)
    return theta if objective.joint else objective.jointly().relative(theta)


def _log_residual(value: float) -> float:
    if not value > 0:
        raise SpecError(f"var(Residual) = {value!r} must be positive; give it a value above 0.")
    return float(np.log(value))


def _from_natural(
    block: Block, target: Array, raisable: NDArray[np.bool_], given: Mapping[str, float]
) -> Array:
    for _ in range(40):
        try:
            return block.structure.from_natural(target, block.positions)
        except ValueError as error:
            reason = str(error)
        if not raisable.any():
            break
        target = np.where(raisable, 2 * target, target)
    shown = ", ".join(f"{name} = {value:g}" for name, value in given.items())
    raise SpecError(f"no valid covariance has {shown}: {reason}. Change these values of start= or hold=.")


def _pooling(terms: tuple[RandomTerm, ...]) -> Array:
    """Return the 0/1 matrix that sums the equations of columns which share a starting variance."""
    rows: list[list[int]] = []
    first = 0
    for term in terms:
        columns = list(range(first, first + term.n_columns))
        rows += [columns] if term.n_levels < _FEW_LEVELS * term.n_sets else [[c] for c in columns]
        first += term.n_columns
    pooling = np.zeros((len(rows) + 1, first + 1))
    for i, columns in enumerate([*rows, [first]]):
        pooling[i, columns] = 1.0
    return pooling


def _solve_moments(moments: Array, forms: Array) -> Array:
    """Return v with S v = q; of the solutions the smallest where columns cannot be told apart."""
    scale = np.sqrt(np.maximum(np.diag(moments), 1e-300))
    solution: Array = np.linalg.lstsq(moments / np.outer(scale, scale), forms / scale, rcond=1e-10)[0]
    return solution / scale


def _theta(objective: Objective, variances: Array, residual: float) -> Array:
    """Return θ whose covariances are diagonal with the given variances per column."""
    theta = np.zeros(objective.n_theta)
    unit = 1.0 if objective.joint else residual
    offsets = np.cumsum([0, *(term.n_columns for term in objective.design.random)])
    for block in objective.blocks:
        target = variances[offsets[block.term] : offsets[block.term + 1]] / unit
        theta[block.place] = block.structure.start(np.diag(target), block.positions)
    if objective.joint:
        theta[-1] = np.log(residual)
    return theta
