"""Predictions with their standard errors and intervals, at the data or at new rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.base import Target
from ..errors import DataError, SpecError
from ..fit import Fit
from ..frame.stream import open_stream
from ..inference.ddf import method_for
from ..inference.distributions import t_quantile
from ..inference.response import Response, read_response
from ..inference.sensitivity import Information
from ..inference.wald import check_level, is_estimable, unlimited, untested
from ..registry import check_choice
from ..table import Table
from ..terms.new_rows import NewRows, encode_new
from ..terms.rows import TermRows
from ..tool import load
from ..typing import Array, Ddf, Labels
from .chosen_terms import with_terms
from .missing_responses import new_errors
from .predict_batches import predict_batches
from .prediction_error import Predicted, uncertainty_of
from .standard_errors import lost_note, standard_errors
from .unobserved import reach, without_new_levels

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
    ddf: Ddf | None = None,
    information: Information = "observed",
    offset: Any = None,
    terms: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    to: str | Path | None = None,
) -> Array | Table:
    """Return predicted means offset + Xβ̂ (+ Zb̂), (rows,), or a table with standard errors and limits.

    Parameters
    ----------
    newdata
        Rows to predict at, a frame or dict with the predictors, where one value may stand for all rows; the rows of
        the fit by default.
    level
        `"conditional"`: given the predicted random effects of each row's levels and, where errors are
        correlated, the observed rows of its cluster; `"population"`: with random effects and errors zero; no
        grouping column is needed; of a generalised model also `"averaged"`: the mean over the distribution of
        the random effects.
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
        `log log10 log2 log1p sqrt`, or by the link of a generalised model, means and limits transformed back and se
        by the delta method. Of a generalised model also `"conditional"`: the mean of responses that are no structural
        zeros, or pass the hurdle; `"zero"`: the share of these zeros; `"dispersion"`, on the family's natural scale;
        `"prob"`: a table with the probability of every category, with `se` a line for every row and level.
    ddf
        Degrees-of-freedom method of the intervals; the fit's own by default.
    information
        The `"observed"` or `"expected"` information it is computed from.
    offset
        Offset of new rows of a fit whose offset was given as an array.
    terms, exclude
        Names of the terms to predict from alone, `"s(x)"`, `"arm"`, `"(Intercept)"`, `"id"` of a bar, or of those to
        leave out; the offset is no term.

    to
        A Parquet file to write the columns of `newdata` to, with `fit` (and `se lower upper`) beside them. Rows that
        are read in batches, as by `lmm`, are predicted and written so; a table with the path and the number of rows
        comes back.

    Returns
    -------
    ndarray or Table
        A vector, or with `se` or `interval` the columns `fit se lower upper`. Rows with a missing
        predictor are NaN; so are rows whose mean cannot be estimated (aliased columns), with a warning.

    Notes
    -----
    se² = var(x'(β̂ − β) + z'(b̂ − b)) from the joint covariance of β̂ and b̂ (Henderson 1975); of generalised models that
    of β̂, b̂ and the covariance parameters, as in glmmTMB, and of functions of several predictors by the delta method,
    limits on the scale of the link (shares: logit, dispersions: log). Under Kenward–Roger's
    methods 2ΣW_ab ṫ_a'Vṫ_b is added, t the weights of the predictor as functions of the covariance parameters and W
    the covariance of their estimates (Harville and Jeske 1992; Prasad and Rao 1990; first order), as in SAS within
    the cluster of a missing response where there are no random effects; at population level it is x'Φx, Φ the
    covariance of β̂ of the df method. Coefficients of splines are part of the population's mean. A new observation
    adds the variance of its error, and at population level z'Σz of every random term: a subject that was not in the
    fit has the same interval at either level.

    A spatial random effect, `exp(x, y | field)`, at a point without data is predicted from those at the
    points of the fit by kriging, and what they leave open is part of se and limits. A new level has the
    variance of its random effects in se and limits, that of its own parameter set with `by=`.

    Where errors are correlated, a row of `newdata` at a position of its cluster that was not observed there
    is a missing response: it is predicted by x'β̂ + v'V⁻¹(y − Xβ̂), v its covariance with the cluster's rows,
    and se and limits are those of the response itself (Goldberger 1962; kriging). Other rows are predicted by
    their mean; so are all rows where positions are the order of rows (`cs(1 | g)`), which new rows do not have.

    Intervals use t with Satterthwaite's df of the whole variance, 2v²/(g'Wg), g its slopes in the covariance
    parameters, under Kenward–Roger's methods and Satterthwaite's; under other methods with the df of x'β̂. *Same as* SAS
    `OUTP=` (conditional) and `OUTPM=` (population), `predict(fit, re.form = NULL | NA)` of lme4.

    Prediction limits of a generalised model are quantiles of a new response, whose linear predictor is normal about its
    prediction; those of counts are counts.

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
    54.1085  2.32252  43.9956  64.2215
    95% prediction limits; df: Kenward–Roger
    """
    if to is not None or open_stream(newdata) is not None:
        again = partial(
            predict, fit, level=level, se=se, interval=interval, new_levels=new_levels, confidence=confidence,
            type=type, ddf=ddf, information=information, offset=offset, terms=terms, exclude=exclude,
        )  # fmt: skip
        return predict_batches(newdata, to, again, fit.control.progress)
    known = fit.distribution is not None
    _check(level, new_levels, interval, confidence, (*LEVELS, "averaged") if known else LEVELS)
    if known:
        own = method_for(fit, ddf, information=information)
        found: Array | Table = load("postfit.predict_generalised:predict_generalised")(
            fit, newdata, level, se, interval, new_levels, confidence, type, own, offset, (terms, exclude)
        )
        return found
    if offset is not None:
        raise SpecError("predict: offset= is for generalised models; write offset() into the formula.")
    back = _transformation(fit, type)
    conditional, response = level == "conditional", interval == "prediction"
    if newdata is None:
        rows = fitted_rows(fit)
    else:
        rows = new_rows(fit, newdata, random=conditional or response, grouping=conditional)
    if conditional and new_levels == "raise":
        refuse_new_levels(fit, rows)
    rows = with_terms(fit, rows, terms, exclude)
    located = predicted(fit, rows, newdata, conditional=conditional, response=response)
    placed = fit.in_place if newdata is None else np.asarray
    if not se and interval is None:
        return placed(located.mean if back is None else back.mean(located.mean))
    method = method_for(fit, ddf, information=information)
    off = uncertainty_of(fit, located, method, response=response, limits=interval is not None)
    columns = {"fit": located.mean, "se": standard_errors(fit, off.mean)}
    exact = (columns["se"] <= 0) & located.rows.x.any(axis=1)
    columns["se"] = np.where(exact, np.nan, columns["se"])
    notes = [*_missing_notes(located), *_position_notes(fit, located, conditional), *off.notes]
    notes += lost_note(fit, off.response if response else off.mean)
    if exact.any():
        these = "1 row is" if np.count_nonzero(exact) == 1 else f"{np.count_nonzero(exact)} rows are"
        notes.append(f"{these} fitted exactly, up to rounding: no standard errors or limits there")
    if response:
        notes += _response_notes(fit, located, off.response)
    if interval is not None:
        variance = off.response if response else off.mean
        half = t_quantile(confidence, off.df) * standard_errors(fit, variance)
        half = np.where(exact, np.nan, half)
        wide = np.isfinite(variance) & np.isfinite(off.df) & np.isnan(half)
        if why := untested(fit):
            half = np.full(len(half), np.nan)
            notes.append(f"no limits: {why}")
        elif wide.any():
            notes.append(
                unlimited(
                    f"{np.count_nonzero(wide)} rows", float(np.broadcast_to(off.df, wide.shape)[wide].max())
                )
            )
        columns.update(lower=located.mean - half, upper=located.mean + half)
        notes = [f"{100 * confidence:g}% {interval} limits; df: {method.describe(fit)}", *notes]
    if back is not None:
        columns["se"] = np.abs(back.mean_slope(located.mean)) * columns["se"]
        columns |= {name: back.mean(values) for name, values in columns.items() if name != "se"}
        notes.append(f"transformed back from {fit.spec.response}: medians where errors are symmetric")
    columns = {name: placed(values) for name, values in columns.items()}
    return Table(columns, notes=tuple(notes), backend=located.rows.backend)


def conditional_means(fit: Fit, newdata: Any) -> Array:
    """Return offset + Xβ̂ + Zb̂ at new rows, (rows,), whatever is known of their errors."""
    rows = reach(fit, new_rows(fit, newdata)).rows
    return np.where(rows.complete, _mean(fit, rows, (True,) * len(rows.codes)), np.nan)


def _check(level: str, new_levels: str, interval: str | None, confidence: float, levels: Labels) -> None:
    if isinstance(level, float):
        raise SpecError(
            f"level={level!r} is 'conditional' or 'population'; the probability of intervals is confidence=."
        )
    check_choice("level", level, levels)
    check_choice("new_levels", new_levels, NEW_LEVELS)
    if interval is not None:
        check_choice("interval", interval, INTERVALS)
    check_level(confidence, "confidence")


def _transformation(fit: Fit, type: str) -> Response | None:
    """Return how means are transformed back, None where they are not."""
    check_choice("type", type, TYPES)
    if type == "link" or fit.spec.response in {column.name for column in fit.schema.columns}:
        return None
    return read_response(fit.spec.response)


def predicted(fit: Fit, rows: NewRows, newdata: Any, *, conditional: bool, response: bool) -> Predicted:
    """Return the means of rows; with `response` the variances of their errors are needed too."""
    reached = reach(fit, rows)
    rows = reached.rows
    included = tuple(conditional or term.smooth for term in fit.design.random)
    valid = rows.complete & _estimable(fit, rows)
    mean = np.where(valid, _mean(fit, rows, included), np.nan)
    errors = new_errors(fit, rows, newdata, mean, required=response, conditional=conditional)
    missing = errors.unobserved & valid if conditional else np.zeros(len(rows), dtype=bool)
    found = Predicted(rows, included, reached.rest, valid, mean, errors, missing)
    if missing.any():
        mean[missing] += _shift(fit, found)
    return found


def _shift(fit: Fit, found: Predicted) -> Array:
    """Return v'V⁻¹(y − Xβ̂) of the missing responses less the effects already in their means."""
    rows = _take(without_new_levels(fit, found.rows)[0], found.missing)
    target = Target(
        np.ascontiguousarray(rows.x),
        rows.codes,
        rows.values,
        cluster=found.errors.cluster_rows[found.missing],
        error=found.errors.relation(found.missing),
    )
    predicted = fit.solution.estimates(rows.x) + fit._work.equations().predict(target)[0]
    return np.asarray(predicted - _mean(fit, replace(rows, offset=None), found.included))


def _missing_notes(found: Predicted) -> list[str]:
    count = int(found.missing.sum())
    if not count:
        return []
    what = "1 row is a missing response" if count == 1 else f"{count} rows are missing responses"
    return [f"{what}, predicted from the observed rows of the same cluster"]


def _position_notes(fit: Fit, found: Predicted, conditional: bool) -> list[str]:
    """Return the note on rows whose position in their cluster the structure of the errors does not reach."""
    new, residual = found.errors.new, fit.design.residual
    if not conditional or new is None or residual is None or residual.structure is None or not new.placed:
        return []
    if new.coordinates is not None:
        return []
    outside = int(np.count_nonzero((new.clusters >= 0) & (new.index < 0) & found.valid))
    if not outside:
        return []
    what = "1 row stands at a position" if outside == 1 else f"{outside} rows stand at positions"
    return [
        f"{what} that no row of the fit has, with which {residual.structure.names[0]!r} knows no covariance: "
        "predicted by the mean alone; 'car1' and the spatial structures forecast there"
    ]


def _response_notes(fit: Fit, found: Predicted, variance: Array) -> list[str]:
    notes = []
    if unknown := int(np.count_nonzero(np.isnan(variance) & found.valid)):
        what = "1 row has" if unknown == 1 else f"{unknown} rows have"
        notes.append(f"{what} no limits: a position or group that was not in the fit, so no known variance")
    if fit.spec.sampling:
        notes.append("for true effects, without sampling errors")
    elif fit.design.weighted and found.rows.weights is None:
        notes.append("new observations have weight 1: newdata holds no weights")
    return notes


def fitted_rows(fit: Fit) -> NewRows:
    design, rows = fit.design, fit._work.rows()
    terms = list(zip(design.random, rows.random, strict=True))
    return NewRows(
        matrix=rows.fixed.matrix,
        x=rows.x,
        offset=rows.offset,
        codes=tuple(own.codes for _, own in terms),
        values=tuple(own.values for _, own in terms),
        sets=tuple(term.sets[own.codes] for term, own in terms),
        points=(None,) * len(terms),
        weights=rows.weights,
        complete=np.ones(design.n, dtype=bool),
        backend=fit.backend,
    )


def new_rows(fit: Fit, newdata: Any, *, random: bool = True, grouping: bool = True) -> NewRows:
    return encode_new(fit.spec, fit.schema, fit.design, newdata, random=random, grouping=grouping)


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


def _mean(fit: Fit, rows: NewRows, included: tuple[bool, ...]) -> Array:
    mean = fit.solution.estimates(rows.x)
    if rows.offset is not None:
        mean = mean + rows.offset
    terms = zip(fit.solution.random, rows.codes, rows.values, included, strict=True)
    for effects, codes, values, inside in terms:
        if inside:
            known = codes >= 0
            own = TermRows(np.where(known, codes, 0), values)
            mean = mean + np.where(known, own.products(effects), 0.0)
    return np.asarray(mean)


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


def refuse_new_levels(fit: Fit, rows: NewRows) -> None:
    for term, codes in zip(fit.design.random, rows.codes, strict=True):
        unknown = np.flatnonzero((codes < 0) & rows.complete)
        if len(unknown):
            raise DataError(
                f"newdata: {len(unknown)} rows have a level of {term.group!r} that was not in the fit "
                f"(first: row {int(unknown[0]) + 1}); use new_levels='population' to predict them with "
                "random effects zero, or level='population'."
            )
