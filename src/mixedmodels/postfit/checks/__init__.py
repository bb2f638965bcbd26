"""What can be wrong with a fit: one file per verdict, one line in `CHECKS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .base import Asked, Finding
from .clusters import outlying_clusters
from .collinearity import collinearity
from .convergence import convergence
from .dispersion import dispersion
from .distribution import distribution
from .error_variance import variance_by_fitted, variance_by_group
from .errors_normal import normal_errors
from .random_normal import normal_random_effects
from .serial import serial_correlation
from .singularity import singularity
from .zeros import zero_inflation

CHECKS: Mapping[str, Callable[[Asked], Finding | None]] = {
    "convergence": convergence,
    "singularity": singularity,
    "collinearity": collinearity,
    "outlying clusters": outlying_clusters,
    "normal random effects": normal_random_effects,
    "normal errors": normal_errors,
    "variance by group": variance_by_group,
    "variance by fitted value": variance_by_fitted,
    "serial correlation": serial_correlation,
    "distribution": distribution,
    "dispersion": dispersion,
    "zero inflation": zero_inflation,
}
"""Name → verdict on a fit; None where the question does not arise."""

__all__ = ["CHECKS", "Asked", "Finding"]
