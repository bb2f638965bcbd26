"""How X'V⁻¹X responds to the covariance parameters: what Satterthwaite's and Kenward and Roger's methods are made of.

For the joint parameters θ with V̇_a = ∂V/∂θ_a

    P_a = −X'V⁻¹V̇_aV⁻¹X = ∂(X'V⁻¹X)/∂θ_a,      Q_ab = X'V⁻¹V̇_aV⁻¹V̇_bV⁻¹X,

and V̈ = Σ_ab w_ab ∂²V/∂η_a∂η_b in the natural parameters η, which is zero for structures linear in them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..covariance.base import semidefinite_cholesky
from ..engines.base import Covariances, Direction
from ..errors import FitError, SpecError
from ..typing import Array
from .base import LinearCriterion

SMALL = 1e-4
"""Relative change of V by which its bend is followed."""


def fixed_information(criterion: LinearCriterion, theta: Array, weights: Array) -> tuple[Array, Array]:
    """Return P_a (k, r, r) and Σ_ab w_ab Q_ab (r, r) at θ for the joint parameters, weights (k, k)."""
    joint, at = criterion.jointly(), criterion.absolute(theta)
    return joint.settle(at).fixed_information(joint.model.directions(at), weights)


def second_order(criterion: LinearCriterion, theta: Array, weights: Array) -> Array:
    """Return X'V⁻¹V̈V⁻¹X, (r, r), for weights (k, k) of the natural parameters in the order of `natural`."""
    bend = criterion.jointly().model.bend(criterion.absolute(theta), weights)
    if bend is None:
        r = criterion.design.fixed.rank
        return np.zeros((r, r))
    return np.asarray(-criterion.settle(theta).fixed_information([bend], np.zeros((1, 1)))[0][0])


def bend_traces(criterion: LinearCriterion, theta: Array, weights: Array) -> Array:
    """Return tr(PV̈PV_i) for every joint parameter, (k,).

    Notes
    -----
    Where the equations do not give it, −∂ tr(PV_i)/∂ε at V + εV̈, V_i kept: a central difference of the traces that the
    gradient is made of, whose error is about 1e-8 relative.
    """
    joint, at = criterion.jointly(), criterion.absolute(theta)
    bend = joint.model.bend(at, weights)
    if bend is None:
        return np.zeros(joint.n_theta)
    found = joint.settle(at).trace_products([bend, *joint.model.directions(at)], True)
    return _followed(joint, at, bend) if found is None else found[0, 1:]


def _followed(joint: LinearCriterion, theta: Array, bend: Direction) -> Array:
    if bend.rows is not None:
        raise SpecError(
            "ddf='kenward-roger2' is not computed for variance functions whose rows random effects tie together; "
            "use 'kenward-roger', whose second-order term is."
        )
    here = joint.model.numbers(theta)
    step, found = _largest_step(here, bend), []
    for e in (step, -step):
        joint.equations.holder = None
        joint.equations.factor(_moved(here, bend, e))
        random, errors = joint.equations.traces(True)
        found.append((random, errors))
    joint.equations.holder = None
    joint.settle(theta)
    slopes = [
        tuple((low - high) / (2.0 * step) for high, low in zip(*side, strict=True))
        for side in zip(*found, strict=True)
    ]
    return joint.model.slopes(theta, slopes[0], slopes[1])


def _moved(here: Covariances, bend: Direction, step: float) -> Covariances:
    """Return V + step·V̈."""
    random = [sigma.copy() for sigma in here.matrices()]
    for k, which, matrix in bend.random:
        random[k][which] += step * matrix
    roots = tuple(np.array([semidefinite_cholesky(sigma) for sigma in stack]) for stack in random)
    errors = here.errors
    if bend.errors is not None:
        errors = tuple(r + step * bend.errors(g) for g, r in enumerate(errors))
    return replace(here, random=tuple(random), roots=roots, errors=errors)


def _largest_step(here: Covariances, bend: Direction) -> float:
    """Return ε such that ε·V̈ changes every Σ and R by a ten-thousandth at most and leaves it positive definite."""
    random = here.matrices()
    pairs = [(random[k][which], matrix) for k, which, matrix in bend.random]
    if bend.errors is not None:
        pairs += [(r, bend.errors(g)) for g, r in enumerate(here.errors)]
    largest = 0.0
    for covariance, change in pairs:
        try:
            root = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            raise FitError(
                "ddf='kenward-roger2' is not defined where a covariance that is not linear in its parameters is "
                "singular; use 'kenward-roger' or 'satterthwaite'."
            ) from None
        inner = np.linalg.solve(root, np.linalg.solve(root, change).swapaxes(-1, -2))
        eigenvalues = np.linalg.eigvalsh(0.5 * (inner + inner.swapaxes(-1, -2)))
        largest = max(largest, float(np.abs(eigenvalues).max()))
        largest = max(largest, float(np.abs(change).max()) / float(np.abs(covariance).max()))
    return SMALL / largest if largest > 0 else 1.0
