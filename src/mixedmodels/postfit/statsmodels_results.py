"""A fit as statsmodels shows its results, for packages that read those: marginaleffects among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.smooth_posterior import smooths_of
from ..syntax.spelling import variables
from ..terms.predictors import parts_of
from ..tool import load
from ..typing import Array
from .used_data import column_values, read_data


@dataclass(frozen=True)
class FormulaData:
    """The data of a model as a pandas frame, and patsy's design of its fixed part."""

    frame: Any
    design_info: Any


@dataclass(frozen=True)
class FormulaModel:
    """What statsmodels calls the model of results: names, data, and means at rows of its design.

    The design is that of the formula, the predictors one beside the other; the fit's own X is made of what its columns
    say of the predictors.
    """

    fit: Fit
    formula: str
    endog_names: str
    data: FormulaData
    exog: Array
    latest: list[tuple[Array, Array, Array]] = field(default_factory=list)

    def predict(self, params: Any, exog: Any) -> Array:
        """Return the means (m,) at rows of the design, for given coefficients of the fit (r,)."""
        x, offset = self._own_rows(exog)
        eta = x @ np.asarray(params, dtype=float) + offset
        known = self.fit.distribution
        if known is None:
            return np.asarray(eta)
        assert known.link is not None
        return np.asarray(known.link.inverse(eta)[0])

    def _own_rows(self, exog: Any) -> tuple[Array, Array]:
        """Return X (m, r) and the offset (m,) of rows of the design; slopes ask for the same rows many times."""
        design = np.array(exog, dtype=float)
        if self.latest and np.array_equal(self.latest[0][0], design):
            return self.latest[0][1:]
        rows = load("postfit.predict:new_rows")(
            self.fit, self._predictors(design), random=False, grouping=False
        )
        offset = np.zeros(len(rows)) if rows.offset is None else rows.offset
        self.latest[:] = [(design, rows.x, offset)]
        return rows.x, offset

    def _predictors(self, design: Array) -> dict[str, Any]:
        """Return the predictors that the columns of a design stand for."""
        found: dict[str, Any] = {}
        for name, place in self.data.design_info.term_name_slices.items():
            if name == "Intercept":
                continue
            column = self.data.frame[name]
            if column.dtype.name == "category":
                own = design[:, place]
                code = np.where(own.sum(axis=1) > 0.5, own.argmax(axis=1) + 1, 0)
                found[name] = np.asarray(column.cat.categories)[code]
            else:
                found[name] = design[:, place.start]
        return found or {"(rows)": np.zeros(len(design))}


class StatsmodelsResults:
    """Estimates of the fixed part: `params`, `cov_params()`, `df_resid`, `nobs`, `model.predict(params, exog)`."""

    def __init__(self, fit: Fit) -> None:
        self.model = _model(fit)
        import pandas as pd

        keep = list(fit.design.fixed.estimable)
        names = [fit.design.fixed.columns[j] for j in keep]
        self.params = pd.Series(np.asarray(fit.beta)[keep], index=names)
        self._vcov = pd.DataFrame(np.asarray(fit.vcov)[np.ix_(keep, keep)], index=names, columns=names)
        # tests by the normal distribution: one number of degrees of freedom is none of a mixed model
        self.df_resid = np.inf
        self.nobs = fit.nobs

    def cov_params(self) -> Any:
        """Return the covariance matrix of `params` as a frame."""
        return self._vcov

    def predict(self, exog: Any) -> Array:
        """Return the means at rows of the design."""
        return self.model.predict(self.params, exog)


def to_statsmodels(fit: Fit) -> StatsmodelsResults:
    """Return the fixed part in the shape of statsmodels' results, which marginaleffects reads.

    Means are those of groups whose random effects are zero; tests go by the normal distribution.

    Raises
    ------
    SpecError
        For models whose mean is not one linear predictor through its link, models with smooths, and without patsy and
        pandas, which come with statsmodels and marginaleffects.

    Notes
    -----
    `marginaleffects.avg_slopes(fit.to_statsmodels(), variables="x")`; `predictions` and `comparisons` likewise.
    Rows are coded as at the fit, whatever its formula. *Same as* `statsmodels.formula.api.mixedlm(…).fit()`.

    Examples
    --------
    >>> import mixedmodels as mm, pytest
    >>> patsy = pytest.importorskip("patsy")
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> results = fit.to_statsmodels()
    >>> results.params["Days"].round(4), results.model.formula
    (10.4673, 'Reaction ~ Days')
    """
    if len(parts_of(fit.design, fit._work.rows())) > 1 or smooths_of(fit):
        raise SpecError(
            "to_statsmodels: the mean must be one linear predictor of coefficients through its link; this model has "
            "several predictors, or smooths. Use fit.emmeans, fit.predict or fit.plot.effects."
        )
    if fit.distribution is not None and fit.distribution.link is None:
        raise SpecError(
            "to_statsmodels: this response has no mean through a link; use fit.emmeans or fit.predict."
        )
    try:
        own = fit.predict(level="population", **({} if fit.distribution is None else {"type": "response"}))
    except SpecError as error:
        raise SpecError(f"to_statsmodels: {error}") from error
    found = StatsmodelsResults(fit)
    if not np.allclose(found.predict(found.model.exog), own, rtol=1e-8, atol=0.0, equal_nan=True):
        raise SpecError(
            f"to_statsmodels: means of the family {fit.family!r} are not its predictor through the link; use "
            "fit.emmeans or fit.predict."
        )
    return found


def _model(fit: Fit) -> FormulaModel:
    try:
        import pandas as pd
        import patsy
    except ImportError as error:
        raise SpecError("to_statsmodels needs pandas and patsy: `pip install pandas patsy`.") from error
    data = read_data(fit)
    texts = (fit.spec.fixed, *fit.spec.offsets)
    columns = list(dict.fromkeys(name for text in texts for name in variables(text) if name in data))
    response = fit.spec.response if fit.spec.response.isidentifier() else "response"
    odd = [name for name in (*columns, response) if not name.isidentifier()]
    if odd:
        raise SpecError(f"to_statsmodels: rename {odd[0]!r}; patsy's formulas take names of Python alone.")
    frame = pd.DataFrame({name: _values(data[name], pd) for name in columns})
    frame[response] = np.asarray(fit.response)
    formula = f"{response} ~ {' + '.join(columns) or '1'}"
    design = patsy.dmatrices(formula, frame)[1]
    return FormulaModel(fit, formula, response, FormulaData(frame, design.design_info), np.asarray(design))


def _values(column: Any, pd: Any) -> Any:
    values = column_values(column)
    return pd.Categorical(values, categories=list(column.levels)) if column.is_factor else values
