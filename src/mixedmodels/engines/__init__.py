"""Ways of solving the mixed-model equations, and the choice between them."""

from __future__ import annotations

from ..control import Control
from ..errors import SpecError, suggest
from ..terms.rows import Rows
from .base import Engine, Equations
from .blocked.engine import BlockedEngine
from .clusters.engine import ClustersEngine
from .layout import Layout
from .plan import check_operations
from .signed.engine import SignedEngine
from .sparse.engine import SparseEngine

ENGINES: dict[str, type[Engine]] = {
    "blocked": BlockedEngine,
    "clusters": ClustersEngine,
    "sparse": SparseEngine,
    "signed": SignedEngine,
}

CHEAP = 2e9
"""Predicted flops (a fraction of a second) at which an engine is taken without asking those after it."""
CHEAP_ERRORS = 1e7
"""The same for structured errors, whose covariance is factored and multiplied many times at each point."""


def choose_engine(layout: Layout, rows: Rows, control: Control) -> Engine:
    """Return the engine that takes the model at the least predicted flops within the memory allowed.

    `control.engine` names one to insist on; it is an error when that one cannot take the model.
    """
    if control.engine != "auto":
        if control.engine not in ENGINES:
            raise SpecError(
                f"control: engine={control.engine!r} is not known.{suggest(control.engine, ENGINES)} "
                f"Available: auto, {', '.join(ENGINES)}."
            )
        engine = ENGINES[control.engine]()
        reason = engine.supports(layout, rows, control)
        if reason is not None:
            raise SpecError(f"control: engine={control.engine!r} cannot take this model: {reason}.")
        return engine
    reasons: list[str] = []
    able: list[tuple[float, int, Engine]] = []
    for name, kind in ENGINES.items():
        engine = kind()
        reason = engine.supports(layout, rows, control)
        if reason is None:
            flops = engine.cost(layout, rows)[0]
            able.append((flops, len(able), engine))
            if flops < (CHEAP if layout.errors is None else CHEAP_ERRORS):
                break
        else:
            reasons.append(f"{name}: {reason}")
    if not able:
        raise SpecError(
            f"no engine can take this model ({'; '.join(reasons)}). Use fewer levels or simpler terms; where "
            "memory is what lacks, a machine with more of it or mm.Control(memory=…)."
        )
    operations, _, cheapest = min(able)
    check_operations(cheapest.name, operations)
    return cheapest


__all__ = ["ENGINES", "Engine", "Equations", "Layout", "choose_engine"]
