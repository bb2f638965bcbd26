"""Settings of a fit that do not change what is estimated."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import SpecError


@dataclass(frozen=True, slots=True)
class Control:
    """Tolerances, limits and resources of one fit.

    Parameters
    ----------
    decrement
        Stop when the predicted decrease of the criterion, g'H⁻¹g, falls below this (absolute, on the −2l scale:
        1e-8 puts every parameter within 1e-4 standard errors of the optimum).
    max_iterations
        Newton iterations before the fit is reported as not converged.
    threads
        Threads of the native kernels; 0 means one per available processor.
    memory
        Bytes an engine may plan to use.
    engine
        `"auto"`, or the name of an engine to insist on.
    rank_tolerance
        A column of X whose residual sum of squares on its predecessors is below this fraction is aliased.
    verbose
        Print one line per iteration.
    """

    decrement: float = 1e-8
    max_iterations: int = 100
    threads: int = 0
    memory: float = 8e9
    engine: str = "auto"
    rank_tolerance: float = 1e-10
    verbose: bool = False

    def __post_init__(self) -> None:
        if not self.decrement > 0:
            raise SpecError(f"control: decrement={self.decrement!r} must be positive, for example 1e-8.")
        if self.max_iterations < 1:
            raise SpecError(f"control: max_iterations={self.max_iterations!r} must be at least 1.")
        if self.threads < 0:
            raise SpecError(
                f"control: threads={self.threads!r} must be 0 (all processors) or a positive number."
            )
