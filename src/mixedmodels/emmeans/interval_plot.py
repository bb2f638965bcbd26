"""Estimates drawn with their intervals."""

from __future__ import annotations

from typing import Any

from ..errors import SpecError, suggest
from ..formats import value_text
from .display import draw_intervals
from .emm import EMM


def plot(emm: EMM, *, color: str | None = None, ax: Any = None) -> Any:
    """Draw the estimates with their intervals; a matplotlib Axes.

    Parameters
    ----------
    color
        Factor whose levels stand side by side in colours of their own; by default the last of two or more, unless that
        has more than six levels. `""` draws a line for every estimate.
    ax
        Axes to draw on; new ones by default.

    Raises
    ------
    SpecError
        Where `color` is no factor of the table.

    Notes
    -----
    *Same as* `plot(emmeans(…))` and `emmip` of R's emmeans.
    """
    names = [*emm.by, *emm.primary]
    if color and color not in names:
        raise SpecError(
            f"color={color!r} is no factor of these estimates.{suggest(color, names)} Factors: {', '.join(names)}."
        )
    chosen = _colour(emm, names) if color is None else color
    along = [name for name in names if name != chosen]
    labels = [", ".join(value_text(emm.levels[name][i]) for name in along) for i in range(len(emm))]
    title = {"mean": "Estimated marginal means", "trend": "Slopes", "contrast": "Contrasts"}[emm.kind]
    text = f"{title}, {100 * emm.settings.level:g}% intervals"
    if not chosen:
        return draw_intervals(emm.table, labels, text, ax=ax)
    axes = draw_intervals(emm.table, labels, text, [value_text(value) for value in emm.levels[chosen]], ax)
    axes.legend(title=chosen, frameon=False, fontsize=9, title_fontsize=9)
    return axes


def _colour(emm: EMM, names: list[str]) -> str:
    """Return the factor that colours tell apart, an empty text for none."""
    if emm.kind == "contrast" or len(names) < 2:
        return ""
    return names[-1] if len(set(map(value_text, emm.levels[names[-1]]))) <= MOST_COLOURS else ""


MOST_COLOURS = 6
"""Levels that colours still tell apart."""
