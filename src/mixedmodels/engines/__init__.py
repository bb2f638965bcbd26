"""Ways of solving the mixed-model equations, and the choice between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..control import Control
from ..errors import SpecError, suggest
from ..terms.rows import Rows
from .base import Engine, Equations
from .blocked.engine import BlockedEngine
from .clusters.engine import ClustersEngine
from .iterative.engine import IterativeEngine
from .layout import Layout
from .levels.engine import LevelsEngine
from .neighbours.engine import NeighboursEngine
from .plan import MOST_OPERATIONS, PER_SECOND, check_operations
from .signed.engine import SignedEngine
from .sparse.engine import SparseEngine

ENGINES: dict[str, type[Engine]] = {
    "blocked": BlockedEngine,
    "clusters": ClustersEngine,
    "neighbours": NeighboursEngine,
    "sparse": SparseEngine,
    "signed": SignedEngine,
    "iterative": IterativeEngine,
}

RANDOM_ENGINES: dict[str, type[Engine]] = {"levels": LevelsEngine, **ENGINES}
"""The same for the random part of a generalised model, which has no fixed columns."""

CHEAP = 2e9
"""Predicted flops (a fraction of a second) at which an engine is taken without asking those after it."""
WORTH_SIMULATING = 2e10
"""Predicted flops of an exact evaluation from which a simulated search comes first."""
SAVED, SEARCH = 2.0, 6.0
"""Exact evaluations that a search from next to the optimum saves, and evaluations that a simulated search takes."""
CHEAP_ERRORS = 1e7
"""The same for structured errors, whose covariance is factored and multiplied many times at each point."""


def choose_engine(
    layout: Layout, rows: Rows, control: Control, engines: Mapping[str, type[Engine]] = ENGINES
) -> Engine:
    """Return the engine that takes the model at the least predicted flops within the memory allowed.

    `control.engine` names one to insist on; it is an error when that one cannot take the model.
    """
    if control.engine != "auto":
        if control.engine not in engines:
            raise SpecError(
                f"control: engine={control.engine!r} is not known.{suggest(control.engine, engines)} "
                f"Available: auto, {', '.join(engines)}."
            )
        engine = engines[control.engine]()
        reason = _refusal(engine, layout, rows, control)
        if reason is not None:
            raise SpecError(f"control: engine={control.engine!r} cannot take this model: {reason}.")
        return engine
    asked: list[Considered] = []
    for one in considered(layout, rows, control, engines):
        asked.append(one)
        if one.engine.whole_clusters and layout.errors is None:
            # equal independent errors: the mixed-model equations are never larger than V
            continue
        if not one.reason and one.operations < (CHEAP if layout.errors is None else CHEAP_ERRORS):
            break
    able = [one for one in asked if not one.reason]
    if not able:
        reasons = "; ".join(f"{one.engine.name}: {one.reason}" for one in asked)
        raise SpecError(
            f"no engine can take this model ({reasons}). {_advice(layout)}Use fewer levels or simpler terms; where "
            "memory is what lacks, a machine with more of it or mm.Control(memory=…)."
        )
    # simulation is for what cannot be exact, or not within hours
    exact = [one for one in able if not one.engine.simulates]
    if exact and min(one.operations for one in exact) <= MOST_OPERATIONS:
        able = exact
    else:
        able = [one for one in able if one.engine.simulates] or able
    own = [one for one in able if not (one.engine.whole_clusters and layout.errors is None)]
    cheapest = min(own or able, key=lambda one: one.operations)
    check_operations(cheapest.engine.name, cheapest.operations, _advice(layout))
    return cheapest.engine


def engine_that_comes_near(
    layout: Layout, rows: Rows, control: Control, engine: Engine
) -> tuple[Engine, float] | None:
    """Return the engine whose simulated search is worth having before an exact one, and the operations it saves.

    That is where nothing is insisted on, an exact evaluation takes 2·10¹⁰ operations at least, and the evaluations that
    simulation saves cost more than all of its own.
    """
    if control.engine != "auto" or engine.simulates or layout.errors is not None:
        return None
    operations = engine.cost(layout, rows)[0]
    if operations < WORTH_SIMULATING:
        return None
    for kind in ENGINES.values():
        other = kind()
        if other.simulates and other.supports(layout, rows, control) is None:
            saved = SAVED * operations - SEARCH * other.cost(layout, rows)[0]
            return (other, saved) if saved > 0 else None
    return None


def why_simulated(layout: Layout, rows: Rows, control: Control) -> str:
    """Return why no exact engine is taken for a model that is simulated, as a clause."""
    found = []
    for one in considered(layout, rows, control):
        if one.engine.simulates or (one.engine.whole_clusters and layout.errors is None):
            continue
        if not one.reason:
            minutes = one.operations / PER_SECOND / 60
            found.append(f"{one.engine.name}: an evaluation takes {minutes:,.0f} minutes of a processor")
        elif "control.memory" in one.reason:
            found.append(f"{one.engine.name}: {one.reason}")
    return "; ".join(found)


def _refusal(engine: Engine, layout: Layout, rows: Rows, control: Control) -> str | None:
    """Return why an engine cannot take a model as a clause, None where it can."""
    errors = layout.errors
    if errors is not None and errors.neighbours and rows.residual is not None and not engine.given_neighbours:
        largest = int(np.bincount(rows.residual.clusters).max())
        if largest > errors.neighbours + 1:
            return f"it takes all {largest:,} rows of a cluster together, and neighbours={errors.neighbours} is fewer"
    return engine.supports(layout, rows, control)


def _advice(layout: Layout) -> str:
    """Return what there is for large clusters of rows at coordinates."""
    errors = layout.errors
    if errors is None or not (errors.correlated and errors.placed) or errors.neighbours or layout.terms:
        return ""
    return (
        "For a large field give every row its nearest neighbours, an approximation: neighbours=30 in residual=, as in "
        "exp(x, y | field, neighbours=30). "
    )


def engine_of_whole_clusters(layout: Layout, rows: Rows, control: Control) -> Engine | None:
    """Return the engine that forms V itself, exact however small σ² is; None where it cannot take the model."""
    able = (kind() for kind in ENGINES.values() if kind.whole_clusters)
    return next((engine for engine in able if engine.supports(layout, rows, control) is None), None)


@dataclass(frozen=True, slots=True)
class Considered:
    """An engine beside a model: operations of an evaluation, bytes held, and why it cannot take the model.

    NaN where it cannot; the reason is empty where it can.
    """

    engine: Engine
    operations: float
    size: float
    reason: str


def considered(
    layout: Layout, rows: Rows, control: Control, engines: Mapping[str, type[Engine]] = ENGINES
) -> Iterator[Considered]:
    """Yield every engine with what it says of a model, in order."""
    for kind in engines.values():
        engine = kind()
        reason = _refusal(engine, layout, rows, control)
        operations, size = engine.cost(layout, rows) if reason is None else (math.nan, math.nan)
        yield Considered(engine, operations, size, reason or "")


__all__ = [
    "ENGINES",
    "RANDOM_ENGINES",
    "Considered",
    "Engine",
    "Equations",
    "Layout",
    "choose_engine",
    "considered",
    "engine_of_whole_clusters",
    "engine_that_comes_near",
    "why_simulated",
]
