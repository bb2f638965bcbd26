"""The covariance of the errors of a fit, whether equal and independent or structured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..engines.clusterwise import ClusterwiseEngine
from ..engines.fitted_errors import FittedErrors
from ..engines.marginal_objective import MarginalObjective
from ..engines.marginal_system import MarginalSystem
from ..engines.parameters import design_blocks
from ..errors import SpecError
from ..fit import Fit
from ..typing import Array


def fitted_errors(fit: Fit) -> FittedErrors | None:
    """Return R̂ of a fit with a residual structure or variance functions, None for errors of variance "
    "σ²/w."""
    if fit.design.residual is None:
        return None
    return fit.keep("fitted errors", lambda: _build(fit))


def _build(fit: Fit) -> FittedErrors:
    objective = fit.objective()
    assert isinstance(objective, MarginalObjective)
    return FittedErrors(fit.design, objective.model, fit.optimum.theta)


def error_variances(fit: Fit) -> Array:
    """Return R̂_ii of every observation, (n,)."""
    errors = fitted_errors(fit)
    if errors is not None:
        return errors.variances()
    weights = fit.design.weights
    return np.full(fit.nobs, fit.sigma2) if weights is None else fit.sigma2 / weights


def error_covariance(fit: Fit, rows: NDArray[np.intp]) -> Array:
    """Return R̂ among observations (..., t), as (..., t, t)."""
    errors = fitted_errors(fit)
    if errors is not None:
        return errors.among(rows)
    return np.asarray(error_variances(fit)[rows][..., None] * np.eye(rows.shape[-1]))


def draw_errors(fit: Fit, rng: np.random.Generator) -> Array:
    """Return one draw of all errors from N(0, R̂), (n,)."""
    errors = fitted_errors(fit)
    if errors is not None:
        return errors.draw(rng)
    return np.asarray(np.sqrt(error_variances(fit)) * rng.standard_normal(fit.nobs))


def marginal_system(fit: Fit, tool: str) -> MarginalSystem:
    """Return V̂ of every independent cluster, factored; `SpecError` where clusters are too large."""
    if fit.design.residual is not None:
        system = fit.system()
        if isinstance(system, MarginalSystem):
            return system
    reason = ClusterwiseEngine().supports(fit.design, fit.control)
    if reason is not None:
        raise SpecError(f"{tool} needs the covariance of whole clusters: {reason}.")
    return fit.keep("marginal system", lambda: _factored(fit))


def _factored(fit: Fit) -> MarginalSystem:
    system = MarginalSystem(replace(fit.design), fit.control)
    theta = fit.optimum.theta
    if fit.design.residual is None:
        blocks = design_blocks(fit.design)
        parts = [b.structure.rescale(fit.relative[b.place], fit.sigma2, b.positions) for b in blocks]
        theta = np.concatenate([*parts, [np.log(fit.sigma2)]])
    elif fit.spec.hold:
        # held parameters may be counted in other coordinates: take those of this system
        objective = fit.objective()
        assert isinstance(objective, MarginalObjective)
        system.model.random_blocks = objective.model.random_blocks
        system.model.residual_blocks = objective.model.residual_blocks
    system.factor(system.model.at(theta))
    return system
