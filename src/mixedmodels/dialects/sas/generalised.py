"""PROC GLIMMIX: generalised models."""

from __future__ import annotations

from typing import Any

from .fitting import Fitted
from .to_spec import Asked


def fit_generalised(asked: Asked, known: dict[str, Any]) -> Fitted:
    """Return the fit of PROC GLIMMIX."""
    asked.model.head.fail("PROC GLIMMIX is not done yet.", 1)


def fit_statistics(found: Fitted) -> list[tuple[str, Any]]:
    """Return `FitStatistics`."""
    return []
