"""A linear mixed model as a scikit-learn regressor: `pip install "mixedmodels[sklearn]"`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .api.lmm import lmm
from .control import Control
from .errors import ConvergenceWarning, SpecError
from .fit import Fit
from .typing import Array

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise SpecError(
        'mixedmodels.sklearn needs scikit-learn, 1.6 or newer: pip install "mixedmodels[sklearn]".'
    ) from None

RESPONSE, GROUP = "response", "group"
"""Names of the response and of `groups=` in formulas."""


class MixedModelRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A linear mixed model with scikit-learn's `fit` and `predict`.

    Parameters
    ----------
    formula
        Right side of a formula on the columns of a data frame X, such as `"Days + (Days | Subject)"`; `group` stands
        for `groups=`. By default every column of X enters linearly, with an intercept.
    random
        Effects that vary by `groups=`, such as `"1"` or `"1 + x0"`; columns of arrays are called `x0`, `x1` … Without
        groups there are none.
    residual, variance, method, control
        As for `mixedmodels.lmm`.

    Attributes
    ----------
    fit_ : Fit
        The fitted model with all its tools.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    `predict` adds the random effects of groups that were in the fit; other groups, or none, get the population mean.
    `groups` reaches `fit` and `predict` inside pipelines and searches by metadata routing:
    `MixedModelRegressor().set_fit_request(groups=True).set_predict_request(groups=True)`.

    Examples
    --------
    >>> import numpy as np
    >>> from mixedmodels.sklearn import MixedModelRegressor
    >>> rng = np.random.default_rng(0)
    >>> groups, x = np.repeat(np.arange(20), 5), rng.normal(size=(100, 1))
    >>> y = x[:, 0] + rng.normal(size=20)[groups] + 0.1 * rng.normal(size=100)
    >>> model = MixedModelRegressor().fit(x, y, groups=groups)
    >>> round(float(np.corrcoef(model.predict(x, groups=groups), y)[0, 1]), 2)
    1.0
    """

    def __init__(
        self,
        formula: str | None = None,
        *,
        random: str = "1",
        residual: str | None = None,
        variance: str | None = None,
        method: str = "reml",
        control: Control | None = None,
    ) -> None:
        self.formula = formula
        self.random = random
        self.residual = residual
        self.variance = variance
        self.method = method
        self.control = control

    def fit(self, X: Any, y: Any, groups: Any = None) -> MixedModelRegressor:
        """Fit the model to X (n, p) and y (n,), rows grouped by `groups` (n,)."""
        if self.formula is None:
            values, response = validate_data(
                self, X, y, y_numeric=True, dtype=np.float64, ensure_min_samples=2
            )
            columns = self._linear(values)
            right = " + ".join(columns) or "1"
        else:
            response = np.asarray(y, dtype=float).reshape(-1)
            validate_data(self, X, skip_check_array=True)
            columns, right = _named(X), self.formula
        if groups is not None:
            columns[GROUP] = np.asarray(groups)
            if self.formula is None:
                right = f"{right} + ({self.random} | {GROUP})"
        columns[RESPONSE] = np.asarray(response, dtype=float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.fit_ = lmm(
                f"{RESPONSE} ~ {right}",
                columns,
                residual=self.residual,
                variance=self.variance,
                method=self.method,  # type: ignore[arg-type]
                control=self.control,
            )
        if not self.fit_.converged:
            told = " ".join(f"{status}." for status in self.fit_.optimum.statuses)
            warnings.warn(told, ConvergenceWarning, stacklevel=2)
        return self

    def predict(self, X: Any, groups: Any = None) -> Array:
        """Return predictions (n,): given the random effects of known groups, of the population elsewhere."""
        check_is_fitted(self)
        fit: Fit = self.fit_
        if self.formula is None:
            columns = self._linear(validate_data(self, X, reset=False, dtype=np.float64))
        else:
            validate_data(self, X, reset=False, skip_check_array=True)
            columns = _named(X)
        if groups is not None:
            columns[GROUP] = np.asarray(groups)
        grouped = bool(fit.design.random) and all(
            name in columns for term in fit.spec.random for name in term.group
        )
        level = "conditional" if grouped else "population"
        found = fit.predict(columns, level=level, new_levels="population" if grouped else "raise")
        return np.asarray(found, dtype=float)

    def _linear(self, values: Array) -> dict[str, Any]:
        return {f"x{j}": np.ascontiguousarray(values[:, j]) for j in range(values.shape[1])}


def _named(X: Any) -> dict[str, Any]:
    """Return the columns of a data frame by name; `SpecError` for what has none."""
    if not hasattr(X, "columns"):
        raise SpecError("formula= names columns of X: give X as a data frame, or leave formula= out.")
    return {str(name): X[name].to_numpy() for name in X.columns}
