"""Whether terms of the fixed part can be told from one another."""

from __future__ import annotations

import numpy as np

from ...inference.model_terms import model_terms
from ...typing import Array
from .base import Asked, Finding

LARGE, VERY_LARGE = 5.0, 10.0
"""Inflations of variance from which to look, and to worry (generalised, per coefficient)."""


def collinearity(asked: Asked) -> Finding | None:
    """Return the largest variance inflation of a term (Fox and Monette 1992).

    Terms inside an interaction are left out: they go with it by their meaning.
    """
    fit = asked.fit
    aliased = fit.design.fixed.aliased
    if aliased:
        return Finding(
            "look",
            f"not estimated, for they depend on other columns: {', '.join(aliased)}",
            suggestion="leave out terms, or join levels",
        )
    inflations = {} if fit._work.integrated else _inflations(asked)
    if len(inflations) < 2:
        return None
    worst = max(inflations, key=lambda name: inflations[name])
    value = inflations[worst]
    verdict = "problem" if value > VERY_LARGE else "look" if value > LARGE else "ok"
    text = f"variances of {worst} are {value:.3g} times those of an unrelated term"
    return Finding(
        verdict,
        text if verdict != "ok" else f"largest variance inflation {value:.3g} ({worst})",
        value,
        suggestion="" if verdict == "ok" else f"leave {worst} out or combine it with what it goes with",
    )


def _inflations(asked: Asked) -> dict[str, float]:
    fit = asked.fit
    terms = [term for term in model_terms(fit) if not term.is_intercept]
    alone = [
        term
        for term in terms
        if not any(other is not term and set(term.atoms) & set(other.atoms) for other in terms)
    ]
    places = [j for term in terms for j in term.place]
    if len(alone) < 1 or len(terms) < 2:
        return {}
    vcov = np.asarray(fit.cov_params(ddf="asymptotic"))[np.ix_(places, places)]
    unit = np.sqrt(np.diagonal(vcov))
    correlation = vcov / np.outer(unit, unit)
    out = {}
    for term in alone:
        own = np.array([place in term.place for place in places])
        out[term.name] = _generalised(correlation, own)
    return out


def _generalised(correlation: Array, own: Array) -> float:
    """Return det R_own det R_others/det R to the power 1/df, a variance inflation per coefficient."""
    inside = np.asarray(own, dtype=bool)
    parts = [
        np.linalg.slogdet(correlation[np.ix_(chosen, chosen)])[1]
        for chosen in (inside, ~inside, np.ones(len(inside), dtype=bool))
    ]
    return float(np.exp((parts[0] + parts[1] - parts[2]) / inside.sum()))
