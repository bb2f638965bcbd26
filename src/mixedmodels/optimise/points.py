"""How many points of quadrature are enough."""

from __future__ import annotations

from ..control import Control
from ..criterion.base import LikelihoodCriterion
from ..errors import Severity, Status
from .newton import optimise
from .optimum import Optimum

ENOUGH = 1e-4
"""Change of −2l by half as many points again that is small enough."""


def raise_points(
    criterion: LikelihoodCriterion, optimum: Optimum, control: Control
) -> tuple[LikelihoodCriterion, Optimum, tuple[Status, ...]]:
    """Return the criterion whose −2l at its optimum moves by less than 1e-4 with more points, and what to say of it."""
    while (more := criterion.raised()) is not None:
        if not optimum.converged:
            return criterion, optimum, ()
        moved = abs(more.value(optimum.theta) - optimum.value)
        if moved < ENOUGH:
            message = (
                f"points='auto' took {criterion.points} points: {more.points} change −2 log-likelihood by "
                f"{moved:.1g}"
            )
            return criterion, optimum, (Status(Severity.NOTE, message),)
        criterion, optimum = more, optimise(more, control, optimum.theta)
    message = f"points='auto' ended at {criterion.points} points, the most there are, before −2 log-likelihood settled"
    hint = "A level has too many random effects, or too large a variance, for quadrature to be exact"
    return criterion, optimum, (Status(Severity.WARNING, message, hint),)
