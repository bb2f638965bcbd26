"""Tokens written as canonical text: R's spellings translated, spaces normalised, odd names in back-ticks."""

from __future__ import annotations

import keyword

from .tokens import EVERYTHING, Kind, Token, Tokens

_TRANSLATED = {"factor": "C", "as.factor": "C", "as_factor": "C", "as.numeric": "I", "ceiling": "ceil"}
CONSTANTS = {"TRUE": "True", "FALSE": "False", "NULL": "None", "pi": "np.pi"}
"""Constants inside functions as they are spelled, and canonically; `pi` in back-ticks is a column."""
MODULES = ("np", "contr")


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
            call_depths.append(before is not None and before.kind is Kind.NAME)
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
    if in_call and name in CONSTANTS:
        return CONSTANTS[name]
    if in_call and after is not None and after.text == "=":
        return name
    if in_call and name.split(".")[0] in MODULES and "." in name:
        return name
    return (
        f"`{name}`"
        if ("." in name and name != EVERYTHING)
        or (keyword.iskeyword(name) and name not in ("True", "False", "None"))
        else name
    )
