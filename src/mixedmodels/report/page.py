"""One self-contained page about a fit: words, mathematics, tables, figures, checks, methods."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import MixedModelsError, SpecError, carried_through
from ..fit import Fit
from ..tools import FitTools
from .about import version
from .drawing import later, scripts
from .interactive import HEIGHT, has_bokeh, interactive_figures, library
from .mathematics import model_mathematics
from .methods import methods_paragraph
from .page_style import PAGE
from .static_figures import static_figures
from .summary import affordable
from .words import model_words

MOST_EFFECTS = 200
"""Rows of the table of random effects; longer ones are abridged."""
MOST_TRIED = 20_000
"""Rows up to which what the checks suggest is tried by refits."""
PROGRAMS = {
    "to_lme4": "lme4 (R)", "to_nlme": "nlme (R)", "to_glmmtmb": "glmmTMB (R)", "to_sas": "SAS",
}  # fmt: skip
VERDICTS = {"ok": "ok", "look": "look", "problem": "problem"}


def write_report(
    fit: Fit,
    path: str | Path,
    *,
    title: str | None = None,
    interactive: bool | None = None,
    checks: bool = True,
) -> Path:
    """Write one self-contained HTML page about a fit and return where it lies.

    Parameters
    ----------
    path
        File to write, for example `"out.html"`.
    title
        Heading of the page; by default the formula.
    interactive
        Figures that answer to the mouse, drawn by bokeh, which is written into the page; by default where it is
        installed. False: still ones by matplotlib.
    checks
        Whether to run `fit.check()`.

    Raises
    ------
    SpecError
        For a folder that does not exist, or `interactive=True` without bokeh.

    Notes
    -----
    The page needs no network: the model in words, in mathematics (MathML) and as text for lme4, nlme, glmmTMB and SAS,
    the tables, figures of up to 4,000 rows and 300 subjects sampled from larger data, checks with their verdicts, and a
    paragraph for the methods section with its references. A part that cannot be had says why.

    Examples
    --------
    >>> import mixedmodels as mm, tempfile
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> page = fit.report(Path(tempfile.mkdtemp()) / "rail.html", interactive=False)
    >>> page.read_text(encoding="utf-8").count("<h2")
    7
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise SpecError(
            f"path={str(path)!r}: the folder {str(target.parent)!r} does not exist; create it first."
        )
    if interactive and not has_bokeh():
        raise SpecError(
            "interactive=True needs bokeh: `pip install 'mixedmodels[report]'`, or ask interactive=False."
        )
    drawn = has_bokeh() if interactive is None else interactive
    sections, code = _sections(fit, drawn, interactive is None and not drawn, checks)
    heading = title or f"Report: {fit.spec.formula}"
    contents = "".join(f'<li><a href="#{key}">{html.escape(name)}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="h-{key}"><h2 id="h-{key}">{html.escape(name)}</h2>{inner}</section>'
        for key, name, inner in sections
    )
    page = PAGE.replace("{title}", html.escape(heading)).replace("{version}", version())
    page = page.replace("{contents}", contents).replace("{body}", body).replace("{scripts}", code)
    target.write_text(page, encoding="utf-8")
    return target


def _sections(fit: Fit, drawn: bool, missing: bool, checks: bool) -> tuple[list[tuple[str, str, str]], str]:
    """Return the sections as (id, heading, HTML), and the scripts of the figures."""
    figures, code = _interactive(fit) if drawn else (_still(fit, missing), "")
    sections = [
        ("model", "The model", _model(fit)),
        ("results", "Results", _results(fit)),
        ("figures", "Figures", figures),
    ]
    if checks:
        sections.append(("checks", "Checks", _part(lambda: _checks(fit))))
    sections.append(("programs", "In other programs", _programs(fit)))
    sections.append(("methods", "Methods paragraph", _part(lambda: _methods(fit))))
    if fit.design.random:
        sections.append(("effects", "Random effects", _part(lambda: _effects(fit))))
    return sections, code


def _part(make: Callable[[], str]) -> str:
    """Return a part of the page, or the reason why it cannot be had."""
    try:
        with carried_through("this part of the report"):
            return make()
    except MixedModelsError as error:
        return f'<p class="missing">Cannot be had here: {html.escape(str(error))}</p>'


def _model(fit: Fit) -> str:
    words = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in model_words(fit))
    equations = _part(lambda: "".join(model_mathematics(fit)))
    return (
        f'<p class="formula"><code>{html.escape(fit.spec.formula)}</code></p><ul>{words}</ul>'
        f'<div class="mathematics" role="group" aria-label="The model in mathematics">{equations}</div>'
    )


def _results(fit: Fit) -> str:
    parts = [_part(lambda: str(fit.summary().to_html()))]
    if fit.design.fixed.columns:
        parts.append(_part(lambda: _titled(fit.anova(ddf=affordable(fit)), "Tests of terms")))
    if fit.design.random or fit.design.residual is not None:
        parts.append(
            _part(
                lambda: _titled(fit.variance_components(ci="wald"), "Variance components with 95% intervals")
            )
        )
    if fit.distribution is None:
        parts.append(
            _part(lambda: _titled(fit.information_criteria(), "Information criteria by three conventions"))
        )
    return "".join(parts)


def _titled(table: Any, title: str) -> str:
    return f"<h3>{html.escape(title)}</h3>{table.to_html()}"


def _effects(fit: Fit) -> str:
    table = fit.random_effects()
    note = f", {MOST_EFFECTS} rows of {len(table):,}" if len(table) > MOST_EFFECTS else ""
    return f"<details><summary>Predicted random effects{note}</summary>{table.to_html(max_rows=MOST_EFFECTS)}</details>"


def _interactive(fit: Fit) -> tuple[str, str]:
    figures, reasons = interactive_figures(fit)
    if not figures:
        return _reasons(reasons), ""
    code, version = library()
    parts = [
        f'<figure role="group" aria-label="{html.escape(figure.title + ". " + figure.text, quote=True)}">'
        f"<h3>{html.escape(figure.title)}</h3>{later(figure.layout, f'figure-{k}', HEIGHT)}"
        f"<figcaption>{html.escape(figure.text)}</figcaption></figure>"
        for k, figure in enumerate(figures)
    ]
    intro = (
        "<p>Hover over a point to read its values; drag and zoom with the tools at the right of a figure; the boxes "
        f"above it hide and show groups. Drawn by bokeh {version}, which is part of this file.</p>"
    )
    return intro + "".join(parts) + _reasons(reasons), scripts(code)


def _still(fit: Fit, missing: bool) -> str:
    why = "<p>Figures are still: <code>pip install 'mixedmodels[report]'</code> makes them answer to the mouse.</p>"
    figures, reasons = static_figures(fit)
    parts = [
        f'<figure><h3>{html.escape(title)}</h3><img alt="{html.escape(text, quote=True)}" src="{source}">'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for title, text, source in figures
    ]
    return (why if missing else "") + "".join(parts) + _reasons(reasons)


def _reasons(reasons: list[str]) -> str:
    return "".join(f'<p class="missing">A figure is missing: {html.escape(reason)}</p>' for reason in reasons)


def _checks(fit: Fit) -> str:
    tried = fit.nobs <= MOST_TRIED
    table = fit.check(refit=tried)
    rows = []
    for i in range(len(table)):
        found = table.row(i)
        verdict = VERDICTS.get(str(found["verdict"]), "look")
        suggestion = str(found.get("suggestion") or "")
        rows.append(
            f'<tr><th scope="row">{html.escape(str(found["check"]))}</th>'
            f'<td><span class="verdict {verdict}">{html.escape(str(found["verdict"]))}</span></td>'
            f"<td>{html.escape(str(found['evidence'] or ''))}</td><td>{html.escape(suggestion)}</td></tr>"
        )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("check", "verdict", "evidence", "what to try"))
    notes = "".join(f"<p>{html.escape(note[0].upper() + note[1:])}.</p>" for note in table.notes)
    if not tried:
        notes += (
            f"<p>Above {MOST_TRIED:,} rows suggestions are not tried by refits; fit.check() does that.</p>"
        )
    return (
        f'<table class="checks"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>{notes}'
    )


def _programs(fit: Fit) -> str:
    parts = []
    for tool, name in PROGRAMS.items():
        if not hasattr(FitTools, tool):
            continue
        try:
            with carried_through(tool):
                said = f"<pre><code>{html.escape(str(getattr(fit, tool)()))}</code></pre>"
        except MixedModelsError as error:
            said = f'<p class="missing">{html.escape(str(error))}</p>'
        parts.append(f"<h3>{name}</h3>{said}")
    return "".join(parts)


def _methods(fit: Fit) -> str:
    paragraph, references = methods_paragraph(fit, affordable(fit))
    listed = "".join(f"<li>{html.escape(reference)}</li>" for reference in references)
    return f'<blockquote id="paragraph">{html.escape(paragraph)}</blockquote><h3>References</h3><ul>{listed}</ul>'
