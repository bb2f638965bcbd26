"""The score of a generalised model by independent clusters: each is a model of its own at the same parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..control import Control
from ..terms.design import Design, RandomTerm
from ..terms.observed import Observed
from ..terms.rows import TermRows
from ..terms.stack import PredictorRows, Stack
from ..typing import Array
from .base import LikelihoodCriterion
from .differences import STEP
from .generalised import random_equations
from .laplace import EXACT, Laplace
from .mode import Mode
from .quadrature import Quadrature

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class ClusterScores:
    """∂l_j/∂(θ, β, ψ) of m clusters, (m, k), and X_j'V_j⁻¹X_j of the working linear mixed model, (m, rank, rank)."""

    scores: Array
    information: Array


def cluster_scores(
    criterion: LikelihoodCriterion, theta: Array, clusters: Sequence[Rows], control: Control
) -> ClusterScores:
    """Return the scores of clusters of rows that share no random effect, at parameters of the criterion.

    The working model is the linear mixed model that the generalised one looks like at its modes.
    """
    laplace = criterion.laplace if isinstance(criterion, Quadrature) else criterion
    assert isinstance(laplace, Laplace)
    if not laplace.design.random:
        return _without_effects(laplace, theta, clusters)
    mode = laplace.mode(theta)
    found = [_cluster(criterion, laplace, mode, theta, rows, control) for rows in clusters]
    return ClusterScores(
        np.array([score for score, _ in found]), np.array([information for _, information in found])
    )


def _cluster(
    criterion: LikelihoodCriterion, laplace: Laplace, mode: Mode, theta: Array, rows: Rows, control: Control
) -> tuple[Array, Array]:
    """Return the score of one cluster and its X'V⁻¹X."""
    levels, design = _levels(laplace.design, laplace.stack, rows)
    stack = _stack(laplace.stack, rows, levels, design)
    observed = Observed(laplace.observed.family, laplace.observed.responses.take(rows), stack)
    equations, _ = random_equations(design, stack, control)
    own = Laplace(
        design,
        equations,
        observed,
        model=laplace.model,
        free=laplace.free,
        held=laplace.held,
        expected=laplace.expected is not None,
    )
    own.start_from(tuple(dual[kept] for dual, kept in zip(mode.dual, levels, strict=True)))
    own.tolerance = EXACT
    if isinstance(criterion, Quadrature):
        whole = Quadrature(own, criterion.points)
        score, information = whole.gradient(theta), whole.evaluate(theta).information
    else:
        score, information = own.gradient(theta), own.evaluate(theta).information
    return -0.5 * score, 0.5 * information[own.of_beta, own.of_beta]


def _levels(design: Design, stack: Stack, rows: Rows) -> tuple[list[Rows], Design]:
    """Return the levels of every term that are in some rows, and the design of these rows."""
    levels, terms = [], []
    for k, term in enumerate(design.random):
        kept = np.unique(_codes(stack, k)[rows])
        levels.append(kept.astype(np.intp))
        terms.append(_fewer(term, levels[-1]))
    return levels, replace(design, n=len(rows), random=tuple(terms))


def _fewer(term: RandomTerm, kept: Rows) -> RandomTerm:
    return replace(term, level_parts=tuple(part[kept] for part in term.level_parts), sets=term.sets[kept])


def _codes(stack: Stack, term: int) -> NDArray[np.int32]:
    found = next(own.codes for carrier in stack.carriers if (own := carrier[term]) is not None)
    return np.asarray(found)


def _stack(stack: Stack, rows: Rows, levels: Sequence[Rows], design: Design) -> Stack:
    """Return the predictors of some rows, level codes counted anew; what predictors share they share here."""
    made: dict[int, TermRows] = {}

    def of(k: int, own: TermRows | None) -> TermRows | None:
        if own is None:
            return None
        if id(own) not in made:
            codes = np.searchsorted(levels[k], own.codes[rows]).astype(own.codes.dtype)
            made[id(own)] = TermRows(codes, None if own.values is None else own.values[rows])
        return made[id(own)]

    predictors = tuple(
        PredictorRows(
            one.columns,
            one.x[rows],
            tuple(of(k, own) for k, own in enumerate(one.random)),
            None if one.offset is None else one.offset[rows],
        )
        for one in stack.predictors
    )
    shapes = tuple((term.n_levels, term.n_columns) for term in design.random)
    return Stack(predictors, stack.rank, shapes)


def _without_effects(laplace: Laplace, theta: Array, clusters: Sequence[Rows]) -> ClusterScores:
    """Return scores and information of clusters where rows are independent: sums over their rows."""
    stack, mode, k = laplace.stack, laplace.mode(theta), laplace.n_theta
    order = np.concatenate([np.asarray(rows) for rows in clusters])
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in clusters])[:-1]]).astype(np.intp)
    rows = np.zeros((len(stack), k))
    whole = np.zeros((stack.count, len(stack), stack.rank))
    for a, one in enumerate(stack.predictors):
        rows[:, laplace.of_beta.start + one.columns] += one.x * mode.densities.score[a][:, None]
        whole[a][:, one.columns] = one.x
    rows[:, laplace.of_psi] = _psi_scores(laplace.observed, mode, theta[laplace.of_psi])
    weighted = stack.times(mode.densities.curvature, whole)
    information = np.empty((len(clusters), stack.rank, stack.rank))
    for i in range(stack.rank):
        products = np.einsum("pn,pnk->nk", whole[:, :, i], weighted)
        information[:, i] = np.add.reduceat(products[order], starts, axis=0)
    return ClusterScores(np.add.reduceat(rows[order], starts, axis=0), information)


def _psi_scores(observed: Observed, mode: Mode, psi: Array) -> Array:
    """Return ∂ℓ_i/∂ψ of every row at fixed η, (n, l), by differences of the fourth order."""
    out = np.zeros((len(observed.stack), len(psi)))
    for j in range(len(psi)):
        shift = np.zeros(len(psi))
        shift[j] = STEP * max(abs(float(psi[j])), 1.0)
        far, near = (
            observed.at(mode.eta, psi + k * shift, 0).value - observed.at(mode.eta, psi - k * shift, 0).value
            for k in (2.0, 1.0)
        )
        out[:, j] = (8.0 * near - far) / (12.0 * shift[j])
    return out
