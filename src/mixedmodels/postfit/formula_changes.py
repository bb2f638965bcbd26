"""A formula written as changes to another: `. ~ . + x - (1 | g)`."""

from __future__ import annotations

import re

from ..errors import SpecError
from ..syntax.rendering import render
from ..syntax.spelling import Piece, split_sum
from ..syntax.tokens import outside_brackets, tokenize

PREVIOUS = "previous_formula"
LONE_DOT = re.compile(r"(?<![\w.])\.(?![\w.])")
"""A dot that is neither in a number nor in a name."""


def change_formula(old: str, new: str) -> str:
    """Return the formula that `new` makes of `old`, `.` standing for the old side.

    Examples
    --------
    >>> change_formula("y ~ a * b + (1 | g)", ". ~ . - a:b")
    'y ~ a * b + (1 | g) - a:b'
    >>> change_formula("y ~ x + (1 + x | g)", "log(y) ~ . - (1 + x|g) + (1|g)")
    'log(y) ~ x + (1 | g)'
    """
    marked = LONE_DOT.sub(PREVIOUS, new)
    old_left, old_right = _sides(old)
    left, right = _sides(marked)
    response = old_left if left == PREVIOUS else left
    pieces: list[tuple[bool, str]] = []
    for piece in split_sum(right, tokenize(right)):
        if render(piece.tokens) == PREVIOUS and piece.positive:
            pieces += [_signed(p) for p in split_sum(old_right, tokenize(old_right))]
        else:
            _add(pieces, *_signed(piece))
    if any(PREVIOUS in text for _, text in [(True, response), *pieces]):
        raise SpecError(f"formula={new!r}: '.' stands alone on a side or in a sum, as in '. ~ . + x'.")
    if not pieces:
        pieces = [(True, "1")]
    first, rest = pieces[0], pieces[1:]
    text = first[1] if first[0] else f"1 - {first[1]}"
    return f"{response} ~ {text}" + "".join(f" {'+' if plus else '-'} {part}" for plus, part in rest)


def _add(pieces: list[tuple[bool, str]], positive: bool, text: str) -> None:
    """Append a summand; one that takes away a summand already there removes it instead."""
    opposite = (not positive, text)
    # Without its written "1" a formula has an intercept still, so "- 1" must stay.
    if not positive and opposite in pieces and text not in ("0", "1"):
        pieces.remove(opposite)
    else:
        pieces.append((positive, text))


def _signed(piece: Piece) -> tuple[bool, str]:
    return piece.positive, render(piece.tokens)


def _sides(formula: str) -> tuple[str, str]:
    tokens = tokenize(formula)
    tildes = [tokens[i] for i in outside_brackets(tokens) if tokens[i].text == "~"]
    if len(tildes) != 1:
        raise SpecError(f"formula={formula!r} needs one '~', for example '. ~ . + x'.")
    return formula[: tildes[0].start].strip(), formula[tildes[0].stop :].strip()
