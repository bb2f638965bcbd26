"""What is known about each data set: columns, levels, source and licence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

from ..errors import SpecError, suggest

Kind = Literal["factor", "ordered", "integer", "number"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its kind, what it measures, and for factors the levels in order.

    `stored` is the integer type of a packed file and empty for text.
    """

    name: str
    kind: Kind
    meaning: str
    levels: tuple[str, ...] = ()
    stored: str = ""

    @property
    def is_factor(self) -> bool:
        """Whether the values are labels of levels."""
        return self.kind in ("factor", "ordered")


@dataclass(frozen=True, slots=True)
class Dataset:
    """The record of one data set; prints as a short description with source and licence."""

    name: str
    title: str
    rows: int
    file: str
    source: str
    licence: str
    note: str
    columns: tuple[Column, ...]

    def __str__(self) -> str:
        width = max(len(column.name) for column in self.columns)
        lines = [f"{self.name}: {self.title}", f"{self.rows} rows", ""]
        lines += [f"  {each.name:<{width}}  {_kind_text(each)}  {each.meaning}" for each in self.columns]
        lines += ["", f"Source: {self.source}", f"Licence: {self.licence}"]
        return "\n".join([*lines, f"Note: {self.note}"] if self.note else lines)


def _kind_text(column: Column) -> str:
    text = f"{column.kind}({len(column.levels)})" if column.is_factor else column.kind
    return f"{text:<12}"


def data_folder() -> Traversable:
    """Return the folder of the packaged data files."""
    return files(__package__) / "data"


def names() -> list[str]:
    """Return the names that `load` knows, in alphabetical order.

    Examples
    --------
    >>> "sleepstudy" in names()
    True
    """
    present = (entry.name for entry in data_folder().iterdir())
    return sorted(name.removesuffix(".json") for name in present if name.endswith(".json"))


def describe(name: str) -> Dataset:
    """Return the record of a data set: title, columns with levels, source, licence.

    Examples
    --------
    >>> print(describe("rail"))
    rail: Travel time of an ultrasonic wave in six railway rails, three tests each
    18 rows
    <BLANKLINE>
      Rail    factor(6)     rail
      travel  number        travel time minus 36100, nanoseconds
    <BLANKLINE>
    Source: Devore (2000)...
    """
    key = name.strip().lower() if isinstance(name, str) else ""
    known = names()
    if key not in known:
        near = suggest(str(name), known)
        raise SpecError(f"unknown data set {name!r}.{near} Available: {', '.join(known)}.")
    record = json.loads((data_folder() / f"{key}.json").read_text(encoding="utf-8"))
    columns = tuple(
        Column(
            name=column["name"],
            kind=column["kind"],
            meaning=column["meaning"],
            levels=tuple(column.get("levels", ())),
            stored=column.get("stored", ""),
        )
        for column in record.pop("columns")
    )
    return Dataset(**record, columns=columns)
