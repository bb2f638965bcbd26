"""What can go wrong, in words a user can act on.

Three exceptions for the three places a request can fail, and `Status` for numerical outcomes that are results
rather than failures.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class MixedModelsError(Exception):
    """Base of every error raised by the package."""


class SpecError(MixedModelsError, ValueError):
    """The request cannot be read or does not make sense (formula, argument, unknown name)."""


class DataError(MixedModelsError, ValueError):
    """The data cannot carry the request (missing column, infinite value, one level, wrong type)."""


class FitError(MixedModelsError, RuntimeError):
    """The computation could not be carried to a valid result."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the nearest known name, or an empty string.

    Examples
    --------
    >>> suggest("Dayz", ["Days", "Subject"])
    " Did you mean 'Days'?"
    """
    known = list(known)
    by_folded = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), list(by_folded), n=1, cutoff=0.6)
    return f" Did you mean {by_folded[near[0]]!r}?" if near else ""


def caret(text: str, start: int, stop: int | None = None) -> str:
    """Return `text` with a line of carets under the characters `start:stop`.

    Examples
    --------
    >>> print(caret("y ~ (1 | )", 9))
    y ~ (1 | )
             ^
    """
    stop = start + 1 if stop is None else max(stop, start + 1)
    return f"{text}\n{' ' * start}{'^' * (stop - start)}"


class Severity(Enum):
    """How much attention a status asks for."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Status:
    """One numerical outcome of a fit: a message and what to do about it."""

    severity: Severity
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message
