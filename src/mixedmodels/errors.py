"""What can go wrong, in words a user can act on.

Three exceptions for the three places a request can fail, and `Status` for numerical outcomes that are results
rather than failures.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

import numpy as np


class MixedModelsError(Exception):
    """Base of every error raised by the package."""


class SpecError(MixedModelsError, ValueError):
    """The request cannot be read or does not make sense (formula, argument, unknown name)."""


class DataError(MixedModelsError, ValueError):
    """The data cannot carry the request (missing column, infinite value, one level, wrong type)."""


class FitError(MixedModelsError, RuntimeError):
    """The computation could not be carried to a valid result."""


class carried_through:
    """A block whose arithmetic raises a `FitError` where floating-point numbers cannot carry it through.

    A factorisation that rounding breaks, a division by a variance that has vanished, an overflow: which of them it was
    says nothing to the user. NumPy's warnings of values that are not finite are off, for such values are looked at.

    Parameters
    ----------
    what
        What the block computes, as the message begins.
    """

    __slots__ = ("quiet", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.quiet = np.errstate(all="ignore")

    def __enter__(self) -> None:
        self.quiet.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.quiet.__exit__(kind, error, trace)
        if isinstance(error, (ArithmeticError, np.linalg.LinAlgError)):
            raise FitError(
                f"{self.what}: floating-point numbers do not carry this computation through; the data hardly "
                "determine some parameter, or the fit is at a boundary. Read fit.status, leave out terms, or use a "
                "structure with fewer parameters."
            ) from error
        if isinstance(error, MemoryError):
            raise FitError(
                f"{self.what}: this needs more memory than there is{': ' if str(error) else ''}{error}."
            ) from error


class ConvergenceWarning(UserWarning):
    """A fit did not converge; its message is that of the fit's status, with what to do about it."""


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
    """One numerical outcome of a fit: a message and what to do about it.

    With `untested` standard errors rest on rounding, or on what the data do not say: tables leave tests and limits out.
    """

    severity: Severity
    message: str
    hint: str = ""
    untested: bool = False

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message
