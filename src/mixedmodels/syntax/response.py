"""The left side of a formula of a generalised model: `y`, `cbind(events, others)`, `events / trials`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import SpecError
from .rendering import render
from .tokens import (
    Tokens,
    closing,
    fail,
    fail_at,
    outside_brackets,
    split_at_commas,
    strip_parentheses,
    tokenize,
)

Form = Literal["value", "others", "trials"]


@dataclass(frozen=True, slots=True)
class ResponseForm:
    """A formula whose response is one expression, and what stood beside that expression.

    Parameters
    ----------
    formula
        The formula with the events, or the response itself, left of `~`.
    beside
        The expression of the events that did not happen, or of the trials; None where a response stands alone.
    form
        `"others"` for `cbind(events, others)`, `"trials"` for `events / trials`, else `"value"`.
    """

    formula: str
    beside: str | None = None
    form: Form = "value"


def split_response(formula: str, *, counted: bool) -> ResponseForm:
    """Return the response of a formula taken apart; `counted` says whether the family counts events among trials.

    Without trials `y / n` is a quotient like any other.

    Raises
    ------
    SpecError
        Where `cbind` does not hold two expressions, or the family has no trials.

    Examples
    --------
    >>> split_response("cbind(incidence, size - incidence) ~ period", counted=True)
    ResponseForm(formula='incidence ~ period', beside='size - incidence', form='others')
    >>> split_response("y / n ~ x", counted=True).beside, split_response("y / n ~ x", counted=False).formula
    ('n', 'y / n ~ x')
    """
    if not isinstance(formula, str):
        raise SpecError(f"formula must be text such as 'y ~ x + (1 | g)', not {type(formula).__name__}.")
    tokens = tokenize(formula)
    tilde = next((i for i in outside_brackets(tokens) if tokens[i].is_operator("~")), None)
    if not tilde:
        return ResponseForm(formula)
    left, right = strip_parentheses(tokens[:tilde]), formula[tokens[tilde].start :]
    if left[0].text == "cbind" and len(left) > 2 and closing(left, 1) == len(left) - 1:
        if not counted:
            message = "cbind(events, others) is a response of a family with trials: binomial, betabinomial."
            fail(message, formula, left[0].start, left[-1].stop)
        parts = split_at_commas(left[2:-1])
        if len(parts) != 2 or not all(parts):
            fail_at("cbind holds two expressions: cbind(events, others).", formula, left)
        return ResponseForm(f"{render(parts[0])} {right}", render(parts[1]), "others")
    if counted and (place := _quotient(left)):
        return ResponseForm(f"{render(left[:place])} {right}", render(left[place + 1 :]), "trials")
    return ResponseForm(formula)


def _quotient(left: Tokens) -> int | None:
    """Return the place of the one `/` that makes the whole of an expression a quotient."""
    operators = [i for i in outside_brackets(left) if left[i].is_operator("/", "+", "-", "*")]
    if len(operators) != 1 or left[operators[0]].text != "/":
        return None
    place = operators[0]
    return place if 0 < place < len(left) - 1 else None
