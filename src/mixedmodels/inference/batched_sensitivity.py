"""Φ, its slopes and the uncertainty of the variances for many responses of one model at once.

For models of independent errors and independent clusters whose V is linear in its parameters: V̇_a is then one matrix
per cluster whatever the response, and a thousand responses are a few products of stacks of small matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..criterion.parameters import design_blocks, regular_target
from ..engines.base import Refitted
from ..errors import SpecError
from ..fit import Fit
from ..typing import Array
from .resampling import independent_codes
from .sensitivity import Sensitivity

LARGEST = 40
"""Rows of a cluster up to which forming V is the cheaper way."""
UNDETERMINED = 1e-7
"""Eigenvalue of a scaled Hessian, relative to the largest, below which a direction is not determined."""
TOGETHER = 3_000_000
"""Elements of the stacks of V̇ of the responses that are taken together."""


@dataclass(frozen=True, slots=True)
class _Size:
    """Clusters of t rows: their rows (m, t), X (m, t, r), 1/w (m, t), and V̇_a (m, k, t, t), that of σ² last."""

    rows: NDArray[np.intp]
    x: Array
    slopes: Array


@dataclass(frozen=True, slots=True)
class BatchedSensitivity:
    """What is shared by all responses of one fit's model."""

    fit: Fit
    sizes: tuple[_Size, ...]

    @classmethod
    def of(cls, fit: Fit) -> BatchedSensitivity | None:
        """Return it for a fit, None where its model is not of this kind."""
        design, given = fit._work.own_model()
        plain = (
            design.residual is None
            and design.reml
            and design.bounded
            and not fit.spec.hold
            and not design.held
        )
        if not plain or not all(term.linear and term.known is None for term in design.random):
            return None
        try:
            codes = independent_codes(fit, None, "power")
        except SpecError:
            return None
        if np.bincount(codes).max() > LARGEST:
            return None
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        counts = np.diff(starts, append=len(order))
        x = fit.solution.basis.rows(given.x)
        sizes = []
        for t in np.unique(counts):
            rows = order[starts[counts == t][:, None] + np.arange(t)]
            sizes.append(_Size(rows, x[rows], _slopes(fit, rows)))
        return cls(fit, tuple(sizes))

    def at(self, responses: Array, found: list[Refitted]) -> list[Sensitivity]:
        """Return the sensitivities of responses (s, n) with their optima, W from the observed information."""
        width = sum(s.slopes.size for s in self.sizes)
        step = max(TOGETHER // max(width, 1), 1)
        out: list[Sensitivity] = []
        for first in range(0, len(found), step):
            out += self._at(responses[first : first + step], found[first : first + step])
        return out

    def _at(self, responses: Array, found: list[Refitted]) -> list[Sensitivity]:
        given = self.fit._work.rows()
        values = np.array([_natural(self.fit, one) for one in found])
        r, k, many = self.fit.design.fixed.rank, values.shape[1], len(found)
        beta = np.array([one.solution.own_beta for one in found])
        phi = np.array([one.solution.own_vcov for one in found])
        p, cross = np.zeros((many, k, r, r)), np.zeros((many, k, r))
        q, traces, inner = np.zeros((many, k, k, r, r)), np.zeros((many, k, k)), np.zeros((many, k, k))
        x_all = self.fit.solution.basis.rows(given.x)
        residual = responses - beta @ x_all.T
        for size in self.sizes:
            m, t = size.rows.shape
            slopes = size.slopes[None]
            inverse = np.linalg.inv(np.einsum("sk,mkij->smij", values, size.slopes))
            product = inverse[:, :, None] @ slopes
            weighted = inverse @ size.x
            moved = slopes @ weighted[:, :, None]
            both = product @ weighted[:, :, None]
            z = inverse @ residual[:, size.rows][..., None]
            d = (slopes @ z[:, :, None])[..., 0]
            p -= np.einsum("smir,smkic->skrc", weighted, moved, optimize=True)
            q += np.einsum("smair,smbic->sabrc", moved, both, optimize=True)
            flat = product.reshape(many, m, k, t * t)
            turned = product.swapaxes(-1, -2).reshape(many, m, k, t * t)
            traces += (flat @ turned.swapaxes(-1, -2)).sum(axis=1)
            inner += (d @ inverse @ d.swapaxes(-1, -2)).sum(axis=1)
            cross += np.einsum("smir,smai->sar", weighted, d, optimize=True)
        inner -= cross @ phi @ cross.swapaxes(-1, -2)
        bent = phi[:, None] @ p
        expected = traces - 2 * np.einsum("src,sabcr->sab", phi, q) + np.einsum("sarc,sbcr->sab", bent, bent)
        w = _covariances(2 * inner - expected)
        squared = np.einsum("sab,sabrc->src", w, q)
        return [Sensitivity(phi[i], p[i], w[i], squared[i]) for i in range(many)]


def _slopes(fit: Fit, rows: NDArray[np.intp]) -> Array:
    """Return V̇_a of the parameters of every random term and of σ² among rows (m, t), (m, k, t, t)."""
    design, given = fit._work.own_model()
    out = []
    for block in design_blocks(design):
        term, own = design.random[block.term], given.random[block.term]
        codes = own.codes[rows]
        inside = (codes[:, :, None] == codes[:, None, :]) & (term.sets[codes] == block.set)[:, :, None]
        values = own.dense_values()[rows]
        theta = block.structure.start(regular_target(block.positions), block.positions)
        for basis in block.structure.d_natural(theta, block.positions):
            out.append(np.einsum("mia,ab,mjb->mij", values, basis, values) * inside)
    weights = given.root_weights[rows] ** -2.0
    out.append(weights[:, :, None] * np.eye(rows.shape[1]))
    return np.stack(out, axis=1)


def _natural(fit: Fit, found: Refitted) -> Array:
    """Return the parameters V is linear in, (k,), σ² last."""
    parts = [
        found.sigma2 * block.structure.natural(found.theta[block.place], block.positions).values
        for block in design_blocks(fit._work.own_design())
    ]
    return np.append(np.concatenate(parts) if parts else np.empty(0), found.sigma2)


def _covariances(hessians: Array) -> Array:
    """Return W = 2H⁻ of every Hessian (s, k, k), directions that are not determined left out."""
    diagonal = np.maximum(np.abs(np.einsum("skk->sk", hessians)), 1e-300)
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(hessians * scale[:, :, None] * scale[:, None, :])
    kept = values > UNDETERMINED * np.maximum(values[:, -1:], 0.0)
    root = vectors * np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)[:, None, :]
    root = root * scale[:, :, None]
    return np.asarray(2.0 * root @ root.swapaxes(-1, -2))
