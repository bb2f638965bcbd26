"""Other responses on rows already arranged: the whole search in native code.

Where the factors form a chain without a tail and Λ's entries are the parameters themselves, one Newton search is a
few small sweeps, so that thousands of responses are fitted at the cost of the sweeps alone. A response whose optimum
is not in the interior is left to the general optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...control import Control
from ...kernels import inverse_of, refit_responses, sound
from ...typing import Array, Codes
from ..base import Refitted, Solution

if TYPE_CHECKING:
    from .system import BlockedSystem


@dataclass(frozen=True, slots=True)
class ChainRefits:
    """What is shared by all responses of one chain of factors; its arrays are fit for native code."""

    system: BlockedSystem
    cross_inverse: Array
    constant: float
    reml: bool
    chain: list[tuple[Codes, Array | None, int, int]]
    columns: tuple[Array, Array, Array, Array | None]
    templates: dict[tuple[tuple[int, int, int, int, int], ...], NDArray[np.int64]] = field(
        default_factory=dict
    )

    @classmethod
    def of(cls, system: BlockedSystem) -> ChainRefits | None:
        """Return the searches of a system, or None where there is a tail, no chain or no rows."""
        if not system.holds_rows or system.arranged.tail or not system.arranged.chain:
            return None
        gram, reml, arranged = system.standard.gram, system.layout.reml, system.arranged
        r = len(gram) - 1
        shift = system.standard.logdet_shift if reml else 0.0
        factors = [arranged.factors[f] for f in arranged.chain]
        chain = [(f.codes, f.values, f.p, f.q) for f in factors]
        s = system.standard
        columns = sound((s.x, s.centre, s.scale, system.rows.weights))
        return cls(system, inverse_of(gram[:r, :r]), s.log_weights + shift, reml, sound(chain), columns)

    def refit(
        self,
        responses: Array,
        entries: Sequence[tuple[int, int, int, int, int]],
        start: Array,
        control: Control,
    ) -> list[Refitted | None]:
        """Return the optimum of each row of `responses` (k, n) from θ = `start`; None where it is not interior.

        `entries` are (term, set, row, column, parameter) of Λ of the random terms.
        """
        s = self.system.standard
        x, centre, scale, weights = self.columns
        responses = sound(np.ascontiguousarray(responses))
        beta = self._least_squares(responses)
        nu = self.system.layout.n - (len(s.gram) - 1 if self.reml else 0)
        found = refit_responses(
            self.system.native,
            self.chain,
            x,
            responses,
            centre,
            scale,
            beta,
            weights,
            self._template(entries),
            sound(start),
            (float(nu), self.reml, self.constant, control.decrement, control.max_iterations),
            s.threads,
        )
        counts = found.counts()
        return [
            self._result(found.result(i), counts[i], beta[i]) if inside else None
            for i, inside in enumerate(found.interior())
        ]

    def _template(self, entries: Sequence[tuple[int, int, int, int, int]]) -> NDArray[np.int64]:
        """Return rows (chain factor, merged set, row, column, parameter)."""
        known = self.templates.get(tuple(entries))
        if known is not None:
            return known
        rows: list[tuple[int, int, int, int, int]] = []
        arranged = self.system.arranged
        for term, which, i, j, a in entries:
            f, start = arranged.place(term)
            factor = arranged.factors[f]
            column = factor.set_map[:, factor.terms.index(term)]
            for s in np.flatnonzero(column == which):
                rows.append((arranged.chain.index(f), int(s), start + i, start + j, a))
        self.templates[tuple(entries)] = found = np.array(rows, dtype=np.int64).reshape(-1, 5)
        return found

    def _least_squares(self, responses: Array) -> Array:
        """Weighted least-squares coefficients of each response on the standardised columns, (k, r)."""
        s, w = self.system.standard, self.system.rows.weights
        weighted = responses if w is None else responses * w
        products: Array = (weighted @ s.x - weighted.sum(axis=1)[:, None] * s.centre) * s.scale
        return np.ascontiguousarray(products @ self.cross_inverse)

    def _result(
        self,
        raw: tuple[Array, float, float, float, Array, Array, Array],
        counts: tuple[int, int],
        beta0: Array,
    ) -> Refitted:
        theta, value, sigma2, decrement, beta, h, b = raw
        s, r = self.system.standard, len(beta)
        lower = h.reshape(r, r)
        vcov = sigma2 * 0.5 * (lower + lower.T)
        random: dict[int, Array] = {}
        first = 0
        for f in self.system.arranged.chain:
            factor = self.system.arranged.factors[f]
            size = factor.q * factor.p
            self.system.split_levels(f, b[first : first + size].reshape(factor.q, factor.p), random)
            first += size
        effects = tuple(random[k] for k in range(len(random)))
        solution = Solution(beta0 + beta, vcov, effects, s.basis)
        return Refitted(theta, value, sigma2, decrement, *counts, solution)
