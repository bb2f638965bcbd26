"""How far predictions of a generalised model may be off, about the mode of its random effects.

With C the covariance of b given y at β̂ and θ̂ (the inverse of the curvature at the mode) and ∂b̂/∂β = −CZ'WX, a
prediction x'β̂ + z'b̂ has the variance

    z'Cz + d'Vd,    d = x − X'WZCz,

V the covariance of β̂ from the joint Hessian of β and θ.
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
        target = Target(np.zeros((len(rows), 0)), codes, list(bare.values))
        variance += fit._work.equations().predict(target)[1]
        _follow(fit, bare, included, directions)
        unknown = tuple(n & valid & inside for n, inside in zip(new, included, strict=True))
        variance += own_variances(fit, rows, unknown, fit._work.own_covariances())
    return np.asarray(variance + np.einsum("ma,ab,mb->m", directions, covariance, directions))


def _follow(fit: Fit, rows: NewRows, included: tuple[bool, ...], directions: Array) -> None:
    """Subtract X'WZCz from x of every row, in place."""
    mode, stack = fit._work.mode(), fit._work.likelihood().observed.stack
    assert mode.equations is not None
    moved = mode.equations.solve_random(list(stack.random_by_fixed(mode.densities.curvature)))
    values = own_values(fit._work.own_design(), rows.values)
    for codes, z, effects, inside in zip(rows.codes, values, moved, included, strict=True):
        if not inside:
            continue
        chosen = codes >= 0
        own = effects[codes[chosen]]
        along = own[:, 0] if z is None else np.einsum("ip,ipr->ir", z[chosen], own)
        directions[chosen] -= along
