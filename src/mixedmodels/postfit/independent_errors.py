"""A guard for tools that know errors of variance σ²/w only."""

from __future__ import annotations

from ..errors import SpecError
from ..fit import Fit


def require_independent_errors(fit: Fit, tool: str) -> None:
    """Raise `SpecError` for a fit with a residual structure or variance function."""
    if fit.design.residual is not None:
        raise SpecError(
            f"{tool} is available for independent errors only; this fit has residual="
            f"{str(fit.spec.residual)!r}, variance={' * '.join(map(str, fit.spec.variance))!r}."
        )
