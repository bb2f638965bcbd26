"""Whether there are more zeros than a family of counts has."""

from __future__ import annotations

import numpy as np

from ...errors import MixedModelsError
from ..distribution_checks import check_zeros
from .base import SIMULATIONS, Asked, Finding, p_text

COUNTS = ("poisson", "nb1", "nb2", "geometric", "genpois", "compois")
"""Families whose zeros are counted."""


def zero_inflation(asked: Asked) -> Finding | None:
    """Return the number of zeros against that of simulated responses."""
    fit = asked.fit
    known = fit.distribution
    if known is None or fit.family not in COUNTS or not np.any(known.responses.y == 0.0):
        return None
    try:
        row = check_zeros(fit, SIMULATIONS, asked.seed, progress=False).row(0)
    except MixedModelsError as error:
        return Finding("ok", f"not tested: {error}")
    text = f"{row['observed']:.0f} zeros, {row['expected']:.0f} expected ({p_text(row['p_value'])})"
    more = row["observed"] > row["expected"]
    if row["p_value"] > 0.03:
        return Finding("ok", text, float(row["observed"]), float(row["p_value"]))
    suggestion = asked.tried(zero_inflation="~ 1") if more else "fewer zeros than the family has: see hurdle="
    return Finding(
        "problem" if more else "look", text, float(row["observed"]), float(row["p_value"]), suggestion
    )
