"""New responses drawn from a fitted model."""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from ..fit import Fit, fixed_mean
from ..inference.bootstrap import check_room
from ..inference.sampled_effects import draw_effects, level_root
from ..likelihood.distribution import Distribution
from ..registry import check_choice
from ..typing import Array
from .error_side import draw_errors, whole_clusters
from .simulate_generalised import draw_integrated

LEVELS = ("population", "conditional")


def simulate(
    fit: Fit, n: int = 1, seed: int | np.random.Generator | None = None, *, level: str = "population"
) -> Array:
    """Return n responses drawn from the fitted model, (nobs, n).

    Parameters
    ----------
    n
        Number of responses.
    seed
        A number or a NumPy generator; the same seed gives the same draws.
    level
        `"population"`: random effects are drawn anew from N(0, Ĝ) about the population mean, of which the curves of
        splines are part; `"conditional"`: they stay as predicted.

    Notes
    -----
    y = offset + Xβ̂ + Zb + e with e ~ N(0, R̂); of a generalised model y is drawn from its family at its predictors (the
    mean, and those of dispersion and zeros with their own random effects) without e: events rather than proportions
    where there are trials, codes 0, 1, … of the levels of categories. With `bounds="none"` y ~ N(offset + Xβ̂, V̂), drawn
    by independent clusters, since there need be no b; spline coefficients are then drawn with the rest. Columns can go
    to `fit.refit`.
    *Same as* `simulate(fit)` in lme4 (`use.u` is `level="conditional"`).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> fit.simulate(3, seed=1).shape
    (18, 3)
    """
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise SpecError(f"n={n!r} must be a whole number of responses, at least 1.")
    check_room("n", int(n), fit.nobs, fit.control)
    check_choice("level", level, LEVELS)
    rng = random_numbers(seed)
    if level == "conditional":
        mean, drawn = fit._eta, [False] * len(fit.design.random)
    else:
        mean, drawn = fit.linear_predictor, [not term.smooth for term in fit.design.random]
    if level == "population" and not fit.design.bounded:
        return draw_all(fit, n, rng)
    return _draw(fit, n, rng, mean, drawn)


def random_numbers(seed: int | np.random.Generator | None) -> np.random.Generator:
    """Return the generator that a seed stands for; `SpecError` where it is neither a number nor a generator."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise SpecError(
            f"seed={seed!r} must be a whole number that is not negative, or a generator."
        ) from None


def draw_all(fit: Fit, n: int, rng: np.random.Generator) -> Array:
    """Return n responses drawn from the model, spline coefficients with all other random effects, (nobs, n)."""
    mean = fixed_mean(fit)
    if not fit.design.bounded:
        equations = whole_clusters(fit, "simulate")
        return np.column_stack([mean + equations.draw(rng) for _ in range(n)])
    return _draw(fit, n, rng, mean, [True] * len(fit.design.random))


def _draw(fit: Fit, n: int, rng: np.random.Generator, mean: Array, drawn: list[bool]) -> Array:
    """Return n draws of the errors and of the effects of some terms about a mean, (nobs, n)."""
    known = fit.distribution
    if known is not None:
        check_drawable(fit, "simulate")
        _check_single(known)
    if fit._work.integrated:
        return draw_integrated(fit, n, rng, drawn)
    design, rows = fit._work.own_model()
    whole = zip(design.random, rows.random, fit._work.own_covariances(), drawn, strict=True)
    terms = [(term, own, sigmas, level_root(term)) for term, own, sigmas, inside in whole if inside]
    out = np.empty((fit.nobs, n))
    for column in range(n):
        y = mean + draw_errors(fit, rng) if known is None else mean.copy()
        for term, own, sigmas, root in terms:
            y += own.products(draw_effects(rng, term, sigmas, root))
        out[:, column] = y if known is None else known.draw(y, rng)
    return out


def check_drawable(fit: Fit, purpose: str) -> None:
    """Raise `SpecError` where a generalised fit knows the variance of its responses and not their distribution."""
    known = fit.distribution
    if known is None or (known.scale is None and fit.design.residual is None):
        return
    what = "a scale φ of the variance" if fit.design.residual is None else "correlated or unequal errors"
    raise SpecError(
        f"{purpose} needs the distribution of the responses, and {what} (quasi-likelihood) says their variance alone; "
        "model the extra variation by random terms or by a family with a dispersion."
    )


def _check_single(known: Distribution) -> None:
    """Raise `SpecError` where rows stand for several equal ones, of which one draw for all would be no sample."""
    times = known.responses.frequency
    if times is not None and (times != 1.0).any():
        raise SpecError(
            "simulate draws one response for every row, and rows of this fit stand for several equal ones "
            "(frequency=); fit the rows written out."
        )
