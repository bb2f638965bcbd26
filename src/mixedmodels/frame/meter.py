"""A line on the terminal that says how far a long reading is, how fast it goes, and how long it will take."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

PATIENCE, STEP, WIDTH = 2.0, 0.2, 24
"""Seconds before the line first shows and between its renewals; characters of the bar."""


@dataclass(slots=True)
class Meter:
    """Counts rows; `total` is 0 where nobody knows it. `show` None: on a terminal, after two seconds."""

    what: str
    total: int = 0
    show: bool | None = None
    done: int = 0
    _start: float = field(default_factory=time.monotonic)
    _latest: float = 0.0
    _printed: bool = False

    def add(self, rows: int) -> None:
        """Count rows that were read."""
        self.done += rows
        shown = sys.stderr.isatty() if self.show is None else self.show
        now = time.monotonic()
        patience = PATIENCE if self.show is None else 0.0
        if shown and now - self._start >= patience and now - self._latest >= STEP:
            self._latest, self._printed = now, True
            self._print(now)

    def close(self) -> None:
        """End the line."""
        if self._printed:
            self._print(time.monotonic())
            print(file=sys.stderr, flush=True)

    def _print(self, now: float) -> None:
        text = progress_line(self.what, self.done, self.total, now - self._start)
        print(f"\r{text}", end="", file=sys.stderr, flush=True)


def progress_line(what: str, done: int, total: int, seconds: float) -> str:
    """Return the line at one moment.

    Examples
    --------
    >>> progress_line("rows read", 3_000_000, 12_000_000, 2.0)
    'rows read  3,000,000/12,000,000 ██████·················· 1.5 M/s, about 6 s left'
    >>> progress_line("rows read", 3_000_000, 0, 2.0)
    'rows read  3,000,000 1.5 M/s, 2 s'
    """
    rate = done / max(seconds, 1e-9)
    speed = f"{rate / 1e6:.1f} M/s" if rate >= 1e5 else f"{rate:.0f}/s"
    if not total:
        return f"{what}  {done:,} {speed}, {seconds:.0f} s"
    filled = min(WIDTH, WIDTH * done // total)
    left = f", about {(total - done) / rate:.0f} s left" if 0 < done < total else f", {seconds:.0f} s"
    return f"{what}  {done:,}/{total:,} {'█' * filled}{'·' * (WIDTH - filled)} {speed}{left}"
