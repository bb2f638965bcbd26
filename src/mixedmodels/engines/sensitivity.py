"""How X'V⁻¹X responds to the covariance parameters: what Satterthwaite's and Kenward and Roger's methods are made of.

For the joint parameters θ (absolute Σ, then log σ²) with V̇_a = ∂V/∂θ_a

    P_a = −X'V⁻¹V̇_aV⁻¹X = ∂(X'V⁻¹X)/∂θ_a,      Q_ab = X'V⁻¹V̇_aV⁻¹V̇_bV⁻¹X.

The error variance needs no pass of its own: σ²W⁻¹ = V − Σ_k Z_kΣ_kZ_k'.
"""

from __future__ import annotations

import numpy as np

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
    joint = objective.absolute(theta)
    sigma2 = objective.sigma2(theta)
    r = objective.design.fixed.rank
    directions: list[Direction] = []
    first = 0
    for block in objective.blocks:
        own, at = joint[block.place], block.positions
        count = len(block.structure.natural(own, at).values)
        if not block.structure.linear:
            inside = weights[first : first + count, first : first + count]
            matrix = np.einsum("ab,abij->ij", inside, block.structure.d2_natural(own, at))
            directions.append(Direction(block.term, block.set, matrix / sigma2))
        first += count
    if not directions:
        return np.zeros((r, r))
    objective.value(theta)
    objective.solve(theta)
    p, _ = objective.system.fixed_information(directions)
    return np.asarray(-p.sum(axis=0) / sigma2)
