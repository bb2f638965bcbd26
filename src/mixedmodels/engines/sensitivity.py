"""How X'V⁻¹X responds to the covariance parameters: what Satterthwaite's and Kenward and Roger's methods are made of.

For the joint parameters θ (absolute Σ, then log σ²) with V̇_a = ∂V/∂θ_a

    P_a = −X'V⁻¹V̇_aV⁻¹X = ∂(X'V⁻¹X)/∂θ_a,      Q_ab = X'V⁻¹V̇_aV⁻¹V̇_bV⁻¹X.

The error variance needs no pass of its own: σ²W⁻¹ = V − Σ_k Z_kΣ_kZ_k'.
"""

from __future__ import annotations

import numpy as np

from ..covariance.base import semidefinite_cholesky
from ..errors import FitError
from ..typing import Array
from .base import Direction
from .objective import Objective


def fixed_information(objective: Objective, theta: Array) -> tuple[Array, Array]:
    """Return P (k, r, r) and Q (k, k, r, r) at θ for the joint parameters, the error variance (log σ²) last."""
    joint = objective.absolute(theta)
    sigma2 = objective.sigma2(theta)
    r = objective.design.fixed.rank
    directions: list[Direction] = []
    for block in objective.blocks:
        own = joint[block.place]
        for matrix in block.structure.d_matrix(own, block.positions):
            directions.append(Direction(block.term, block.set, matrix / sigma2))
    k = len(directions)
    for block in objective.blocks:
        sigma = block.structure.matrix(joint[block.place], block.positions)
        directions.append(Direction(block.term, block.set, sigma / sigma2))
    objective.value(theta)
    solution, _ = objective.solve(theta)
    information: Array = np.asarray(np.linalg.inv(solution.unscaled_vcov)) if r else np.zeros((0, 0))
    if not directions:
        return -information[None] / sigma2, information[None, None] / sigma2
    p, q = objective.system.fixed_information(directions)
    whole_p = p[k:].sum(axis=0)
    whole_q = q[:, k:].sum(axis=1)
    out_p, out_q = np.empty((k + 1, r, r)), np.empty((k + 1, k + 1, r, r))
    out_p[:k], out_q[:k, :k] = p[:k], q[:k, :k]
    out_p[k] = -information - whole_p
    out_q[:k, k] = -p[:k] - whole_q[:k]
    out_q[k, :k] = out_q[:k, k].transpose(0, 2, 1)
    out_q[k, k] = information + 2 * whole_p + whole_q[k:].sum(axis=0)
    return out_p / sigma2, out_q / sigma2


def second_order(objective: Objective, theta: Array, weights: Array) -> Array:
    """Return Σ_ab w_ab X'V⁻¹(∂²V/∂η_a∂η_b)V⁻¹X, (r, r), η the natural parameters in the order of `natural`.

    Zero for structures linear in their natural parameters, which are SAS's.
    """
    sigma2 = objective.sigma2(theta)
    r = objective.design.fixed.rank
    directions = _bends(objective, theta, weights)
    if not directions:
        return np.zeros((r, r))
    objective.value(theta)
    objective.solve(theta)
    p, _ = objective.system.fixed_information(directions)
    return np.asarray(-p.sum(axis=0) / sigma2)


def bend_traces(objective: Objective, theta: Array, weights: Array) -> Array:
    """Return tr(PV̈PV_i) for every joint parameter, (k,), with V̈ = Σ_ab w_ab ∂²V/∂η_a∂η_b as in `second_order`.

    Notes
    -----
    ∂/∂ε tr(PV_i) = −tr(PV̈PV_i) at V + εV̈: a central difference of the traces that the gradient is made of, with
    V_i kept, whose error is about 1e-8 relative. The error variance follows from tr(PV) = n − r.
    """
    joint, sigma2 = objective.absolute(theta), objective.sigma2(theta)
    bends, out = _bends(objective, theta, weights), np.zeros(len(joint))
    if not bends:
        return out
    unit = sigma2 if objective.joint else 1.0
    relative = [sigma / unit for sigma in objective.matrices(theta)]
    objective.value(theta)
    here = objective.system.scores(True)
    moved = _moved_traces(objective, relative, bends)
    whole = sum(float(np.vdot(here[b.term].trace[b.set], b.matrix)) for b in bends)
    for block in objective.blocks:
        slope = moved[block.term][block.set]
        derivatives = block.structure.d_matrix(joint[block.place], block.positions)
        out[block.place] = np.tensordot(derivatives, slope, 2) / sigma2
        whole -= float(np.vdot(slope, relative[block.term][block.set]))
    out[-1] = whole
    return out


def _bends(objective: Objective, theta: Array, weights: Array) -> list[Direction]:
    """Return Σ_ab w_ab ∂²Σ̃/∂η_a∂η_b of every block that is not linear in its natural parameters."""
    joint, sigma2 = objective.absolute(theta), objective.sigma2(theta)
    directions: list[Direction] = []
    first = 0
    for block in objective.blocks:
        own, at = joint[block.place], block.positions
        count = len(block.structure.natural(own, at).values)
        if not block.structure.linear:
            inside = weights[first : first + count, first : first + count]
            matrix = np.einsum("ab,abij->ij", inside, block.structure.d2_natural(own, at))
            if matrix.any():
                directions.append(Direction(block.term, block.set, matrix / sigma2))
        first += count
    return directions


def _moved_traces(objective: Objective, relative: list[Array], bends: list[Direction]) -> list[Array]:
    """Return −∂T/∂ε of every term at Σ̃ + ε·bend, each (sets, p, p)."""
    step = min(_largest_step(relative[bend.term][bend.set], bend.matrix) for bend in bends)
    traces = []
    for sign in (1.0, -1.0):
        matrices = [sigma.copy() for sigma in relative]
        for bend in bends:
            matrices[bend.term][bend.set] += sign * step * bend.matrix
        objective.system.factor([_roots(stack) for stack in matrices])
        traces.append([score.trace for score in objective.system.scores(True)])
    objective.system.factor([_roots(stack) for stack in relative])
    return [(below - above) / (2.0 * step) for above, below in zip(*traces, strict=True)]


def _largest_step(sigma: Array, bend: Array) -> float:
    """Return ε such that ε·bend changes Σ̃ by a ten-thousandth and leaves it positive definite."""
    size = float(np.abs(bend).max())
    try:
        root = np.linalg.cholesky(sigma)
    except np.linalg.LinAlgError:
        raise FitError(
            "ddf='kenward-roger2' is not defined where a covariance that is not linear in its parameters is "
            "singular; use 'kenward-roger' or 'satterthwaite'."
        ) from None
    inner = np.linalg.solve(root, np.linalg.solve(root, bend).T)
    return 1e-4 / max(float(np.abs(np.linalg.eigvalsh(inner)).max()), size / float(np.abs(sigma).max()))


def _roots(stack: Array) -> Array:
    return np.array([semidefinite_cholesky(sigma) for sigma in stack])
