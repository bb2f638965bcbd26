"""A summary for documents: Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from ..table import Table, latex_text, markdown_text


def summary_markdown(
    title: str, facts: Sequence[tuple[str, str]], tables: Sequence[Table], notes: Sequence[str]
) -> str:
    """Return the parts of a summary in Markdown."""
    listed = "\n".join(f"* {markdown_text(label)}: {markdown_text(sentence)}" for label, sentence in facts)
    parts = [f"### {markdown_text(title)}", listed, *(table.to_markdown() for table in tables)]
    return "\n\n".join([*parts, *(markdown_text(note) for note in notes)])


def summary_latex(
    title: str, facts: Sequence[tuple[str, str]], tables: Sequence[Table], notes: Sequence[str]
) -> str:
    """Return the parts of a summary in LaTeX, to be set with the package booktabs."""
    rows = [f"  \\item[{latex_text(label)}] {latex_text(sentence)}" for label, sentence in facts]
    listed = "\n".join(["\\begin{description}", *rows, "\\end{description}"])
    shown = [f"{_paragraph(table.title)}{table.to_latex()}" for table in tables]
    parts = [f"\\paragraph{{{latex_text(title)}}}", listed, *shown]
    return "\n\n".join([*parts, *(latex_text(note) for note in notes)])


def _paragraph(title: str) -> str:
    return f"\\noindent {latex_text(title)}\\\\[2pt]\n" if title else ""
