"""The nodes of a rule about the mode of every level, and sums over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..likelihood.responses import Responses
from ..likelihood.rows import Rows as Densities
from ..terms.observed import Observed
from ..typing import Array
from .gauss_hermite import Rule
from .levels import Levels, repeated
from .mode import Mode

ROWS = 30_000
"""Rows times nodes taken at once: what fits a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Where the nodes stand: u_k = û + C⁻ᵀz_k, M = I + Λ'KΛ = CC', by level.

    Parameters
    ----------
    mode
        The mode of all random effects.
    roots, squares, inverse
        Λ, K = Z'WZ and C⁻¹, (q, p, p) each.
    centre
        û, (q, p).
    """

    mode: Mode
    roots: Array
    squares: Array
    inverse: Array
    centre: Array


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """Some nodes of some levels: k nodes, l levels, m rows in the order of levels."""

    levels: NDArray[np.intp]
    rows: slice
    starts: NDArray[np.intp]
    """First row of each level, among the m."""
    local: NDArray[np.intp]
    """Place of each row's level among the l, (m,)."""
    z: Array
    """(k, p)."""
    u: Array
    """(k, l, p)."""
    weights: Array
    """ω_k exp(ĥ − h(u_k)), (k, l)."""
    densities: Densities
    """Of k·m rows."""

    def by_node(self, values: Array) -> Array:
        """Return what is known of rows (…, k·m) by node, (…, k, m), 0 where a density is 0 and has no derivatives."""
        known = np.isfinite(self.densities.value)
        found = values if known.all() else np.where(known, values, 0.0)
        return found.reshape(*values.shape[:-1], len(self.z), len(self.local))

    def pulls(self, score: Array, levels: Levels) -> Array:
        """Return Z's of every level at every node, (k, l, p), for s (P, k, m)."""
        out = np.zeros_like(self.u)
        for c, values in enumerate(levels.values[:, self.rows]):
            chosen = [a for a, carrier in enumerate(levels.carrier) if carrier == c]
            own = score[chosen[0]] if len(chosen) == 1 else score[chosen].sum(axis=0)
            for r in range(levels.dimensions):
                out[:, :, r] += np.add.reduceat(own * values[:, r], self.starts, axis=1)
        return out


@dataclass(slots=True)
class Sums:
    """Averages with the weights q_k = ω_k exp(ĥ − h(u_k)), by level or by row in the order of levels."""

    mass: Array
    """Σq_k, (q,)."""
    score: Array
    """Σq_k s_k, (P, n)."""
    pulls: Array
    """Σq_k r_k with r = Z's, (q, p)."""
    places: Array
    """Σq_k u_k, (q, p)."""
    crossed: Array
    """Σq_k r_k u_k', (q, p, p)."""
    turned: Array
    """Σq_k z_k γ_k', (q, p, p)."""


class Nodes:
    """The nodes of one rule about the modes of all levels."""

    def __init__(self, levels: Levels, rule: Rule, observed: Observed) -> None:
        self.levels, self.rule, self.observed = levels, rule, observed
        self._batches = levels.batches(len(rule), ROWS)
        self._kept: dict[int, Responses] = {}

    def frame(self, mode: Mode, roots: Sequence[Array], dual: Sequence[Array]) -> Frame | None:
        """Return the frame about a mode, from Λ (sets, p_t, p_t) and b's dual by term; None where M is indefinite."""
        levels = self.levels
        root = levels.roots(roots)
        squares = levels.squares(self.observed.stack.carried(mode.densities.curvature))
        turned = root.transpose(0, 2, 1)
        try:
            lower = np.linalg.cholesky(np.eye(levels.dimensions) + turned @ squares @ root)
        except np.linalg.LinAlgError:
            return None
        centre = (turned @ levels.joined(dual)[:, :, None])[:, :, 0]
        return Frame(mode, root, squares, np.linalg.inv(lower), centre)

    def visits(self, frame: Frame, psi: Array, order: int) -> Iterator[Visit]:
        """Yield the nodes of every level with the log densities there, about `ROWS` rows at a time."""
        mode, levels, rule = frame.mode, self.levels, self.rule
        family, responses = self.observed.family, self.observed.responses
        eta, value = mode.eta[:, levels.order], mode.densities.value[levels.order]
        for batch in self._batches:
            own, rows = levels.seen[batch.levels], batch.rows
            starts = levels.starts[batch.levels] - rows.start
            local = levels.ordinals[rows] - batch.levels.start
            height = np.add.reduceat(value[rows], starts)
            size = rows.stop - rows.start
            centre, back, roots = frame.centre[own], frame.inverse[own], frame.roots[own]
            for first in range(0, len(rule), batch.nodes):
                z = rule.nodes[first : first + batch.nodes]
                step = np.einsum("qba,kb->kqa", back, z)
                u = centre + step
                moved = np.einsum("qab,kqb->kqa", roots, step)[:, local]
                at = np.repeat(eta[:, None, rows], len(z), axis=1)
                for c, values in enumerate(levels.values[:, rows]):
                    found = np.einsum("knp,np->kn", moved, values)
                    for a, carrier in enumerate(levels.carrier):
                        if carrier == c:
                            at[a] += found
                densities = family.at(
                    self._responses(responses, rows, len(z)), at.reshape(len(at), -1), psi, order
                )
                total = np.add.reduceat(densities.value.reshape(len(z), size), starts, axis=1)
                fall = total - height - 0.5 * (u**2 - centre**2).sum(axis=2)
                weights = np.exp(rule.log_weights[first : first + len(z), None] + fall)
                yield Visit(own, rows, starts, local, z, u, weights, densities)

    def _responses(self, responses: Responses, rows: slice, times: int) -> Responses:
        """Return the responses of some rows, so many times; those of the only batch are kept."""
        if len(self._batches) > 1:
            return repeated(responses, self.levels.order[rows], times)
        if times not in self._kept:
            self._kept[times] = repeated(responses, self.levels.order, times)
        return self._kept[times]

    def sums(self, frame: Frame, psi: Array) -> Sums:
        """Return averages over the nodes of every level, and what they are divided by."""
        levels, p = self.levels, self.levels.dimensions
        q, n = levels.count, len(levels.order)
        sums = Sums(
            np.zeros(q), np.zeros((self.observed.stack.count, n)), np.zeros((q, p)), np.zeros((q, p)),
            np.zeros((q, p, p)), np.zeros((q, p, p)),
        )  # fmt: skip
        turned = frame.roots.transpose(0, 2, 1)
        for visit in self.visits(frame, psi, 1):
            own, weights = visit.levels, visit.weights
            score = visit.by_node(visit.densities.score)
            pulls = visit.pulls(score, levels)
            heavy = weights[:, :, None] * pulls
            slope = visit.u - np.einsum("qab,kqb->kqa", turned[own], pulls)
            sums.mass[own] += weights.sum(axis=0)
            sums.score[:, visit.rows] += np.einsum("kn,pkn->pn", weights[:, visit.local], score)
            sums.pulls[own] += heavy.sum(axis=0)
            sums.places[own] += np.einsum("kq,kqa->qa", weights, visit.u)
            sums.crossed[own] += np.einsum("kqa,kqb->qab", heavy, visit.u)
            sums.turned[own] += np.einsum("ka,kqb->qab", visit.z, weights[:, :, None] * slope)
        _normalise(sums, levels)
        return sums


def _normalise(sums: Sums, levels: Levels) -> None:
    """Divide sums by the mass of their level; levels without rows have mass one, and zeros."""
    unseen = np.ones(levels.count, dtype=bool)
    unseen[levels.seen] = False
    sums.mass[unseen] = 1.0
    sums.score /= sums.mass[levels.seen][levels.ordinals]
    for by_level in (sums.pulls, sums.places, sums.crossed, sums.turned):
        by_level /= sums.mass.reshape(-1, *[1] * (by_level.ndim - 1))
