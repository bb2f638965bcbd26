"""Estimates drawn with their intervals."""

from __future__ import annotations

from typing import Any

from ..formats import value_text
from .display import draw_intervals
from .emm import EMM


def plot(emm: EMM) -> Any:
    """Draw the estimates with their intervals; a matplotlib Axes."""
    labels = [
        ", ".join(value_text(emm.levels[name][i]) for name in (*emm.by, *emm.primary))
        for i in range(len(emm))
    ]
    title = {"mean": "Estimated marginal means", "trend": "Slopes", "contrast": "Contrasts"}[emm.kind]
    return draw_intervals(emm.table, labels, f"{title}, {100 * emm.settings.level:g}% intervals")
