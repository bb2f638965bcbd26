"""Whether the layout of the data can tell all covariance parameters apart, whatever the response."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions, Structure
from ..engines.base import Equations
from ..errors import DataError, SpecError
from ..kernels import NotPositiveDefinite, cholesky, cholesky_inverse
from ..terms.design import Design
from ..typing import Array, Labels
from .covariances import CovarianceModel
from .parameters import Block, ResidualBlock, natural_names, place_by_name, residual_labels, residual_name

DEPENDENT = 1e-11
"""Eigenvalue of the scaled products of ∂V/∂θ below which a direction of θ leaves V unchanged."""
INVOLVED = 1e-3
"""Share of such a direction above which a parameter takes part in it."""
TRIED = 3
"""Points θ at which V must be unchanged; a compact structure has regions where its range does nothing."""

STEPS = (1.0, 10.0, 100.0)
"""Factors by which an undetermined ratio of standard deviations is moved from 1, to leave others more room."""


@dataclass(frozen=True, slots=True)
class Undetermined:
    """A ratio of error standard deviations that the data cannot tell from the `others`.

    Moving it with them changes no covariance of the data, so neither −2l nor β̂ nor its covariance. `values` are what it
    may be held at, each leaving more room to the variances of random effects than the one before.
    """

    name: str
    others: Labels
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the model that a direction of θ moves: parameters by name, how much each moves, and its kind."""

    label: str
    names: Labels
    slopes: Array
    kind: str

    @property
    def moved(self) -> Labels:
        size = np.abs(self.slopes)
        return tuple(name for name, one in zip(self.names, size > 0.05 * size.max(), strict=True) if one)


def undetermined(
    design: Design, equations: Equations, held: Collection[str] = ()
) -> tuple[Undetermined, ...]:
    """Return what must be held, beside the parameters `held`, for the data to tell all others apart.

    That is a ratio of `ident` whose level shows its error variance only in sum with that of a random effect, as does a
    formulation that no subject takes twice.

    Raises
    ------
    SpecError
        When two parts of the model say the same, such as a random intercept and `cs` errors of one cluster.
    DataError
        When the data lack what one part needs, such as two positions that no cluster has both of.
    """
    found: list[Undetermined] = []
    while True:
        parts = _exchangeable(design, equations, [*held, *(one.name for one in found)])
        if not parts:
            return tuple(found)
        ratio = _ratio_to_hold(parts)
        if ratio is None:
            raise _refusal(parts, design, equations)
        found.append(ratio)


def _exchangeable(design: Design, equations: Equations, held: Collection[str]) -> list[_Part]:
    """Return the parts whose parameters can be exchanged without any change of V, none where there are none."""
    directions, model = [], CovarianceModel(design, equations)
    free: NDArray[np.bool_] | None = None
    for theta in _regular_points(model):
        if free is None:
            free = _not_held(model, theta, held)
        found = _unchanged(equations, model, theta, free)
        if found is None:
            return []
        directions.append((theta, found))
    return _parts(design, model, *directions[0])


def _ratio_to_hold(parts: list[_Part]) -> Undetermined | None:
    """Return a ratio that moves against variances of random effects, or None where that is not what happens."""
    kinds = {part.kind for part in parts}
    if not ({"random", "variance"} <= kinds <= {"random", "variance", "error"}):
        return None
    ratios = next(part for part in parts if part.kind == "variance")
    random = next(part for part in parts if part.kind == "random")
    place = int(np.argmax(np.abs(ratios.slopes)))
    if not ratios.names[place].partition(": ")[2].startswith("ratio("):
        return None
    room = np.sign(random.slopes[int(np.argmax(np.abs(random.slopes)))] * ratios.slopes[place])
    others = tuple(name for part in parts for name in part.moved if name != ratios.names[place])
    return Undetermined(ratios.names[place], others, tuple(float(step**room) for step in STEPS))


def _refusal(parts: list[_Part], design: Design, equations: Equations) -> SpecError | DataError:
    if len(parts) > 1:
        first, second = parts[:2]
        return SpecError(
            f"{first.label} and {second.label} cannot be told apart: {_joined(first.moved)} can be exchanged for "
            f"{_joined(second.moved)} without changing the covariance of the data. Leave one of them out, or hold "
            "parameters by hold=."
        )
    why = _empty_positions(design, equations) or "no rows show it apart from the rest"
    return DataError(
        f"{parts[0].label}: the data do not determine {_joined(parts[0].moved)}; {why}. Use a structure with fewer "
        "parameters, combine levels, or hold it by hold=."
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
        own = _random_points(block, 0.6 + 0.1 * k)
        base[block.place] = own[len(own) // 2]
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


def _random_points(block: Block, scale: float) -> Array:
    if block.positions.size == 1:
        return block.structure.start(np.array([[scale]]), block.positions)[None]
    return _points(block.structure, block.positions, scale)


def _residual_points(block: ResidualBlock) -> Array:
    return np.zeros((1, 1)) if block.structure is None else _points(block.structure, block.positions)


def _points(structure: Structure, at: Positions, scale: float = 1.0) -> Array:
    """Return parameters of correlated effects or errors, which every parameter bears on, (points, k)."""
    lag = np.abs(np.subtract.outer(np.arange(at.size), np.arange(at.size)))
    target = scale * (0.7 * 0.5**lag + 0.1 + 0.2 * (lag == 0))
    if not structure.ranges(at):
        return structure.start(target, at)[None]
    starts = structure.starts(target, at)
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


def _parts(design: Design, model: CovarianceModel, theta: Array, direction: Array) -> list[_Part]:
    """Return the parts of the model that take part in a direction of θ, with their parameters."""
    found = []
    for block in model.random_blocks:
        natural = block.structure.natural(theta[block.place], block.positions)
        names = natural_names(design.random[block.term], block.set, natural)
        what = f"the random term {design.random[block.term].label!r}"
        found.append((what, "random", block.place, natural.jacobian, names))
    labels = residual_labels(design)
    for residual in model.residual_blocks:
        if residual.structure is None:
            found.append(("the error variance", "error", residual.place, np.eye(1), ["var(Residual)"]))
            continue
        natural = residual.structure.natural(theta[residual.place], residual.positions)
        assert design.residual is not None
        what = f"the residual structure {residual.structure.names[0]!r} of {design.residual.label!r}"
        names = [residual_name(name, labels[residual.set]) for name in natural.names]
        found.append((what, "structure", residual.place, natural.jacobian, names))
    for variance in model.variance_blocks:
        term = model.variance[variance.index]
        natural = term.natural(theta[variance.place])
        what, names = (
            f"the variance function {term.label}",
            [f"{term.label}: {name}" for name in natural.names],
        )
        found.append((what, "variance", variance.place, natural.jacobian, names))
    out = []
    for what, kind, place, jacobian, names in found:
        slopes = jacobian @ direction[place]
        if slopes.size and np.abs(slopes).max() > INVOLVED * np.abs(direction).max():
            out.append(_Part(what, tuple(names), slopes, kind))
    return out


def _joined(names: Labels) -> str:
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
