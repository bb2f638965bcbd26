"""Whether a covariance of random effects is of less than full rank."""

from __future__ import annotations

from .base import Asked, Finding


def singularity(asked: Asked) -> Finding | None:
    """Return which random terms have a covariance on the boundary: an optimum, whose tests stand."""
    fit = asked.fit
    if all(term.smooth for term in fit.design.random):
        return None
    lame = [
        f"{term.label} (rank {min(ranks)} of {term.n_columns})"
        for term, ranks in zip(fit.design.random, fit.optimum.singular, strict=True)
        if min(ranks) < term.n_columns and not term.smooth
    ]
    if not lame:
        return Finding("ok", "all covariances of random effects have full rank")
    return Finding(
        "look",
        f"on the boundary: {', '.join(lame)}",
        suggestion="the data ask for no more of this term; see fit.ranova() for what leaving it out changes",
    )
