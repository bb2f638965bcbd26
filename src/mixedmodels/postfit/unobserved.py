"""Random effects that no data bear on directly: at points of space, and of levels, that were not in the fit.

At a new point s the effect of a level is, given the effects b at the p points of the fit, normal with

    mean k'b, k = Σ_oo⁻¹ Σ_os,    variance Σ_ss − Σ_so Σ_oo⁻¹ Σ_os,

so that its prediction is k'b̂ with prediction variance k'var(b̂ − b)k + Σ_ss − Σ_soΣ_oo⁻¹Σ_os: kriging, the
best linear unbiased prediction (Goldberger 1962; Cressie 1993, section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..covariance.base import Positions
from ..criterion.coordinates import own_values
from ..criterion.parameters import Block, design_blocks
from ..errors import DataError
from ..fit import Fit
from ..terms.design import RandomTerm
from ..terms.new_rows import NewRows
from ..typing import Array, Codes
from .covariances import level_scale

POINTS_AT_ONCE = 500
"""New points whose covariances are formed together."""
NEGLIGIBLE = 1e-13
"""Eigenvalues of Σ_oo below this fraction of the largest carry no information about other points."""


@dataclass(frozen=True, slots=True)
class Reached:
    """New rows whose Z values are weights of effects of the fit, and what those leave unexplained.

    `rest` (m,) is the variance of the rows' random effects given those of the fit, new levels not counted.
    """

    rows: NewRows
    rest: Array


def reach(fit: Fit, rows: NewRows) -> Reached:
    """Return new rows with the Z values of points without data replaced by their kriging weights."""
    values, rest = list(rows.values), np.zeros(len(rows))
    for k, points in enumerate(rows.points):
        if points is None:
            continue
        own = values[k]
        assert own is not None
        new = np.flatnonzero(rows.complete & (own.sum(axis=1) == 0.0))
        if len(new):
            values[k] = own = own.copy()
            own[new], left = _krige(fit, k, points[new], np.maximum(rows.sets[k][new], 0))
            rest[new] += left * _scales(fit.design.random[k], rows.codes[k][new])
    return Reached(replace(rows, values=tuple(values)), rest)


def _krige(fit: Fit, k: int, points: Array, sets: Codes) -> tuple[Array, Array]:
    """Return k' (m, p) and Σ_ss − Σ_soΣ_oo⁻¹Σ_os (m,) of some points (m, d) in their parameter sets."""
    weights, rest = np.empty((len(points), fit.design.random[k].n_columns)), np.empty(len(points))
    for block in design_blocks(fit.design):
        chosen = np.flatnonzero(sets == block.set) if block.term == k else np.empty(0, np.intp)
        if len(chosen):
            distinct, place = np.unique(points[chosen], axis=0, return_inverse=True)
            parts = [
                _weights(fit, block, distinct[first : first + POINTS_AT_ONCE])
                for first in range(0, len(distinct), POINTS_AT_ONCE)
            ]
            weights[chosen] = np.concatenate([part[0] for part in parts])[place.ravel()]
            rest[chosen] = np.concatenate([part[1] for part in parts])[place.ravel()]
    return weights, rest


def _weights(fit: Fit, block: Block, points: Array) -> tuple[Array, Array]:
    old = block.positions
    assert old.coordinates is not None
    p, m = old.size, len(points)
    labels = (*old.labels, *("",) * m)
    together = Positions(p + m, labels, np.concatenate([old.coordinates, points]))
    sigma = fit.sigma2 * block.structure.matrix(fit.relative[block.place], together)
    roots, vectors = np.linalg.eigh(sigma[:p, :p])
    kept = roots > NEGLIGIBLE * max(float(roots[-1]), 0.0)
    between = sigma[p:, :p] @ vectors[:, kept]
    weights = (between / roots[kept]) @ vectors[:, kept].T
    left = np.diag(sigma)[p:] - np.einsum("ma,ma->m", between / roots[kept], between)
    return weights, np.maximum(left, 0.0)


def _scales(term: RandomTerm, codes: Codes) -> Array:
    """Return K_jj of the level of each row, one for new levels."""
    return np.where(codes >= 0, level_scale(term)[np.maximum(codes, 0)], 1.0)


def own_variances(
    fit: Fit, rows: NewRows, chosen: tuple[NDArray[np.bool_], ...], sigmas: tuple[Array, ...]
) -> Array:
    """Return Σ_k z'Σ_kz over the rows chosen for each term, (m,): the variance of effects not predicted.

    `sigmas` are Σ of every term in own coordinates, (sets, p, p) each.
    """
    variance = np.zeros(len(rows))
    own = fit._work.own_design()
    values = own_values(own, rows.values)
    for k, (term, by_set) in enumerate(zip(own.random, sigmas, strict=True)):
        at = np.flatnonzero(chosen[k])
        if not len(at):
            continue
        _need_sets(fit, k, rows.sets[k][at])
        given = values[k]
        z = np.ones((len(at), 1)) if given is None else given[at]
        sigma = by_set[rows.sets[k][at]]
        variance[at] += _scales(term, rows.codes[k][at]) * np.einsum("ia,iab,ib->i", z, sigma, z)
    return variance


def _need_sets(fit: Fit, k: int, sets: Codes) -> None:
    if (sets >= 0).all():
        return
    term, by = fit.design.random[k], fit.spec.random[k].by
    raise DataError(
        f"newdata: {int((sets < 0).sum())} rows have a new level of {term.group!r}, whose variance depends on "
        f"{by!r}; give that column, with one of {', '.join(map(repr, term.set_labels))} in those rows."
    )


def without_new_levels(fit: Fit, rows: NewRows) -> tuple[NewRows, tuple[NDArray[np.bool_], ...]]:
    """Return rows in which effects of new levels have no part, and which rows had them, per term (m,)."""
    new = tuple(codes < 0 for codes in rows.codes)
    if not any(one.any() for one in new):
        return rows, new
    codes, values = [], []
    for term, own, at, z in zip(fit.design.random, rows.codes, new, rows.values, strict=True):
        dense = np.ones((len(rows), term.n_columns)) if z is None else z
        codes.append(np.where(at, np.int32(0), own))
        values.append(np.where(at[:, None], 0.0, dense) if at.any() else z)
    return replace(rows, codes=tuple(codes), values=tuple(values)), new
