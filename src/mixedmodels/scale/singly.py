"""Responses one by one: any model, each searched from the estimates of the one before."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ..api.run import fit_model
from ..errors import ConvergenceWarning, MixedModelsError
from ..fit import Fit
from ..frame.column import Column
from ..inference.reported import variances_of
from ..postfit.refit import refit
from ..typing import Array
from .estimates import Estimates

if TYPE_CHECKING:
    from .block import Block


def fit_singly(block: Block, responses: Sequence[Column]) -> Iterator[Estimates]:
    """Yield the estimates of responses without missing values; one that fails is a row that says why."""
    near: Fit | None = None
    for column in responses:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fit = _fit(block, column, near)
                yield estimates_of(fit, column.name)
            near = near if near is not None else fit
        except (MixedModelsError, ArithmeticError, np.linalg.LinAlgError, ValueError) as error:
            yield Estimates.failed(column.name, len(column.values), reason_of(error))


def _fit(block: Block, column: Column, near: Fit | None) -> Fit:
    """Return the fit of a response, from the estimates of another where that converges."""
    if near is not None and near.converged and block.spec.response.strip("`") == block.hole:
        with suppress(MixedModelsError, ArithmeticError):
            found = refit(near, column.number())
            if isinstance(found, Fit) and found.converged:
                return found
    return fit_model(block.spec, block.inputs(column), block.control)


def estimates_of(fit: Fit, response: str) -> Estimates:
    """Return the rows of one fit."""
    fixed = fit.fixed_effects(ddf=fit.spec.ddf)
    names = ("estimate", "std_error", "df", "statistic", "p_value")
    own = np.array([np.asarray(fixed[name], dtype=float) for name in names])
    terms = [(term, "fixed") for term in fixed["term"]]
    covariance = _covariance_parameters(fit)
    terms += [pair for pair, _ in covariance]
    beside = np.full((5, len(covariance)), np.nan)
    if covariance:
        beside[:2] = np.array([values for _, values in covariance]).T
    numbers = np.concatenate([own, beside], axis=1)[:, None]
    status = "not converged" if not fit.converged else "singular" if fit.singular else "converged"
    return Estimates.of_terms([response], terms, numbers, np.full(1, fit.loglik), fit.nobs, [status])


def _covariance_parameters(fit: Fit) -> list[tuple[tuple[str, str], tuple[float, float]]]:
    """Return (term, kind) and (estimate, SE) of variances, correlations, and what else a structure has."""
    natural = fit._work.criterion().natural(fit.optimum.theta)
    spread = fit._work.natural_covariance()
    places = {name: i for i, name in enumerate(natural.names)}
    out = []
    for i, (name, kind) in enumerate(zip(natural.names, natural.kinds, strict=True)):
        value, gradient = float(natural.values[i]), np.zeros(len(natural.names))
        gradient[i] = 1.0
        pair = variances_of(name, places) if kind == "covariance" else None
        if pair is not None:
            name, kind = "cor(" + name.removeprefix("cov("), "correlation"
            value, gradient = _correlation(value, i, pair, natural.values)
        square = float(gradient @ spread @ gradient)
        out.append(((name, kind), (value, float(np.sqrt(square)) if square > 0 else np.nan)))
    # variances first, those of the errors last among them
    return sorted(out, key=lambda one: one[0][1] != "variance")


def _correlation(value: float, i: int, pair: tuple[int, int], values: Array) -> tuple[float, Array]:
    """Return a correlation and its slopes in the natural parameters; NaN where a variance is zero."""
    first, second = (float(values[place]) for place in pair)
    slopes = np.zeros(len(values))
    if first <= 0 or second <= 0:
        return np.nan, slopes * np.nan
    root = np.sqrt(first * second)
    found = float(np.clip(value / root, -1.0, 1.0))
    slopes[i], slopes[pair[0]], slopes[pair[1]] = 1 / root, -0.5 * found / first, -0.5 * found / second
    return found, slopes


def reason_of(error: Exception) -> str:
    """Return why there is no fit, in one line."""
    text = str(error).split("\n\n")[0].replace("\n", " ")
    return text if isinstance(error, MixedModelsError) else f"{type(error).__name__}: {text}"
