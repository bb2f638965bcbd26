"""tr(P̃Ṽ_aP̃Ṽ_b), the expected information, where it costs less than differences of the scores.

For one factor Z'Ṽ⁻¹Z is block diagonal. With D_j = Z_j'P̃Z_j of every level, U = Z'Ṽ⁻¹XR, RR' = (X'Ṽ⁻¹X)⁻¹,
C_j = U_jU_j' and P_a = Σ_j U_j'Σ̇_aU_j,

    tr(P̃Ṽ_aP̃Ṽ_b) = Σ_j tr(D_jΣ̇_aD_jΣ̇_b) − Σ_j tr(C_jΣ̇_aC_jΣ̇_b) + tr(P_aP_b),

and T_j = D_j + C_j alone makes tr(Ṽ⁻¹Ṽ_aṼ⁻¹Ṽ_b). Where there are few random effects Z'P̃Z is formed whole. Nothing is
divided by a Σ, which may be singular.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...kernels import row_products
from ...typing import Array
from ..arrangement import pad_direction
from ..relative import TermDirection

if TYPE_CHECKING:
    from .system import BlockedSystem

WIDEST = 12
"""Random effects of one level up to which products of all pairs of elements of D_j are summed over levels."""
WHOLE = (150, 20_000)
"""Random effects, and rows of the pass that it takes, up to which Z'P̃Z is formed whole."""


def trace_products(system: BlockedSystem, directions: Sequence[TermDirection], reml: bool) -> Array | None:
    """Return tr(P̃Ṽ_aP̃Ṽ_b), (K, K), Ṽ⁻¹ in place of P̃ for ML; None where there are many crossed or nested effects."""
    factors = system.arranged.factors
    if len(factors) == 1 and system.arranged.chain and factors[0].p <= WIDEST:
        return _of_one_factor(system, directions, reml)
    if sum(f.q * f.p for f in factors) <= WHOLE[0] and system.layout.n <= WHOLE[1]:
        return _of_few_effects(system.in_tail(), directions, reml)
    return None


def _of_one_factor(system: BlockedSystem, directions: Sequence[TermDirection], reml: bool) -> Array:
    factor, k = system.arranged.factors[0], len(directions)
    d, u = system.one_factor()
    c = np.einsum("qar,qbr->qab", u, u)
    pieces = [(a, *piece) for a, one in enumerate(directions) for piece in pad_direction(factor, one)]
    out, moved = np.zeros((k, k)), np.zeros((k, u.shape[2], u.shape[2]))
    for which in range(factor.n_sets):
        own = [(a, matrix) for a, s, matrix in pieces if s == which]
        if not own:
            continue
        at = slice(None) if factor.n_sets == 1 else np.flatnonzero(factor.sets == which)
        places, matrices = [a for a, _ in own], np.array([matrix for _, matrix in own])
        if reml:
            found = _pairs(d[at], matrices) - _pairs(c[at], matrices)
            moved[places] += _projected(u[at], matrices)
        else:
            found = _pairs(d[at] + c[at], matrices)
        out[np.ix_(places, places)] += found
    if reml:
        flat = moved.reshape(k, u.shape[2] ** 2)
        out += flat @ flat.T
    return out


def _pairs(blocks: Array, matrices: Array) -> Array:
    """Return Σ_j tr(B_jM_aB_jM_b), (k, k), for symmetric B (q, p, p) and M (k, p, p)."""
    k, p = matrices.shape[:2]
    columns = blocks.reshape(len(blocks), p * p).T
    products = row_products(columns, columns).reshape(p, p, p, p)
    flat = matrices.reshape(k, -1)
    return np.asarray(flat @ products.transpose(1, 2, 0, 3).reshape(p * p, p * p) @ flat.T)


def _projected(u: Array, matrices: Array) -> Array:
    """Return Σ_j U_j'M_aU_j, (k, r, r), for U (q, p, r) and M (k, p, p)."""
    p, r = u.shape[1:]
    columns = u.reshape(len(u), p * r).T
    products = row_products(columns, columns).reshape(p, r, p, r).transpose(0, 2, 1, 3)
    k = len(matrices)
    return np.asarray(matrices.reshape(k, p * p) @ products.reshape(p * p, r * r)).reshape(k, r, r)


def _of_few_effects(whole: BlockedSystem, directions: Sequence[TermDirection], reml: bool) -> Array:
    kernel, arranged = whole.projected_gram(reml), whole.arranged
    size = len(kernel)
    moved = np.zeros((len(directions), size, size))
    for a, direction in enumerate(directions):
        block = whole.blocks[arranged.tail.index(arranged.place(direction.term)[0])]
        for s, matrix in pad_direction(block.data, direction):
            moved[a, block.columns] += block.push(matrix, s, kernel)
    turned = moved.transpose(0, 2, 1).reshape(len(moved), -1)
    return np.asarray(moved.reshape(len(moved), -1) @ turned.T)
