"""Sandwiches of generalised models whose random effects are integrated out: scores of the approximated likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..criterion.by_cluster import cluster_scores
from ..errors import SpecError
from ..fit import Fit
from ..inference.resampling import Clusters
from ..likelihood.base import MeanFamily
from ..typing import Array
from .sandwich import Stack, stacks_of

ALONE = 1e-8
"""An eigenvalue of I − P_j below this is zero: one cluster alone determines a parameter."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """The sandwich of β̂ and its model-based counterpart in own coordinates, (rank, rank), and stacks of linear rows."""

    sandwich: Array
    omega: Array
    stacks: tuple[Stack, ...]


def has_mean_alone(fit: Fit) -> bool:
    """Return whether a fit is of independent rows whose distribution has a mean and nothing else."""
    known = fit.distribution
    assert known is not None
    return (
        not fit.design.random and isinstance(known.family, MeanFamily) and len(known.family.predictors) == 1
    )


def response_pieces(fit: Fit, clusters: Clusters, kind: str) -> Pieces:
    """Return the sandwich of a generalised linear model, linear about its fitted means: X̃ = μ'X and V = var y, as in R.

    Proportions stand for events among trials; the roots of CR2 depend on the scale they are taken on.
    """
    known = fit.distribution
    assert known is not None
    assert known.link is not None
    variance = known.variance(fit._eta)
    if known.responses.frequency is not None:
        variance = variance / known.responses.frequency
    slope = known.link.inverse(fit._eta)[1]
    x = slope[:, None] * fit.solution.basis.rows(fit._work.rows().x)
    omega = np.asarray(np.linalg.inv(x.T @ (x / variance[:, None])), dtype=np.float64)

    def total(rows: NDArray[np.intp]) -> Array:
        return np.asarray(np.eye(rows.shape[-1]) * variance[rows][..., None])

    stacks = tuple(stacks_of(x, known.observed - known.mean(fit._eta), total, clusters, kind, omega))
    scores = np.concatenate([np.einsum("mtr,mt->mr", s.weighted, s.residual) for s in stacks])
    return Pieces(omega @ (scores.T @ scores) @ omega, omega, stacks)


def joint_pieces(fit: Fit, clusters: Clusters, kind: str) -> Pieces:
    """Return the β block of H⁻¹(Σ a_js_js_j'a_j')H⁻¹ over all parameters.

    Notes
    -----
    s_j is the score of cluster j and H the observed information of (θ, β, ψ). With A_j = X_j'V_j⁻¹X_j of the working
    linear mixed model and P_j = A_j(ΣA)⁻¹, a_j multiplies the part of the score that belongs to β: by I (CR0, CR1,
    mbn), (I − P_j)^−½ (CR2; Kauermann and Carroll 2001) or (I − P_j)⁻¹ (CR3; Mancl and DeRouen 2001).
    """
    criterion, theta = fit._work.likelihood(), fit.optimum.theta
    control = replace(fit.control, engine=fit.engine)
    found = cluster_scores(criterion, theta, clusters.rows, control)
    scores, beta = found.scores.copy(), criterion.of_beta
    if kind in ("CR2", "CR3"):
        power = -0.5 if kind == "CR2" else -1.0
        scores[:, beta] = _adjusted(scores[:, beta], found.information, power)
    covariance = fit._work.covariance()
    pushed = scores @ covariance[:, beta]
    return Pieces(pushed.T @ pushed, covariance[beta, beta], ())


def _adjusted(scores: Array, information: Array, power: float) -> Array:
    """Return (I − A_jA⁻¹)^power s_j of every cluster, (m, k), A the sum of all A_j."""
    total = information.sum(axis=0)
    size = np.sqrt(np.maximum(np.abs(np.diagonal(total)), 1e-300))
    values, vectors = np.linalg.eigh(total / np.outer(size, size))
    kept = values > 1e-10 * max(float(values[-1]), 1e-300)
    root = (vectors[:, kept] / np.sqrt(values[kept])) / size[:, None]
    back = (vectors[:, kept] * np.sqrt(values[kept])) * size[:, None]
    # in coordinates where the sum is I each part is symmetric
    own = root.T @ (0.5 * (information + information.transpose(0, 2, 1))) @ root
    shares, axes = np.linalg.eigh(np.eye(own.shape[-1]) - own)
    scale = np.where(shares > ALONE, np.maximum(shares, ALONE) ** power, 0.0)
    turned = np.einsum("mab,mb->ma", axes.transpose(0, 2, 1), scores @ root)
    adjusted = np.einsum("mab,mb->ma", axes, scale * turned)
    untouched = scores - (scores @ root) @ back.T
    return np.asarray(adjusted @ back.T + untouched)


def pieces_of(fit: Fit, clusters: Clusters, kind: str) -> Pieces:
    """Return the sandwich of a generalised fit by Laplace's approximation, by quadrature or without random effects."""
    known = fit.distribution
    assert known is not None
    if known.recession is not None:
        raise SpecError(
            "vcov_robust: some estimates are infinite (separation), where scores are zero; see fit.status, and leave "
            "the terms out."
        )
    times = known.responses.frequency
    if times is not None and (times != 1.0).any() and clusters.count == fit.nobs:
        raise SpecError(
            "vcov_robust: rows of this fit stand for several equal ones (frequency=), which are no clusters of one "
            "row; name the column of clusters, cluster=."
        )
    return response_pieces(fit, clusters, kind) if has_mean_alone(fit) else joint_pieces(fit, clusters, kind)
