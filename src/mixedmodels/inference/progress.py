"""A line on the terminal that says how far a long computation is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Part = TypeVar("Part", covariant=True)
PATIENCE, STEP, WIDTH = 2.0, 0.2, 30
"""Seconds before the line first shows and between its renewals; characters of the bar."""


class Countable(Iterable[Part], Sized, Protocol[Part]):
    """Something to go through whose length is known."""


def counted(items: Countable[Item], what: str, show: bool | None, *, total: int = 0) -> Iterator[Item]:
    """Yield the items while a line on standard error says how many are done.

    Parameters
    ----------
    items, what
        What is gone through, and its name.
    show
        True, False, or None: where standard error is a terminal, after two seconds.
    total
        What the items stand for together, when they are parts of something: their number by default.
    """
    shown = sys.stderr.isatty() if show is None else show
    if not shown:
        yield from items
        return
    start, total = time.monotonic(), total or len(items)
    latest = start + (PATIENCE - STEP if show is None else -STEP)
    printed = False
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - latest >= STEP:
            print(
                f"\r{line(what, total * done // len(items), total, now - start)}",
                end="",
                file=sys.stderr,
                flush=True,
            )
            latest, printed = now, True
        yield item
    if printed:
        print(f"\r{line(what, total, total, time.monotonic() - start)}", file=sys.stderr, flush=True)


def line(what: str, done: int, total: int, seconds: float) -> str:
    """Return the line at one moment.

    Examples
    --------
    >>> line("bootstrap", 15, 30, 4.0)
    'bootstrap  15/30 ███████████████··············· 4 s, about 4 s left'
    """
    filled = WIDTH * done // total
    left = f", about {seconds * (total - done) / done:.0f} s left" if 0 < done < total else ""
    return f"{what}  {done}/{total} {'█' * filled}{'·' * (WIDTH - filled)} {seconds:.0f} s{left}"
