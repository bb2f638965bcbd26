"""The same functions grouped by other factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import SpecError, suggest
from .emm import EMM


def regrouped(emm: EMM, by: str | Sequence[str]) -> EMM:
    """Return the same functions grouped by other factors."""
    wanted = (by,) if isinstance(by, str) else tuple(by)
    for name in wanted:
        if name not in emm.levels:
            raise SpecError(
                f"by={name!r} is not a factor of these estimates.{suggest(name, emm.levels)} "
                f"Factors: {', '.join(emm.levels)}."
            )
    everything = (*emm.primary, *emm.by)
    return replace(emm, primary=tuple(n for n in everything if n not in wanted), by=wanted)
