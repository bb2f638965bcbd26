"""Settings of a fit that do not change what is estimated."""

from __future__ import annotations

import numbers
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from .errors import Severity, SpecError, Status

SMALL_PROBLEM = 20_000
"""Rows below which one thread is faster than handing work over."""
CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory a container has; "max" where that is all there is."""


@dataclass(frozen=True, slots=True)
class Control:
    """Tolerances, limits and resources of one fit.

    Parameters
    ----------
    decrement
        Stop when the predicted decrease of the criterion, g'H⁻¹g, falls below this (absolute, on the −2l scale:
        1e-8 puts every parameter within 1e-4 standard errors of the optimum), or, whatever is asked for, below what
        −2l is known to, once steps no longer lower it.
    max_iterations
        Newton iterations before the fit is reported as not converged.
    starts
        Places at most that searches start from where −2l may have several minima (random effects beside correlated
        errors, ranges, loadings …); None for as many as the model asks for, which takes up to four times as long as
        the 1 of most models.
    threads
        Threads of the native kernels; None or 0 means one per available processor, of which no more are used.
    memory
        Bytes a fit may plan to use; by default half of what the machine has, or its container, or the limit of the
        process, whichever is least: never of what is free at the moment, on which numbers must not depend.
    engine
        `"auto"`, or the name of an engine to insist on.
    rank_tolerance
        A column of X is aliased when what the columns before it leave of it is shorter than this fraction of its
        length about its mean. R's `lm` and lme4 have the same 1e-7, without centring. Rounding error of the columns,
        which grows with their distance from zero, is allowed for whatever is set here.
    keep_data
        Keep a copy of the model's columns with the fit, which means, trends, `augment`, `update` and figures ask for.
    verbose
        Print one line per iteration.
    progress
        Whether to show how far the reading of a file is; by default on a terminal, after two seconds.
    """

    decrement: float = 1e-8
    max_iterations: int = 100
    starts: int | None = None
    threads: int | None = None
    memory: float | None = None
    engine: str = "auto"
    rank_tolerance: float = 1e-7
    keep_data: bool = True
    verbose: bool = False
    progress: bool | None = None

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
            if value is None and name in ("starts", "threads", "memory"):
                continue
            right = isinstance(value, kind) and not isinstance(value, bool)
            if name == "rank_tolerance" and right and value >= 1:
                right, advice = False, "a number between 0 and 1, for example 1e-7"
            if not right or not (value >= least if whole else value > least):
                raise SpecError(f"control: {name}={value!r} must be {advice}.")
        for name in ("keep_data", "verbose"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"control: {name}={getattr(self, name)!r} must be True or False.")
        if self.progress not in (True, False, None):
            raise SpecError(
                f"control: progress={self.progress!r} must be True, False or None (on a terminal)."
            )
        if not isinstance(self.engine, str):
            raise SpecError(f"control: engine={self.engine!r} must be the name of an engine, or 'auto'.")

    @property
    def room(self) -> float:
        """Bytes a fit may plan to use: `memory`, or its default."""
        return 0.5 * memory_limit() if self.memory is None else float(self.memory)

    def threads_for(self, n: int) -> int:
        """Return the threads worth using on n rows: those given that there are processors for, or, left open, one for
        each processor and 1 for a small problem."""
        if self.threads:
            return min(self.threads, processors())
        return 1 if n < SMALL_PROBLEM else processors()

    @property
    def notes(self) -> tuple[Status, ...]:
        """What was asked for and cannot be had."""
        if not self.threads or self.threads <= processors():
            return ()
        there = "1 processor there is" if processors() == 1 else f"{processors()} processors there are"
        return (Status(Severity.NOTE, f"control: threads={self.threads} reduced to the {there}"),)


@cache
def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@cache
def memory_limit() -> float:
    """Return the bytes that this process can ever have: of the machine, its container, or the process's own limit."""
    found = [8e9]
    with suppress(ValueError, OSError, AttributeError):
        found = [float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")]
    for name in CONTAINER:
        with suppress(ValueError, OSError):
            found.append(float(Path(name).read_text()))
    with suppress(ImportError, ValueError, OSError):
        resource = import_module("resource")
        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        if soft != resource.RLIM_INFINITY:
            found.append(float(soft))
    return min(found)
