"""A formula in which the residual structure stands as a term: `y ~ base + arm * visit + us(visit | id)`."""

from __future__ import annotations

from ..errors import SpecError
from ..spec import ResidualSpec
from .rendering import render
from .spelling import Piece, split_sum
from .structure_call import read_residual
from .tokens import Kind, fail_at, outside_brackets, tokenize


def split_residual(formula: str) -> tuple[str, ResidualSpec]:
    """Return the formula without its one term `structure(position | cluster)`, and that term read.

    Raises
    ------
    SpecError
        When there is no such term, or more than one.

    Examples
    --------
    >>> formula, residual = split_residual("y ~ base + arm * visit + us(visit | id)")
    >>> formula, str(residual)
    ('y ~ base + arm * visit', 'us(visit | id)')
    """
    if not isinstance(formula, str):
        raise SpecError(f"formula must be text such as 'y ~ arm * visit + us(visit | id)', not {formula!r}.")
    tokens = tokenize(formula)
    tildes = [i for i in outside_brackets(tokens) if tokens[i].is_operator("~")]
    if len(tildes) != 1:
        fail_at("a formula needs one '~', for example y ~ arm * visit + us(visit | id).", formula, tokens)
    pieces = split_sum(formula, tokens[tildes[0] + 1 :])
    marked = [piece for piece in pieces if _is_structure(piece)]
    if not marked:
        fail_at("name the residual structure as a term, for example us(visit | id).", formula, tokens)
    if len(marked) > 1:
        fail_at("one residual structure is allowed.", formula, marked[1].tokens)
    if not marked[0].positive:
        fail_at("this term cannot be subtracted.", formula, marked[0].tokens)
    kept = [piece for piece in pieces if piece is not marked[0]]
    right = " ".join(
        f"{'+' if piece.positive else '-'} {formula[piece.tokens[0].start : piece.tokens[-1].stop]}"
        for piece in kept
    )
    left = formula[tokens[0].start : tokens[tildes[0]].start].rstrip()
    return f"{left} ~ {right.removeprefix('+ ') or '1'}", read_residual(render(marked[0].tokens))


def _is_structure(piece: Piece) -> bool:
    """Return whether a summand is `name(... | ...)` or `name(order)(... | ...)`."""
    tokens = piece.tokens
    if tokens[0].kind is not Kind.NAME or tokens[-1].text != ")" or tokens[0].text in ("I", "C"):
        return False
    return any(token.is_operator("|") for token in tokens)
