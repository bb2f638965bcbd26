"""Bytes of a text file → its columns' names and rows: encoding, separator and decimal sign as they are found."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

from ..errors import DataError

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
LOOKED_AT = 200
"""Rows in which separators and decimal signs are looked for."""
_COMMA, _POINT = (
    re.compile(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*"),
    re.compile(r"\s*[+-]?\d+\.\d+([eE][+-]?\d+)?\s*"),
)


@dataclass(frozen=True, slots=True)
class TextTable:
    """A delimited text: the header, the rows, and what was found out about their form."""

    name: str
    header: list[str]
    rows: list[list[str]]
    separator: str
    decimal: str
    encoding: str

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know of the form, nothing for UTF-8 with commas."""
        said = []
        if self.encoding not in ("utf-8", "utf-8-sig"):
            said.append(f"encoding {self.encoding}")
        if self.separator != ",":
            said.append(f"separated by {SEPARATORS[self.separator]}")
        if self.decimal != ".":
            said.append("decimal commas")
        return tuple(said)

    def normalised(self) -> str:
        """Return the table as text separated by commas, quoted where needed, decimal points in numbers."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.header)
        if self.decimal == ",":
            writer.writerows([_with_point(field) for field in row] for row in self.rows)
        else:
            writer.writerows(self.rows)
        return out.getvalue()


def read_delimited(content: bytes, name: str, separator: str | None = None) -> TextTable:
    """Return the table in a text file with a header line.

    Parameters
    ----------
    content
        Its bytes: UTF-8, UTF-16 or UTF-32, else taken as Windows-1252 (which Latin-1 is a part of).
    name
        Name of the file, for messages.
    separator
        What separates fields; by default whichever of comma, semicolon, tab, bar and space divides all lines alike.

    Raises
    ------
    DataError
        For an empty file, one that is no text, rows of different lengths, and names of columns that repeat.
    """
    text, encoding = _decode(content, name)
    if not text.strip():
        raise DataError(f"file {name!r} is empty; it needs a header line and rows.")
    chosen = _sniff(text) if separator is None else separator
    try:
        rows = [row for row in _split(text, chosen) if any(field.strip() for field in row) or len(row) > 1]
    except csv.Error as error:
        raise DataError(f"file {name!r} cannot be read as a table: {error}.") from None
    header, body = [field.strip() for field in rows[0]], rows[1:]
    if not body:
        raise DataError(f"file {name!r} has a header line and no rows.")
    if all(len(row) == len(header) + 1 for row in body):
        # R's write.table leaves the column of row names without a name
        header = ["row.names", *header]
    _check_shape(header, body, name, chosen)
    return TextTable(name, header, body, chosen, _decimal(body, chosen), encoding)


def _decode(content: bytes, name: str) -> tuple[str, str]:
    for mark, encoding in BOMS:
        if content.startswith(mark):
            try:
                return content.decode(encoding), encoding
            except UnicodeDecodeError:
                raise DataError(f"file {name!r} starts as {encoding} text and does not go on so.") from None
    half = content[: 4096 - 4096 % 2]
    for zeros, encoding in ((half[1::2], "utf-16-le"), (half[::2], "utf-16-be")):
        if half and zeros.count(0) > 0.7 * len(zeros):
            try:
                return content.decode(encoding), encoding
            except UnicodeDecodeError:
                break
    if b"\0" in content[:4096]:
        raise DataError(
            f"file {name!r} is no text; known are .csv .tsv .txt .parquet .feather .xlsx .sas7bdat .xpt .dta .sav."
        )
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "Windows-1252"


def _split(text: str, separator: str) -> list[list[str]]:
    # a blank separator may stand several times
    lines = io.StringIO(text, newline="")
    return list(csv.reader(lines, delimiter=separator, skipinitialspace=separator == " "))


def _sniff(text: str) -> str:
    """Return the separator by which the most lines have the same number of fields, more than one."""
    sample = "\n".join(line for line in text.splitlines()[:LOOKED_AT] if line.strip())
    best, found = (0.0, 0), ","
    for separator in SEPARATORS:
        try:
            counts = [len(row) for row in _split(sample, separator)[1:] or _split(sample, separator)]
        except csv.Error:
            continue
        usual, times = Counter(counts).most_common(1)[0]
        if usual < 2:
            continue
        # spaces separate words as well: they count only where nothing else does
        score = (0.1 if separator == " " else round(times / len(counts), 2), usual)
        if score > best:
            best, found = score, separator
    return found


def _check_shape(header: list[str], body: list[list[str]], name: str, separator: str) -> None:
    short = next((i for i, row in enumerate(body) if len(row) != len(header)), None)
    if short is not None:
        raise DataError(
            f"file {name!r}: row {short + 1} has {len(body[short])} fields, header {len(header)} (separated by "
            f"{SEPARATORS[separator]}); give every row as many, and quote fields that hold a separator."
        )
    twice = next((column for column, count in Counter(header).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"file {name!r}: the header names {twice!r} twice; rename one of them.")


def _decimal(body: list[list[str]], separator: str) -> str:
    if separator == ",":
        return "."
    fields = [field for row in body[:LOOKED_AT] for field in row]
    commas = sum(_COMMA.fullmatch(field) is not None for field in fields)
    return "," if commas and not any(_POINT.fullmatch(field) for field in fields) else "."


def _with_point(field: str) -> str:
    return field.replace(",", ".") if _COMMA.fullmatch(field) else field
