"""G, R and V as SAS prints them."""

from __future__ import annotations

from typing import Any

from ...labelled import LabelledMatrix
from .data_set import level_text
from .effects import Effect
from .factors import crossed
from .fitting import Fitted
from .options import Option
from .overview import matrix_table
from .requests import Made


def side_matrices(found: Fitted) -> Made:
    """Return the matrices that RANDOM and REPEATED ask for."""
    made: Made = []
    model, fit = found.model, found.fit
    for k, (_, statement, _) in enumerate(found.asked.random):
        term = fit.design.random[k]
        for name, correlation in (("g", False), ("gcorr", True)):
            if statement.options.has(name):
                for label in term.set_labels:
                    matrix = fit.random_cov(term.label, by=label or None, correlation=correlation)
                    title = "Estimated G Correlation Matrix" if correlation else "Estimated G Matrix"
                    shown = matrix_table(
                        found, matrix, f"{title} for {term.label}{f' {label}' if label else ''}"
                    )
                    made.append(("GCorr" if correlation else "G", shown))
        made += _by_subject(
            found, statement.options, statement.subject, ("v", "vcorr"), fit.marginal_cov, "V"
        )
    if model.repeated is not None:
        own = model.repeated
        made += _by_subject(found, own.options, own.subject, ("r", "rcorr"), fit.residual_cov, "R")
    return _numbered(made)


def _numbered(made: Made) -> Made:
    """Return tables with names of their own: a second G is G2."""
    seen: dict[str, int] = {}
    out: Made = []
    for name, one in made:
        seen[name] = seen.get(name, 0) + 1
        out.append((name if seen[name] == 1 else f"{name}{seen[name]}", one))
    return out


def _by_subject(
    found: Fitted, options: Any, subject: Effect | None, names: tuple[str, str], tool: Any, letter: str
) -> Made:
    made: Made = []
    for name in names:
        if name not in options:
            continue
        correlation = name.endswith("corr")
        for label in _subjects(found, subject, options[name]):
            matrix: LabelledMatrix = tool(label, correlation=correlation)
            kind = f"{letter} Correlation Matrix" if correlation else f"{letter} Matrix"
            where = f" for {matrix.title.rpartition(' of ')[2]}"
            made.append(
                (
                    f"{letter}{'Corr' if correlation else ''}",
                    matrix_table(found, matrix, f"Estimated {kind}{where}"),
                )
            )
    return made


def _subjects(found: Fitted, subject: Effect | None, option: Option) -> list[str | None]:
    """Return the labels of the subjects that `r=1,3` counts, in order of their levels."""
    if subject is None:
        return [None]
    names = (*subject.nested, *dict.fromkeys(subject.crossed))
    if len(names) > 1:
        used = [v for v in dict.fromkeys(crossed(found.asked.data, names).tolist()) if v]
        labels = [one.replace(" ", ":") for one in used]
    else:
        labels = [level_text(level) for level in found.asked.factors[names[0]]]
    places = [int(k) for k in option.numbers()] if option.value else [1]
    if any(not 1 <= k <= len(labels) for k in places):
        option.fail(f"subjects are counted from 1 to {len(labels)}.")
    return [labels[k - 1] for k in places]
