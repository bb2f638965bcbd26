"""One column of data in the form the rest of the package reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..typing import Array, Codes
from .levels import drop_unused, factorise, match_levels

FEWEST = 3
"""Levels from which on text of numbers may have been meant as numbers: two are a factor either way."""

DATE = re.compile(
    r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.] ?\d{1,2}[-/.] ?\d{2,4})([T ]+[\d:.]+Z?)?\s*"
)
"""A day, and perhaps a time, in figures."""


def _reads_as_number(text: str) -> bool:
    try:
        float(text.replace(",", ".", 1))
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Column:
    """A column: numbers or dates in their own type, or codes into levels.

    Parameters
    ----------
    name
        Name in the data.
    values
        Numbers or dates (n,), or int32 codes (n,) when `levels` is given.
    levels
        Levels in order, (k,), or None for a column of numbers or dates.
    missing
        Which rows are missing, (n,), or None when none is. Numbers are NaN and codes −1 there.
    ordered
        Whether the data say that the levels are ordered.
    text
        Whether it came as text, and not as categories whose owner meant them so.
    """

    name: str
    values: NDArray[Any]
    levels: NDArray[Any] | None = None
    missing: NDArray[np.bool_] | None = None
    ordered: bool = False
    text: bool = False

    @property
    def is_factor(self) -> bool:
        return self.levels is not None

    @property
    def is_number(self) -> bool:
        return self.levels is None and self.values.dtype.kind in "biuf"

    def number(self) -> Array:
        """Return the values as float64 (n,), without a copy if they are that already."""
        if not self.is_number:
            raise DataError(
                f"column {self.name!r} holds {self.kind()} where numbers are needed; {self.remedy()}"
            )
        return self.values.astype(np.float64, copy=False)

    def kind(self) -> str:
        """Return what the column holds, for a message."""
        if self.levels is None:
            return "dates" if self.values.dtype.kind == "M" else "dates or durations"
        return f"text or categories such as {self.examples()}"

    def remedy(self) -> str:
        """Return what to do about a column that holds no numbers."""
        name = f"data[{self.name!r}]"
        if self.levels is None:
            return (
                f"use days since the first, ({name} - {name}.min()).dt.days in pandas, or the date as a factor, "
                f"factor({self.name})."
            )
        texts = [str(level).strip() for level in self.levels]
        odd = [text for text in texts if not _reads_as_number(text)]
        if not odd:
            return f"the text reads as numbers throughout: {self.conversion()}."
        if 2 * len(odd) <= len(texts):
            row = 0 if self.values.size == 0 else int(np.flatnonzero(self.values == texts.index(odd[0]))[0])
            shown = ", ".join(map(repr, odd[:3])) + (" …" if len(odd) > 3 else "")
            return (
                f"most of it reads as numbers, but not {shown} (first in row {row + 1} of those used): correct it, or "
                f"mark it missing, pandas.to_numeric({name}, errors='coerce')."
            )
        return f"convert it first, or use it as a factor: factor({self.name})."

    def conversion(self) -> str:
        """Return how text of numbers becomes numbers."""
        name = f"data[{self.name!r}]"
        if self.levels is not None and any("," in str(level) for level in self.levels):
            # most often a file with decimal commas
            return f"read the file with decimal=',', or {name}.str.replace(',', '.').astype(float)"
        return f"convert it, pandas.to_numeric({name})"

    @property
    def reads_as_dates(self) -> bool:
        """Whether it came as text of three days or more and nothing else."""
        if not self.text or self.levels is None or len(self.levels) < FEWEST:
            return False
        return all(isinstance(level, str) and DATE.fullmatch(level) for level in self.levels)

    @property
    def reads_as_numbers(self) -> bool:
        """Whether it came as text of three numbers or more and nothing else."""
        if not self.text or self.levels is None or len(self.levels) < FEWEST:
            return False
        return all(isinstance(level, str) and _reads_as_number(level) for level in self.levels)

    def examples(self) -> str:
        """Return up to three levels for a message."""
        levels = self.values[:3] if self.levels is None else self.levels[:3]
        return ", ".join(repr(str(level)) for level in levels)

    def factor(self) -> Column:
        """Return the column as codes and levels; numbers and dates become levels in increasing order."""
        if self.levels is not None:
            return self
        if self.missing is None:
            return Column(self.name, *factorise(self.values))
        codes = np.full(len(self.values), -1, np.int32)
        present = ~self.missing
        codes[present], levels = factorise(self.values[present])
        return Column(self.name, codes, levels, self.missing)

    def codes_in(self, levels: NDArray[Any]) -> Codes:
        """Return codes (n,) of the values among `levels`, −1 for missing values and other levels."""
        own = self.factor()
        if own.levels is levels:
            return own.values
        assert own.levels is not None
        place = np.append(match_levels(own.levels, levels), np.int32(-1))
        return np.asarray(place[own.values], dtype=np.int32)

    def known_codes(self, levels: NDArray[Any]) -> Codes:
        """Return `codes_in(levels)`; `DataError` naming the values that are not among them."""
        codes = self.codes_in(levels)
        if self.levels is levels or not (unknown := codes < 0).any():
            return codes
        if self.missing is not None:
            unknown = unknown & ~self.missing
        if unknown.any():
            own = self.factor()
            assert own.levels is not None
            names = [str(level) for level in own.levels[np.unique(own.values[unknown])]]
            shown = ", ".join(map(repr, names[:5])) + (" …" if len(names) > 5 else "")
            known = ", ".join(str(level) for level in levels[:10]) + (" …" if len(levels) > 10 else "")
            raise DataError(
                f"column {self.name!r} has levels that were not in the data of the fit: {shown}. "
                f"Known levels: {known}."
            )
        return codes

    def owned(self) -> Column:
        """Return the column in memory of its own."""
        return replace(
            self,
            values=np.array(self.values),
            levels=None if self.levels is None else np.array(self.levels),
            missing=None if self.missing is None else np.array(self.missing),
        )

    def take(self, rows: NDArray[np.intp]) -> Column:
        """Return the column at some rows."""
        missing = None if self.missing is None else self.missing[rows]
        some = missing is not None and missing.any()
        return replace(self, values=self.values[rows], missing=missing if some else None)

    def without_unused(self) -> tuple[Column, NDArray[Any]]:
        """Return the column without levels that no row has, and those levels."""
        if self.levels is None:
            return self, np.empty(0, object)
        codes, levels, unused = drop_unused(self.values, self.levels)
        return (self if len(unused) == 0 else replace(self, values=codes, levels=levels)), unused
