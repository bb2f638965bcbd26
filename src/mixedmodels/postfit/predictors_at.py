"""All linear predictors of a generalised model at rows of the fit or new ones, and functions of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fit import Fit
from ..inference.categories import threshold_functions
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..terms.design import Design
from ..terms.new_rows import NewRows, encode_new
from ..terms.predictors import Part, parts_of
from ..terms.rows import Rows, TermRows
from ..typing import Array
from .missing_responses import ErrorsOfRows
from .predict import fitted_rows
from .prediction_error import Predicted
from .unobserved import reach

STEP = 1e-3
"""Step of slopes in a predictor, by differences of the fourth order."""
Curve = Callable[[Array], Array]
"""Predictors (P, m) ↦ a number of every row, (m,)."""


@dataclass(frozen=True, slots=True)
class PredictorsAt:
    """P predictors of m rows, linear in β and b.

    Parameters
    ----------
    rows
        For every predictor its rows: x over the coefficients of all, Z over the random terms of all.
    included
        By random term whether its effects are part of the predictors.
    eta
        (P, m), NaN in rows that miss something.
    """

    rows: tuple[NewRows, ...]
    included: tuple[bool, ...]
    eta: Array

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which rows miss nothing, (m,)."""
        return np.asarray(np.all([one.complete for one in self.rows], axis=0))

    def slopes(self, function: Curve) -> Array:
        """Return the slopes of a function of the predictors, (P, m), by differences of the fourth order."""
        return slopes_at(self.eta, function)

    def combined(self, slopes: Array) -> Predicted:
        """Return Σ_a slope_a η_a of every row as one predictor, whose variance is that of a function to first order."""
        first, m = self.rows[0], len(self.rows[0])
        good = self.valid
        weights = np.where(good, slopes, 0.0)
        matrix = sum(
            w[:, None] * np.nan_to_num(one.matrix) for w, one in zip(weights, self.rows, strict=True)
        )
        x = sum(w[:, None] * np.nan_to_num(one.x) for w, one in zip(weights, self.rows, strict=True))
        values = tuple(
            np.asarray(
                sum(w[:, None] * _dense(one.values[k], m) for w, one in zip(weights, self.rows, strict=True))
            )
            for k in range(len(first.codes))
        )
        rows = replace(first, matrix=matrix, x=x, offset=None, values=values, complete=good)
        none = np.zeros(m, dtype=bool)
        mean = np.where(good, 0.0, np.nan)
        return Predicted(rows, self.included, np.zeros(m), good, mean, ErrorsOfRows(np.zeros(m), none), none)


def slopes_at(eta: Array, function: Curve) -> Array:
    """Return the slopes of a function at predictors (P, m), (P, m), by differences of the fourth order."""
    out = np.empty_like(eta)

    def moved(a: int, by: float) -> Array:
        at = eta.copy()
        at[a] += by
        return function(at)

    for a in range(len(eta)):
        far, near = (moved(a, k * STEP) - moved(a, -k * STEP) for k in (2.0, 1.0))
        out[a] = (8.0 * near - far) / (12.0 * STEP)
    return out


def _dense(values: Array | None, m: int) -> Array:
    return np.ones((m, 1)) if values is None else np.nan_to_num(values)


def predictors_at(fit: Fit, mean: NewRows, newdata: Any, *, level: str) -> PredictorsAt:
    """Return all predictors at the rows of the fit, or of `newdata`; `mean` are those rows as the first reads them.

    Of ordered categories they are the ends τ_k − η of the K − 1 first levels, of unordered ones a predictor for each
    level but the first.
    """
    known = fit.distribution
    assert known is not None
    conditional = level == "conditional"
    included = tuple(conditional or term.smooth for term in fit.design.random)
    if isinstance(known.family, Ordinal):
        rows = _ends(fit, reach(fit, mean).rows, _nominal(fit, newdata, len(mean)))
    elif isinstance(known.family, Multinomial):
        rows = _of_levels(fit, _part_rows(fit, 0, newdata, level), len(known.levels) - 1)
    else:
        rows = _of_components(fit, mean, newdata, level)
    eta = np.array([_predictor(fit, one, included) for one in rows])
    return PredictorsAt(tuple(rows), included, eta)


def _predictor(fit: Fit, rows: NewRows, included: Sequence[bool]) -> Array:
    """Return one predictor, (m,)."""
    eta = fit.solution.estimates(rows.x) + (0.0 if rows.offset is None else rows.offset)
    for effects, codes, values, inside in zip(
        fit.solution.random, rows.codes, rows.values, included, strict=True
    ):
        if inside:
            own = TermRows(np.maximum(codes, 0), values)
            eta = eta + np.where(codes >= 0, own.products(effects), 0.0)
    return np.where(rows.complete, eta, np.nan)


def _part_rows(fit: Fit, place: int, newdata: Any, level: str) -> NewRows:
    """Return the rows of one component as its own formula reads them."""
    part: Part = parts_of(fit.design, fit._work.rows())[place]
    if newdata is None:
        return _own_rows(fit, part.design, part.rows)
    return encode_new(
        fit.spec,
        fit.schema,
        part.design,
        newdata,
        random=level != "population",
        grouping=level == "conditional",
    )


def _own_rows(fit: Fit, design: Design, rows: Rows) -> NewRows:
    terms = list(zip(design.random, rows.random, strict=True))
    return NewRows(
        matrix=rows.fixed.matrix,
        x=rows.x,
        offset=rows.offset,
        codes=tuple(own.codes for _, own in terms),
        values=tuple(own.values for _, own in terms),
        sets=tuple(term.sets[own.codes] for term, own in terms),
        points=(None,) * len(terms),
        weights=None,
        complete=np.ones(len(rows), dtype=bool),
        backend=fit.backend,
    )


def _of_components(fit: Fit, mean: NewRows, newdata: Any, level: str) -> list[NewRows]:
    """Return the rows of every component over the columns and random terms of all."""
    parts = parts_of(fit.design, fit._work.rows())
    found = [mean if newdata is None else reach(fit, mean).rows]
    count = len(parts[0].design.random)
    first, before = len(parts[0].design.fixed.columns), count
    m = len(mean)
    for place, part in enumerate(parts[1:], start=1):
        own = _part_rows(fit, place, newdata, level)
        width, terms = len(part.design.fixed.columns), len(part.design.random)
        matrix = np.zeros((m, len(fit.design.fixed.columns)))
        matrix[:, first : first + width] = own.matrix
        codes, sets = list(mean.codes), list(mean.sets)
        values: list[Array | None] = [np.zeros((m, term.n_columns)) for term in fit.design.random]
        codes[before : before + terms] = own.codes
        sets[before : before + terms] = own.sets
        values[before : before + terms] = own.values
        found.append(_widened(fit, own, matrix, tuple(codes), tuple(values), tuple(sets)))
        first, before = first + width, before + terms
    # what a function of all reads of a term is read at the levels that its own component has
    owners = [_owner(found, parts, k) for k in range(len(fit.design.random))]
    all_codes = tuple(own.codes[k] for k, own in enumerate(owners))
    all_sets = tuple(own.sets[k] for k, own in enumerate(owners))
    return [replace(one, codes=all_codes, sets=all_sets) for one in found]


def _owner(found: Sequence[NewRows], parts: Sequence[Part], term: int) -> NewRows:
    last = -1
    for rows, part in zip(found, parts, strict=True):
        last += len(part.design.random)
        if term <= last:
            return rows
    return found[0]


def _widened(
    fit: Fit, own: NewRows, matrix: Array, codes: Any, values: tuple[Array | None, ...], sets: Any
) -> NewRows:
    kept = list(fit.design.fixed.estimable)
    return replace(
        own,
        matrix=matrix,
        x=matrix[:, kept],
        codes=codes,
        values=values,
        sets=sets,
        points=(None,) * len(codes),
        weights=None,
    )


def _nominal(fit: Fit, newdata: Any, m: int) -> Array:
    """Return the columns with an effect on every threshold, (m, r), NaN in rows that miss something."""
    parts = parts_of(fit.design, fit._work.rows())
    if len(parts) == 1:
        return np.empty((m, 0))
    own = _part_rows(fit, 1, newdata, "population")
    # thresholds take the place of the intercept, the first column of what was written
    width = len(parts[1].design.fixed.columns)
    return np.where(own.complete[:, None], own.matrix[:, own.matrix.shape[1] - width :], np.nan)


def _ends(fit: Fit, location: NewRows, nominal: Array) -> list[NewRows]:
    """Return the ends τ_k − η of the K − 1 first levels, linear in thresholds and coefficients."""
    m, found = len(location), []
    complete = location.complete & np.isfinite(nominal).all(axis=1)
    values = tuple(-_as_dense(one, m) for one in location.values)
    for own in threshold_functions(fit, nominal):
        offset = None if location.offset is None else -location.offset
        wide = _widened(fit, location, own - location.matrix, location.codes, values, location.sets)
        found.append(replace(wide, offset=offset, complete=complete))
    return found


def _as_dense(values: Array | None, m: int) -> Array:
    return np.ones((m, 1)) if values is None else values


def _of_levels(fit: Fit, own: NewRows, count: int) -> list[NewRows]:
    """Return the predictors of the unordered levels after the first."""
    width, m, found = own.matrix.shape[1], len(own), []
    for k in range(count):
        matrix = np.zeros((m, len(fit.design.fixed.columns)))
        matrix[:, k * width : (k + 1) * width] = own.matrix
        values = []
        for one in own.values:
            dense = _as_dense(one, m)
            wide = np.zeros((m, dense.shape[1] * count))
            wide[:, k * dense.shape[1] : (k + 1) * dense.shape[1]] = dense
            values.append(wide)
        found.append(_widened(fit, own, matrix, own.codes, tuple(values), own.sets))
    return found


def mean_rows(fit: Fit, newdata: Any, level: str) -> NewRows:
    """Return the rows of the formula of the mean, of unordered categories too."""
    return _part_rows(fit, 0, newdata, level)


def at_fitted(fit: Fit, level: str) -> PredictorsAt:
    """Return all predictors at the rows of the fit."""
    return predictors_at(fit, fitted_rows(fit), None, level=level)
