"""Responses that are missing from a cluster, predicted from those that are not through correlated errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..criterion.errors import FittedErrors, NewErrorCovariance
from ..engines.base import Target
from ..fit import Fit
from ..terms.new_rows import NewRows, encode_errors
from ..terms.residual import NewErrors
from ..typing import Array
from .error_side import error_variances, fitted_errors


@dataclass(frozen=True, slots=True)
class ErrorsOfRows:
    """What is known of the errors of new rows: their variances (m,), and which are missing responses, (m,)."""

    variances: Array
    unobserved: NDArray[np.bool_]
    new: NewErrors | None = None
    sd: Array | None = None


def new_errors(
    fit: Fit, rows: NewRows, newdata: Any, mean: Array, *, required: bool, conditional: bool
) -> ErrorsOfRows:
    """Return the errors of the rows to predict; `required` where their variances are needed.

    Only `conditional` predictions ask which rows are missing responses.
    """
    none = np.zeros(len(rows), dtype=bool)
    if not required and not conditional:
        return ErrorsOfRows(np.zeros(len(rows)), none)
    if newdata is None:
        return ErrorsOfRows(error_variances(fit) if required else np.zeros(len(rows)), none)
    fitted = fitted_errors(fit)
    if fitted is None:
        weights = 1.0 if rows.weights is None else rows.weights
        return ErrorsOfRows(fit.sigma2 / weights * np.ones(len(rows)), none)
    new = encode_errors(fit.spec, fit.design, newdata, required=required)
    if new is None:
        return ErrorsOfRows(np.zeros(len(rows)), none)
    sd = fitted.new_sd(new, mean, rows.weights)
    variances = fitted.new_variances(new, sd)
    return ErrorsOfRows(variances, fitted.unobserved(new) & np.isfinite(variances), new, sd)


def predict_unobserved(
    fit: Fit, rows: NewRows, errors: ErrorsOfRows, chosen: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Return predicted responses, offsets left out, of the chosen rows and the variances of their errors.

    `rows` are the chosen rows; `errors` those of all.
    """
    fitted = fitted_errors(fit)
    assert isinstance(fitted, FittedErrors)
    assert errors.new is not None
    assert errors.sd is not None
    new = errors.new.take(chosen)
    target = Target(
        rows.x,
        rows.codes,
        rows.values,
        cluster=fitted.first_rows()[new.clusters].astype(np.intp),
        error=NewErrorCovariance(fitted, new, errors.sd[chosen]),
    )
    shift, variance = fit._work.equations().predict(target)
    return np.asarray(fit.solution.estimates(rows.x) + shift), variance
