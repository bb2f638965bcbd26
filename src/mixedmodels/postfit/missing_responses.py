"""The errors of rows to predict: their variances, and which are missing responses of clusters of the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..criterion.errors import FittedErrors, NewErrorCovariance
from ..fit import Fit
from ..terms.new_rows import NewRows, encode_errors
from ..terms.residual import NewErrors
from ..typing import Array
from .error_side import error_variances, fitted_errors


@dataclass(frozen=True, slots=True)
class ErrorsOfRows:
    """What is known of the errors of new rows.

    `variances` (m,), NaN where they are not known; `unobserved` (m,) says which are missing responses; `fitted` is R̂,
    None for errors of variance σ²/w or where nothing is asked of R̂, `new` the rows as it reads them, `mean` and
    `weights` what their standard deviations depend on.
    """

    variances: Array
    unobserved: NDArray[np.bool_]
    fitted: FittedErrors | None = None
    new: NewErrors | None = None
    mean: Array | None = None
    weights: Array | None = None

    @property
    def cluster_rows(self) -> NDArray[np.intp]:
        """A row of the fit that is of the cluster of each new one, (m,)."""
        assert self.fitted is not None
        assert self.new is not None
        return self.fitted.first_rows()[self.new.clusters].astype(np.intp)

    def moved(self, theta: Array) -> ErrorsOfRows:
        """Return what R(θ) says of the same rows."""
        assert self.fitted is not None
        if self.new is None:
            # the rows of the fit themselves
            fitted = FittedErrors(self.fitted.model, theta)
            return replace(self, fitted=fitted, variances=fitted.variances())
        return _of_new_rows(FittedErrors(self.fitted.model, theta), self.new, self.mean, self.weights)

    def relation(self, missing: NDArray[np.bool_]) -> NewErrorCovariance | None:
        """Return the covariances of the missing responses with those of the fit; None without any."""
        if not missing.any():
            return None
        assert self.fitted is not None
        assert self.new is not None
        assert self.mean is not None
        sd = self.fitted.new_sd(self.new, self.mean, self.weights)
        return NewErrorCovariance(self.fitted, self.new.take(missing), sd[missing])


def new_errors(
    fit: Fit, rows: NewRows, newdata: Any, mean: Array, *, required: bool, conditional: bool
) -> ErrorsOfRows:
    """Return the errors of the rows to predict; `required` where their variances are needed.

    Only `conditional` predictions ask which rows are missing responses. A new study of a meta-analysis is asked for its
    true effect, which has no sampling error; a row of a generalised model for its mean, about which it is distributed
    as its family says.
    """
    none, zero = np.zeros(len(rows), dtype=bool), np.zeros(len(rows))
    if (not required and not conditional) or fit.spec.sampling or fit.distribution is not None:
        return ErrorsOfRows(zero, none)
    fitted = fitted_errors(fit)
    if newdata is None:
        return ErrorsOfRows(error_variances(fit), none, fitted) if required else ErrorsOfRows(zero, none)
    if fitted is None:
        weights = 1.0 if rows.weights is None else rows.weights
        return ErrorsOfRows(fit.sigma2 / weights * np.ones(len(rows)), none)
    new = encode_errors(fit.spec, fit.design, newdata, required=required)
    if new is None:
        return ErrorsOfRows(zero, none)
    return _of_new_rows(fitted, new, mean, rows.weights)


def _of_new_rows(
    fitted: FittedErrors, new: NewErrors, mean: Array | None, weights: Array | None
) -> ErrorsOfRows:
    assert mean is not None
    variances = fitted.new_variances(new, fitted.new_sd(new, mean, weights))
    unobserved = fitted.unobserved(new) & np.isfinite(variances)
    return ErrorsOfRows(variances, unobserved, fitted, new, mean, weights)
