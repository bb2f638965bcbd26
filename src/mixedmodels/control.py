"""Settings of a fit that do not change what is estimated."""

from __future__ import annotations

import numbers
import os
from dataclasses import dataclass

from .errors import SpecError

SMALL_PROBLEM = 20_000
"""Rows below which one thread is faster than handing work over."""


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
    starts
        Places at most that searches start from where −2l may have several minima (random effects beside correlated
        errors, ranges, loadings …); None for as many as the model asks for, which takes up to three times as long as
        the 1 of most models.
    threads
        Threads of the native kernels; 0 means one per available processor.
    memory
        Bytes an engine may plan to use.
    engine
        `"auto"`, or the name of an engine to insist on.
    rank_tolerance
        A column of X is aliased when what the columns before it leave of it is shorter than this fraction of its
        length about its mean. R's `lm` and lme4 have the same 1e-7, without centring. Rounding error of the columns,
        which grows with their distance from zero, is allowed for whatever is set here.
    verbose
        Print one line per iteration.
    """

    decrement: float = 1e-8
    max_iterations: int = 100
    starts: int | None = None
    threads: int = 0
    memory: float = 8e9
    engine: str = "auto"
    rank_tolerance: float = 1e-7
    verbose: bool = False

    def __post_init__(self) -> None:
        for name, whole, least, advice in (
            ("decrement", False, 0.0, "a positive number, for example 1e-8"),
            ("max_iterations", True, 1, "a whole number, at least 1"),
            ("starts", True, 1, "None (as many as the model asks for) or a whole number, at least 1"),
            ("threads", True, 0, "0 (all processors) or a positive whole number"),
            ("memory", False, 0.0, "a positive number of bytes, for example 8e9"),
            ("rank_tolerance", False, 0.0, "a positive number, for example 1e-7"),
        ):
            value = getattr(self, name)
            kind = numbers.Integral if whole else numbers.Real
            if name == "starts" and value is None:
                continue
            right = isinstance(value, kind) and not isinstance(value, bool)
            if not right or not (value >= least if whole else value > least):
                raise SpecError(f"control: {name}={value!r} must be {advice}.")
        if not isinstance(self.engine, str):
            raise SpecError(f"control: engine={self.engine!r} must be the name of an engine, or 'auto'.")

    def threads_for(self, n: int) -> int:
        """Return the threads worth using on n rows: the number given, or 1 for a small problem when left open."""
        if self.threads:
            return self.threads
        if n < SMALL_PROBLEM:
            return 1
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
