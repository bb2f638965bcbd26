"""Other responses on a design already arranged: the whole search in native code.

Where the factors form a chain without a tail and Λ's entries are the parameters themselves, one Newton search is a
few small sweeps, so that thousands of responses are fitted at the cost of the sweeps alone. A response whose optimum
is not in the interior is left to the general optimiser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..kernels import inverse_of, refit_responses
from ..typing import Array
from .base import Solution
from .blocked import BlockedSystem
from .criterion import Criterion
from .objective import Objective


@dataclass(frozen=True, slots=True)
class Refitted:
    """The optimum of one response: profiled θ, −2l, σ̂², g'H⁻¹g, counts, and the estimates."""

    theta: Array
    value: float
    sigma2: float
    decrement: float
    iterations: int
    evaluations: int
    solution: Solution


@dataclass(frozen=True, slots=True)
class ResponseRefitter:
    """What is shared by all responses of one objective."""

    objective: Objective
    system: BlockedSystem
    template: NDArray[np.int64]
    cross_inverse: Array
    constant: float

    @classmethod
    def of(cls, objective: Criterion) -> ResponseRefitter | None:
        """Return the refitter of an objective, or None where the native search does not apply."""
        system = objective.system
        if not isinstance(system, BlockedSystem) or not isinstance(objective, Objective):
            return None
        if objective.joint or not objective.free.all():
            return None
        if system.layout.tail or not system.layout.chain:
            return None
        template = _template(objective, system)
        if template is None:
            return None
        gram = system.standard.gram
        r = len(gram) - 1
        inverse = inverse_of(gram[:r, :r])
        shift = system.standard.logdet_shift if objective.reml else 0.0
        return cls(objective, system, template, inverse, system.standard.log_weights + shift)

    def refit(self, responses: Array, start: Array, control: Control) -> list[Refitted | None]:
        """Return the optimum of each row of `responses` (k, n) from θ = `start`; None where it is not interior."""
        s, layout = self.system.standard, self.system.layout
        responses = np.ascontiguousarray(responses)
        factors = [layout.factors[f] for f in layout.chain]
        beta = self._least_squares(responses)
        found = refit_responses(
            self.system.native,
            [(f.codes, f.values, f.p, f.q) for f in factors],
            s.x,
            responses,
            s.centre,
            s.scale,
            beta,
            self.system.design.weights,
            self.template,
            start,
            (
                float(self.objective.nu),
                self.objective.reml,
                self.constant,
                control.decrement,
                control.max_iterations,
            ),
            s.threads,
        )
        counts = found.counts()
        return [
            self._result(found.result(i), counts[i], beta[i]) if inside else None
            for i, inside in enumerate(found.interior())
        ]

    def _least_squares(self, responses: Array) -> Array:
        """Weighted least-squares coefficients of each response on the standardised columns, (k, r)."""
        s, w = self.system.standard, self.system.design.weights
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
        vcov = s.back(s.back(lower).T)
        random: dict[int, Array] = {}
        first = 0
        for f in self.system.layout.chain:
            factor = self.system.layout.factors[f]
            size = factor.q * factor.p
            self.system.split_levels(f, b[first : first + size].reshape(factor.q, factor.p), random)
            first += size
        effects = tuple(random[k] for k in range(len(random)))
        solution = Solution(s.back(beta0 + beta), vcov, effects)
        return Refitted(theta, value, sigma2, decrement, *counts, solution)


def _template(objective: Objective, system: BlockedSystem) -> NDArray[np.int64] | None:
    """Rows (chain factor, merged set, row, column, parameter), or None if some Λ is not linear in θ."""
    rows: list[tuple[int, int, int, int, int]] = []
    for block in objective.blocks:
        entries = block.structure.factor_entries(block.positions.size)
        if entries is None:
            return None
        f, start = system.layout.place(block.term)
        factor = system.layout.factors[f]
        c = system.layout.chain.index(f)
        k = factor.terms.index(block.term)
        for s in np.flatnonzero(factor.set_map[:, k] == block.set):
            rows += [(c, int(s), start + i, start + j, block.place.start + a) for i, j, a in entries]
    return np.array(rows, dtype=np.int64).reshape(-1, 5)
