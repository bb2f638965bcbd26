"""The text of a program with its places: every message about it names a line and a column."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NoReturn

from ...errors import SpecError, caret

WIDEST_LINE = 110
"""Characters of a line that a message shows."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program as written, and as it stands when macros are resolved.

    Parameters
    ----------
    written
        The text as given.
    text
        The text without macro language; the same where there is none.
    starts, origins, copied
        Where each piece of `text` begins, where in `written` it comes from, and whether it is a copy of that place
        (else all of it comes from one reference).
    """

    written: str
    text: str
    starts: tuple[int, ...] = (0,)
    origins: tuple[int, ...] = (0,)
    copied: tuple[bool, ...] = (True,)

    def origin(self, offset: int) -> int:
        """Return the place in the text as written of a place in `text`."""
        piece = max(bisect_right(self.starts, offset) - 1, 0)
        moved = offset - self.starts[piece] if self.copied[piece] else 0
        return min(self.origins[piece] + moved, len(self.written))

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column, from 1, in the text as written of a place in `text`."""
        return place_in(self.written, self.origin(offset))

    def fail(self, message: str, offset: int, length: int = 1) -> NoReturn:
        """Raise `SpecError` with a message, its line and column, and the line with a caret."""
        raise SpecError(message_at(self.written, message, self.origin(offset), length))


def place_in(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of an offset, from 1.

    Examples
    --------
    >>> place_in("a;\\nbc;", 4)
    (2, 2)
    """
    before = text.count("\n", 0, offset)
    return before + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def message_at(text: str, message: str, offset: int, length: int = 1) -> str:
    """Return a message with line and column and the line it is about, carets under the place."""
    offset = min(offset, len(text))
    line, column = place_in(text, offset)
    start = text.rfind("\n", 0, offset) + 1
    stop = text.find("\n", offset)
    shown = text[start : len(text) if stop < 0 else stop].rstrip("\r").expandtabs(1)
    first = max(0, column - 1 - WIDEST_LINE // 2) if len(shown) > WIDEST_LINE else 0
    shown = shown[first : first + WIDEST_LINE]
    at = column - 1 - first
    under = caret(shown, at, min(at + max(length, 1), max(len(shown), at + 1)))
    return f"line {line}, column {column}: {message}\n\n{under}"
