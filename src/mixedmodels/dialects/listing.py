"""What running a program gives: its steps with their fits and tables, as text, as HTML and by name."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import SpecError, suggest
from ..fit import Fit

STEP_STYLE = "font-weight:600;font-size:1.1em;margin:18px 0 6px 0;white-space:pre-wrap;font-family:monospace"
NOTE_STYLE = "font-size:0.9em;opacity:0.8;margin:1px 10px"


class Printable(Protocol):
    """What stands in a listing: a `Table`, a labelled matrix, means, a summary."""

    def _repr_html_(self) -> str: ...


class Named(dict[str, Any]):
    """Tables, or data, by name, without regard to case; a name that is not there is an error that lists those that are.

    Examples
    --------
    >>> Named({"Tests3": 1})["tests3"]
    1
    """

    def __missing__(self, name: object) -> Any:
        folded = {known.casefold(): value for known, value in self.items()}
        if isinstance(name, str) and name.casefold() in folded:
            return folded[name.casefold()]
        known = ", ".join(self) or "none"
        raise SpecError(f"{name!r} is not in the listing.{suggest(str(name), self)} Names: {known}.")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.casefold() in {known.casefold() for known in self}

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, `default` where it is not there."""
        if name not in self:
            return default
        return self[name]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a program: a PROC or a DATA step of SAS, one call of R.

    Parameters
    ----------
    title
        What the step is, as the listing heads it: `"PROC MIXED"`, `"VarCorr(m1)"`.
    line
        Line of the program where it begins, from 1.
    fits
        The fits it made, in order.
    tables
        Its tables by the name that SAS or R gives them, in the order printed.
    notes
        What was noted rather than done, and what the reader should know.
    silent
        Whether the listing does not print its tables (an assignment of R, `noprint`).
    """

    title: str
    line: int
    fits: tuple[Fit, ...] = ()
    tables: Mapping[str, Printable] = field(default_factory=Named)
    notes: tuple[str, ...] = ()
    silent: bool = False

    @property
    def text(self) -> str:
        """The step as the listing prints it."""
        parts = [] if self.silent else [str(table) for table in self.tables.values()]
        notes = [f"NOTE: {note}" for note in self.notes]
        return "\n\n".join([self.title, *parts, *(["\n".join(notes)] if notes else [])])

    def to_html(self) -> str:
        """Return the step as an HTML element that carries its own style."""
        head = f'<div style="{STEP_STYLE}">{html.escape(self.title)}</div>'
        parts = [] if self.silent else [table._repr_html_() for table in self.tables.values()]
        notes = [f'<div style="{NOTE_STYLE}">NOTE: {html.escape(note)}</div>' for note in self.notes]
        return f"<div>{''.join([head, *parts, *notes])}</div>"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a program of SAS or R gave.

    Parameters
    ----------
    steps
        The steps in the order of the program.
    objects
        What the program gave names to: data sets of SAS (ODS OUTPUT, DATA steps), variables of R.

    Notes
    -----
    `tables` and `fits` are those of all steps; of a table that several steps made, `tables` has the last one.

    Examples
    --------
    >>> from mixedmodels.table import Table
    >>> listing = Listing((Step("PROC MIXED", 1, tables={"Tests3": Table({"effect": ["age"]})}),))
    >>> listing.tables["tests3"]["effect"].tolist(), len(listing)
    (['age'], 1)
    """

    steps: tuple[Step, ...]
    objects: Mapping[str, Any] = field(default_factory=Named)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    @property
    def fits(self) -> tuple[Fit, ...]:
        """The fits of all steps in the order made."""
        return tuple(fit for step in self.steps for fit in step.fits)

    @property
    def tables(self) -> Named:
        """Tables by name, of several with one name the last."""
        return Named({name: table for step in self.steps for name, table in step.tables.items()})

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all steps."""
        return tuple(note for step in self.steps for note in step.notes)

    @property
    def text(self) -> str:
        """The whole listing as text."""
        return "\n\n\n".join(step.text for step in self.steps)

    def to_html(self) -> str:
        """Return the whole listing as an HTML element that carries its own style."""
        return f"<div>{''.join(step.to_html() for step in self.steps)}</div>"

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html()
