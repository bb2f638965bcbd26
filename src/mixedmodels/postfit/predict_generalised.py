"""Predictions of generalised models: on the scale of the link and of the response, averaged, of new responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.averaged import Averaged, averaged_means, normal_rule, over_nodes
from ..inference.ddf import DegreesOfFreedom
from ..inference.distributions import t_quantile
from ..inference.response import Response, response_of
from ..likelihood.base import MeanFamily
from ..likelihood.distribution import Distribution
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.responses import Responses
from ..registry import check_choice
from ..table import Table
from ..terms.new_rows import NewRows
from ..typing import Array
from .chosen_terms import Names, with_terms
from .predict import fitted_rows, new_rows, predicted, refuse_new_levels
from .predict_functions import predict_functions
from .prediction_error import Predicted, uncertainty_of
from .predictors_at import mean_rows
from .standard_errors import lost_note, standard_errors
from .unobserved import reach

TYPES = ("link", "response", "conditional", "zero", "dispersion", "prob")
OF_SEVERAL = ("conditional", "zero", "dispersion", "prob")
"""What other predictors than the first have a part in."""
HALVINGS = 200
"""Most halvings of an interval in which a quantile lies."""


@dataclass(frozen=True, slots=True)
class _Located:
    """Predictions on the link's scale, (m,), with their variances and what covariance parameters add to them."""

    found: Predicted
    eta: Array
    variance: Array
    df: Array
    notes: tuple[str, ...]


def predict_generalised(
    fit: Fit,
    newdata: Any,
    level: str,
    se: bool,
    interval: str | None,
    new_levels: str,
    confidence: float,
    type: str,
    method: DegreesOfFreedom,
    offset: Any,
    chosen: tuple[Names, Names] = (None, None),
) -> Array | Table:
    """Return what `predict` does of a generalised model."""
    check_choice("type", type, TYPES)
    known = fit.distribution
    assert known is not None
    unordered = isinstance(known.family, Multinomial)
    rows = mean_rows(fit, newdata, level) if unordered else _rows_of(fit, newdata, level, interval, offset)
    if level == "conditional" and new_levels == "raise":
        refuse_new_levels(fit, rows)
    rows = with_terms(fit, rows, *chosen)
    limits = interval == "prediction"
    if type in OF_SEVERAL or (type == "response" and not limits and not _is_plain(known)):
        if limits:
            raise SpecError("interval='prediction' is about a new response: ask for type='response' with it.")
        return predict_functions(
            fit, rows, newdata, level, type, se, interval is not None, confidence, method
        )
    if unordered:
        raise SpecError(
            f"type={type!r}: unordered categories have a linear predictor for each of them, and probabilities: "
            "type='prob'."
        )
    found = predicted(fit, rows, newdata, conditional=level == "conditional", response=limits)
    placed = fit.in_place if newdata is None else np.asarray
    averaged = _averaged(fit, found) if level == "averaged" else None
    value = found.mean if averaged is None else _link_of(known, averaged)
    if not se and interval is None:
        return placed(value if type == "link" else _means(known, value, averaged))
    off = uncertainty_of(fit, found, method, response=False, limits=interval is not None)
    variance = off.mean
    if averaged is not None:
        slope = _slope(known, value)
        variance = (averaged.slope / slope) ** 2 * variance
        variance += np.sum((averaged.root / slope[:, None]) ** 2, axis=1)
        variance += _with_beta(fit, found, averaged, method) / slope**2
    half = t_quantile(confidence, off.df) * standard_errors(fit, variance)
    columns = {"fit": value, "se": standard_errors(fit, variance)}
    notes = [*off.notes, *lost_note(fit, variance)]
    if interval is not None:
        columns |= {"lower": value - half, "upper": value + half}
    if limits:
        if type != "response":
            raise SpecError("interval='prediction' is about a new response: ask for type='response' with it.")
        notes.insert(0, f"{100 * confidence:g}% prediction limits: quantiles of a new response")
    elif interval is not None:
        notes.insert(0, f"{100 * confidence:g}% confidence limits; df: {method.describe(fit)}")
    if type == "response":
        notes.append(_on_response(fit, columns))
    if limits:
        spread = _spread(fit, found, level, method)
        columns["lower"], columns["upper"] = _limits(known, found.mean, spread, confidence, newdata is None)
    columns = {name: placed(values) for name, values in columns.items()}
    return Table(columns, notes=tuple(notes), backend=rows.backend)


def _rows_of(fit: Fit, newdata: Any, level: str, interval: str | None, offset: Any) -> NewRows:
    """Return the rows to predict at; offsets given as an array are asked for again."""
    if newdata is None:
        if offset is not None:
            raise SpecError("predict: offset= is for new rows; those of the fit have theirs.")
        return fitted_rows(fit)
    rows = new_rows(
        fit,
        newdata,
        random=level != "population" or interval == "prediction",
        grouping=level == "conditional",
    )
    as_array = fit.inputs is not None and "offset" in fit.inputs.beside
    if as_array and offset is None:
        raise SpecError(
            "predict: the offset of this fit was given as an array, which says nothing of new rows; give offset= with "
            "a value for each, or 0."
        )
    if offset is None:
        return rows
    if not as_array:
        raise SpecError(
            "predict: offset= is for a fit whose offset was given as an array; this one reads it from data."
        )
    given = np.broadcast_to(np.asarray(offset, dtype=float), (len(rows),))
    return replace(rows, offset=given if rows.offset is None else rows.offset + given)


def _averaged(fit: Fit, found: Predicted) -> Averaged:
    rows = reach(fit, found.rows).rows
    eta = np.where(found.valid, found.mean, 0.0)
    got = averaged_means(fit, rows, eta)
    return replace(got, mean=np.where(found.valid, got.mean, np.nan))


def _with_beta(fit: Fit, found: Predicted, averaged: Averaged, method: DegreesOfFreedom) -> Array:
    """Return what the part of θ̂ that moves with β̂ adds to the variance of averaged means, (m,)."""
    if averaged.along is None:
        return np.zeros(len(averaged.mean))
    covariance = method.vcov(fit)
    direct = averaged.slope[:, None] * fit.solution.basis.rows(found.rows.x)
    pushed = averaged.along @ covariance
    return np.asarray(np.einsum("ma,ma->m", pushed, 2.0 * direct + averaged.along))


def _link_of(known: Distribution, averaged: Averaged) -> Array:
    assert known.link is not None
    return known.link.forward(averaged.mean)


def _slope(known: Distribution, value: Array) -> Array:
    assert known.link is not None
    return np.asarray(known.link.inverse(value)[1])


def _means(known: Distribution, value: Array, averaged: Averaged | None) -> Array:
    """Return means at linear predictors: of all predictors, or those averaged already."""
    if averaged is not None:
        return averaged.mean
    with np.errstate(invalid="ignore"):
        return known.mean(value)


def _on_response(fit: Fit, columns: dict[str, Array]) -> str:
    """Change fit, se and limits in place to the response's scale and return a note."""
    back = _plain_response(fit)
    columns["se"] = np.abs(back.mean_slope(columns["fit"])) * columns["se"]
    moved = {name: back.mean(values) for name, values in columns.items() if name != "se"}
    columns |= moved
    if "lower" in columns:
        # a link may fall as the mean rises
        low, high = columns["lower"], columns["upper"]
        columns["lower"], columns["upper"] = np.minimum(low, high), np.maximum(low, high)
    return f"on the scale of the response, from that of the {fit.link} link"


def _plain_response(fit: Fit) -> Response:
    """Return the curve from η to the mean; `SpecError` where other predictors have a part in the mean."""
    known = fit.distribution
    assert known is not None
    if not _is_plain(known):
        raise SpecError(
            f"standard errors of the mean of family {fit.family!r} involve predictors beside the first; predict "
            "without se= and interval=, or ask for type='link'."
        )
    return response_of(fit)


def _is_plain(known: Distribution) -> bool:
    """Return whether a mean is a function of the first predictor alone."""
    family = known.family
    return isinstance(family, MeanFamily) and (
        type(family).mean is MeanFamily.mean or family.name == "lognormal"
    )


def _spread(fit: Fit, found: Predicted, level: str, method: DegreesOfFreedom) -> Array:
    """Return the standard deviation of the linear predictor of a new response about its prediction, (m,)."""
    off = uncertainty_of(fit, found, method, response=level != "conditional", limits=False)
    return standard_errors(fit, off.response if level != "conditional" else off.mean)


def _limits(
    known: Distribution, eta: Array, spread: Array, confidence: float, fitted: bool
) -> tuple[Array, Array]:
    """Return quantiles of new responses, (m,) each, whose linear predictors are normal about η; per trial."""
    if known.scale is not None:
        raise SpecError(
            "prediction limits need a distribution, and a scale φ of the variance (quasi-likelihood) gives none; fit a "
            "family with a dispersion, such as betabinomial or nb2."
        )
    if known.family.takes_trials and not fitted:
        raise SpecError(
            "prediction limits of events need the trials of new rows, which are not known; ask at the fit's own."
        )
    n = len(eta)
    responses = known.responses if fitted else Responses(np.zeros(n))
    good = np.isfinite(eta) & np.isfinite(spread)
    nodes, weights = normal_rule()
    predictors = [
        known.predictors(np.where(good, eta + np.where(good, spread, 0.0) * node, 0.0)) for node in nodes
    ]

    def below(y: Array) -> Array:
        parts = [known.family.cumulative(y, responses, one, known.psi) for one in predictors]
        return over_nodes(np.array(parts).T, weights)

    tail = 0.5 * (1.0 - confidence)
    discrete = bool(getattr(known.family, "discrete", False))
    start = known.mean(np.where(good, eta, 0.0)) * responses.trials_or_one
    found = [_quantile(below, p, start, discrete) for p in (tail, 1.0 - tail)]
    low, high = (np.where(good, each / responses.trials_or_one, np.nan) for each in found)
    return low, high


def _quantile(below: Callable[[Array], Array], p: float, start: Array, discrete: bool) -> Array:
    """Return the smallest y with P(Y ≤ y) ≥ p, (n,), by doubling and halving from a mean."""
    scale = np.maximum(np.abs(start), 1.0)
    low, high = start - scale, start + scale
    if discrete:
        low, high = np.full_like(start, -1.0), np.ceil(high)
    for _ in range(60):
        short = below(high) < p
        if not short.any():
            break
        high = np.where(short, high + scale, high)
        scale = np.where(short, 2.0 * scale, scale)
    scale = np.maximum(np.abs(start), 1.0)
    for _ in range(0 if discrete else 60):
        over = below(low) >= p
        if not over.any():
            break
        low = np.where(over, low - scale, low)
        scale = np.where(over, 2.0 * scale, scale)
    for _ in range(HALVINGS):
        middle = np.floor(0.5 * (low + high)) if discrete else 0.5 * (low + high)
        reached = below(middle) >= p
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        gap = high - low
        if (gap <= (1.0 if discrete else 1e-10 * np.maximum(np.abs(high), 1e-10))).all():
            break
    return high
