"""ESTIMATE, CONTRAST, LSMEANS, LSMESTIMATE and SLICE as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import option_tables as tables
from .effects import INTERCEPT, Effect, read_effect, read_effects
from .lex import Kind, Token
from .model_statements import Coefficients, Request, Row
from .options import Option, Options, read_options
from .statements import Reader, Statement

if TYPE_CHECKING:
    from .read_model import ModelReader

MOST_CONTRASTS = 1_000
"""Rows of one CONTRAST, whose test has a matrix as wide as it is high."""


def read_request(owner: ModelReader, statement: Statement, kind: str) -> Request:
    """Return one of the statements that ask for functions of the coefficients."""
    reader = statement.reader()
    if kind in ("lsmeans", "slice"):
        effects = owner.canonical(read_effects(reader, owner.resolve, "/"))
        options = _lsmeans_options(owner, reader, kind)
        if kind == "slice" and "sliceby" not in options:
            statement.fail("SLICE takes sliceby=: slice a*b / sliceby=b diff;")
        return Request(kind, statement, options, effects=effects)
    if kind == "lsmestimate":
        effect = owner.canonical([read_effect(reader, owner.resolve)])[0]
        rows = _comma_rows(owner, reader, effect)
        options = _lsmeans_options(owner, reader, kind)
        return Request(kind, statement, options, rows=rows, effects=(effect,))
    if kind == "contrast":
        label = _label(reader) or statement.fail("CONTRAST begins with a label in quotes.")
        listed = [_row(owner, reader)]
        while reader.take_mark(","):
            listed.append(_row(owner, reader))
            if len(listed) > MOST_CONTRASTS:
                statement.fail(f"CONTRAST tests at most {MOST_CONTRASTS:,} rows together.")
        reader.take_mark("/")
        return Request(
            kind,
            statement,
            read_options(reader, tables.CONTRAST, tables.ESTIMATE_REFUSED, "CONTRAST"),
            label,
            tuple(listed),
        )
    return _estimate(owner, reader, statement)


def _estimate(owner: ModelReader, reader: Reader, statement: Statement) -> Request:
    rows: list[Row] = []
    label = _label(reader)
    if not label:
        statement.fail("ESTIMATE begins with a label in quotes.")
    first = label
    while True:
        row = _row(owner, reader)
        rows.append(Row(row.fixed, row.random, label or f"Row {len(rows) + 1}"))
        if not reader.take_mark(","):
            break
        label = _label(reader)
    reader.take_mark("/")
    options = read_options(reader, tables.ESTIMATE, tables.ESTIMATE_REFUSED, "ESTIMATE")
    if len(rows) > 1 and owner.model.procedure != "glimmix":
        statement.fail("ESTIMATE takes one row here; several belong to CONTRAST, or to PROC GLIMMIX.")
    return Request("estimate", statement, options, first, tuple(rows))


def _label(reader: Reader) -> str:
    token = reader.peek()
    if token is None or token.kind is not Kind.TEXT:
        return ""
    reader.next()
    return token.text.strip() or " "


def _row(owner: ModelReader, reader: Reader) -> Row:
    """Read `intercept 1 a 1 -1 a*b [1, 1 2] | block 1 …` up to a comma or the options."""
    sides: tuple[list[Coefficients], list[Coefficients]] = ([], [])
    random = False
    while reader and not reader.is_mark(",", "/"):
        if reader.take_mark("|"):
            random = True
            continue
        token = reader.peek()
        assert token is not None
        effect = read_effect(reader, owner.effect)
        effect = INTERCEPT if effect.variables == ("Intercept",) else effect
        sides[random].append(_coefficients(reader, effect, token))
    if not any(sides):
        reader.fail("coefficients are expected here.")
    return Row(tuple(sides[0]), tuple(sides[1]))


def _coefficients(reader: Reader, effect: Effect, token: Token) -> Coefficients:
    if reader.is_mark("["):
        entries = []
        while reader.is_mark("["):
            entries.append(_entry(reader))
            reader.take_mark(",") if _bracket_follows(reader) else None
        return Coefficients(effect, token, entries=tuple(entries))
    values = []
    while reader.is_number() or reader.is_mark("."):
        values.append(_fraction(reader))
    if not values:
        reader.fail(f"coefficients of {effect} are expected here.", reader.peek() or token)
    return Coefficients(effect, token, tuple(values))


def _fraction(reader: Reader) -> float:
    return reader.signed()


def _bracket_follows(reader: Reader) -> bool:
    after = reader.peek(1)
    return reader.is_mark(",") and after is not None and after.is_mark("[")


def _entry(reader: Reader) -> tuple[float, tuple[int, ...]]:
    """Read `[weight, i j]`, places of levels."""
    opened = reader.mark("[")
    weight = reader.signed("a weight")
    reader.take_mark(",")
    places = []
    while reader and not reader.is_mark("]"):
        token = reader.next()
        if token.kind is not Kind.NUMBER or not token.text.isdecimal():
            reader.fail("places of levels are whole numbers: [1, 2 3].", token)
        places.append(int(token.text[:9]))
        reader.take_mark(",")
    if not reader.take_mark("]"):
        reader.fail("this bracket is not closed.", opened)
    return weight, tuple(places)


def _comma_rows(owner: ModelReader, reader: Reader, effect: Effect) -> tuple[Row, ...]:
    """Read the rows of LSMESTIMATE, each with a label or without."""
    rows: list[Row] = []
    while True:
        label = _label(reader)
        token = reader.peek()
        if token is None:
            reader.fail("coefficients of least squares means are expected here.")
        rows.append(Row((_coefficients(reader, effect, token),), (), label or f"Row {len(rows) + 1}"))
        if not reader.take_mark(","):
            break
    return tuple(rows)


def _lsmeans_options(owner: ModelReader, reader: Reader, kind: str) -> Options:
    """Read the options of LSMEANS; `at` and `slice=` have forms of their own."""
    known = {"lsmeans": tables.LSMEANS, "lsmestimate": tables.LSMESTIMATE, "slice": tables.SLICE}[kind]
    refused = tables.LSMEANS_REFUSED
    if reader and not reader.take_mark("/"):
        reader.fail("an effect, or '/' before options, is expected here.")
    out = Options()
    while reader:
        begin = reader.at
        if reader.take_word("at"):
            out["at"] = Option("at", reader.tokens[begin], reader, tuple(_at(reader)))
            continue
        stop = next((i for i in range(begin, len(reader.tokens)) if _is_at(reader, i)), len(reader.tokens))
        part = Reader(reader.program, reader.tokens[:stop], begin)
        out.update(read_options(part, known, refused, kind.upper()))
        reader.at = stop
    return out


def _is_at(reader: Reader, place: int) -> bool:
    """Return whether the option `at` stands at a place: the word, not a value."""
    before = reader.tokens[place - 1] if place else None
    return reader.tokens[place].word == "at" and not (before is not None and before.is_mark("=", "("))


def _at(reader: Reader) -> list[Token]:
    """Return the tokens of `at means`, `at x=3` or `at (x z)=(1 2)`."""
    begin = reader.at
    if reader.is_word("means", "mean"):
        reader.next()
    elif reader.is_mark("("):
        reader.group()
        reader.mark("=")
        reader.group()
    else:
        reader.name("a covariate")
        reader.mark("=")
        if not reader.take_word("means", "mean"):
            reader.signed()
    return list(reader.tokens[begin : reader.at])
