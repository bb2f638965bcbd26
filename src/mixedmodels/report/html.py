"""A summary as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

from ..table import Table

TITLE_STYLE = "font-weight:600;font-size:1.15em;margin:0 0 6px 0"
LABEL_STYLE = "font-weight:normal;padding:1px 12px 1px 10px;opacity:0.7;vertical-align:top;text-align:left"
FACT_STYLE = "padding:1px 10px;text-align:left"
NOTE_STYLE = "font-size:0.9em;opacity:0.8;margin:1px 10px"


def summary_html(
    title: str, facts: Sequence[tuple[str, str]], tables: Sequence[Table], notes: Sequence[str]
) -> str:
    """Return the parts of a summary as one HTML element with inline style, for notebooks and pages."""
    rows = "".join(
        f'<tr><th scope="row" style="{LABEL_STYLE}">{html.escape(label)}</th>'
        f'<td style="{FACT_STYLE}">{html.escape(sentence)}</td></tr>'
        for label, sentence in facts
    )
    parts = [
        f'<div style="{TITLE_STYLE}">{html.escape(title)}</div>',
        f'<table style="border-collapse:collapse">{rows}</table>',
        *(f'<div style="margin:10px 0">{table.to_html()}</div>' for table in tables),
        *(f'<div style="{NOTE_STYLE}">{html.escape(note)}</div>' for note in notes),
    ]
    return f"<div>{''.join(parts)}</div>"
