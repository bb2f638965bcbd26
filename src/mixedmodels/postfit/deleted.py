"""What a fit becomes without each of m sets of rows: the form that all deletion diagnostics are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..typing import Array


@dataclass(frozen=True, slots=True)
class Deleted:
    """Changes of the estimates by set; NaN where a set leaves something undetermined.

    Parameters
    ----------
    delta
        β̂ − β̂_(U) in the full fit's own coordinates, (m, r).
    vcov
        Covariance of β̂_(U), (m, r, r).
    outer
        (X'V⁻¹X)⁻¹ of all rows with the V estimated without the set, (m, r, r).
    theta
        Change of the covariance parameters in directions in which the full fit's estimate has unit covariance, (m, q).
    theta_vcov
        Covariance of the parameters without the set in these directions, (m, q, q).
    displacement
        Twice what the log-likelihood of all rows loses at the estimates without the set, (m,).
    reasons
        What could not be computed, for notes.
    """

    delta: Array
    vcov: Array
    outer: Array
    theta: Array
    theta_vcov: Array
    displacement: Array
    reasons: tuple[str, ...] = ()


def theta_root(jacobian: Array, covariance: Array, singular: bool) -> Array:
    """Return R (k, q) with RR' = W, the q directions of working parameters that move natural ones, by ∂natural/∂θ.

    Of a singular fit directions that no natural parameter follows, as those of a variance of zero, are left out.
    """
    unit = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    scale = np.where(unit > 0, unit, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > 1e-12 * max(float(values[-1]), 0.0) if len(values) else np.zeros(0, dtype=bool)
    root = scale[:, None] * vectors[:, kept] * np.sqrt(values[kept])
    if not root.shape[1] or not singular:
        return np.asarray(root)
    moved = jacobian @ root
    size = np.linalg.norm(moved, axis=1)
    _, lengths, directions = np.linalg.svd(
        moved / np.where(size > 0, size, 1.0)[:, None], full_matrices=False
    )
    return np.asarray(root @ directions[lengths > 1e-6 * max(float(lengths[0]), 1e-300)].T)
