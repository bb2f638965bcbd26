"""Hypotheses about terms of every component of a generalised model: those of its own formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..fit import Fit
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..terms.design import FixedTerms
from ..terms.predictors import Part, join_fixed, threshold_map
from ..terms.rows import FixedRows
from ..typing import Array
from .model_terms import ModelTerm, model_terms

Hypotheses = Callable[[Fit, list[ModelTerm]], dict[str, Array]]


def by_component(fit: Fit, build: Hypotheses) -> dict[str, Array]:
    """Return for each term of each component, but intercepts, the rows L (q, p) of its hypothesis.

    A term with an effect on every threshold has a row for each of them, one of a response of unordered categories for
    each level but the first.
    """
    known, asked = fit.distribution, fit.spec.likelihood
    assert known is not None
    assert asked is not None
    parts, p = fit._work.rows().parts, len(fit.design.fixed.columns)
    ordered = isinstance(known.family, Ordinal)
    alone = [_alone(fit, _with_intercept(part) if ordered else part) for part in parts]
    own = [build(one, model_terms(one)) for one in alone]
    found: dict[str, Array] = {}
    if isinstance(known.family, Multinomial):
        count = len(known.levels) - 1
        for name, L in own[0].items():
            found[name] = _each(np.eye(count), L)
        return found
    if ordered:
        for name, L in own[1].items() if len(own) > 1 else ():
            count = threshold_map(asked.thresholds, known.levels)[0].shape[1]
            found[f"thresholds: {name}"] = _placed(_each(L[:, 1:], np.eye(count)), count, p)
        width = len(parts[0].design.fixed.columns)
        return {name: _placed(L[:, 1:], p - width, p) for name, L in own[0].items()} | found
    first = 0
    for k, (part, hypotheses) in enumerate(zip(parts, own, strict=True)):
        prefix = f"{part.component}: " if k else ""
        found |= {prefix + name: _placed(L, first, p) for name, L in hypotheses.items()}
        first += len(part.design.fixed.columns)
    return found


def _each(one: Array, two: Array) -> Array:
    """Return the Kronecker product of two matrices."""
    return np.asarray(np.kron(one, two), dtype=np.float64)


def _with_intercept(part: Part) -> Part:
    """Return a part with the intercept that thresholds take the place of, its first column."""
    own = part.rows.fixed
    intercept = FixedTerms(("(Intercept)",), ("1",), (0,), (0,), np.zeros((1, 0)))
    fixed = join_fixed([("", intercept), ("", part.design.fixed)])
    matrix = np.hstack([np.ones((len(own.matrix), 1)), own.matrix])
    rows = replace(part.rows, fixed=FixedRows(matrix, fixed.estimable, None, fixed.written_kept))
    return Part.of(part.component, replace(part.design, fixed=fixed), rows)


def _alone(fit: Fit, part: Part) -> Fit:
    """Return a fit whose fixed part is that of one component, for questions about its columns."""
    return replace(fit, design=part.design, rows=replace(part.rows, used=fit._work.rows().used), _cache={})


def _placed(L: Array, first: int, p: int) -> Array:
    out = np.zeros((len(L), p))
    out[:, first : first + L.shape[1]] = L
    return out
