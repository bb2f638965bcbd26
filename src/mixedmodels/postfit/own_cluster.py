"""What estimating θ adds to the variance of a missing response, counted within its own cluster as SAS does.

The weights t = V⁻¹c + V⁻¹XΦ(x − X'V⁻¹c) of a prediction move by ṫ_a = P(ċ_a − V̇_at), so that Kenward and Roger's
method adds 2ΣW_ab h_a'Ph_b with h_a = ċ_a − V̇_at. PROC MIXED takes h_a on the rows of the missing response's own
cluster alone: the parts of t on other rows are of the order of Φ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..criterion.errors import FittedErrors, NewErrorCovariance
from ..fit import Fit
from ..typing import Array
from .missing_responses import ErrorsOfRows


def own_cluster_adjustment(
    fit: Fit, x: Array, errors: ErrorsOfRows, missing: NDArray[np.bool_], roots: Array, step: float
) -> Array:
    """Return 2ΣW_ab h_a'Ph_b of each missing response, (number missing,), for a model without random effects.

    Parameters
    ----------
    x
        Rows of X of all rows to predict, (m, rank).
    errors, missing
        Their errors, and which are missing responses, (m,).
    roots
        Columns whose products add up to W, (k, q).
    step
        Length, in such columns, of the differences that V̇ and ċ are taken from.
    """
    assert errors.fitted is not None
    assert errors.new is not None
    theta = fit._work.criterion().absolute(fit.optimum.theta)
    here = _State.of(errors, missing)
    moved = [
        [_State.of(errors.moved(theta + sign * step * w), missing) for sign in (1.0, -1.0)] for w in roots.T
    ]
    basis, phi = fit.solution.basis, fit.solution.own_vcov
    targets = basis.rows(x[missing])
    of_target, of_row = errors.new.clusters[missing], errors.fitted.rows.clusters
    order = np.argsort(of_row, kind="stable")
    out = np.zeros(len(targets))
    for cluster in np.unique(of_target):
        own = np.flatnonzero(of_target == cluster)
        first, last = np.searchsorted(of_row, (cluster, cluster + 1), sorter=order)
        rows = order[first:last]
        matrix = basis.rows(fit._work.rows().x[rows])
        v, c = here.covariances(own, rows)
        w = np.linalg.solve(v, c)
        t = w + np.linalg.solve(v, matrix @ phi @ (targets[own].T - matrix.T @ w))
        for ahead, behind in moved:
            (v1, c1), (v0, c0) = ahead.covariances(own, rows), behind.covariances(own, rows)
            h = (c1 - c0 - (v1 - v0) @ t) / (2.0 * step)
            solved = np.linalg.solve(v, h)
            taken = matrix.T @ solved
            out[own] += 2.0 * (np.sum(h * solved, axis=0) - np.sum(taken * (phi @ taken), axis=0))
    return out


@dataclass(frozen=True, slots=True)
class _State:
    """R of the rows of a fit and their covariances with missing responses, at one θ."""

    fitted: FittedErrors
    relation: NewErrorCovariance

    @classmethod
    def of(cls, errors: ErrorsOfRows, missing: NDArray[np.bool_]) -> _State:
        relation = errors.relation(missing)
        assert errors.fitted is not None
        assert relation is not None
        return cls(errors.fitted, relation)

    def covariances(self, own: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return V of some rows of one cluster (t, t) and their covariances with missing responses of it (t, s)."""
        among = np.broadcast_to(rows, (len(own), len(rows)))
        return self.fitted.among(rows), self.relation.between(own, among).T
