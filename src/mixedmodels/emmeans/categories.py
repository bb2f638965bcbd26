"""Means of a response of categories: of the latent variable, probabilities of levels, sums of them, the mean level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..fit import Fit
from ..inference.response import Response
from ..inference.wald import endless
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..terms.new_rows import NewRows, encode_new
from ..tool import load
from ..typing import Array, Labels
from .grid import ReferenceGrid

SCALES = ("latent", "prob", "cumulative", "mean")
ALIASES = {"link": "latent", "response": "prob"}
REACHED = 1e-6
"""Slope of a probability in a predictor below which it is at its end, where an estimate is infinite."""


@final
class Shares(Response):
    """Probabilities estimated as they are, with limits from their logits, which stay between 0 and 1."""

    def __init__(self) -> None:
        super().__init__(_same, np.ones_like, np.zeros_like, np.zeros_like)

    def of_differences(self) -> None:
        """Return None: differences of probabilities are no ratios."""
        return

    def apply(self, found: dict[str, Array], *, ratio: bool) -> str:
        """Change the limits of probabilities in place and return a note; differences stay as they are."""
        if ratio:
            return "differences of probabilities"
        p = np.clip(found["estimate"], 1e-300, 1.0 - 1e-16)
        half = 0.5 * (found["conf_high"] - found["conf_low"]) / (p * (1.0 - p))
        logit = np.log(p) - np.log1p(-p)
        with np.errstate(over="ignore"):
            found["conf_low"], found["conf_high"] = (1.0 / (1.0 + np.exp(-logit + s * half)) for s in (1, -1))
        return "limits from the logits of the probabilities"


def _same(eta: Array) -> Array:
    return np.array(eta, dtype=float)


@dataclass(frozen=True, slots=True)
class OfCategories:
    """Functions of k means of c categories, those of one category together.

    Coefficients (k·c, p), constants (k·c,), the names of the categories (none for one number a mean), the scale that
    limits are of, and a note.
    """

    functions: Array
    constants: Array
    names: Labels
    response: Response | None
    note: str


def is_of_categories(fit: Fit) -> bool:
    """Return whether the response of a fit has ordered or unordered categories."""
    known = fit.distribution
    return known is not None and isinstance(known.family, Ordinal | Multinomial)


def of_categories(fit: Fit, grid: ReferenceGrid, rows: Array, scale: str) -> OfCategories:
    """Return averages `rows` (k, m) over the cells of a grid on a scale of `SCALES`.

    Notes
    -----
    `"latent"` is η less the mean of the thresholds, so that it does not depend on the origins of covariates; it is
    linear in the coefficients. The others are averaged on their own scale and are linear to first order: P(y = k),
    P(y ≤ k) and Σ k P(y = k), levels counted from 1. *Same as* `mode=` of R's `emmeans` for `clm` fits
    (`latent`, `prob`, `cum.prob`, `mean.class`).
    """
    asked, scale = scale, ALIASES.get(scale, scale)
    known = fit.distribution
    assert known is not None
    unordered, labels = isinstance(known.family, Multinomial), tuple(map(str, known.levels))
    if unordered and scale != "prob":
        raise SpecError(
            f"type={asked!r}: unordered categories have probabilities alone, type='prob'; the latent scale, cumulative "
            "probabilities and a mean level are of ordered ones."
        )
    at = _predictors(fit, grid)
    if scale == "latent":
        functions = -rows @ np.mean([one.matrix for one in at.rows], axis=0)
        constants = rows @ -np.mean([_offset(one) for one in at.rows], axis=0)
        return OfCategories(functions, constants, (), None, "latent scale: η less the mean of the thresholds")
    count = len(labels)

    def probability(k: int) -> Callable[[Array], Array]:
        if isinstance(known.family, Ordinal):
            family = known.family
            return lambda eta: family.between(eta, k)
        assert isinstance(known.family, Multinomial)
        plain = known.family
        return lambda eta: np.asarray(plain.probabilities(eta)[:, k])

    one = [probability(k) for k in range(count)]
    if scale == "prob":
        wanted, names, note = one, labels, "probabilities"
    elif scale == "cumulative":
        wanted = [_summed(one[: k + 1], np.ones(k + 1)) for k in range(count - 1)]
        names, note = labels[:-1], "probabilities of a level or a lower one"
    else:
        wanted = [_summed(one, np.arange(1.0, count + 1.0))]
        names, note = (), "mean level, counted from 1"
    found = [_linear(fit, at, rows, function) for function in wanted]
    functions, constants = (np.concatenate([pair[i] for pair in found]) for i in (0, 1))
    return OfCategories(functions, constants, names, Shares() if scale != "mean" else None, note)


def _summed(functions: Sequence[Callable[[Array], Array]], weights: Array) -> Callable[[Array], Array]:
    return lambda eta: np.asarray(sum(w * f(eta) for w, f in zip(weights, functions, strict=True)))


class Predictors(Protocol):
    """Every predictor at some rows: η (P, m), and what it is linear in."""

    @property
    def rows(self) -> tuple[NewRows, ...]: ...
    @property
    def eta(self) -> Array: ...


def _predictors(fit: Fit, grid: ReferenceGrid) -> Predictors:
    """Return every predictor at the cells of a grid, with the offset of the grid."""
    if any(term.smooth for term in fit.design.random):
        raise SpecError(
            "means of categories are not computed of a model with smooths; predict(type='prob') is."
        )
    data = grid.cells
    known = fit.distribution
    assert known is not None
    if isinstance(known.family, Multinomial):
        mean = load("postfit.predictors_at:mean_rows")(fit, data, "population")
    else:
        mean = encode_new(fit.spec, fit.schema, fit.design, data, random=False)
        if mean.offset is not None:
            mean = replace(mean, offset=grid.offset)
    found: Predictors = load("postfit.predictors_at:predictors_at")(fit, mean, data, level="population")
    return found


def _offset(rows: NewRows) -> Array:
    return np.zeros(len(rows)) if rows.offset is None else rows.offset


def _linear(fit: Fit, at: Predictors, rows: Array, function: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Return averages of a function of the predictors, to first order: coefficients (k, p), constants (k,)."""
    slopes = load("postfit.predictors_at:slopes_at")(at.eta, function)
    kept, known = list(fit.design.fixed.estimable), fit.distribution
    if known is not None and known.recession is not None:
        # a probability that has reached its end does not move along estimates that are infinite
        far = np.any([endless(fit.solution.basis.rows(one.x), known.recession) for one in at.rows], axis=0)
        slopes = np.where(far & (np.abs(slopes) <= REACHED), 0.0, slopes)
    cells = sum(w[:, None] * one.matrix for w, one in zip(slopes, at.rows, strict=True))
    functions = np.asarray(rows @ cells)
    return functions, rows @ function(at.eta) - fit.solution.estimates(functions[:, kept])


def crossed_levels(
    levels: dict[str, NDArray[np.object_]], name: str, categories: Labels
) -> dict[str, NDArray[np.object_]]:
    """Return the labels of means for every category, all means of the first category before those of the second."""
    count = len(next(iter(levels.values())))
    out = {key: np.tile(values, len(categories)) for key, values in levels.items()}
    out[name] = np.repeat(np.array(categories, dtype=object), count)
    return out
