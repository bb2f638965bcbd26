"""The covariance of the errors of a fit, whether equal and independent or structured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..criterion.coordinates import WrittenEquations
from ..criterion.covariances import CovarianceModel
from ..criterion.errors import FittedErrors
from ..engines import ENGINES
from ..engines.base import Engine
from ..errors import SpecError
from ..fit import Fit
from ..typing import Array


def fitted_errors(fit: Fit) -> FittedErrors | None:
    """Return R̂ of a fit with a residual structure or variance functions, None for errors of variance σ²/w."""
    if fit.design.residual is None:
        return None
    return fit._work.keep("fitted errors", lambda: _build(fit))


def _build(fit: Fit) -> FittedErrors:
    return FittedErrors(fit._work.criterion().model, fit.optimum.theta)


def error_variances(fit: Fit) -> Array:
    """Return R̂_ii of every observation, (n,)."""
    errors = fitted_errors(fit)
    if errors is not None:
        return errors.variances()
    weights = fit._work.rows().weights
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


def whole_clusters(fit: Fit, tool: str) -> WrittenEquations:
    """Return V̂ of every independent cluster, factored; `SpecError` where clusters are too large."""
    equations = fit._work.equations()
    if equations.whole_clusters:
        return equations
    engine = next(kind() for kind in ENGINES.values() if kind.whole_clusters)
    reason = engine.supports(equations.equations.layout, equations.equations.rows, fit.control)
    if reason is not None:
        raise SpecError(f"{tool} needs the covariance of whole clusters: {reason}.")
    return fit._work.keep("whole clusters", lambda: _factored(fit, engine))


def _factored(fit: Fit, engine: Engine) -> WrittenEquations:
    # held parameters may be counted in other coordinates: those of the fit's own criterion
    own = fit._work.criterion()
    joint, theta = own.jointly(), own.absolute(fit.optimum.theta)
    equations = engine.equations(own.equations.layout, own.equations.rows, fit.control)
    model = CovarianceModel(own.design, equations)
    model.random_blocks, model.residual_blocks = joint.model.random_blocks, joint.model.residual_blocks
    equations.factor(model.numbers(theta, roots=equations.takes_roots))
    return WrittenEquations(equations, own.design)
