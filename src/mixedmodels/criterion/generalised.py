"""A generalised model made ready for its criterion: own coordinates, and equations of its random part."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..control import Control
from ..engines import RANDOM_ENGINES, Layout, choose_engine
from ..engines.base import Equations, Solution
from ..engines.coordinates import FixedBasis
from ..engines.standardise import standardise
from ..errors import SpecError
from ..likelihood.base import Family
from ..likelihood.families.ordinal import Ordinal
from ..likelihood.responses import Responses
from ..terms.design import Design
from ..terms.observed import Observed
from ..terms.predictors import Assembled, Part, assemble, parts_of, threshold_map
from ..terms.rows import FixedRows, Rows
from ..terms.stack import Stack
from ..typing import Array, Labels
from .base import LikelihoodCriterion
from .coordinates import own_design, written_solution


@dataclass(frozen=True, slots=True, eq=False)
class Arranged:
    """What a criterion of a likelihood is made from.

    Parameters
    ----------
    design
        The model, its random columns in coordinates of their own.
    observed
        Family, responses and predictors, X in the coordinates of `basis`.
    equations
        Equations of the random part, without fixed columns; their rows are those of `observed.stack`.
    basis
        The way from β of the search to β as written.
    engine
        The name of the engine.
    expected
        Whether the curvature of rows in the determinant is its expectation.
    """

    design: Design
    observed: Observed
    equations: Equations
    basis: FixedBasis
    engine: str
    expected: bool = False


def arrange(
    design: Design,
    rows: Rows,
    family: Family,
    responses: Responses,
    control: Control,
    *,
    levels: Labels = (),
    spacing: str = "flexible",
    held: Collection[str] = (),
    expected: bool = False,
) -> Arranged:
    """Return an assembled model in coordinates of its own, on the engine that its random part is cheapest with.

    Parameters
    ----------
    design, rows
        As `terms.predictors.assemble` gave them.
    family, responses
        What was observed, and its distribution.
    control
        Resources, and the engine to insist on.
    levels, spacing
        Levels of a response of categories, and how thresholds are spaced.
    held
        Names of held covariance parameters.
    expected
        Whether the curvature of rows in Laplace's determinant is its expectation.
    """
    threads = control.threads_for(design.n)
    parts = []
    for part in parts_of(design, rows):
        own, own_rows = own_design(part.design, part.rows, held=held, threads=threads)
        parts.append(Part.of(part.component, own, replace(own_rows, weights=None)))
    bases = [_basis(part, family, control) for part in parts]
    settled = [replace(part, x=x) for part, (_, x) in zip(parts, bases, strict=True)]
    found = assemble(settled, family, responses, levels, spacing)
    basis = _joint_basis([one for one, _ in bases], parts, family, found, (levels, spacing))
    shapes = tuple((term.n_levels, term.n_columns) for term in found.design.random)
    stack = Stack(found.predictors, found.design.fixed.rank, shapes)
    own_terms = replace(found.design, fixed=design.fixed)
    equations, engine = random_equations(own_terms, stack, control)
    return Arranged(own_terms, Observed(family, responses, stack), equations, basis, engine, expected)


def random_equations(design: Design, stack: Stack, control: Control) -> tuple[Equations, str]:
    """Return equations of the random part of a model, without X, and the name of their engine."""
    rows = stack.rows()
    layout = replace(Layout.of(design), n=len(rows), rank=0, errors=None, reml=False)
    exact = {name: kind for name, kind in RANDOM_ENGINES.items() if not kind.simulates}
    if control.engine in RANDOM_ENGINES and control.engine not in exact:
        raise SpecError(
            f"control: engine={control.engine!r} takes linear mixed models: the weights of a generalised one change at "
            "every step, and its log-likelihood would be known to a Monte Carlo error. Use engine='auto'."
        )
    engine = choose_engine(layout, rows, control, exact)
    return engine.equations(layout, rows, control), engine.name


def _basis(part: Part, family: Family, control: Control) -> tuple[FixedBasis, Array]:
    """Return own coordinates of the columns of a part, and X in them, (n, r); those of a location about their means."""
    rows = part.rows
    if isinstance(family, Ordinal):
        x = np.ascontiguousarray(rows.x - rows.x.mean(axis=0))
        rows = replace(rows, fixed=FixedRows(x, tuple(range(x.shape[1]))))
    basis = standardise(rows, control).basis
    return basis, np.ascontiguousarray(basis.rows(rows.x))


def _joint_basis(
    bases: Sequence[FixedBasis],
    parts: Sequence[Part],
    family: Family,
    found: Assembled,
    ordered: tuple[Labels, str],
) -> FixedBasis:
    """Return the coordinates of all β together."""
    if len(found.predictors) == 1:
        return bases[0]
    maps = [basis.of_columns(np.eye(len(basis.scale))) for basis in bases]
    rank = found.design.fixed.rank
    if isinstance(family, Ordinal):
        # thresholds take up what the means of the other columns add
        spaced = threshold_map(ordered[1], ordered[0])[0]
        level = np.linalg.lstsq(spaced, np.ones(len(spaced)), rcond=None)[0]
        count, first, whole = spaced.shape[1], rank - len(maps[0]), np.eye(rank)
        whole[first:, first:] = maps[0]
        whole[:count, first:] = np.outer(level, parts[0].rows.x.mean(axis=0) @ maps[0])
        if len(parts) > 1:
            own = np.kron(maps[1], np.eye(count))
            whole[count:first, count:first] = own
            whole[:count, count:first] = -np.kron(parts[1].rows.x.mean(axis=0), np.eye(count)) @ own
    else:
        blocks = maps * (rank // max(len(maps[0]), 1)) if len(maps) == 1 else maps
        whole, first = np.zeros((rank, rank)), 0
        for block in blocks:
            place = slice(first, first + len(block))
            whole[place, place] = block
            first = place.stop
    return FixedBasis(np.zeros(rank), np.ones(rank), triangle=whole, written=found.rows.fixed.written)


def solution_at(criterion: LikelihoodCriterion, theta: Array, basis: FixedBasis) -> Solution:
    """Return β̂ and b̂ at an optimum; the covariance of β̂ is its block of twice the inverse of the whole Hessian."""
    own = criterion.covariance(theta)[criterion.of_beta, criterion.of_beta]
    found = Solution(theta[criterion.of_beta], own, criterion.rest(theta).b, basis)
    return written_solution(criterion.design, found)
