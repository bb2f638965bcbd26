"""Predictions that several linear predictors have a part in: means with zeros, shares of zeros, probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..inference.ddf import DegreesOfFreedom
from ..inference.distributions import t_quantile
from ..likelihood.distribution import Distribution
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..likelihood.families.zero_inflated import Hurdle, ZeroInflated
from ..likelihood.links import Link, make_link
from ..table import Table
from ..terms.new_rows import NewRows
from ..typing import Array, Labels
from .prediction_error import uncertainty_of
from .predictors_at import Curve, PredictorsAt, at_fitted, predictors_at
from .standard_errors import lost_note, standard_errors
from .unobserved import own_variances

NODES = {1: 31, 2: 15, 3: 11}
"""Gauss–Hermite nodes a dimension of averages over random effects, by the number of predictors that have some."""
SHARE = 1e-3
"""Step, in standard errors, of slopes in the parameters."""
LEVELS = {
    "conditional": "given the random effects",
    "population": "where random effects are zero",
    "averaged": "averaged over the random effects",
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of all predictors of a row, and the scale its limits are computed on."""

    label: str
    curve: Curve
    scale: Link


def functions_of(known: Distribution, type: str) -> tuple[Function, ...]:
    """Return what `type` means of a family: one function, or the probability of every category.

    Raises
    ------
    SpecError
        Where it means nothing of the family.
    """
    family, psi = known.family, known.psi
    if type == "prob":
        return _probabilities(known)
    if isinstance(family, Ordinal | Multinomial):
        raise SpecError(
            f"type={type!r}: categories have probabilities, type='prob', and no other number of their own."
        )
    if type == "zero":
        if not isinstance(family, ZeroInflated | Hurdle):
            raise SpecError(
                f"type='zero' is the probability of a zero that zero_inflation= or hurdle= models, and family "
                f"{family.name!r} has neither."
            )
        return (Function("the share of zeros", lambda eta: _expit(eta[-1]), make_link("logit")),)
    if type == "dispersion":
        if "dispersion" not in family.predictors:
            raise SpecError(f"type='dispersion': family {family.name!r} has no dispersion.")
        place = family.predictors.index("dispersion")
        return (
            Function(
                f"the dispersion {known.symbol}".strip(), lambda eta: np.exp(eta[place]), make_link("log")
            ),
        )
    scale = known.link
    assert scale is not None
    if type == "conditional" and isinstance(family, ZeroInflated | Hurdle):
        base = family.base
        what = "not structural zeros" if isinstance(family, ZeroInflated) else "no zeros"
        return (
            Function(
                f"the mean of responses that are {what}",
                lambda eta: np.asarray(base.mean(eta[:-1], psi)),
                scale,
            ),
        )
    return (Function("the mean", lambda eta: np.asarray(family.mean(eta, psi)), scale),)


def _expit(eta: Array) -> Array:
    return np.asarray(make_link("logit").inverse(eta)[0])


def _probabilities(known: Distribution) -> tuple[Function, ...]:
    family, logit = known.family, make_link("logit")
    if isinstance(family, Multinomial):
        unordered = family.probabilities
        return tuple(
            Function(level, lambda eta, k=k: unordered(eta)[:, k], logit)  # type: ignore[misc]
            for k, level in enumerate(known.levels)
        )
    if not isinstance(family, Ordinal):
        raise SpecError(f"type='prob' is for categories, and this fit is of family {family.name!r}.")
    between = family.between
    return tuple(
        Function(level, lambda eta, k=k: between(eta, k), logit)  # type: ignore[misc]
        for k, level in enumerate(known.levels)
    )


def predict_functions(
    fit: Fit,
    mean: NewRows,
    newdata: Any,
    level: str,
    type: str,
    se: bool,
    limits: bool,
    confidence: float,
    method: DegreesOfFreedom,
) -> Array | Table:
    """Return what `predict` does where several predictors have a part, of the rows `mean` reads."""
    known = fit.distribution
    assert known is not None
    functions = functions_of(known, type)
    at = predictors_at(fit, mean, newdata, level=level)
    placed: Callable[[Array], Array] = fit.in_place if newdata is None else np.asarray
    found = [_averaged(fit, at, one.curve) if level == "averaged" else one.curve(at.eta) for one in functions]
    values = [np.where(at.valid, one, np.nan) for one in found]
    if not (se or limits):
        if type != "prob":
            return placed(values[0])
        columns = {one.label: placed(value) for one, value in zip(functions, values, strict=True)}
        note = f"probabilities of the levels, {LEVELS[level]}"
        return Table(columns, notes=(note,), backend=mean.backend)
    _check_exact(fit, type)
    tables = [
        _with_errors(fit, at, one, value, level, limits, confidence, method)
        for one, value in zip(functions, values, strict=True)
    ]
    notes = list(dict.fromkeys(note for _, own in tables for note in own))
    if limits:
        notes.insert(0, f"{100 * confidence:g}% confidence limits; df: {method.describe(fit)}")
    if type != "prob":
        columns = {name: placed(value) for name, value in tables[0][0].items()}
        return Table(columns, notes=(*notes, functions[0].label), backend=mean.backend)
    return _long([one.label for one in functions], [own for own, _ in tables], notes, level, mean)


def _long(
    labels: Labels | list[str], columns: list[dict[str, Array]], notes: list[str], level: str, mean: NewRows
) -> Table:
    """Return probabilities with errors, a line for every row and level."""
    m = len(mean)
    shown: dict[str, Any] = {
        "row": np.repeat(np.arange(m), len(labels)),
        "level": np.array(list(labels) * m, dtype=object),
    }
    for name in columns[0]:
        shown[name] = np.column_stack([own[name] for own in columns]).ravel()
    note = f"probabilities of the levels, {LEVELS[level]}"
    return Table(shown, notes=(*notes, note), backend=mean.backend)


def _check_exact(fit: Fit, type: str) -> None:
    """Raise `SpecError` where a function moves with parameters whose errors are not counted."""
    known = fit.distribution
    assert known is not None
    if type in ("response", "conditional") and known.family.name == "ordered_beta":
        raise SpecError(
            "the mean of family 'ordered_beta' moves with its cutpoints, whose errors are not counted here; predict "
            "without se= and interval=, or ask for type='link'."
        )


def _with_errors(
    fit: Fit,
    at: PredictorsAt,
    function: Function,
    value: Array,
    level: str,
    limits: bool,
    confidence: float,
    method: DegreesOfFreedom,
) -> tuple[dict[str, Array], list[str]]:
    """Return fit, se and limits of one function, and notes."""
    slopes = at.slopes(function.curve)
    off = uncertainty_of(fit, at.combined(slopes), method, response=False, limits=limits)
    variance = off.mean
    notes = [*off.notes]
    if level == "averaged":
        variance = np.where(at.valid, _variance_averaged(fit, at, function.curve), np.nan)
        notes = []
    error = standard_errors(fit, variance)
    notes += lost_note(fit, variance)
    columns = {"fit": value, "se": error}
    if limits:
        with np.errstate(all="ignore"):
            centre = function.scale.forward(value)
            half = t_quantile(confidence, off.df) * error / np.abs(function.scale.inverse(centre)[1])
            ends = [function.scale.inverse(centre + sign * half)[0] for sign in (-1.0, 1.0)]
        columns["lower"], columns["upper"] = np.minimum(*ends), np.maximum(*ends)
        notes.append(f"limits by the scale of the {function.scale.name}")
    return columns, notes


def level_shares(fit: Fit, level: str) -> Array:
    """Return the probability of every category at the rows of the fit, (n, K)."""
    known = fit.distribution
    assert known is not None
    at = at_fitted(fit, level)
    curves = [one.curve for one in functions_of(known, "prob")]
    return np.column_stack(
        [_averaged(fit, at, one) if level == "averaged" else one(at.eta) for one in curves]
    )


def averaged_at_fitted(fit: Fit, curve: Curve) -> Array:
    """Return a function of all predictors at the rows of the fit, averaged over the random effects, (n,)."""
    return _averaged(fit, at_fitted(fit, "averaged"), curve)


# -- averages over random effects ---------------------------------------------------------------------------------


def _averaged(fit: Fit, at: PredictorsAt, curve: Curve) -> Array:
    return _average(at.eta, _spreads(fit, at, fit._work.own_covariances()), curve)


def _spreads(fit: Fit, at: PredictorsAt, sigmas: tuple[Array, ...]) -> Array:
    """Return a root of the covariance of the random parts of the predictors, (m, P, rank)."""
    count, m = at.eta.shape
    unknown = tuple(np.full(m, not term.smooth) & at.valid for term in fit.design.random)

    def variance(slopes: Array) -> Array:
        weights = np.broadcast_to(slopes[:, None], (count, m))
        return own_variances(fit, at.combined(weights).rows, unknown, sigmas)

    unit = np.eye(count)
    own = np.array([variance(row) for row in unit])
    covariance = np.zeros((m, count, count))
    for a in range(count):
        covariance[:, a, a] = own[a]
        for b in range(a):
            both = 0.5 * (variance(unit[a] + unit[b]) - own[a] - own[b])
            covariance[:, a, b] = covariance[:, b, a] = both
    values, vectors = np.linalg.eigh(covariance)
    top = max(float(values.max(initial=0.0)), 1e-300)
    rank = int((values > 1e-12 * top).any(axis=0).sum())
    if rank > max(NODES):
        raise SpecError(
            f"level='averaged' integrates over {rank} different random parts of the predictors here, and {max(NODES)} "
            "are the most; ask for level='population', where they are zero."
        )
    kept = vectors[:, :, count - rank :] * np.sqrt(np.maximum(values[:, None, count - rank :], 0.0))
    return np.asarray(kept)


def _average(eta: Array, spreads: Array, curve: Curve) -> Array:
    """Return the mean of a function over normal predictors with these roots of their covariance, (m,)."""
    rank = spreads.shape[2]
    if rank == 0:
        return curve(eta)
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES[rank])
    weights = weights / weights.sum()
    total = np.zeros(eta.shape[1])
    for places in product(range(len(nodes)), repeat=rank):
        point = nodes[list(places)]
        total += float(np.prod(weights[list(places)])) * curve(eta + (spreads @ point).T)
    return total


def _variance_averaged(fit: Fit, at: PredictorsAt, curve: Curve) -> Array:
    """Return the variance of averages, (m,), from their slopes in θ and β by central differences."""
    if not fit._work.integrated:
        raise SpecError(
            "standard errors of averages over random effects are those of fits by method='laplace' or 'quadrature'."
        )
    criterion, theta = fit._work.likelihood(), fit.optimum.theta
    covariance, k = fit._work.covariance(), criterion.model.n_theta
    own = [fit.solution.basis.rows(np.nan_to_num(one.x)) for one in at.rows]
    size = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    slopes = np.zeros((at.eta.shape[1], len(theta)))
    here = _spreads(fit, at, fit._work.own_covariances())
    for j in np.flatnonzero(size[: criterion.of_beta.stop] > 0.0):
        step = SHARE * size[j]
        ends = []
        for sign in (1.0, -1.0):
            if j < k:
                moved = theta.copy()
                moved[j] += sign * step
                ends.append(_average(at.eta, _spreads(fit, at, criterion.model.matrices(moved)), curve))
            else:
                shift = np.array([sign * step * x[:, j - criterion.of_beta.start] for x in own])
                ends.append(_average(at.eta + shift, here, curve))
        slopes[:, j] = (ends[0] - ends[1]) / (2.0 * step)
    return np.asarray(np.einsum("ma,ab,mb->m", slopes, covariance, slopes))
