"""Threads that one tool is given in place of those of the fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from ..errors import SpecError
from ..fit import Fit

Item = TypeVar("Item")
WAVE = 4
"""Tasks per thread that are handed out together."""


def with_threads(fit: Fit, threads: int | None) -> Fit:
    """Return the fit with other threads for what is computed of it; itself where None are given.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> with_threads(fit, None) is fit, with_threads(fit, 2).control.threads
    (True, 2)
    """
    if threads is None:
        return fit
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise SpecError(f"threads={threads!r} must be a whole number, at least 1.")
    return replace(fit, control=replace(fit.control, threads=threads))


def each(task: Callable[[int], None], numbers: Sequence[int], threads: int) -> Iterator[int]:
    """Do a task for every number, in threads, and yield the numbers in their order as they are done."""
    if threads <= 1:
        for i in numbers:
            task(i)
            yield i
        return
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(numbers), WAVE * threads):
            wave = numbers[first : first + WAVE * threads]
            list(pool.map(task, wave))
            yield from wave
