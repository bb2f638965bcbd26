"""INPUT: lines of data read by list, by column and by format."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from .lex import Kind, Token
from .statements import Reader

MISSING = math.nan
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?")
_FORMAT = re.compile(r"(\$?)([a-z_]*)(\d*)\.(\d*)", re.IGNORECASE)
PLAIN_LENGTH = 8


class EndOfData(Exception):
    """No line is left."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing INPUT does: read a variable, or move the pointer.

    `kind` is one of `"list" "column" "format" "at" "skip" "next" "hold" "hold2"`; `first` and `last` are columns,
    `last` the width of a format.
    """

    kind: str
    key: str = ""
    text: bool = False
    first: int = 0
    last: int = 0
    decimals: int = 0
    blanks: bool = False


@dataclass(slots=True)
class Lines:
    """Lines of data with a pointer; how they are cut is said by INFILE."""

    lines: list[str]
    at: int = -1
    column: int = 0
    held: bool = False
    delimiters: str = " \t"
    dsd: bool = False
    flow: bool = True
    notes: list[str] = field(default_factory=list)
    bad: int = 0

    @property
    def line(self) -> str:
        return self.lines[self.at]

    def advance(self) -> None:
        """Go to the next line; `EndOfData` where there is none."""
        self.at += 1
        self.column = 0
        while self.at < len(self.lines) and not self.lines[self.at].strip() and self.dsd:
            self.at += 1
        if self.at >= len(self.lines):
            raise EndOfData

    def begin(self) -> None:
        """Start a record: the line held, or the next one."""
        if not self.held or self._exhausted():
            self.advance()
        self.held = False

    def _exhausted(self) -> bool:
        return self.at < 0 or not self.line[self.column :].strip(self.delimiters + " ")

    def word(self, blanks: bool = False) -> str:
        """Return the next word; of the next line where this one is done; empty with MISSOVER."""
        if self.dsd:
            return self._separated()
        marks = re.escape(self.delimiters)
        while True:
            skip = re.compile(f"[{marks}]*").match(self.line, self.column)
            begin = self.column if skip is None else skip.end()
            if begin < len(self.line.rstrip("\r\n")):
                break
            if not self.flow:
                self.column = len(self.line)
                return ""
            self.advance()
        pattern = rf"[^{marks}]+(?: [^{marks}]+)*" if blanks else f"[^{marks}]+"
        found = re.compile(pattern).match(self.line, begin)
        assert found is not None
        self.column = found.end()
        return found.group().strip()

    def _separated(self) -> str:
        """Return what stands before the next delimiter, quotes around it removed."""
        if self.column > len(self.line):
            if not self.flow:
                return ""
            self.advance()
        quoted = re.compile(r'\s*"((?:[^"]|"")*)"\s*').match(self.line, self.column)
        if quoted:
            self.column = quoted.end() + 1
            return quoted.group(1).replace('""', '"')
        end = min(
            (k for mark in self.delimiters if (k := self.line.find(mark, self.column)) >= 0),
            default=len(self.line),
        )
        word = self.line[self.column : end]
        self.column = end + 1
        return word.strip()

    def number(self, text: str, decimals: int = 0) -> float:
        """Return a number; what is none is missing, and noted."""
        stripped = text.strip().replace(",", "")
        if stripped in ("", ".") or re.fullmatch(r"\.[A-Za-z_]", stripped):
            return MISSING
        if not _NUMBER.fullmatch(stripped):
            self.bad += 1
            if self.bad == 1:
                self.notes.append(
                    f"line {self.at + 1} of the data: {text.strip()!r} is no number, and is missing"
                )
            return MISSING
        value = float(stripped.replace("d", "e").replace("D", "e"))
        return value / 10**decimals if decimals and "." not in stripped else value


def read_items(reader: Reader, lengths: dict[str, int], texts: set[str]) -> list[Item]:
    """Return what an INPUT statement does, the texts among its variables added to `texts` with their lengths."""
    items: list[Item] = []
    while reader:
        token = reader.next()
        if token.is_mark("@"):
            items.append(_pointer(reader))
        elif token.is_mark("+"):
            items.append(Item("skip", first=int(reader.signed("a number of columns"))))
        elif token.is_mark("/"):
            items.append(Item("next"))
        elif token.is_mark("("):
            reader.at -= 1
            items += _grouped(reader, lengths, texts)
        elif token.kind is Kind.NAME:
            items += _variables(reader, token, lengths, texts)
        else:
            reader.fail(f"{token.text!r} in INPUT is not read.", token)
    return items


def _pointer(reader: Reader) -> Item:
    if reader.is_mark("@"):
        reader.next()
        return Item("hold2")
    if not reader:
        return Item("hold")
    token = reader.next()
    if token.kind is not Kind.NUMBER:
        reader.fail("@ takes the number of a column.", token)
    return Item("at", first=int(float(token.text)))


def _names(reader: Reader, first: Token) -> list[str]:
    if not reader.is_mark("-"):
        return [first.text]
    reader.next()
    from .effects import numbered

    return numbered(reader, first, reader.name(), lambda token: token.text)


def _variables(reader: Reader, first: Token, lengths: dict[str, int], texts: set[str]) -> list[Item]:
    names = _names(reader, first)
    blanks = reader.take_mark("&")
    colon = reader.take_mark(":")
    text = reader.take_mark("$")
    token = reader.peek()
    made = Item("list")
    if token is not None and token.kind is Kind.NUMBER and _adjacent_format(reader, text):
        width, decimals = _width(reader.next().text)
        made = Item("list" if colon or blanks else "format", text=text, last=width, decimals=decimals)
    elif token is not None and token.kind is Kind.NUMBER:
        begin = int(float(reader.next().text))
        end = int(reader.signed()) if reader.take_mark("-") else begin
        made = Item("column", text=text, first=begin, last=end)
    elif (
        token is not None
        and token.kind is Kind.NAME
        and (after := reader.peek(1)) is not None
        and after.is_mark(".")
    ):
        reader.fail("formats with names are not read in INPUT; give a width: 8.2 or $12.", token)
    out = []
    for name in names:
        key = name.lower()
        is_text = text or key in texts
        if is_text:
            texts.add(key)
            lengths.setdefault(
                key, made.last - made.first + 1 if made.kind == "column" else made.last or PLAIN_LENGTH
            )
        out.append(Item(made.kind, key, is_text, made.first, made.last, made.decimals, blanks))
    return out


def _adjacent_format(reader: Reader, text: bool) -> bool:
    """Return whether the next number is a format such as `8.2` or `12.`, which has a point."""
    token = reader.peek()
    return token is not None and "." in token.text


def _width(text: str) -> tuple[int, int]:
    whole, _, rest = text.partition(".")
    return int(whole or 0), int(rest or 0)


def _grouped(reader: Reader, lengths: dict[str, int], texts: set[str]) -> list[Item]:
    """Read `(y1-y4) (5.)` or `(a b) ($)`."""
    inner = reader.inner(reader.group())
    names: list[str] = []
    while inner:
        names += _names(inner, inner.name())
    form = reader.inner(reader.group())
    form.take_mark(":")
    text = form.take_mark("$")
    width, decimals = (0, 0)
    if form and (token := form.next()).kind is Kind.NUMBER:
        width, decimals = _width(token.text)
    out = []
    for name in names:
        if text:
            texts.add(name.lower())
            lengths.setdefault(name.lower(), width or PLAIN_LENGTH)
        out.append(Item("format" if width else "list", name.lower(), text, 0, width, decimals))
    return out


def read_record(lines: Lines, items: Sequence[Item]) -> dict[str, float | str]:
    """Return the values that one INPUT statement reads; `EndOfData` where the lines are done."""
    lines.begin()
    out: dict[str, float | str] = {}
    for item in items:
        if item.kind == "list":
            raw = lines.word(item.blanks)
        elif item.kind == "column":
            raw = lines.line[item.first - 1 : item.last]
            lines.column = item.last
        elif item.kind == "format":
            raw = lines.line[lines.column : lines.column + item.last]
            lines.column += item.last
        else:
            _move(lines, item)
            continue
        out[item.key] = (
            ("" if raw.strip() == "." else raw.strip()) if item.text else lines.number(raw, item.decimals)
        )
    if not items or items[-1].kind not in ("hold", "hold2"):
        lines.held = False
    return out


def _move(lines: Lines, item: Item) -> None:
    if item.kind == "at":
        lines.column = max(item.first - 1, 0)
    elif item.kind == "skip":
        lines.column = max(lines.column + item.first, 0)
    elif item.kind == "next":
        lines.advance()
    else:
        lines.held = True


def infile_options(reader: Reader, lines: Lines) -> None:
    """Set how lines are cut as INFILE says; a path is refused."""
    token = reader.next("datalines")
    if token.word not in ("datalines", "cards"):
        _no_file(reader, token)
    while reader:
        option = reader.name("an option of INFILE")
        word = option.word
        if word in ("dlm", "delimiter"):
            reader.mark("=")
            value = reader.next()
            lines.delimiters = "\t" if value.text == "09" else value.text or " "
        elif word == "dsd":
            lines.dsd = True
            lines.delimiters = "," if lines.delimiters == " \t" else lines.delimiters
        elif word in ("missover", "truncover", "stopover"):
            lines.flow = False
        elif word == "firstobs":
            reader.mark("=")
            del lines.lines[: max(int(reader.signed()) - 1, 0)]
        elif word in ("lrecl", "obs"):
            reader.mark("=")
            count = int(reader.signed())
            if word == "obs":
                del lines.lines[max(count, 0) :]
        elif word != "expandtabs":
            reader.fail(f"INFILE has no option {option.text!r} here.", option)


def _no_file(reader: Reader, token: Token) -> NoReturn:
    reader.fail(
        "INFILE: a program opens no file; put the lines after DATALINES, or give data in data=.", token
    )
