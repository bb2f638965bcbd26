"""R's text: expressions, names, constructors of families."""

from __future__ import annotations

import re

from ..errors import SpecError
from ..likelihood.families import family_name
from ..spec import ModelSpec
from ..syntax.tokens import Kind, Token, tokenize

_CALL = re.compile(r"""\s*([A-Za-z_][\w.]*)\s*(?:\(\s*(?:link\s*=\s*)?(?:["']?([\w^/.]+)["']?)?\s*\))?\s*""")
LINKS = {"1/mu^2": "inverse_squared"}
SAME_IN_R = frozenset((
    "I", "poly", "scale", "log", "log10", "log2", "log1p", "exp", "expm1", "sqrt", "abs", "sin", "cos", "tan",
    "floor", "sign",
))  # fmt: skip
RENAMED_IN_R = {"ceil": "ceiling", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
CONSTANTS_IN_R = {"True": "TRUE", "False": "FALSE", "None": "NULL"}


def read_family(family: str, link: str | None = None) -> tuple[str, str | None]:
    """Return family and link of R's `binomial(link = "probit")`, `binomial("probit")` or `binomial`.

    Raises
    ------
    SpecError
        Where the text is no such call, the family is unknown, or two links are given.

    Examples
    --------
    >>> read_family('binomial(link = "probit")'), read_family("nbinom2"), read_family("Gamma(log)")
    (('binomial', 'probit'), ('nb2', None), ('gamma', 'log'))
    """
    found = _CALL.fullmatch(family) if isinstance(family, str) else None
    if found is None:
        raise SpecError(
            f"family={family!r} must be the name of a family with its link, for example 'binomial' or "
            "'binomial(link = \"probit\")'."
        )
    name, own = family_name(found[1].removesuffix("_family")), found[2]
    if own is not None and link is not None and own != link:
        raise SpecError(f"family={family!r} and link={link!r} name two links; leave one of them out.")
    written = own or link
    return name, LINKS.get(written or "", written)


def in_r(text: str) -> str:
    """Return canonical formula text in R's spelling; `SpecError` for a function that is another one in R.

    Examples
    --------
    >>> in_r("C(dose) + I(np.log(x) ** 2)")
    'factor(dose) + I(log(x) ^ 2)'
    """
    tokens = tokenize(text)
    out, end = [], 0
    for index, token in enumerate(tokens):
        out.append(text[end : token.start])
        out.append(_token_in_r(tokens, index))
        end = token.stop
    return "".join(out)


def _token_in_r(tokens: tuple[Token, ...], index: int) -> str:
    token = tokens[index]
    if token.is_operator("**"):
        return "^"
    if token.kind is not Kind.NAME:
        return token.text
    if index + 1 == len(tokens) or tokens[index + 1].text != "(":
        name = CONSTANTS_IN_R.get(token.text, token.text)
        return f"factor({name})" if _is_coded(tokens, index - 2) else name
    name = token.text.removeprefix("np.")
    if name == "C":
        return "C" if _is_coded(tokens, index) else "factor"
    if name not in SAME_IN_R and name not in RENAMED_IN_R:
        raise SpecError(f"this model cannot be written in R: {token.text}() is not the same function there.")
    return RENAMED_IN_R.get(name, name)


def _is_coded(tokens: tuple[Token, ...], index: int) -> bool:
    """Return whether `C(x, coding)` starts at a token; `C(x)` alone is `factor(x)` in R."""
    if index < 0 or index + 3 >= len(tokens) or tokens[index].text != "C":
        return False
    return tokens[index + 1].text == "(" and tokens[index + 3].kind is Kind.COMMA


def name_in_r(name: str) -> str:
    """Return a column's name, in back-ticks where R needs them."""
    return (
        name if name.replace("_", "a").replace(".", "a").isalnum() and not name[0].isdigit() else f"`{name}`"
    )


def response_in_r(spec: ModelSpec) -> str:
    """Return the left side of a formula in R; events among trials are `cbind(events, others)`."""
    asked = spec.likelihood
    events = in_r(spec.response)
    if asked is None or (asked.form == "value" and asked.trials is None):
        return events
    if asked.form == "others":
        return f"cbind({events}, {in_r(asked.beside or '')})"
    trials = in_r(asked.beside) if asked.beside else name_in_r(asked.trials or "")
    return f"cbind({events}, {trials} - {events})"


def family_in_r(name: str, link: str | None, constructors: dict[str, str]) -> str | None:
    """Return a family's constructor with its link, None where a package does not have the family.

    Examples
    --------
    >>> family_in_r("gamma", "log", {"gamma": "Gamma"}), family_in_r("nb2", None, {"nb2": "nbinom2"})
    ('Gamma(link = "log")', 'nbinom2()')
    """
    constructor = constructors.get(name)
    if constructor is None:
        return None
    written = {"inverse_squared": "1/mu^2"}.get(link or "", link)
    inside = f'link = "{written}"' if written else ""
    return f"{constructor}({inside})"
