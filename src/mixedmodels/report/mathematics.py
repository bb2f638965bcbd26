"""A model as MathML, which browsers show without any library."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from ..fit import Fit
from ..formats import format_number
from ..terms.design import RandomTerm
from ..typing import Array

MOST_TERMS = 8
"""Columns up to which the linear predictor is written out."""
MOST_ROWS = 5
LETTERS = "jklmnopq"
WIDE, NARROW = "<mspace width='1em'/>", "<mspace width='0.3em'/>"


def model_mathematics(fit: Fit) -> list[str]:
    """Return the equations of a model as MathML blocks: the mean, the random effects, the errors."""
    name = fit.spec.response.strip("`")
    response = row(sub(text(name), letter("i")))
    predictor = _predictor(fit)
    blocks = [_mean(fit, response, predictor)]
    for k, term in enumerate(fit.design.random):
        blocks += _effects(fit, k, term)
    if fit.distribution is None or fit.spec.residual is not None or fit.spec.variance:
        blocks.append(_errors(fit))
    return [block(inner) for inner in blocks]


def block(inner: str) -> str:
    """Return one displayed equation."""
    return f'<math display="block" xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{inner}</mrow></math>'


def letter(name: str) -> str:
    """Return an identifier."""
    return f"<mi>{html.escape(name)}</mi>"


def text(words: str) -> str:
    """Return words of the data."""
    return f"<mtext>{html.escape(words)}</mtext>"


def sign(mark: str) -> str:
    """Return an operator."""
    return f"<mo>{html.escape(mark)}</mo>"


def number(value: float) -> str:
    """Return a number."""
    return f"<mn>{html.escape(format_number(value, 4))}</mn>"


def sub(base: str, below: str) -> str:
    """Return a base with an index."""
    return f"<msub>{base}<mrow>{below}</mrow></msub>"


def row(*parts: str) -> str:
    """Return parts side by side."""
    return f"<mrow>{''.join(parts)}</mrow>"


def matrix(values: Array) -> str:
    """Return a matrix of numbers in brackets, abridged where it is large."""
    shown = values[:MOST_ROWS, :MOST_ROWS]
    cut = len(values) > MOST_ROWS
    lines = []
    for line in shown:
        cells = "".join(f"<mtd>{number(float(value))}</mtd>" for value in line) + (
            "<mtd><mo>⋯</mo></mtd>" if cut else ""
        )
        lines.append(f"<mtr>{cells}</mtr>")
    if cut:
        lines.append("<mtr>" + "<mtd><mo>⋮</mo></mtd>" * (MOST_ROWS + 1) + "</mtr>")
    return row(sign("["), f"<mtable>{''.join(lines)}</mtable>", sign("]"))


def _mean(fit: Fit, response: str, predictor: str) -> str:
    known = fit.distribution
    if known is None:
        return row(response, sign("="), predictor, sign("+"), sub(letter("e"), letter("i")))
    family = fit.family.replace("_", " ")
    mean = sub(letter("μ"), letter("i"))
    given = row(response, sign("∣"), letter("b"), sign("∼"), text(family), sign("("), mean, sign(")"))
    link = "g" if known.link is None else known.link.name
    return row(
        given,
        sign(","),
        WIDE,
        text(link),
        sign("("),
        mean,
        sign(")"),
        sign("="),
        predictor,
    )


def _predictor(fit: Fit) -> str:
    parts: list[str] = []
    columns = fit.design.fixed.columns
    offset = fit._work.rows().offset is not None
    if len(columns) <= MOST_TERMS:
        for k, column in enumerate(columns):
            factor = "" if column == "(Intercept)" else row(NARROW, sub(text(column), letter("i")))
            parts.append(row(sub(letter("β"), f"<mn>{k + 1}</mn>"), factor))
    else:
        parts.append(row(f"<msubsup>{letter('x')}{letter('i')}<mo>⊤</mo></msubsup>", letter("β")))
    for k, term in enumerate(fit.design.random):
        parts += _random_parts(k, term)
    if offset:
        parts.insert(0, sub(text("offset"), letter("i")))
    return sign("+").join(parts) or "<mn>0</mn>"


def _index(k: int) -> str:
    return LETTERS[k % len(LETTERS)]


def _random_parts(k: int, term: RandomTerm) -> list[str]:
    if term.smooth or term.penalised:
        return [row(sub(letter("f"), f"<mn>{k + 1}</mn>"), sign("("), text(term.label), sign(")"))]
    level = row(letter(_index(k)), sign("("), letter("i"), sign(")"))
    if len(term.columns) > MOST_TERMS:
        return [row(f"<msubsup>{letter('z')}{letter('i')}<mo>⊤</mo></msubsup>", sub(letter("b"), level))]
    out = []
    for c, column in enumerate(term.columns):
        name = sub(letter("b"), row(f"<mn>{c + 1}</mn>", sign(","), level))
        out.append(name if column == "(Intercept)" else row(name, NARROW, sub(text(column), letter("i"))))
    return out


def _effects(fit: Fit, k: int, term: RandomTerm) -> list[str]:
    if term.smooth or term.penalised:
        return []
    out = []
    for s, label in enumerate(term.set_labels):
        sigma = fit.covariances[k][s]
        known = term.known is not None
        left = sub(letter("b"), letter(_index(k))) if not known else letter("b")
        value = number(float(sigma[0, 0])) if len(sigma) == 1 else matrix(np.asarray(sigma))
        spread = row(letter("K"), sign("⊗"), value) if known else value
        of = f"{term.group} ({label})" if label else term.group
        spread = row(letter("N"), sign("("), "<mn>0</mn>", sign(","), spread, sign(")"), sign(","), WIDE)
        levels = row(letter(_index(k)), sign("="), _count(term.n_levels), NARROW, text(of))
        out.append(row(left, sign("∼"), spread, levels))
    return out


def _count(levels: int) -> str:
    return row("<mn>1</mn>", sign("…"), f"<mn>{levels}</mn>")


def _errors(fit: Fit) -> str:
    error = sub(letter("e"), letter("i"))
    if fit.design.residual is None:
        spread = number(fit.sigma2)
        if fit.design.weighted:
            spread = row(spread, sign("/"), sub(letter("w"), letter("i")))
        return row(
            error, sign("∼"), letter("N"), sign("("), "<mn>0</mn>", sign(","), spread, sign(")"), _alone()
        )
    asked: Sequence[str] = [
        *([str(fit.spec.residual)] if fit.spec.residual else []),
        *map(str, fit.spec.variance),
    ]
    return row(
        letter("e"), sign("∼"), letter("N"), sign("("), "<mn>0</mn>", sign(","), letter("R"), sign(")"), sign(","),
        WIDE, letter("R"), sign(":"), NARROW, text(" * ".join(asked)),
    )  # fmt: skip


def _alone() -> str:
    return row(sign(","), WIDE, text("independent"))
