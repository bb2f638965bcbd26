"""Means of a population averaged over its random effects: E μ(η + sZ), Z standard normal, s² = z'Gz.

However many random terms there are, what they add to a linear predictor is one normal number, so that one rule of
Gauss–Hermite does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..likelihood.base import MeanFamily
from ..likelihood.links import Link
from ..terms.new_rows import NewRows
from ..tool import load
from ..typing import Array
from .sensitivity import roots

POINTS = 31
NEGLIGIBLE = 1e-6
"""Probability beyond the range of a link that is taken for none."""
STEP = 1e-3
"""Step, in standard errors, of the slopes of s² in the covariance parameters."""


@dataclass(frozen=True, slots=True)
class Averaged:
    """E μ(η + sZ) of m rows, its slope in η, and the part of its standard error from θ̂ as columns (m, q).

    `along` is what the part of θ̂ that moves with β̂ adds to its slopes in β, by own coordinate, (m, r); None where θ̂ and
    β̂ are uncorrelated, as in linear models.
    """

    mean: Array
    slope: Array
    root: Array
    along: Array | None = None


def averaged_means(fit: Fit, rows: NewRows, eta: Array) -> Averaged:
    """Return the means of m rows over new random effects, at linear predictors η where they are zero, (m,).

    Parameters
    ----------
    rows
        The rows with the Z values of their random terms; their levels do not matter.
    eta
        Offset + x'β̂, (m,).

    Notes
    -----
    ∂E/∂η = E μ', ∂E/∂s² = ½ E μ'' (Stein), each by the same 31-point rule; the slopes of s² in the covariance
    parameters are central differences, and W = 2H⁻¹ their covariance. Where β̂ and θ̂ are correlated, θ̂ − θ is
    B(β̂ − β) and a rest, B = W_θβW_ββ⁻¹: the rest has covariance W_θθ − BW_βθ, and B adds to the slopes in β.
    """
    link = _plain_link(fit)
    unknown = tuple(np.full(len(rows), not term.smooth) for term in fit.design.random)
    variances = load("postfit.unobserved:own_variances")
    s2 = np.asarray(variances(fit, rows, unknown, fit._work.own_covariances()))
    mean, slope, bend = integrated(link, eta, s2)

    def slopes(moved: list[_Moved]) -> Array:
        found = [
            variances(fit, rows, unknown, up) - variances(fit, rows, unknown, down) for up, down in moved
        ]
        return np.column_stack(found) / (2.0 * STEP) if found else np.zeros((len(rows), 0))

    half = 0.5 * bend[:, None]
    if not fit._work.integrated:
        return Averaged(mean, slope, half * slopes(_moved(fit)))
    if all(term.smooth for term in fit.design.random):
        return Averaged(mean, slope, np.zeros((len(rows), 0)))
    rest, with_beta, inverse = _correlated(fit)
    return Averaged(mean, slope, half * slopes(rest), half * slopes(with_beta) @ inverse)


def integrated(link: Link, eta: Array, variance: Array) -> tuple[Array, Array, Array]:
    """Return E μ, E μ' and E μ'' at η + sZ, (m,) each, for s² of every row, (m,).

    Examples
    --------
    >>> from ..likelihood.links import make_link
    >>> mean, *_ = integrated(make_link("log"), np.array([0.5]), np.array([0.64]))
    >>> bool(abs(mean[0] - np.exp(0.5 + 0.32)) < 1e-12)
    True
    """
    nodes, weights = normal_rule()
    at = eta[:, None] + np.sqrt(np.maximum(variance, 0.0))[:, None] * nodes
    with np.errstate(all="ignore"):
        parts = link.inverse(at.ravel())[:3]
    mean, slope, bend = (over_nodes(np.asarray(part).reshape(at.shape), weights) for part in parts)
    return mean, slope, bend


def normal_rule() -> tuple[Array, Array]:
    """Return nodes and weights, (31,) each, of expectations over a standard normal number."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(POINTS)
    return nodes, weights / weights.sum()


def over_nodes(values: Array, weights: Array) -> Array:
    """Return Σ w f, (m,), for f (m, 31): nodes outside what the link allows are left out where they weigh nothing."""
    inside = np.isfinite(values)
    share = inside @ weights
    total = np.where(inside, values, 0.0) @ weights
    return np.where(share > 1.0 - NEGLIGIBLE, total / np.maximum(share, NEGLIGIBLE), np.nan)


def _plain_link(fit: Fit) -> Link:
    """Return the link where μ = g⁻¹(η); `SpecError` for means that other predictors have a part in."""
    known = fit.distribution
    if known is None:
        raise SpecError(
            "averages over random effects are those of generalised models; of a linear one they are x'β."
        )
    plain = type(known.family).mean is MeanFamily.mean
    if known.link is None or not plain:
        raise SpecError(
            f"means averaged over random effects are not available for family {fit.family!r}, whose mean is not the "
            "inverse of its link."
        )
    return known.link


def of_columns(fit: Fit, along: Array) -> Array:
    """Return functions in own coordinates of β, (m, r), by estimable column of X."""
    own = fit.solution.basis.rows(np.eye(along.shape[1]))
    return np.asarray(np.linalg.solve(own.T, along.T).T)


_Moved = tuple[tuple[Array, ...], tuple[Array, ...]]
"""Σ of every term a step up and a step down."""


def _correlated(fit: Fit) -> tuple[list[_Moved], list[_Moved], Array]:
    """Return Σ moved along a root of what of W_θθ is not of β̂, along BC, and C⁻¹ (r, r), W_ββ = CC'."""
    criterion, theta = fit._work.likelihood(), fit.optimum.theta
    whole, k = criterion.covariance(theta), criterion.model.n_theta
    beta = criterion.of_beta
    size = np.sqrt(np.maximum(np.diag(whole[beta, beta]), 0.0))
    size = np.where(size > 0.0, size, 1.0)
    # W_ββ in units of its standard errors is no worse conditioned than the data
    scaled = whole[beta, beta] / np.outer(size, size)
    onto = np.linalg.lstsq(scaled, (whole[:k, beta] / size).T, rcond=1e-12)[0].T
    left = whole[:k, :k] - onto @ scaled @ onto.T
    along = roots(0.5 * (left + left.T))

    def moved(columns: Array) -> list[_Moved]:
        sizes = STEP * columns.T
        return [
            (criterion.model.matrices(theta + one), criterion.model.matrices(theta - one))
            for one in _whole(sizes)
        ]

    def _whole(steps: Array) -> Array:
        full = np.zeros((len(steps), len(theta)))
        full[:, :k] = steps
        return full

    return moved(along), moved(onto), np.diag(1.0 / size)


def _moved(fit: Fit) -> list[_Moved]:
    """Return Σ of every term a step up and down along each column of a root of W, in own coordinates."""
    if all(term.smooth for term in fit.design.random):
        return []
    own = fit._work.criterion()
    joint, theta = own.jointly(), own.absolute(fit.optimum.theta)
    along = roots(own.working_covariance(fit.optimum.theta))
    return [
        (joint.matrices(theta + STEP * column), joint.matrices(theta - STEP * column)) for column in along.T
    ]
