"""Predictions with their standard errors and intervals, at the data or at new rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError
from ..fit import Fit, row_products
from ..inference.ddf import DegreesOfFreedom, method_for
from ..inference.distributions import t_quantile
from ..inference.response import Response, read_response
from ..inference.sensitivity import Information
from ..inference.wald import check_level, is_estimable
from ..registry import check_choice
from ..table import Table
from ..terms.new_rows import NewRows, encode_new
from ..typing import Array
from .missing_responses import ErrorsOfRows, new_errors, predict_unobserved
from .standard_errors import standard_errors
from .unobserved import own_variances, reach, without_new_levels

TYPES = ("link", "response")
LEVELS = ("conditional", "population")
INTERVALS = ("confidence", "prediction")
NEW_LEVELS = ("raise", "population")


def predict(
    fit: Fit,
    newdata: Any = None,
    *,
    level: str = "conditional",
    se: bool = False,
    interval: str | None = None,
    new_levels: str = "raise",
    confidence: float = 0.95,
    type: str = "link",
    ddf: str | None = None,
    information: Information = "observed",
) -> Array | Table:
    """Return predicted means offset + Xβ̂ (+ Zb̂), (rows,), or a table with standard errors and limits.

    Parameters
    ----------
    newdata
        Rows to predict at, a frame or dict with the predictors, where one value may stand for all rows; the rows of
        the fit by default.
    level
        `"conditional"`: given the predicted random effects of each row's levels and, where errors are
        correlated, the observed rows of its cluster; `"population"`: with random effects and errors zero.
    se
        Add the standard error of the predicted mean.
    interval
        `"confidence"`: limits for the mean; `"prediction"`: limits for a new observation.
    new_levels
        A level of a grouping factor that was not in the fit is an error (`"raise"`) or has its random
        effects predicted by zero (`"population"`), their variance counted in se and intervals.
    confidence
        Probability of the intervals.
    type
        `"link"`: the response as modelled; `"response"`: the response itself where it is modelled through
        `log log10 log2 log1p sqrt`, means and limits transformed back and se by the delta method.
    ddf
        Degrees-of-freedom method of the intervals; the fit's own by default.
    information
        The `"observed"` or `"expected"` information it is computed from.

    Returns
    -------
    ndarray or Table
        A vector, or with `se` or `interval` the columns `fit se lower upper`. Rows with a missing
        predictor are NaN; so are rows whose mean cannot be estimated (aliased columns), with a warning.

    Notes
    -----
    se² = var(x'(β̂ − β) + z'(b̂ − b)) from the joint covariance of β̂ and b̂ (Henderson 1975), covariance
    parameters taken as known; at population level it is x'Φx, Φ the covariance of β̂ of the df method. A
    new observation adds the variance of its error, and at population level z'Σz of every random term.

    A spatial random effect, `exp(x, y | field)`, at a point without data is predicted from those at the
    points of the fit by kriging, and what they leave open is part of se and limits. A new level has the
    variance of its random effects in se and limits, that of its own parameter set with `by=`.

    Where errors are correlated, a row of `newdata` at a position of its cluster that was not observed there
    is a missing response: it is predicted by x'β̂ + v'V⁻¹(y − Xβ̂), v its covariance with the cluster's rows,
    and se and limits are those of the response itself (Goldberger 1962; kriging). Other rows are predicted by
    their mean; so are all rows where positions are the order of rows (`cs(1 | g)`), which new rows do not have.

    Intervals use t with the
    df of x'β̂ at population level, those of the residual (or none) at conditional level. *Same as* SAS
    `OUTP=` (conditional) and `OUTPM=` (population), `predict(fit, re.form = NULL | NA)` of lme4.

    The inverse of the transformation at a mean is a median where errors are symmetric: exp(x'β̂) is the median of y
    under `log(y)`, not its mean exp(x'β̂ + σ²/2).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> fit.predict({"Rail": ["1", "7"]}, new_levels="population").round(4)
    array([54.1085, 66.5   ])
    >>> print(fit.predict({"Rail": ["1"]}, interval="prediction"))
        fit       se    lower    upper
    54.1085  2.31299  44.3219  63.8951
    95% prediction limits; df: residual (n − rank X)
    """
    _check(level, new_levels, interval, confidence)
    back = _transformation(fit, type)
    conditional, response = level == "conditional", interval == "prediction"
    rows = _fitted_rows(fit) if newdata is None else _new_rows(fit, newdata, conditional or response)
    if conditional and new_levels == "raise":
        _refuse_new_levels(fit, rows)
    found = _predicted(fit, rows, newdata, conditional=conditional, response=response)
    placed = fit.in_place if newdata is None else np.asarray
    if not se and interval is None:
        return placed(found.mean if back is None else back.mean(found.mean))
    method = method_for(fit, ddf, information=information)
    variance = _variance(fit, found, conditional, method)
    columns = {"fit": found.mean, "se": standard_errors(fit, variance)}
    notes = _missing_notes(found)
    if response:
        own = _own_variance(fit, found, conditional)
        variance = variance + np.where(found.missing, 0.0, own)
        notes += _response_notes(fit, found, own)
    if interval is not None:
        df, note = _interval_df(fit, found.rows, conditional, method)
        half = t_quantile(confidence, df) * standard_errors(fit, variance)
        columns.update(lower=found.mean - half, upper=found.mean + half)
        notes = [f"{100 * confidence:g}% {interval} limits; df: {note}", *notes]
    if back is not None:
        columns["se"] = np.abs(back.mean_slope(found.mean)) * columns["se"]
        columns |= {name: back.mean(values) for name, values in columns.items() if name != "se"}
        notes.append(f"transformed back from {fit.spec.response}: medians where errors are symmetric")
    columns = {name: placed(values) for name, values in columns.items()}
    return Table(columns, notes=tuple(notes), backend=found.rows.backend)


def conditional_means(fit: Fit, newdata: Any) -> Array:
    """Return offset + Xβ̂ + Zb̂ at new rows, (rows,), whatever is known of their errors."""
    rows = reach(fit, _new_rows(fit, newdata, True)).rows
    return np.where(rows.complete, _mean(fit, rows, True), np.nan)


@dataclass(frozen=True, slots=True)
class _Predicted:
    """Means of m rows, with what their variances are made of.

    `rest` (m,) is the variance of effects at points without data; `valid` (m,) which rows have a mean; `errors` what is
    known of their errors; `missing` (m,) which rows are missing responses, predicted from their cluster, and
    `missing_variance` what the cluster leaves open of those.
    """

    rows: NewRows
    rest: Array
    valid: NDArray[np.bool_]
    mean: Array
    errors: ErrorsOfRows
    missing: NDArray[np.bool_]
    missing_variance: Array


def _check(level: str, new_levels: str, interval: str | None, confidence: float) -> None:
    if isinstance(level, float):
        raise SpecError(
            f"level={level!r} is 'conditional' or 'population'; the probability of intervals is confidence=."
        )
    check_choice("level", level, LEVELS)
    check_choice("new_levels", new_levels, NEW_LEVELS)
    if interval is not None:
        check_choice("interval", interval, INTERVALS)
    check_level(confidence)


def _transformation(fit: Fit, type: str) -> Response | None:
    """Return how means are transformed back, None where they are not."""
    check_choice("type", type, TYPES)
    if type == "link" or fit.spec.response in {column.name for column in fit.schema.columns}:
        return None
    return read_response(fit.spec.response)


def _predicted(fit: Fit, rows: NewRows, newdata: Any, *, conditional: bool, response: bool) -> _Predicted:
    """Return the means of rows; with `response` the variances of their errors are needed too."""
    reached = reach(fit, rows)
    rows = reached.rows
    valid = rows.complete & _estimable(fit, rows)
    mean = np.where(valid, _mean(fit, rows, conditional), np.nan)
    errors = new_errors(fit, rows, newdata, mean, required=response, conditional=conditional)
    missing = errors.unobserved & valid if conditional else np.zeros(len(rows), dtype=bool)
    left = np.zeros(0)
    if missing.any():
        bare, _ = without_new_levels(fit, _take(rows, missing))
        predicted, left = predict_unobserved(fit, bare, errors, missing)
        mean[missing] = predicted + (0.0 if rows.offset is None else rows.offset[missing])
    return _Predicted(rows, reached.rest, valid, mean, errors, missing, left)


def _variance(fit: Fit, found: _Predicted, conditional: bool, method: DegreesOfFreedom) -> Array:
    """Return the variances of means less what they predict, (m,); of the responses where those are missing."""
    rows, missing = found.rows, found.missing
    variance = np.full(len(rows), np.nan)
    variance[found.valid] = _mean_variance(fit, _take(rows, found.valid), conditional, method)
    if missing.any():
        own = _take(rows, missing)
        variance[missing] = found.missing_variance + own_variances(fit, own, without_new_levels(fit, own)[1])
    return variance + found.rest if conditional else variance


def _own_variance(fit: Fit, found: _Predicted, conditional: bool) -> Array:
    """Return what a new observation varies about its mean by, (m,), NaN where that is not known."""
    own, rows = found.errors.variances, found.rows
    if conditional:
        return own
    effects = own_variances(fit, rows, (rows.complete,) * len(rows.codes)) + found.rest
    return np.asarray(own + np.where(rows.complete, effects, np.nan))


def _missing_notes(found: _Predicted) -> list[str]:
    count = int(found.missing.sum())
    if not count:
        return []
    what = "1 row is a missing response" if count == 1 else f"{count} rows are missing responses"
    return [f"{what}, predicted from the observed rows of the same cluster"]


def _response_notes(fit: Fit, found: _Predicted, own: Array) -> list[str]:
    notes = []
    if unknown := int(np.count_nonzero(np.isnan(own) & found.valid)):
        what = "1 row has" if unknown == 1 else f"{unknown} rows have"
        notes.append(f"{what} no limits: a position or group that was not in the fit, so no known variance")
    if fit.design.weights is not None and found.rows.weights is None:
        notes.append("new observations have weight 1: newdata holds no weights")
    return notes


def _fitted_rows(fit: Fit) -> NewRows:
    design = fit.design
    return NewRows(
        matrix=design.fixed.matrix,
        x=design.x,
        offset=design.offset,
        codes=tuple(term.codes for term in design.random),
        values=tuple(term.values for term in design.random),
        sets=tuple(term.sets[term.codes] for term in design.random),
        points=(None,) * len(design.random),
        weights=design.weights,
        complete=np.ones(design.n, dtype=bool),
        backend=fit.backend,
    )


def _new_rows(fit: Fit, newdata: Any, random: bool) -> NewRows:
    return encode_new(fit.spec, fit.schema, fit.design, newdata, random=random)


def _take(rows: NewRows, chosen: NDArray[np.bool_]) -> NewRows:
    if chosen.all():
        return rows
    return replace(
        rows,
        matrix=rows.matrix[chosen],
        x=rows.x[chosen],
        offset=None,
        codes=tuple(codes[chosen] for codes in rows.codes),
        values=tuple(None if values is None else values[chosen] for values in rows.values),
        sets=tuple(sets[chosen] for sets in rows.sets),
        points=(None,) * len(rows.points),
        weights=None,
        complete=rows.complete[chosen],
    )


def _mean(fit: Fit, rows: NewRows, conditional: bool) -> Array:
    mean = fit.solution.estimates(rows.x)
    if rows.offset is not None:
        mean = mean + rows.offset
    if conditional:
        for effects, codes, values in zip(fit.solution.random, rows.codes, rows.values, strict=True):
            known = codes >= 0
            mean = mean + np.where(known, row_products(values, effects[np.where(known, codes, 0)]), 0.0)
    return np.asarray(mean)


def _mean_variance(fit: Fit, rows: NewRows, conditional: bool, method: DegreesOfFreedom) -> Array:
    if not conditional or not fit.design.random:
        own = fit.solution.basis.rows(rows.x)
        return np.asarray(np.einsum("ia,ab,ib->i", own, method.vcov(fit), own))
    known, new = without_new_levels(fit, rows)
    x = np.ascontiguousarray(rows.x)
    variance = fit._work.equations().prediction_variance(x, known.codes, known.values)
    return variance + own_variances(fit, rows, new)


def _interval_df(fit: Fit, rows: NewRows, conditional: bool, method: DegreesOfFreedom) -> tuple[Array, str]:
    if not conditional:
        return method.single(fit, rows.x), method.describe(fit)
    df = np.inf if method.name == "asymptotic" else float(fit.df_resid)
    return np.full(len(rows), df), method.note if np.isinf(df) else "residual (n − rank X)"


def _estimable(fit: Fit, rows: NewRows) -> NDArray[np.bool_]:
    if fit.design.fixed.rank == len(fit.design.fixed.columns):
        return np.ones(len(rows), dtype=bool)
    estimable = is_estimable(fit, np.nan_to_num(rows.matrix))
    missed = len(estimable) - int(np.count_nonzero(estimable))
    if missed:
        warnings.warn(
            f"{missed} rows cannot be predicted: their mean is not estimable, since columns of X "
            f"are aliased ({', '.join(fit.design.fixed.aliased)})",
            stacklevel=5,
        )
    return estimable


def _refuse_new_levels(fit: Fit, rows: NewRows) -> None:
    for term, codes in zip(fit.design.random, rows.codes, strict=True):
        unknown = np.flatnonzero((codes < 0) & rows.complete)
        if len(unknown):
            raise DataError(
                f"newdata: {len(unknown)} rows have a level of {term.group!r} that was not in the fit "
                f"(first: row {int(unknown[0]) + 1}); use new_levels='population' to predict them with "
                "random effects zero, or level='population'."
            )
