"""One spelling for formula text: R's spellings translated, spaces normalised, the intercept written out.

The canonical text is what a `ModelSpec` holds. It is in formulaic's grammar, so `I(x^2)` becomes `I(x ** 2)`,
`factor(x)` becomes `C(x)`, and a dotted R name such as `body.weight` is put in back-ticks.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass

from ..errors import suggest
from .tokens import Kind, Token, Tokens, fail, fail_at, outside_brackets

TRANSFORMS = frozenset(
    {
        *("I", "C", "poly", "bs", "cr", "cs", "cc", "scale", "center", "standardize", "lag", "hashed"),
        *("Treatment", "Sum", "Helmert", "Diff", "Poly"),
        *("log", "log10", "log2", "log1p", "exp", "exp2", "exp10", "expm1", "sqrt", "abs", "sign"),
        *("sin", "cos", "tan", "floor", "ceil", "minimum", "maximum", "where"),
    }
)
"""Functions that may be called in the fixed part, besides anything under `np.` and `contr.`."""

_TRANSLATED = {"factor": "C", "as.factor": "C", "as_factor": "C", "as.numeric": "I", "ceiling": "ceil"}
_CONSTANTS = {"TRUE": "True", "FALSE": "False", "NULL": "None"}
_MODULES = ("np", "contr")
_ADVICE = {
    "ns": " For a natural cubic spline write cr(x, df=4).",
    "s": " For a penalised spline write spline(x).",
    "relevel": " Set the reference with C(x, contr.treatment('b')).",
    "interaction": " Write a:b.",
    "cbind": " A model has one response column.",
    "Q": " Put unusual column names in back-ticks: `my column`.",
    "ifelse": " Write where(condition, a, b).",
    "pmax": " Write maximum(a, b).",
    "pmin": " Write minimum(a, b).",
    "te": " Tensor products are not supported; write spline(x) for one variable.",
}


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


def canonical_sum(text: str, pieces: list[Piece]) -> str:
    """Return a sum in canonical spelling with its intercept first, `"1 + x"` or `"0 + x"`.

    Examples
    --------
    >>> from .tokens import tokenize
    >>> canonical_sum("x - 1", split_sum("x - 1", tokenize("x - 1")))
    '0 + x'
    """
    intercept = True
    rendered = []
    for piece in pieces:
        written = render(piece.tokens)
        if written in ("0", "1"):
            intercept = (written == "1") == piece.positive
            continue
        check_calls(text, piece.tokens)
        if written in _CONSTANTS.values():
            fail_at(f"{written} is no term; write 1 for an intercept and 0 for none.", text, piece.tokens)
        rendered.append(("+ " if piece.positive else "- ") + written)
    return " ".join(["1" if intercept else "0", *rendered])


def check_calls(text: str, tokens: Tokens) -> None:
    """Raise `SpecError` at a bar, a tilde or a function that the fixed part does not know."""
    for index, token in enumerate(tokens):
        if token.is_operator("~"):
            fail("a formula has one '~'.", text, token.start)
        if token.kind is not Kind.NAME or index + 1 == len(tokens) or tokens[index + 1].text != "(":
            continue
        name = _TRANSLATED.get(token.text, token.text)
        if name not in TRANSFORMS and name.split(".")[0] not in _MODULES:
            advice = _ADVICE.get(name) or suggest(name, [*TRANSFORMS, *_TRANSLATED])
            fail(f"unknown function {token.text!r}.{advice}", text, token.start, token.stop)


def render(tokens: Tokens) -> str:
    """Return tokens as canonical text.

    Examples
    --------
    >>> from .tokens import tokenize
    >>> render(tokenize("factor( x ) * I(body.weight^2)"))
    'C(x) * I(`body.weight` ** 2)'
    """
    written: list[str] = []
    call_depths: list[bool] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        in_call = any(call_depths)
        if token.kind is Kind.OPEN:
            call_depths.append(token.text == "{" or (before is not None and before.kind is Kind.NAME))
        elif token.kind is Kind.CLOSE:
            call_depths.pop()
        written.append(_render_one(token, before, after, in_call))
    return "".join(written)


def _render_one(token: Token, before: Token | None, after: Token | None, in_call: bool) -> str:
    if token.kind is Kind.NAME:
        return _render_name(token.text, after, in_call)
    if token.kind is Kind.NUMBER:
        return token.text.removesuffix("L")
    if token.kind is Kind.COMMA:
        return ", "
    if token.kind is not Kind.OPERATOR:
        return token.text
    if token.text == ":" or (token.text == "=" and in_call):
        return token.text
    if before is None or before.kind in (Kind.OPERATOR, Kind.OPEN, Kind.COMMA):
        return token.text
    return " ** " if token.text == "^" else f" {token.text} "


def _render_name(name: str, after: Token | None, in_call: bool) -> str:
    if after is not None and after.text == "(":
        return _TRANSLATED.get(name, name)
    if in_call and name in _CONSTANTS:
        return _CONSTANTS[name]
    if in_call and after is not None and after.text == "=":
        return name
    if in_call and name.split(".")[0] in _MODULES and "." in name:
        return name
    return (
        f"`{name}`"
        if "." in name or (keyword.iskeyword(name) and name not in ("True", "False", "None"))
        else name
    )


def variables(text: str) -> tuple[str, ...]:
    """Return the column names that canonical text refers to, in order of appearance.

    Examples
    --------
    >>> variables("1 + poly(x, 2, raw=True):`a b` + np.log(z)")
    ('x', 'a b', 'z')
    """
    from .tokens import tokenize

    tokens = tokenize(text)
    found: dict[str, None] = {}
    for index, token in enumerate(tokens):
        if token.kind is Kind.QUOTED:
            found[token.text[1:-1]] = None
        if token.kind is not Kind.NAME or token.text in ("True", "False", "None"):
            continue
        after = tokens[index + 1].text if index + 1 < len(tokens) else ""
        if after in ("(", "=") or (token.text.split(".")[0] in _MODULES and "." in token.text):
            continue
        found[token.text] = None
    return tuple(found)
