"""Whether responses of a generalised model vary more than its family says."""

from __future__ import annotations

from ...errors import MixedModelsError
from ..distribution_checks import check_dispersion
from .base import SIMULATIONS, Asked, Finding, p_text

RICHER = {
    "poisson": "nb2",
    "binomial": "betabinomial",
    "geometric": "nb2",
    "truncated_poisson": "truncated_nb2",
}
"""Families without a dispersion, and those that have one in their place."""


def dispersion(asked: Asked) -> Finding | None:
    """Return Pearson's statistic against simulated responses; asked with refits, for families without a dispersion."""
    fit = asked.fit
    known = fit.distribution
    if known is None or fit.family not in RICHER or not asked.refit or known.scale is not None:
        return None
    if fit.family == "binomial" and float(known.responses.trials_or_one.max()) <= 1.0:
        return None
    try:
        row = check_dispersion(fit, SIMULATIONS, asked.seed, progress=False).row(0)
    except MixedModelsError as error:
        return Finding("ok", f"not tested: {error}")
    ratio = row["observed"] / row["expected"]
    # the smallest p that so many simulations can have is 0.02
    verdict = "ok" if row["p_value"] > 0.03 else "problem" if ratio > 1.2 else "look"
    text = f"Pearson's statistic {ratio:.2f} times that of simulated responses ({p_text(row['p_value'])})"
    suggestion = ""
    if verdict != "ok":
        suggestion = (
            asked.tried(family=RICHER[fit.family]) if ratio > 1 else "less variable than the family says"
        )
    return Finding(verdict, text, float(ratio), float(row["p_value"]), suggestion)
