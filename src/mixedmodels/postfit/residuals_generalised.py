"""Residuals of generalised models, on the scale of the response and as quantiles of its distribution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from ..errors import SpecError
from ..fit import Fit
from ..inference.averaged import normal_rule, over_nodes
from ..likelihood.distribution import Distribution
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..registry import check_choice
from ..typing import Array
from .covariances import random_variances
from .predict_functions import averaged_at_fitted, level_shares
from .predictors_at import at_fitted
from .simulate import check_drawable, random_numbers, simulate

KINDS = ("response", "pearson", "deviance", "working", "quantile", "simulated")
SMALLEST = 1e-16
"""Probability below which Φ⁻¹ is not taken: a residual of 8.2."""
Seed = int | np.random.Generator | None


def residuals_generalised(fit: Fit, kind: str, level: str, n: int, seed: Seed) -> Array:
    """Return the residuals of the rows used, (n,), as `residuals` says."""
    if kind in ("student", "student-external", "scaled"):
        raise SpecError(
            f"kind={kind!r} is for linear models; of family {fit.family!r} ask for 'quantile' or 'simulated', which "
            "are normal and uniform where the model is true."
        )
    check_choice("kind", kind, KINDS)
    known = _located(fit, level)
    _check_categories(known, kind)
    if kind == "simulated":
        return _ranks(fit, known, n, seed)
    if kind == "working" and known.pseudo:
        return fit._work.rows().response - (fit.linear_predictor if level == "marginal" else fit._eta)
    eta = fit.linear_predictor if level == "marginal" else fit._eta
    if kind == "quantile":
        check_drawable(fit, "residuals of kind 'quantile'")
        return _quantiles(fit, known, level == "marginal", random_numbers(seed))
    gap = known.observed - known.mean(eta)
    if kind == "response":
        return gap
    if kind == "pearson":
        return np.asarray(gap / np.sqrt(known.variance(eta)))
    if kind == "working":
        return np.asarray(gap / _slope(known, eta))
    return np.asarray(np.sign(gap) * np.sqrt(np.maximum(known.deviance(eta), 0.0)))


def _located(fit: Fit, level: str) -> Distribution:
    """Return the distribution of a fit; for marginal residuals predictors beside the mean are the population's."""
    known = fit.distribution
    assert known is not None
    if level == "marginal" and len(known.beside) and fit._work.integrated:
        return replace(known, beside=at_fitted(fit, "population").eta[1:])
    return known


def _check_categories(known: Distribution, kind: str) -> None:
    """Raise `SpecError` for residuals that categories do not have."""
    if isinstance(known.family, Multinomial):
        raise SpecError(
            "residuals of unordered categories are not numbers; compare shares with predict(type='prob')."
        )
    if isinstance(known.family, Ordinal) and kind not in ("quantile", "simulated"):
        raise SpecError(
            f"kind={kind!r} is a difference from a mean, which ordered categories have none of; ask for 'quantile' or "
            "'simulated'."
        )


def _below_level(fit: Fit, y: Array, marginal: bool) -> Array:
    """Return P(level ≤ y) of ordered categories, (n,); zero below the first."""
    shares = level_shares(fit, "averaged" if marginal else "conditional")
    ends = np.column_stack([np.zeros(len(y)), np.cumsum(shares, axis=1)])
    return np.minimum(ends[np.arange(len(y)), y.astype(np.intp) + 1], 1.0)


def _slope(known: Distribution, eta: Array) -> Array:
    if known.link is None:
        raise SpecError(f"family {known.family.name!r} has no working residuals: its mean is not one number.")
    return np.asarray(known.link.inverse(eta)[1])


def _quantiles(fit: Fit, known: Distribution, marginal: bool, rng: np.random.Generator) -> Array:
    """Return Φ⁻¹(u), u uniform between P(Y < y) and P(Y ≤ y)."""
    y = known.responses.y
    before = y - 1.0 if getattr(known.family, "discrete", False) else np.nextafter(y, -np.inf)
    low, high = (_below(fit, known, at, marginal) for at in (before, y))
    u = low + rng.random(len(y)) * (high - low)
    return np.asarray(special.ndtri(np.clip(u, SMALLEST, 1.0 - SMALLEST)))


def _below(fit: Fit, known: Distribution, y: Array, marginal: bool) -> Array:
    """Return P(Y ≤ y) given b̂, or over the distribution of the random effects, (n,)."""
    if isinstance(known.family, Ordinal):
        return _below_level(fit, y, marginal)
    if not marginal:
        return known.cumulative(y, fit._eta)
    if len(known.beside) and fit._work.integrated:
        return averaged_at_fitted(
            fit, lambda eta: known.family.cumulative(y, known.responses, eta, known.psi)
        )
    nodes, weights = normal_rule()
    spread = np.sqrt(np.maximum(random_variances(fit, smooth=False), 0.0)) if fit.design.random else 0.0
    parts = [known.cumulative(y, fit.linear_predictor + spread * node) for node in nodes]
    return over_nodes(np.array(parts).T, weights)


def _ranks(fit: Fit, known: Distribution, n: int, seed: Seed) -> Array:
    """Return where each response stands among n simulated ones, ties broken at random, in (0, 1)."""
    rng = random_numbers(seed)
    drawn = simulate(fit, n, rng, level="population")
    y = known.responses.y[:, None]
    less, same = (drawn < y).sum(axis=1), (drawn == y).sum(axis=1)
    return np.asarray((less + rng.random(len(less)) * (same + 1.0)) / (n + 1.0))
