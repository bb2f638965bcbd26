"""Laplace's approximation to the restricted likelihood: β integrated out with the random effects.

−2l_R = −2 log ∫∫ p(y | β, b) p(b) db dβ with a flat prior on β. A normal prior about β̂ whose covariance is κ times that
of β̂ differs from the flat one by a factor that is known, and by the order of 1/κ in each coefficient, which the value is
corrected for. β is then one more random term, of known covariance, and criterion, gradient and engines stay as they
are. The search starts about the coefficients without random effects, and is repeated about what it found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
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
from .mode import Mode, positive_part

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
    """A model whose fixed coefficients are one more random term, the last: β = β₀ + Ra with a ~ N(0, κI).

    `model` is arranged without fixed part, `about` is β₀ (r,) in own coordinates, `root` R (r, r).
    """

    model: Arranged
    about: Array
    root: Array

    @property
    def rank(self) -> int:
        return len(self.about)

    def constant(self, basis: FixedBasis) -> float:
        """Return what is added to −2l of the prior for −2l_R of the columns of X as written."""
        volume = 2.0 * float(np.log(np.abs(np.diagonal(self.root))).sum()) if self.rank else 0.0
        return basis.logdet_shift - volume - self.rank * float(np.log(2.0 * np.pi * WIDE))

    def correction(self, mode: Mode) -> float:
        """Return what −2l of a flat prior is beyond that of the wide one, to the order of 1/κ²."""
        if not self.rank:
            return 0.0
        spread = np.eye(self.rank) - last_covariance(mode) / WIDE
        return float(np.linalg.slogdet(spread)[1] - np.sum(mode.b[-1] ** 2) / WIDE)

    def beta(self, mode: Mode) -> Array:
        """Return β in own coordinates at a mode, (r,)."""
        return self.about + self.root @ mode.b[-1][0] if self.rank else self.about


def restricted(arranged: Arranged, control: Control, about: Array, curvature: Array) -> Restricted:
    """Return the restricted form of a model about coefficients β₀ (r,), where rows have a curvature W (packed)."""
    stack = arranged.observed.stack
    rank, n = stack.rank, len(stack)
    if rank == 0:
        return Restricted(arranged, about, np.zeros((0, 0)))
    gram = stack.gram(positive_part(curvature, stack.count))
    root = np.asarray(linalg.solve_triangular(np.linalg.cholesky(gram), np.eye(rank), lower=True).T)
    zeros, moved = np.zeros(n, np.int32), stack.fixed(about)
    predictors = []
    for one, offset in zip(stack.predictors, moved, strict=True):
        own = (*one.random, TermRows(zeros, np.ascontiguousarray(one.x @ root[one.columns])))
        predictors.append(PredictorRows(np.zeros(0, dtype=np.intp), np.zeros((n, 0)), own, offset))
    names = tuple(f"β{j + 1}" for j in range(rank))
    term = RandomTerm("β", "all", names, (), WidePrior(), Positions(rank, names), np.zeros(1, np.int32))
    none = FixedTerms((), (), (), (), np.zeros((0, 0)))
    design = replace(arranged.design, fixed=none, random=(*arranged.design.random, term))
    whole = Stack(tuple(predictors), 0, (*stack.shapes, (1, rank)))
    equations, engine = random_equations(design, whole, control)
    observed = Observed(arranged.observed.family, arranged.observed.responses, whole)
    model = replace(arranged, design=design, observed=observed, equations=equations, engine=engine)
    return Restricted(model, about, root)


def ordinary_parameters(criterion: LikelihoodCriterion, theta: Array, beta: Array) -> Array:
    """Return (θ, β, ψ) of the ordinary criterion for (θ, ψ) of the restricted one."""
    count = criterion.model.n_theta
    return np.concatenate([theta[:count], beta, theta[count:]])


def restricted_covariance(form: Restricted, criterion: LikelihoodCriterion, theta: Array) -> Array:
    """Return the covariance of (θ, β, ψ): that of β given the others, as REML has it."""
    own, rank = criterion.covariance(theta), form.rank
    count, total = criterion.model.n_theta, len(theta) + rank
    out = np.zeros((total, total))
    others = np.r_[0:count, count + rank : total]
    out[np.ix_(others, others)] = own
    if rank:
        mode = criterion.mode(theta)
        out[count : count + rank, count : count + rank] = form.root @ last_covariance(mode) @ form.root.T
    return out


def last_covariance(mode: Mode) -> Array:
    """Return the covariance of the last random term, of one level, given the data, (p, p)."""
    assert mode.equations is not None
    sides = [np.zeros((*b.shape, mode.b[-1].shape[1])) for b in mode.b]
    sides[-1][0] = np.eye(mode.b[-1].shape[1])
    return np.asarray(mode.equations.solve_random(sides)[-1][0])


def restricted_solution(
    arranged: Arranged, form: Restricted, criterion: LikelihoodCriterion, theta: Array, covariance: Array
) -> Solution:
    """Return β̂ and b̂ at an optimum of the restricted criterion of a model, `covariance` that of (θ, β, ψ)."""
    mode, count = criterion.mode(theta), criterion.model.n_theta
    place = slice(count, count + form.rank)
    effects = mode.b[:-1] if form.rank else mode.b
    found = Solution(form.beta(mode), covariance[place, place], effects, arranged.basis)
    return written_solution(arranged.design, found)
