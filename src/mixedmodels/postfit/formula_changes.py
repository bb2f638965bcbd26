"""A formula written as changes to another: `. ~ . + x - (1 | g)`, `~ . + x`, `log(.) ~ .^2`."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import SpecError
from ..frame.ingest import predictor_columns
from ..spec import ModelSpec
from ..syntax.rendering import render
from ..syntax.spelling import Piece, split_sum
from ..syntax.tokens import Kind, outside_brackets, tokenize

PREVIOUS = "previous_formula"
_DOTS = re.compile(r"`(?:``|[^`])+`|(?<![\w.])\.(?![\w.])")
"""A name in back-ticks, or a dot that is neither in a number nor in a name."""
_CONSTANTS = ("0", "1")


def change_formula(old: str, new: str) -> str:
    """Return the formula that `new` makes of `old`, `.` standing for the old side.

    A dot inside a product or a power, as in `.^2`, stands for the terms of the old fixed part; bars, splines and
    offsets are kept beside it.

    Examples
    --------
    >>> change_formula("y ~ a * b + (1 | g)", ". ~ . - a:b")
    'y ~ a * b + (1 | g) - a:b'
    >>> change_formula("y ~ x + (1 + x | g)", "log(.) ~ . - (1 + x|g) + (1|g)")
    'log(y) ~ x + (1 | g)'
    >>> change_formula("y ~ a + b + (1 | g)", "~ .^2")
    'y ~ (a + b) ** 2 + (1 | g)'
    """
    marked = _marked(new, lambda: PREVIOUS)
    old_left, old_right = _sides(old)
    left, right = _sides(marked if not marked.lstrip().startswith("~") else f"{PREVIOUS} {marked}")
    response = _put(left, old_left if _is_one(old_left) or left == PREVIOUS else f"({old_left})")
    kept = [_signed(piece) for piece in split_sum(old_right, tokenize(old_right))]
    fixed = [pair for pair in kept if _is_fixed(pair[1])]
    beside = [pair for pair in kept if pair not in fixed]
    pieces: list[tuple[bool, str]] = []
    alone = inside = False
    for piece in split_sum(right, tokenize(right)):
        text = render(piece.tokens)
        if text == PREVIOUS and piece.positive:
            alone = True
            pieces += kept
        elif PREVIOUS in text:
            inside = True
            _refuse_odd(new, piece, fixed)
            _add(pieces, piece.positive, _put(text, f"({_joined(fixed)})"))
        else:
            _add(pieces, piece.positive, text)
    if inside and not alone:
        pieces += beside
    return f"{response} ~ {_joined(pieces or [(True, '1')])}"


def _marked(text: str, mark: Callable[[], str]) -> str:
    return _DOTS.sub(lambda found: mark() if found.group() == "." else found.group(), text)


def _put(text: str, old: str) -> str:
    return re.sub(rf"\b{PREVIOUS}\b", lambda _: old, text)


def _is_one(text: str) -> bool:
    """Return whether an expression is a name or a call, so that it needs no parentheses inside another."""
    tokens = tokenize(text)
    return not any(tokens[i].kind is Kind.OPERATOR for i in outside_brackets(tokens))


def _is_fixed(text: str) -> bool:
    """Return whether a summand is a term of the fixed part, and no constant, bar, spline or offset."""
    bar = any(token.is_operator("|", "||") for token in tokenize(text))
    return not (bar or text in _CONSTANTS or text.startswith(("spline(", "offset(")))


def _refuse_odd(new: str, piece: Piece, fixed: list[tuple[bool, str]]) -> None:
    if any(token.is_operator("|", "||") for token in piece.tokens) or not fixed:
        raise SpecError(
            f"formula={new!r}: '.' stands alone on a side, in a sum or a product of terms, as in '. ~ . + x'."
        )


def _joined(pieces: list[tuple[bool, str]]) -> str:
    first, rest = pieces[0], pieces[1:]
    text = first[1] if first[0] else f"1 - {first[1]}"
    return text + "".join(f" {'+' if plus else '-'} {part}" for plus, part in rest)


def _add(pieces: list[tuple[bool, str]], positive: bool, text: str) -> None:
    """Append a summand; one that takes away a summand already there removes it instead."""
    opposite = (not positive, text)
    # Without its written "1" a formula has an intercept still, so "- 1" must stay.
    if not positive and opposite in pieces and text not in _CONSTANTS:
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


def with_own_contrasts(spec: ModelSpec) -> ModelSpec:
    """Return a spec with the codings of factors that are in the model; others came from a larger one."""
    left = set(predictor_columns(spec))
    return spec.with_changes(contrasts=tuple(pair for pair in spec.contrasts if pair[0] in left))
