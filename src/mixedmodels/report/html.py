"""A summary as HTML, and a page of its own for a whole fit."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from ..errors import SpecError
from ..fit import Fit
from ..table import Table

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; line-height: 1.45; max-width: 62rem; margin: 2.5rem auto;
       padding: 0 1.5rem; color: #1c2430; background: #ffffff; overflow-x: auto; }}
table {{ margin: 0.4rem 0 1rem; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
TITLE_STYLE = "font-weight:600;font-size:1.15em;margin:0 0 6px 0"
LABEL_STYLE = "padding:1px 12px 1px 10px;opacity:0.7;vertical-align:top;text-align:left"
FACT_STYLE = "padding:1px 10px;text-align:left"
NOTE_STYLE = "font-size:0.9em;opacity:0.8;margin:1px 10px"


def summary_html(
    title: str, facts: Sequence[tuple[str, str]], tables: Sequence[Table], notes: Sequence[str]
) -> str:
    """Return the parts of a summary as one HTML element with inline style, for notebooks and pages."""
    rows = "".join(
        f'<tr><td style="{LABEL_STYLE}">{html.escape(label)}</td>'
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


def write_report(fit: Fit, path: str | Path) -> Path:
    """Write one self-contained HTML page about a fit and return where it lies.

    Parameters
    ----------
    path
        File to write, for example `"out.html"`.

    Notes
    -----
    The page holds the summary, standard errors of the variance components, the information criteria of a linear model
    by three conventions, and the random effects (long tables abridged).
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise SpecError(
            f"path={str(path)!r}: the folder {str(target.parent)!r} does not exist; create it first."
        )
    parts = [fit.summary().to_html()]
    if fit.design.random:
        parts.append(fit.variance_components(ci="wald").to_html())
    if fit.distribution is None:
        parts.append(fit.information_criteria().to_html())
    if fit.design.random:
        parts.append(fit.random_effects().to_html(max_rows=200))
    title = f"Mixed model: {html.escape(fit.spec.formula)}"
    target.write_text(PAGE.format(title=title, body="\n".join(parts)), encoding="utf-8")
    return target
