"""Whether the layout of the data can tell all covariance parameters apart, whatever the response."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Equations
from ..errors import DataError, SpecError
from ..kernels import NotPositiveDefinite, cholesky, cholesky_inverse
from ..terms.design import Design
from ..typing import Array, Labels
from .covariances import CovarianceModel
from .parameters import ResidualBlock, natural_names, place_by_name, residual_labels, residual_name

DEPENDENT = 1e-11
"""Eigenvalue of the scaled products of ∂V/∂θ below which a direction of θ leaves V unchanged."""
INVOLVED = 1e-3
"""Share of such a direction above which a parameter takes part in it."""
TRIED = 3
"""Points θ at which V must be unchanged; a compact structure has regions where its range does nothing."""


def check_identified(design: Design, equations: Equations, held: Collection[str] = ()) -> None:
    """Raise an error naming the parameters that can be exchanged without any change of V, those `held` apart.

    Raises
    ------
    SpecError
        When two parts of the model say the same, such as a random intercept and `cs` errors of one cluster.
    DataError
        When the data lack what one part needs, such as two positions that no cluster has both of.
    """
    directions, model = [], CovarianceModel(design, equations)
    free: NDArray[np.bool_] | None = None
    for theta in _regular_points(model):
        if free is None:
            free = _not_held(model, theta, held)
        found = _unchanged(equations, model, theta, free)
        if found is None:
            return
        directions.append((theta, found))
    theta, direction = directions[0]
    parts = _parts(design, model, theta, direction)
    if len(parts) > 1:
        listed = " and ".join(name for name, _ in parts[:2])
        raise SpecError(
            f"{listed} cannot be told apart: {_joined(parts[0][1])} can be exchanged for "
            f"{_joined(parts[1][1])} "
            "without changing the covariance of the data. Leave one of them out."
        )
    name, parameters = parts[0]
    why = _empty_positions(design, equations) or "no rows show it apart from the rest"
    raise DataError(
        f"{name}: the data do not determine {_joined(parameters)}; {why}. Use a structure with fewer parameters, "
        "combine levels, or hold it by hold=."
    )


def _not_held(model: CovarianceModel, theta: Array, held: Collection[str]) -> NDArray[np.bool_]:
    """Return which parameters do not bear on natural ones that are held, (n_theta,)."""
    natural = model.natural(theta)
    places = place_by_name(dict.fromkeys(held, 0.0), natural.names, "hold")
    return np.asarray(~np.any(natural.jacobian[list(places)] != 0, axis=0))


def _empty_positions(design: Design, equations: Equations) -> str:
    """Return which position of the errors has no row in which parameter set, "" where all have."""
    residual = design.residual
    errors = None if residual is None else equations.rows.residual
    if residual is None or errors is None or residual.structure is None or errors.coordinates is not None:
        return ""
    for which, label in enumerate(residual.set_labels):
        own = residual.sets[errors.clusters] == which
        seen = np.isin(np.arange(residual.positions.size), errors.index[own])
        if not seen.all():
            position = residual.positions.labels[int(np.flatnonzero(~seen)[0])]
            return f"no cluster{f' of {label}' if label else ''} has a row at position {position!r}"
    return ""


def _regular_points(model: CovarianceModel) -> list[Array]:
    """Return θ with equal variances, moderate correlations and several ranges."""
    base = np.zeros(model.n_theta)
    for k, block in enumerate(model.random_blocks):
        own = (0.6 + 0.1 * k) * np.eye(block.positions.size)
        base[block.place] = block.structure.start(own, block.positions)
    for variance in model.variance_blocks:
        base[variance.place] = model.variance[variance.index].starts()[0]
    ladders = [_residual_points(block) for block in model.residual_blocks]
    count = min(len(ladder) for ladder in ladders)
    points = []
    for j in np.unique(np.linspace(0, count - 1, TRIED).round().astype(int))[::-1]:
        theta = base.copy()
        for residual, ladder in zip(model.residual_blocks, ladders, strict=True):
            theta[residual.place] = ladder[j]
        points.append(theta)
    return points


def _residual_points(block: ResidualBlock) -> Array:
    if block.structure is None:
        return np.zeros((1, 1))
    at = block.positions
    lag = np.abs(np.subtract.outer(np.arange(at.size), np.arange(at.size)))
    target = 0.7 * 0.5**lag + 0.1 + 0.2 * (lag == 0)
    if not block.structure.ranges(at):
        return block.structure.start(target, at)[None]
    starts = block.structure.starts(target, at)
    return np.asarray(starts.reshape(-1, starts.shape[2]))


def _unchanged(
    equations: Equations, model: CovarianceModel, theta: Array, free: NDArray[np.bool_]
) -> Array | None:
    """Return a direction of the free parameters, zero in others, along which no V changes, or None."""
    gram = equations.direction_gram(
        model.numbers(theta, roots=equations.takes_roots), model.directions(theta)
    )[np.ix_(free, free)]
    out = np.zeros(len(free))
    size = np.sqrt(np.diag(gram))
    if not (size > 0).all():
        out[free] = size == 0
        return out
    scaled = gram / np.outer(size, size)
    if _is_definite(scaled):
        return None
    values, vectors = np.linalg.eigh(scaled)
    if values[0] > DEPENDENT:
        return None
    out[free] = vectors[:, 0] / size
    return out


def _is_definite(matrix: Array) -> bool:
    """Return whether the smallest eigenvalue is far above `DEPENDENT`: it is at least 1/‖M⁻¹‖ (Frobenius)."""
    try:
        inverse = cholesky_inverse(cholesky(matrix.copy()))
    except NotPositiveDefinite:
        return False
    return bool(2.0 * np.square(inverse).sum() * (100.0 * DEPENDENT) ** 2 < 1.0)


def _parts(
    design: Design, model: CovarianceModel, theta: Array, direction: Array
) -> list[tuple[str, Labels]]:
    """Return the parts of the model that take part in a direction of θ, with their parameters."""
    found = []
    for block in model.random_blocks:
        natural = block.structure.natural(theta[block.place], block.positions)
        names = natural_names(design.random[block.term], block.set, natural)
        what = f"the random term {design.random[block.term].label!r}"
        found.append((what, block.place, natural.jacobian, names))
    labels = residual_labels(design)
    for residual in model.residual_blocks:
        if residual.structure is None:
            found.append(("the error variance", residual.place, np.eye(1), ["var(Residual)"]))
            continue
        natural = residual.structure.natural(theta[residual.place], residual.positions)
        assert design.residual is not None
        what = f"the residual structure {residual.structure.names[0]!r} of {design.residual.label!r}"
        names = [residual_name(name, labels[residual.set]) for name in natural.names]
        found.append((what, residual.place, natural.jacobian, names))
    for variance in model.variance_blocks:
        term = model.variance[variance.index]
        natural = term.natural(theta[variance.place])
        what = f"the variance function {term.label}"
        found.append((what, variance.place, natural.jacobian, list(natural.names)))
    out = []
    for what, place, jacobian, names in found:
        moved = np.abs(jacobian @ direction[place])
        if moved.size and moved.max() > INVOLVED * np.abs(direction).max():
            chosen = moved > 0.05 * moved.max()
            out.append((what, tuple(name for name, one in zip(names, chosen, strict=True) if one)))
    return out


def _joined(names: Labels) -> str:
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
