"""Sums of terms in one spelling, the intercept written out, and the columns a text reads.

The canonical text is what a `ModelSpec` holds: `I(x^2)` becomes `I(x ** 2)`, `factor(x)` becomes `C(x)`, and a dotted
R name such as `body.weight` is put in back-ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .algebra import read_terms
from .functions import CODING_KINDS, CODING_SPELLINGS, MOST_TERMS
from .rendering import MODULES, render
from .tokens import Kind, Token, Tokens, fail, fail_at, outside_brackets, tokenize


@dataclass(frozen=True, slots=True)
class Piece:
    """One signed summand of a formula."""

    positive: bool
    tokens: Tokens


def split_sum(text: str, tokens: Tokens) -> list[Piece]:
    """Return the summands of a formula side, signs attached; `SpecError` where one is empty.

    Examples
    --------
    >>> from .tokens import tokenize
    >>> [(piece.positive, render(piece.tokens)) for piece in split_sum("a - b:c", tokenize("a - b:c"))]
    [(True, 'a'), (False, 'b:c')]
    """
    outside = set(outside_brackets(tokens))
    pieces: list[Piece] = []
    current: list[Token] = []
    positive = True
    for index, token in enumerate(tokens):
        if index not in outside or not token.is_operator("+", "-"):
            current.append(token)
            continue
        if current:
            pieces.append(_piece(text, positive, current))
            positive = True
        current = []
        positive = positive if token.text == "+" else not positive
    if not current:
        message = "nothing follows this sign." if tokens else "there is nothing here."
        fail_at(message, text, tokens[-1:])
    pieces.append(_piece(text, positive, current))
    return pieces


def _piece(text: str, positive: bool, tokens: list[Token]) -> Piece:
    for token, what in ((tokens[0], "before"), (tokens[-1], "after")):
        if token.kind is Kind.OPERATOR:
            fail(f"nothing stands {what} {token.text!r}.", text, token.start, token.stop)
    return Piece(positive, tuple(tokens))


def canonical_sum(text: str, pieces: list[Piece], functions: frozenset[str] = frozenset()) -> str:
    """Return a sum in canonical spelling with its intercept first, `"1 + x"` or `"0 + x"`.

    `functions` are the names of the caller's own. `SpecError` at whatever the language does not have.

    Examples
    --------
    >>> from .tokens import tokenize
    >>> canonical_sum("x - 1", split_sum("x - 1", tokenize("x - 1")))
    '0 + x'
    """
    intercept = True
    count = 0
    rendered = []
    for piece in pieces:
        written = render(piece.tokens)
        if written in ("0", "1"):
            intercept = (written == "1") == piece.positive
            continue
        if written in ("True", "False", "None"):
            fail_at(f"{written} is no term; write 1 for an intercept and 0 for none.", text, piece.tokens)
        count += len(read_terms(text, piece.tokens, functions))
        if count > MOST_TERMS:
            fail_at(f"this makes more than {MOST_TERMS:,} terms.", text, piece.tokens)
        rendered.append(("+ " if piece.positive else "- ") + written)
    return " ".join(["1" if intercept else "0", *rendered])


@lru_cache(maxsize=1024)
def variables(text: str) -> tuple[str, ...]:
    """Return the column names that canonical text refers to, in order of appearance.

    Examples
    --------
    >>> variables("1 + poly(x, 2, raw=True):`a b` + np.log(z)")
    ('x', 'a b', 'z')
    """
    tokens = tokenize(text)
    found: dict[str, None] = {}
    for index, token in enumerate(tokens):
        if token.kind is Kind.QUOTED or (token.kind is Kind.NAME and _is_column(tokens, index)):
            found[token.name] = None
    return tuple(found)


def _is_column(tokens: Tokens, index: int) -> bool:
    """Return whether a plain name is a column, and no function, option, constant or coding."""
    name = tokens[index].text
    before = tokens[index - 1] if index else None
    after = tokens[index + 1].text if index + 1 < len(tokens) else ""
    if name in ("True", "False", "None") or after in ("(", "="):
        return False
    if "." in name and name.split(".")[0] in MODULES:
        return False
    coding = name in CODING_SPELLINGS or name in CODING_KINDS
    return not (coding and before is not None and before.text in (",", "=") and _caller(tokens, index) == "C")


def _caller(tokens: Tokens, index: int) -> str:
    """Return the name of the function in whose brackets a token stands, empty for none."""
    depth = 0
    for place in range(index - 1, -1, -1):
        depth += (tokens[place].kind is Kind.CLOSE) - (tokens[place].kind is Kind.OPEN)
        if depth < 0:
            return tokens[place - 1].text if place else ""
    return ""
