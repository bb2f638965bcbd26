"""Estimates without sets of rows, from one factorisation: the update of β, and one Newton step of θ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..criterion import LinearCriterion
from ..criterion.coordinates import own_structure
from ..errors import SpecError
from ..fit import Fit
from ..optimise.start import place_values
from ..typing import Array
from .deleted import Deleted, theta_root
from .deletion_sets import DeletionSets, deletion_sets
from .removed_rows import Removed, removed

STEP = 1e-3
"""Length of differences in θ, in standard errors: errors of 1e-6 relative in second differences."""
LONG = 2.0
"""Length of a Newton step of θ, in its standard errors, beyond which −2l is no parabola along it."""
NOTHING = 1e-8
"""Share of its information on a direction of β below which a deletion leaves nothing."""


def one_step(fit: Fit, sets: DeletionSets) -> Deleted:
    """Return the changes of the estimates without each set.

    Notes
    -----
    With V known, β̂ − β̂_(U) = C_(U)s with C_(U) = (X'V⁻¹X − S)⁻¹ exactly (Christensen, Pearson and Johnson 1992); the
    scale of V is estimated anew where all of V has one. −2l without U is −2l + f_U with f_U = log|P_UU| −
    (Py)_U'P_UU⁻¹(Py)_U (V⁻¹ for P in the determinant for ML), whose first and second differences in θ give the exact
    Newton step from θ̂.
    """
    here = removed(fit, sets)
    _, gone = _update(here)
    delta, vcov = _coefficients(here, gone)
    scale = _scales(fit, sets, here, gone)
    outer = scale[:, None, None] * here.phi
    z, precision = _newton(fit, sets, here)
    lost = lost_by_theta = np.einsum("mi,mi->m", z, z)
    if not fit.design.reml:
        lost = lost + np.einsum("mi,ij,mj->m", delta, np.linalg.inv(here.phi), delta)
    reasons = []
    if gone.any():
        reasons.append(_listed(sets, gone, "some fixed effect is not estimable without"))
    lame = np.asarray(~gone & np.isnan(z).any(axis=1))
    if lame.any():
        reasons.append(
            _listed(sets, lame, "one step does not reach the covariance parameters (refit=True does) without")
        )
    long = np.asarray(lost_by_theta > LONG**2)
    if long.any():
        what = f"a step of more than {LONG:g} standard errors of θ is rough (refit=True is exact) without"
        reasons.append(_listed(sets, long, what))
    return Deleted(delta, scale[:, None, None] * vcov, outer, z, precision, lost, tuple(reasons))


def _listed(sets: DeletionSets, which: NDArray[np.bool_], what: str) -> str:
    names = [str(name) for name in sets.levels[which]]
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{what} {sets.by} {', '.join(names[:5])}{rest}"


def _update(here: Removed) -> tuple[Array, NDArray[np.bool_]]:
    """Return I − L'SL with Φ = LL', (m, r, r), and which sets take all that is known of some direction, (m,)."""
    lower = np.linalg.cholesky(here.phi)
    left = np.eye(len(lower)) - lower.T @ here.information @ lower
    if not len(lower):
        return left, np.zeros(len(here.square), dtype=bool)
    return left, np.asarray(np.linalg.eigvalsh(left)[:, 0] <= NOTHING)


def _coefficients(here: Removed, gone: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return β̂ − β̂_(U) (m, r) and C_(U) at the same scale of V (m, r, r)."""
    lower = np.linalg.cholesky(here.phi)
    left, _ = _update(here)
    left = np.where(gone[:, None, None], np.eye(len(lower)), left)
    vcov = lower @ np.linalg.inv(left) @ lower.T
    vcov[gone] = np.nan
    return np.einsum("mij,mj->mi", vcov, here.pull), vcov


def _quadratic(here: Removed) -> tuple[Array, Array]:
    """Return (Py)_U'P_UU⁻¹(Py)_U and log|P_UU| − log|A|, (m,); NaN where a direction of β is lost."""
    left, gone = _update(here)
    delta, _ = _coefficients(here, gone)
    found = here.square + np.einsum("mi,mi->m", delta, here.pull)
    determinant = np.linalg.slogdet(np.where(gone[:, None, None], np.eye(left.shape[1]), left))[1]
    return found, np.where(gone, np.nan, determinant)


def _scales(fit: Fit, sets: DeletionSets, here: Removed, gone: NDArray[np.bool_]) -> Array:
    """Return the scale of V without each set over that with it, (m,): 1 where V has no scale of its own."""
    if not has_one_scale(fit):
        return np.where(gone, np.nan, 1.0)
    nu = fit.nobs - (fit.design.fixed.rank if fit.design.reml else 0)
    left = nu - sets.sizes()
    taken, _ = _quadratic(here)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (nu - taken) / left
    return np.where((left > 0) & (found > 0), found, np.nan)


def squared_distances(fit: Fit, sets: DeletionSets) -> Array:
    """Return (Py)_U'P_UU⁻¹(Py)_U of every set, (m,): how far it is from what the others predict."""
    return _quadratic(removed(fit, sets))[0]


def scales_without_rows(fit: Fit) -> Array:
    """Return the scale of V estimated without each row over that with it, (n,)."""
    if not has_one_scale(fit):
        raise SpecError(
            "kind='student-external' estimates the one scale of V without each row, and the errors of this model have "
            "several variances or held ones; use kind='student'."
        )
    sets = deletion_sets(fit, "obs")
    here = removed(fit, sets)
    return _scales(fit, sets, here, _update(here)[1])


def has_one_scale(fit: Fit) -> bool:
    """Whether one variance scales all of V, as PROC MIXED profiles it out: errors not of several variances."""
    residual = fit.design.residual
    if fit.spec.hold or fit.design.held:
        return False
    if residual is None:
        return True
    known = residual.structure is not None and not residual.structure.own_variances
    return known and residual.n_sets == 1 and not residual.variance


def _deviance(fit: Fit, here: Removed) -> Array:
    """Return f_U, (m,)."""
    taken, more = _quadratic(here)
    return here.logdet + (more if fit.design.reml else 0.0) - taken


def _newton(fit: Fit, sets: DeletionSets, here: Removed) -> tuple[Array, Array]:
    """Return θ̂ − θ̂_(U) after one step (m, q) and its covariance (m, q, q), in units of the full fit's errors."""
    criterion, theta = fit._work.criterion(), fit.optimum.theta
    at = criterion.absolute(theta)
    root = theta_root(criterion.natural(theta).jacobian, criterion.working_covariance(theta), fit.singular)
    q, m = root.shape[1], sets.count
    centre = _deviance(fit, here)

    unit = np.eye(q)
    pairs = [(a, b) for a in range(q) for b in range(a)]
    steps = [*unit, *-unit, *(sign * (unit[a] + unit[b]) for a, b in pairs for sign in (1.0, -1.0))]
    points = _moved(fit, at, [STEP * (root @ step) for step in steps])
    found = [_deviance(fit, removed(fit, sets, there)) for there in points]
    ahead, behind = found[:q], found[q : 2 * q]
    together = {pair: found[2 * q + 2 * k] + found[2 * q + 2 * k + 1] for k, pair in enumerate(pairs)}
    gradient = np.array([(u - v) / (2 * STEP) for u, v in zip(ahead, behind, strict=True)]).reshape(q, m).T
    hessian = np.empty((m, q, q))
    for a in range(q):
        hessian[:, a, a] = (ahead[a] + behind[a] - 2 * centre) / STEP**2
        for b in range(a):
            both = together[a, b]
            own = ahead[a] + behind[a] + ahead[b] + behind[b]
            hessian[:, a, b] = hessian[:, b, a] = (both - own + 2 * centre) / (2 * STEP**2)
    precision = np.eye(q) + 0.5 * hessian
    usable = np.asarray(np.isfinite(precision).all(axis=(1, 2)))
    if q:
        usable &= np.linalg.eigvalsh(np.where(usable[:, None, None], precision, np.eye(q)))[:, 0] > 0.05
    covariance = np.linalg.inv(np.where(usable[:, None, None], precision, np.eye(q)))
    covariance[~usable] = np.nan
    return 0.5 * np.einsum("mij,mj->mi", covariance, gradient), covariance


def _moved(fit: Fit, theta: Array, changes: list[Array]) -> list[Array]:
    """Return θ after each of the changes: along lines in natural parameters, or in θ where these leave the domain.

    They do where Σ is singular, and next to where a correlation or a variance has its bound.
    """
    if not fit.singular:
        joint = fit._work.criterion().jointly()
        try:
            return [_along_natural(joint, theta, change) for change in changes]
        except (ValueError, SpecError):
            pass
    return [theta + change for change in changes]


def _along_natural(joint: LinearCriterion, theta: Array, change: Array) -> Array:
    """Return θ where natural parameters have moved along the line that a change of θ begins.

    Such a step is the same in all units and codings. Those of Σ are in coordinates of their own, which keep their
    digits far from the origin.
    """
    natural = joint.natural(theta)
    out, first = theta.copy(), 0
    for block in joint.model.random_blocks:
        base, place = own_structure(block.structure), block.place
        found = base.natural(theta[place], block.positions)
        out[place] = base.from_natural(found.values + found.jacobian @ change[place], block.positions)
        first += len(found.values)
    values = natural.values + natural.jacobian @ change
    return place_values(joint, out, {i: float(values[i]) for i in range(first, len(values))}, "influence")
