"""Laplace's approximation to the restricted likelihood: β integrated out with the random effects.

−2l_R = −2 log ∫∫ p(y | β, b) p(b) db dβ with a flat prior on β. A normal prior about β̂ whose covariance is κ times that
of β̂ differs from the flat one by a factor that is known, and by the order of 1/κ in each coefficient, for which the
value is corrected. β is then one more random term, of known covariance; criterion, gradient and engines stay as they
are. The search starts about the coefficients without random effects, and is repeated about what it found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ..control import Control
from ..covariance.base import Natural, Positions, Structure
from ..engines.base import Solution
from ..engines.coordinates import FixedBasis
from ..terms.design import FixedTerms, RandomTerm
from ..terms.observed import Observed
from ..terms.rows import TermRows
from ..terms.stack import PredictorRows, Stack
from ..typing import Array
from .base import LikelihoodCriterion
from .coordinates import written_solution
from .generalised import Arranged, random_equations
from .mode import Mode

WIDE = 1e6
"""κ: larger ones lose digits of the gradient to cancellation."""
CLOSE = 1e-8
"""|β̂ − β₀|² in the metric of the prior, the square of what −2l_R errs by, at which searches end."""
ROUNDS = 4


@final
@dataclass(frozen=True, slots=True)
class WidePrior(Structure):
    """Σ = κI, without parameters."""

    names: ClassVar[tuple[str, ...]] = ("flat",)
    linear = True
    bounded: ClassVar[bool] = True
    dependent_columns = True

    def size(self, m: int) -> int:
        return 0

    def matrix(self, theta: Array, at: Positions) -> Array:
        out: Array = WIDE * np.eye(at.size)
        return out

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        return np.zeros((0, at.size, at.size))

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        return np.zeros((0, 0, at.size, at.size))

    def start(self, target: Array, at: Positions) -> Array:
        return np.zeros(0)

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        return theta

    def natural(self, theta: Array, at: Positions) -> Natural:
        return Natural((), np.zeros(0), np.zeros((0, 0)), ())

    def from_natural(self, values: Array, at: Positions) -> Array:
        return np.zeros(0)

    def factor(self, theta: Array, at: Positions) -> Array:
        out: Array = np.sqrt(WIDE) * np.eye(at.size)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Restricted:
    """A model whose coefficients of the mean are one more random term, the last: β_I = β₀ + Ra with a ~ N(0, κI).

    `model` is arranged without them, `about` is β₀ (r,) in own coordinates, `root` R (r, r); `integrated` are their
    places among all coefficients, `left` those of the others (dispersion).
    """

    model: Arranged
    about: Array
    root: Array
    integrated: NDArray[np.intp]
    left: NDArray[np.intp]

    @property
    def rank(self) -> int:
        return len(self.about)

    def constant(self, basis: FixedBasis) -> float:
        """Return what is added to −2l of the prior for −2l_R of the columns of X as written."""
        volume = 2.0 * float(np.log(np.abs(np.diagonal(self.root))).sum()) if self.rank else 0.0
        turn = basis.of_columns(np.eye(len(self.integrated) + len(self.left)))
        own = turn[np.ix_(self.integrated, self.integrated)]
        return (
            -2.0 * float(np.linalg.slogdet(own)[1]) - volume - self.rank * float(np.log(2.0 * np.pi * WIDE))
        )

    def correction(self, mode: Mode) -> float:
        """Return what −2l of a flat prior is beyond that of the wide one, to the order of 1/κ²."""
        if not self.rank:
            return 0.0
        spread = np.eye(self.rank) - last_covariance(mode) / WIDE
        return float(np.linalg.slogdet(spread)[1] - np.sum(mode.b[-1] ** 2) / WIDE)

    def beta(self, criterion: LikelihoodCriterion, theta: Array) -> Array:
        """Return all β in own coordinates at parameters of the restricted criterion, (rank,)."""
        out = np.zeros(len(self.integrated) + len(self.left))
        out[self.left] = theta[criterion.of_beta]
        if self.rank:
            out[self.integrated] = self.about + self.root @ criterion.mode(theta).b[-1][0]
        return out

    def full(self, criterion: LikelihoodCriterion, theta: Array) -> Array:
        """Return (θ, β, ψ) of the ordinary criterion for the parameters of the restricted one."""
        own = criterion.of_beta
        return np.concatenate([theta[: own.start], self.beta(criterion, theta), theta[own.stop :]])

    def reduced(self, theta: Array, of_beta: slice) -> Array:
        """Return the parameters of the restricted criterion for (θ, β, ψ) of the ordinary one."""
        return np.concatenate([theta[: of_beta.start], theta[of_beta][self.left], theta[of_beta.stop :]])


def restricted(arranged: Arranged, control: Control, about: Array, curvature: Array) -> Restricted:
    """Return the restricted form of a model about coefficients β (rank,), where rows have a curvature W (packed)."""
    stack = arranged.observed.stack
    first, n = stack.predictors[0], len(stack)
    integrated = np.asarray(first.columns)
    left = np.setdiff1d(np.arange(stack.rank), integrated)
    if not len(integrated):
        return Restricted(arranged, about[integrated], np.zeros((0, 0)), integrated, left)
    weights = np.maximum(curvature[0], 0.0)
    gram = first.x.T @ (weights[:, None] * first.x)
    root = np.asarray(linalg.solve_triangular(np.linalg.cholesky(gram), np.eye(len(gram)), lower=True).T)
    wide = TermRows(np.zeros(n, np.int32), np.ascontiguousarray(first.x @ root))
    offset = first.x @ about[integrated] + (0.0 if first.offset is None else first.offset)
    mean = PredictorRows(np.zeros(0, dtype=np.intp), np.zeros((n, 0)), (*first.random, wide), offset)
    places = np.searchsorted(left, np.arange(stack.rank))
    others = [
        replace(one, columns=places[one.columns], random=(*one.random, None)) for one in stack.predictors[1:]
    ]
    names = tuple(f"β{j + 1}" for j in range(len(integrated)))
    at = Positions(len(names), names)
    term = RandomTerm("β", "all", names, (), WidePrior(), at, np.zeros(1, np.int32))
    kept = tuple(f"β{j + 1}" for j in left)
    none = FixedTerms(kept, kept, tuple(range(len(kept))), tuple(range(len(kept))), np.zeros((len(kept), 0)))
    design = replace(arranged.design, fixed=none, random=(*arranged.design.random, term))
    whole = Stack((mean, *others), len(left), (*stack.shapes, (1, len(names))))
    equations, engine = random_equations(design, whole, control)
    observed = Observed(arranged.observed.family, arranged.observed.responses, whole)
    model = replace(arranged, design=design, observed=observed, equations=equations, engine=engine)
    return Restricted(model, about[integrated], root, integrated, left)


def restricted_covariance(form: Restricted, criterion: LikelihoodCriterion, theta: Array) -> Array:
    """Return the covariance of (θ, β, ψ): that of β of the mean given the others, as REML has it."""
    own, start = criterion.covariance(theta), criterion.of_beta.start
    total = len(theta) + form.rank
    out = np.zeros((total, total))
    places = start + form.integrated
    others = np.setdiff1d(np.arange(total), places)
    out[np.ix_(others, others)] = own
    if form.rank:
        inner = last_covariance(criterion.mode(theta))
        out[np.ix_(places, places)] = form.root @ inner @ form.root.T
    return out


def restricted_solution(
    arranged: Arranged, form: Restricted, criterion: LikelihoodCriterion, theta: Array, covariance: Array
) -> Solution:
    """Return β̂ and b̂ at an optimum of the restricted criterion of a model, `covariance` that of (θ, β, ψ)."""
    start = criterion.of_beta.start
    place = slice(start, start + len(form.integrated) + len(form.left))
    effects = criterion.mode(theta).b
    effects = effects[:-1] if form.rank else effects
    found = Solution(form.beta(criterion, theta), covariance[place, place], effects, arranged.basis)
    return written_solution(arranged.design, found)


def last_covariance(mode: Mode) -> Array:
    """Return the covariance of the last random term, of one level, given the data, (p, p)."""
    assert mode.equations is not None
    sides = [np.zeros((*b.shape, mode.b[-1].shape[1])) for b in mode.b]
    sides[-1][0] = np.eye(mode.b[-1].shape[1])
    return np.asarray(mode.equations.solve_random(sides)[-1][0])
