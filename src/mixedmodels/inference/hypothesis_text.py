"""Hypotheses as text: `"2*x1 - x2 = 1"`, over the names of coefficients as they are printed or in back-ticks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ..errors import SpecError, suggest
from ..syntax.algebra import column_label
from ..syntax.functions import MOST_CHARACTERS
from ..typing import Array

_QUOTED = re.compile(r"`((?:``|[^`])+)`")
_NAME = "\0"
"""Stands on both sides of the number of a coefficient, so that no sign or bracket inside its name is read."""
_NUMBERED = re.compile(r"\0(\d+)\0")
_INEQUALITY = re.compile(r"[<>≤≥≠]|!=")


def split_hypotheses(text: str, columns: Sequence[str]) -> list[str]:
    """Return the hypotheses between commas outside brackets and names."""
    return [_unmasked(part, columns) for part in _split_top(_masked(text, columns), ",")]


def read_hypothesis(text: str, columns: Sequence[str]) -> tuple[Array, float, str]:
    """Return the coefficients (p,) of a linear hypothesis, the value they are compared with, and its label.

    Examples
    --------
    >>> read_hypothesis("2*`body weight` - x = 1", ["x", "body weight"])[:2]
    (array([-1.,  2.]), 1.0)
    """
    masked = _masked(text, columns)
    if _INEQUALITY.search(masked):
        raise SpecError(
            f"test: {text!r} is an inequality; tests are of equalities, as in 'x = 0'. For a one-sided p-value "
            "halve that of the t test, joint=False, where the estimate lies on the side meant."
        )
    sides = _split_top(masked, "=")
    if len(sides) > 2:
        raise SpecError(f"test: {text!r} has more than one '='; separate hypotheses by commas.")
    if not all(side.strip() for side in sides):
        raise SpecError(f"test: nothing stands on one side of '=' in {text!r}; write for example 'x = 0'.")
    row, value = np.zeros(len(columns)), 0.0
    for side, sign in zip(sides, (1.0, -1.0), strict=False):
        for term, factor in _terms(side, columns):
            if term is None:
                value -= sign * factor
            else:
                row[term] += sign * factor
    if not row.any():
        raise SpecError(f"test: {text!r} names no coefficient. Columns: {', '.join(columns)}.")
    return row, value, text.strip()


def find_coefficient(name: str, columns: Sequence[str]) -> int:
    """Return the place of a coefficient; the factors of a product may stand in another order."""
    places = {_plain(column): j for j, column in reversed(list(enumerate(columns)))}
    wanted = _plain(name.strip())
    if wanted in places:
        return places[wanted]
    if column_label(name.strip()) in columns:
        return list(columns).index(column_label(name.strip()))
    swapped = {frozenset(column.split(":")): j for column, j in places.items()}
    if frozenset(wanted.split(":")) in swapped:
        return swapped[frozenset(wanted.split(":"))]
    raise SpecError(f"test: no coefficient {name!r}.{suggest(name, columns)} Columns: {', '.join(columns)}.")


def _plain(text: str) -> str:
    """Return text with back-ticked names as they are printed."""
    return _QUOTED.sub(lambda found: column_label(found.group(1).replace("``", "`")), text)


def _masked(text: str, columns: Sequence[str]) -> str:
    """Return text with every name of a coefficient replaced by its number."""
    if len(text) > MOST_CHARACTERS:
        raise SpecError(
            f"test: a hypothesis has at most {MOST_CHARACTERS:,} characters; this text has {len(text):,}."
        )
    side = _plain(text.replace(_NAME, " "))
    names = sorted(((_plain(column), j) for j, column in enumerate(columns)), key=lambda pair: -len(pair[0]))
    out, i = [], 0
    while i < len(side):
        begins = i == 0 or not (side[i - 1].isalnum() or side[i - 1] in "_:.")
        found = next(((n, j) for n, j in names if side.startswith(n, i) and _ends(side, i + len(n))), None)
        if begins and found is not None:
            out.append(f"{_NAME}{found[1]}{_NAME}")
            i += len(found[0])
        else:
            out.append(side[i])
            i += 1
    return "".join(out)


def _unmasked(text: str, columns: Sequence[str]) -> str:
    return _NUMBERED.sub(lambda found: columns[int(found.group(1))], text)


def _terms(side: str, columns: Sequence[str]) -> list[tuple[int | None, float]]:
    """Return the terms of a linear expression as (coefficient, factor), None standing for the constant."""
    found: list[tuple[int | None, float]] = []
    for sign, body in _signed(side):
        factor, name = sign, body
        left, star, right = body.partition("*")
        if star:
            number, other = (left, right) if _number(left) is not None else (right, left)
            value = _number(number)
            if value is None:
                raise SpecError(f"test: {_unmasked(body, columns)!r} is not a number times a coefficient.")
            factor, name = sign * value, other.strip()
        numbered = _NUMBERED.fullmatch(name)
        if numbered is not None:
            found.append((int(numbered.group(1)), factor))
            continue
        constant = _number(name)
        if constant is None:
            found.append((find_coefficient(_unmasked(name, columns), columns), factor))
        else:
            found.append((None, factor * constant))
    return found


def _signed(side: str) -> list[tuple[float, str]]:
    """Split an expression at signs outside brackets."""
    parts: list[tuple[float, str]] = []
    sign, start, depth = 1.0, 0, 0
    for i, character in enumerate(side):
        depth += (character in "([") - (character in ")]")
        exponent = i > 1 and character in "+-" and side[i - 1] in "eE" and side[i - 2].isdigit()
        if character in "+-" and depth == 0 and not exponent:
            body = side[start:i].strip()
            if body:
                parts.append((sign, body))
                sign = 1.0
            sign = -sign if character == "-" else sign
            start = i + 1
    if body := side[start:].strip():
        parts.append((sign, body))
    return parts


def _ends(text: str, place: int) -> bool:
    return place == len(text) or not (text[place].isalnum() or text[place] in "_:.[")


def _split_top(text: str, separator: str) -> list[str]:
    """Split text at a separator outside brackets."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
