"""A generalised model made ready for its criterion: own coordinates, and equations of its random part."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..control import Control
from ..engines import Layout, choose_engine
from ..engines.base import Equations
from ..engines.coordinates import FixedBasis
from ..terms.design import Design
from ..terms.observed import Observed
from ..terms.stack import Stack


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
    """

    design: Design
    observed: Observed
    equations: Equations
    basis: FixedBasis
    engine: str


def arrange(design: Design, observed: Observed, basis: FixedBasis, control: Control) -> Arranged:
    """Return a model with the equations that the choice of engine finds cheapest for its random part."""
    equations, engine = random_equations(design, observed.stack, control)
    return Arranged(design, observed, equations, basis, engine)


def random_equations(design: Design, stack: Stack, control: Control) -> tuple[Equations, str]:
    """Return equations of the random part of a model, without X, and the name of their engine."""
    rows = stack.rows()
    layout = replace(Layout.of(design), n=len(rows), rank=0, errors=None, reml=False)
    engine = choose_engine(layout, rows, control)
    return engine.equations(layout, rows, control), engine.name
