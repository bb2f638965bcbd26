"""What is known of the coefficients of smooths: estimates, covariances, and effective degrees of freedom.

With D = [X Z]'R⁻¹[X Z] and the prior precision G⁻¹ of the random coefficients (zero for fixed ones), C = (D + G⁻¹)⁻¹ is
the covariance of (β̂ − β, b̂ − b), the Bayesian posterior covariance of a penalised regression, and F = CD = I − CG⁻¹
maps the unpenalised coefficients onto the penalised ones: tr F are the effective degrees of freedom. C exists where a
variance is zero; there the coefficients have no degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..criterion.coordinates import own_values
from ..errors import SpecError
from ..fit import Fit
from ..terms.encoding import encoding_of
from ..terms.known import KnownCovariance
from ..terms.smooth import PlacedCurve
from ..typing import Array

RANK = 1e-12
"""Eigenvalue of Σ̂, of the largest, below which a direction has no variance."""


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """The coefficients of one smooth of the population.

    Parameters
    ----------
    place
        The smooth.
    columns
        Which of its columns they are of, fixed ones that X does not keep left out, (c,).
    estimate, covariance
        β̂ and b̂ (c,), and C (c, c).
    edf, ref_df
        tr F and tr(2F − FF) of its coefficients.
    """

    place: PlacedCurve
    columns: Array
    estimate: Array
    covariance: Array
    edf: float
    ref_df: float


def smooths_of(fit: Fit) -> tuple[PlacedCurve, ...]:
    """Return the smooths of a fit in the order written, none for a fit without."""
    encoding = encoding_of(fit.design)
    return () if encoding is None else encoding.smooths


def find_smooth(fit: Fit, name: str, *, population: bool = True) -> PlacedCurve:
    """Return the smooth of a name, blanks ignored; `SpecError` that lists them where it is none of the fit."""
    found = smooths_of(fit)
    if not found:
        raise SpecError(f"{fit.spec.formula!r} has no smooth; write s(x) in the formula.")
    if not isinstance(name, str):
        raise SpecError(f"{name!r} is no name of a smooth; give one such as {found[0].label!r}.")
    folded = name.replace(" ", "").replace("`", "")
    for place in found:
        if place.label.replace(" ", "").replace("`", "") == folded:
            if population and place.grouped:
                raise SpecError(f"{place.label} has a curve for each level; see fit.random_effects().")
            return place
    raise SpecError(
        f"{name!r} is no smooth of this model. Its smooths: {', '.join(repr(p.label) for p in found)}."
    )


def solve(fit: Fit, fixed: Array, random: Sequence[Array]) -> tuple[Array, tuple[Array, ...]]:
    """Return C times right-hand sides for β (r, k) and b by term (q, p, k), all in own coordinates."""
    if not fit._work.integrated:
        beta, effects = fit._work.equations().equations.solve(fixed, random)
        assert beta is not None
        return beta, effects
    inverse, moved, sides = fit._work.keep("posterior of β", lambda: _bordered(fit))
    equations = fit._work.mode().equations
    effects = equations.solve_random(random) if equations is not None else ()
    left = fixed - sum(
        (np.einsum("qpr,qpk->rk", side, own) for side, own in zip(sides, effects, strict=True)),
        start=np.zeros_like(fixed),
    )
    beta = inverse @ left
    return beta, tuple(own - step @ beta for own, step in zip(effects, moved, strict=True))


def _bordered(fit: Fit) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
    """Return cov(β̂ − β) at θ̂ (r, r), the covariance of b given β times Z'WX, and Z'WX by term."""
    mode, stack = fit._work.mode(), fit._work.likelihood().observed.stack
    curvature = mode.densities.curvature
    sides = stack.random_by_fixed(curvature)
    moved = mode.equations.solve_random(list(sides)) if mode.equations is not None else ()
    inner = stack.gram(curvature)
    for side, step in zip(sides, moved, strict=True):
        inner = inner - np.einsum("qpr,qps->rs", side, step)
    return np.asarray(np.linalg.inv(inner), dtype=np.float64), tuple(moved), tuple(sides)


def function_columns(fit: Fit, place: PlacedCurve, columns: Array) -> Array:
    """Return rows of the columns of a smooth (k, M + r) as functions on the columns of X that were kept and on the
    coefficients of all smooths of the population, (k, rank + smooths)."""
    design = fit.design
    widths = [term.n_columns if term.smooth else 0 for term in design.random]
    out = np.zeros((len(columns), design.fixed.rank + sum(widths)))
    kept = {column: j for j, column in enumerate(design.fixed.estimable)}
    for j, column in enumerate(place.fixed):
        if column in kept:
            out[:, kept[column]] += columns[:, j]
    if place.term is not None:
        first = design.fixed.rank + sum(widths[: place.term]) + place.columns[0]
        out[:, first : first + place.columns[1] - place.columns[0]] = columns[:, len(place.fixed) :]
    return out


def function_covariance(fit: Fit, functions: Array) -> Array:
    """Return the covariance of what functions (k, rank + smooths) miss, (k, k), the variances taken as known."""
    design, k, rank = fit.design, len(functions), fit.design.fixed.rank
    fixed = fit.solution.basis.rows(functions[:, :rank]).T
    written, at = [], rank
    for term in design.random:
        written.append(functions[:, at : at + term.n_columns] if term.smooth else None)
        at += term.n_columns if term.smooth else 0
    turned = own_values(fit._work.own_design(), written)
    sides = [np.zeros((term.n_levels, term.n_columns, k)) for term in design.random]
    for side, own in zip(sides, turned, strict=True):
        if own is not None:
            side[0] = own.T
    beta, effects = solve(fit, fixed, sides)
    out = fixed.T @ beta
    for side, effect, own in zip(sides, effects, turned, strict=True):
        if own is not None:
            out = out + side[0].T @ effect[0]
    return np.asarray(0.5 * (out + out.T))


def coefficients(fit: Fit, place: PlacedCurve) -> Coefficients:
    """Return estimates, covariance and degrees of freedom of the coefficients of a smooth of the population."""
    found: dict[str, Coefficients] = fit._work.keep("coefficients of smooths", dict)
    if place.label not in found:
        found[place.label] = _coefficients(fit, place)
    return found[place.label]


def _coefficients(fit: Fit, place: PlacedCurve) -> Coefficients:
    design = fit.design
    kept = {column: j for j, column in enumerate(design.fixed.estimable)}
    own = [(j, kept[column]) for j, column in enumerate(place.fixed) if column in kept]
    first, last = place.columns
    m, r, rank = len(own), last - first, design.fixed.rank
    functions = np.zeros((m, rank))
    functions[np.arange(m), [j for _, j in own]] = 1.0
    fixed = np.zeros((rank, m + r))
    fixed[:, :m] = fit.solution.basis.rows(functions).T
    written = [
        np.zeros((r, term.n_columns)) if k == place.term else None for k, term in enumerate(design.random)
    ]
    if place.term is not None:
        selected = written[place.term]
        assert selected is not None
        selected[np.arange(r), np.arange(first, last)] = 1.0
    turned = own_values(fit._work.own_design(), written)
    sides = [np.zeros((term.n_levels, term.n_columns, m + r)) for term in design.random]
    if place.term is not None:
        assert turned[place.term] is not None
        sides[place.term][0, :, m:] = turned[place.term].T  # type: ignore[union-attr]
    beta, effects = solve(fit, fixed, sides)
    covariance = fixed.T @ beta + sum(
        (np.einsum("qpk,qpl->kl", side, own) for side, own in zip(sides, effects, strict=True)),
        start=np.zeros((m + r, m + r)),
    )
    estimate = np.zeros(m + r)
    estimate[:m] = fit.solution.estimates(functions)
    if place.term is not None:
        estimate[m:] = fit.solution.random[place.term][0, first:last]
    columns = np.array([*(j for j, _ in own), *range(len(place.fixed), len(place.fixed) + r)], dtype=int)
    edf, ref_df = _degrees(fit, place, m, covariance, effects)
    return Coefficients(place, columns, estimate, 0.5 * (covariance + covariance.T), edf, ref_df)


def _degrees(
    fit: Fit, place: PlacedCurve, m: int, covariance: Array, effects: Sequence[Array]
) -> tuple[float, float]:
    """Return tr F and tr(2F − FF) of a smooth of m fixed columns, from its columns of C.

    With A = CG⁻¹: F = I − A, and 2F − FF = I − AA.
    """
    if place.term is None:
        return float(m), float(m)
    first, last = place.columns
    inverse, rank = pseudo_inverse(fit.covariances[place.term][0][first:last, first:last])
    edf = m + rank - float(np.sum(inverse * covariance[m:, m:]))
    products = 0.0
    own = fit._work.own_covariances()
    for k, (term, effect) in enumerate(zip(fit.design.random, effects, strict=True)):
        across = effect[:, :, m:]
        moved = across if term.known is None else np.tensordot(_level_precision(term.known)[0], across, 1)
        inverses = np.array([pseudo_inverse(sigma)[0] for sigma in own[k]])[term.sets]
        products += float(np.einsum("qpi,qps,qsj,ij->", moved, inverses, across, inverse, optimize=True))
    # the fixed coefficients have no prior: their part of A is zero
    return edf, m + rank - products


def _level_precision(known: KnownCovariance) -> tuple[Array, int]:
    """Return K⁺ (q, q) and the rank of the known covariance K among levels."""
    if known.precision is not None:
        return np.asarray(known.precision.toarray()), known.precision.shape[0]
    return pseudo_inverse(known.dense())


def pseudo_inverse(sigma: Array) -> tuple[Array, int]:
    """Return Σ⁺ (p, p) and the rank of a positive semidefinite Σ.

    Examples
    --------
    >>> pseudo_inverse(np.diag([4.0, 0.0]))[1]
    1
    """
    size = np.sqrt(np.diagonal(sigma))
    unit = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(sigma / unit / unit[:, None])
    kept = values > RANK * max(float(values[-1]), 0.0) if len(values) else values > 0
    root = vectors[:, kept] / np.sqrt(values[kept]) / unit[:, None]
    return root @ root.T, int(np.count_nonzero(kept))


def grouped_degrees(fit: Fit, place: PlacedCurve) -> float:
    """Return tr F of a smooth with a curve for each level: p − tr(CΣ⁻¹) summed over levels, and its fixed columns."""
    assert place.term is not None
    term = fit.design.random[place.term]
    return len(place.fixed) + term_degrees(fit, place.term) if not place.columns[0] else float(term.n_columns)


def term_degrees(fit: Fit, index: int) -> float:
    """Return the effective degrees of freedom of all coefficients of a random term."""
    term = fit.design.random[index]
    sigma = fit.covariances[index]
    if term.known is not None:
        levels, rank = _level_precision(term.known)
        inverse, own = pseudo_inverse(sigma[0])
        q, p = len(levels), term.n_columns
        joint = fit._work.equations().joint_covariance(index).reshape(q, p, q, p)
        return float(rank * own - np.einsum("qarb,rq,ba->", joint, levels, inverse, optimize=True))
    inverses = [pseudo_inverse(one) for one in sigma]
    ranks = np.array([rank for _, rank in inverses])[term.sets]
    found = conditional_covariance(fit, index)
    precision = np.array([one for one, _ in inverses])[term.sets]
    return float(ranks.sum() - np.einsum("qab,qab->", found, precision))


def conditional_covariance(fit: Fit, index: int) -> Array:
    """Return var(b̂ − b) for every level of a term, β̂ not taken as known, (q, p, p)."""
    if not fit._work.integrated:
        return fit._work.equations().conditional_covariance(index)
    inverse, moved, _ = fit._work.keep("posterior of β", lambda: _bordered(fit))
    held = fit._work.equations().conditional_covariance(index)
    (step,) = [one for k, one in enumerate(moved) if k == index]
    turn = own_values(
        fit._work.own_design(),
        [np.eye(term.n_columns) if k == index else None for k, term in enumerate(fit.design.random)],
    )[index]
    assert turn is not None
    along = np.einsum("ap,qpr->qar", turn, step)
    return np.asarray(held + np.einsum("qar,rs,qbs->qab", along, inverse, along))


def total_degrees(fit: Fit) -> float:
    """Return tr F of the whole model: fixed columns and all random terms."""
    return fit.design.fixed.rank + sum(term_degrees(fit, k) for k in range(len(fit.design.random)))
