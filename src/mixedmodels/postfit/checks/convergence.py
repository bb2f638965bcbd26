"""Whether the search ended at an optimum."""

from __future__ import annotations

from ...errors import Severity
from ...inference.wald import untested
from .base import Asked, Finding


def convergence(asked: Asked) -> Finding:
    """Return whether the fit converged: g'H⁻¹g is the squared distance to the optimum in the metric of −2l."""
    optimum = asked.fit.optimum
    if why := untested(asked.fit):
        return Finding("problem", why, optimum.decrement, suggestion="tests and limits mean nothing here")
    if optimum.converged:
        text = f"the search ended at an optimum (g'H⁻¹g = {optimum.decrement:.1e})"
        return Finding("ok", text, optimum.decrement)
    told = [status for status in optimum.statuses if status.severity is Severity.WARNING]
    text = told[0].message if told else "the search did not reach an optimum"
    cure = told[0].hint if told and told[0].hint else "simplify the random part, or give start= values"
    return Finding("problem", text, optimum.decrement, suggestion=cure)
