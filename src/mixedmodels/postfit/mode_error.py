"""How far predictions of a generalised model may be off, about the mode of its random effects.

With C the covariance of b given y at β̂ and θ̂ (the inverse of the curvature at the mode) and ∂b̂/∂β = −CZ'WX, a
prediction x'β̂ + z'b̂ has the variance

    z'Cz + d'Vd,    d = (x − X'WZCz, z'∂b̂/∂θ),

V the covariance of β̂ and θ̂ from their joint Hessian, ∂b̂/∂θ = (I − CZ'WZ)(∂G/∂θ)r with r = Z's: how well the
covariance parameters are known counts, as in glmmTMB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..criterion.coordinates import own_values
from ..engines.base import Target
from ..fit import Fit
from ..terms.new_rows import NewRows
from ..typing import Array
from .unobserved import own_variances, without_new_levels


def mode_variances(
    fit: Fit, rows: NewRows, included: tuple[bool, ...], valid: NDArray[np.bool_], covariance: Array
) -> Array:
    """Return variances of the first predictor of m rows, (m,), NaN for rows that have no mean.

    `included` says by random term whether its effects are part of the mean; those of levels that were not in the fit
    are predicted by zero and count with their variance.
    """
    bare, new = without_new_levels(fit, rows)
    directions = fit.solution.basis.rows(rows.x)
    variance = np.where(valid, 0.0, np.nan)
    if any(included):
        codes = [c if inside else None for c, inside in zip(bare.codes, included, strict=True)]
        variance += _of_parameters(fit, bare, included, directions)
        target = Target(np.zeros((len(rows), 0)), codes, list(bare.values))
        variance += fit._work.equations().predict(target)[1]
        unknown = tuple(n & valid & inside for n, inside in zip(new, included, strict=True))
        variance += own_variances(fit, rows, unknown, fit._work.own_covariances())
    return np.asarray(variance + np.einsum("ma,ab,mb->m", directions, covariance, directions))


def _of_parameters(fit: Fit, rows: NewRows, included: tuple[bool, ...], directions: Array) -> Array:
    """Return what θ̂ and its correlation with β̂ add to variances, (m,); x of every row becomes x − X'WZCz, in place."""
    criterion, mode = fit._work.likelihood(), fit._work.mode()
    assert mode.equations is not None
    stack = criterion.observed.stack
    by_fixed = mode.equations.solve_random(list(stack.random_by_fixed(mode.densities.curvature)))
    directions -= _carried(fit, rows, included, by_fixed)
    if fit.spec.method == "reml":
        # β̂ of restricted likelihood goes with θ̂ taken as known: so do means, as those of a linear model and of mgcv
        return np.zeros(len(rows))
    along = _carried(fit, rows, included, criterion.mode_slopes(fit.optimum.theta, mode))
    covariance, beta = fit._work.covariance(), criterion.of_beta
    others = np.r_[0 : beta.start, beta.stop : criterion.n_theta]
    own = np.einsum("ma,ab,mb->m", along, covariance[np.ix_(others, others)], along)
    both = np.einsum("ma,ab,mb->m", along, covariance[others][:, beta], directions)
    return np.asarray(own + 2.0 * both)


def _carried(fit: Fit, rows: NewRows, included: tuple[bool, ...], effects: tuple[Array, ...]) -> Array:
    """Return z'E of every row, (m, r), for effects E (q, p, r) by term in own coordinates."""
    out = np.zeros((len(rows), effects[0].shape[2]))
    values = own_values(fit._work.own_design(), rows.values)
    for codes, z, own, inside in zip(rows.codes, values, effects, included, strict=True):
        if inside:
            chosen = codes >= 0
            of_level = own[codes[chosen]]
            out[chosen] += of_level[:, 0] if z is None else np.einsum("ip,ipr->ir", z[chosen], of_level)
    return out
