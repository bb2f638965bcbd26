"""Many responses of one model with one variance of random effects, all searched together.

y = Xβ + z∘b[g] + e, b_j ~ N(0, λσ²), e_i ~ N(0, σ²/w_i): Ṽ = W⁻¹ + λZZ' has one parameter, and with d_j = Σ w z² of
level j, ρ_j = 1/(1 + λd_j) everything is a sum over levels. With A_w, b_w, t_w the products of X and y within levels
and c_j = Z_j'WX, s_j = Z_j'Wy,

    X'Ṽ⁻¹X = A_w + Σ ρ_j c_jc_j'/d_j,   X'Ṽ⁻¹y = b_w + Σ ρ_j c_js_j/d_j,   y'Ṽ⁻¹y = t_w + Σ ρ_j s_j²/d_j,
    f(λ) = Σ log(1 + λd_j) + log|X'Ṽ⁻¹X| + ν log y'P̃y   (REML, ν = n − r; ML without the second term, ν = n).

Responses differ in y alone, so that a Newton step of all of them is a few products of matrices with a row for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..typing import Array, Codes

GRID = np.concatenate(([0.0], 10.0 ** np.arange(-5.0, 6.01, 0.5)))
"""λ·d̄ at which the criterion of every response is looked at before it is searched: it may have several minima."""
DECREMENT = 1e-12
"""Predicted fall of −2l at which a search ends."""
MOST_STEPS = 60
"""Newton or bisection steps of a search."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """What all responses share.

    Parameters
    ----------
    codes, z, weights
        Level of each row, (n,); Z and the weights, (n,), None for ones.
    x
        X in own coordinates, (n, r).
    size
        d_j of the levels, (q,).
    across
        c_j, (q, r).
    within
        A_w, (r, r).
    reml
        Whether β is integrated out.
    """

    codes: Codes
    z: Array | None
    weights: Array | None
    x: Array
    size: Array
    across: Array
    within: Array
    reml: bool

    @classmethod
    def of(cls, codes: Codes, q: int, z: Array | None, weights: Array | None, x: Array, reml: bool) -> Levels:
        """Return the sums over levels of a model."""
        square = np.ones(len(codes)) if z is None else z * z
        size: Array = np.bincount(codes, square if weights is None else square * weights, minlength=q).astype(
            float
        )
        across = _by_level(codes, q, _times(_times(x.T, z), weights)).T
        centred = x - _spread(across.T, size, codes, z).T
        return cls(codes, z, weights, x, size, across, centred.T @ _times(centred.T, weights).T, reml)

    @property
    def degrees(self) -> int:
        """ν."""
        return len(self.codes) - (self.x.shape[1] if self.reml else 0)

    def within_levels(self, columns: Array, sums: Array) -> Array:
        """Return rows (m, n) less their projections on Z, `sums` (m, q) being their products with WZ."""
        return columns - _spread(sums, self.size, self.codes, self.z)


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """What is known of m responses less their least-squares fits: b_w (m, r), t_w (m,), s (m, q) and those fits."""

    cross: Array
    square: Array
    sums: Array
    start: Array

    @classmethod
    def of(cls, levels: Levels, y: Array) -> Responses:
        """Return the sums of responses (m, n)."""
        weighted = _times(y, levels.weights)
        gram = levels.x.T @ _times(levels.x.T, levels.weights).T
        start = np.zeros((len(y), gram.shape[0]))
        if gram.size:
            start[:] = np.linalg.solve(gram, levels.x.T @ weighted.T).T
        rest = y - start @ levels.x.T
        sums = _by_level(levels.codes, len(levels.size), _times(_times(rest, levels.z), levels.weights))
        inner = levels.within_levels(rest, sums)
        heavy = _times(inner, levels.weights)
        return cls(heavy @ levels.x, np.einsum("mn,mn->m", inner, heavy), sums, start)

    def take(self, chosen: NDArray[np.intp]) -> Responses:
        """Return some responses."""
        return Responses(self.cross[chosen], self.square[chosen], self.sums[chosen], self.start[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """The criterion of m responses at their λ: f, f', f'', y'P̃y and its derivatives, β less the least-squares one
    (m, r), (X'Ṽ⁻¹X)⁻¹ and its derivative in λ (m, r, r), and the derivatives of the log-determinants."""

    value: Array
    slope: Array
    curvature: Array
    quadratic: Array
    d_quadratic: Array
    d2_quadratic: Array
    beta: Array
    inverse: Array
    d_inverse: Array
    d2_logdet: Array


def evaluate(levels: Levels, y: Responses, ratio: Array) -> Point:
    """Return the criterion of m responses at λ (m,)."""
    d, c = levels.size, levels.across
    q, r = c.shape
    present = d > 0
    inverse_d = np.divide(1.0, d, out=np.zeros(q), where=present)
    rho = 1.0 / (1.0 + np.outer(ratio, d))
    products = (c[:, :, None] * c[:, None, :]).reshape(q, r * r)
    outer = (rho @ (products * inverse_d[:, None])).reshape(-1, r, r) + levels.within
    right = y.cross + (rho * y.sums * inverse_d) @ c
    inverse = np.linalg.inv(outer)
    beta = np.einsum("mij,mj->mi", inverse, right)
    total = y.square + np.einsum("mq,mq,q->m", rho, y.sums**2, inverse_d)
    quadratic = total - np.einsum("mi,mi->m", right, beta)
    rho2 = rho * rho
    left = y.sums - beta @ c.T
    slopes = (rho2 * left) @ c
    d_quadratic = -np.einsum("mq,mq->m", rho2, left**2)
    rho3d = rho2 * rho * d
    d2_quadratic = 2.0 * np.einsum("mq,mq->m", rho3d, left**2) - 2.0 * np.einsum(
        "mi,mij,mj->m", slopes, inverse, slopes
    )
    logdet = np.log1p(np.outer(ratio, d)).sum(axis=1)
    d_logdet, d2_logdet = rho @ d, -(rho2 @ d**2)
    d_outer = -(rho2 @ products).reshape(-1, r, r)
    turned = inverse @ d_outer
    if levels.reml:
        logdet = logdet + np.linalg.slogdet(outer)[1]
        d_logdet = d_logdet + np.einsum("mii->m", turned)
        second = 2.0 * (rho3d @ products).reshape(-1, r, r)
        d2_logdet = (
            d2_logdet + np.einsum("mij,mji->m", inverse, second) - np.einsum("mij,mji->m", turned, turned)
        )
    nu = levels.degrees
    with np.errstate(divide="ignore", invalid="ignore"):
        share = d_quadratic / quadratic
        value = logdet + nu * np.log(quadratic)
        slope = d_logdet + nu * share
        curvature = d2_logdet + nu * (d2_quadratic / quadratic - share**2)
    return Point(
        value, slope, curvature, quadratic, d_quadratic, d2_quadratic, beta, np.asarray(inverse, dtype=float),
        -turned @ inverse, d2_logdet,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Optima:
    """λ̂ (m,), what is known there, and which searches ended as they should, (m,)."""

    ratio: Array
    point: Point
    converged: NDArray[np.bool_]


def search(levels: Levels, y: Responses) -> Optima:
    """Return the least f over λ ≥ 0 of every response: the best place of a grid, then Newton steps in its bracket."""
    m = len(y.square)
    unit = 1.0 / levels.size[levels.size > 0].mean()
    grid = GRID * unit
    values = np.stack([evaluate(levels, y, np.full(m, at)).value for at in grid], axis=1)
    best = np.argmin(np.where(np.isfinite(values), values, np.inf), axis=1)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    ratio, converged = grid[best].copy(), np.zeros(m, dtype=bool)
    at_zero = (best == 0) & (evaluate(levels, y, np.zeros(m)).slope >= 0)
    ratio[(best == 0) & ~at_zero] = 0.25 * grid[1]
    converged[at_zero] = True
    active = np.flatnonzero(~at_zero)
    for _ in range(MOST_STEPS):
        if not len(active):
            break
        active = _step(levels, y, active, ratio, low, high, converged)
    point = evaluate(levels, y, ratio)
    # a minimum at the last place of the grid: nothing of the response is left within levels
    converged &= (ratio < grid[-1]) & np.isfinite(point.value)
    return Optima(ratio, point, converged)


def _step(
    levels: Levels,
    y: Responses,
    active: NDArray[np.intp],
    ratio: Array,
    low: Array,
    high: Array,
    converged: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Move active responses by a Newton step, or to the middle of their brackets; return those still on the way."""
    at = ratio[active]
    here = evaluate(levels, y.take(active), at)
    upwards = here.slope < 0
    low[active] = np.where(upwards, at, low[active])
    high[active] = np.where(upwards, high[active], at)
    convex = here.curvature > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        newton = at - here.slope / here.curvature
        arrived = convex & (here.slope**2 / here.curvature <= DECREMENT)
    inside = convex & (newton > low[active]) & (newton < high[active])
    middle = np.where(
        low[active] > 0, np.sqrt(np.maximum(low[active] * high[active], 0.0)), 0.25 * high[active]
    )
    ratio[active] = np.where(inside, newton, np.where(arrived, at, middle))
    converged[active[arrived]] = True
    narrow = high[active] - low[active] <= 1e-15 * high[active]
    return active[~arrived & ~narrow]


def _times(rows: Array, factors: Array | None) -> Array:
    return rows if factors is None else rows * factors


def _by_level(codes: Codes, q: int, rows: Array) -> Array:
    """Return sums of rows (m, n) by level, (m, q)."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(q))
    out = np.add.reduceat(np.ascontiguousarray(rows[:, order]), np.minimum(starts, len(codes) - 1), axis=1)
    out[:, np.bincount(codes, minlength=q) == 0] = 0.0
    return np.asarray(out)


def _spread(sums: Array, size: Array, codes: Codes, z: Array | None) -> Array:
    """Return what Z explains of rows whose products with WZ are `sums` (m, q), (m, n)."""
    means = np.divide(sums, size, out=np.zeros_like(sums), where=size > 0)
    return _times(means[:, codes], z)
