"""A summary as aligned text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ..table import Table

WIDTH = 96


def summary_text(
    title: str, facts: Sequence[tuple[str, str]], tables: Sequence[Table], notes: Sequence[str]
) -> str:
    """Return the parts of a summary as text for a terminal, about 96 columns wide."""
    parts = [title, _facts_text(facts), *(indented(table) for table in tables)]
    if notes:
        parts.append("\n".join(_note_text(note) for note in notes))
    return "\n\n".join(part for part in parts if part)


def indented(table: Table) -> str:
    """Return a table under its title, its lines moved in by two columns."""
    title, text = table.title, Table(table.columns, formats=table.formats).to_text()
    lines = [f"  {line}" for line in text.splitlines()]
    return "\n".join([title, *lines] if title else lines)


def _facts_text(facts: Sequence[tuple[str, str]]) -> str:
    width = max((len(label) for label, _ in facts), default=0)
    lines = []
    for label, sentence in facts:
        hanging = " " * (width + 4)
        wrapped = textwrap.wrap(sentence, WIDTH - width - 4, break_long_words=False) or [""]
        lines.append(f"  {label.ljust(width)}  {wrapped[0]}")
        lines.extend(hanging + line for line in wrapped[1:])
    return "\n".join(lines)


def _note_text(note: str) -> str:
    return textwrap.fill(note, WIDTH, break_long_words=False, subsequent_indent="  ")
