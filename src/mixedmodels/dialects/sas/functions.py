"""Functions of expressions: the closed list."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

from .lex import Token
from .statements import Reader

MISSING = math.nan


def _known(values: Sequence[Any]) -> list[float]:
    return [value for value in values if value == value]


def _of_known(function: Callable[[list[float]], float], least: int = 1) -> Callable[..., float]:
    def call(*values: float) -> float:
        known = _known(values)
        return function(known) if len(known) >= least else MISSING

    return call


def _number(text: str) -> float:
    stripped = str(text).strip().replace(",", "")
    return float(stripped) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", stripped) else MISSING


def _substr(text: str, start: float, length: float = math.inf) -> str:
    begin = max(int(start) - 1, 0)
    return text[begin:] if length == math.inf else text[begin : begin + max(int(length), 0)]


def _scan(text: str, place: float, marks: str = " ,.-/") -> str:
    words = [word for word in re.split("[" + re.escape(marks) + "]+", text) if word]
    k = int(place)
    return words[k - 1 if k > 0 else k] if 0 < abs(k) <= len(words) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "." if value != value else f"{value:.12g}"


def _round(value: float, unit: float = 1.0) -> float:
    return math.floor(abs(value) / unit + 0.5 + 1e-12) * unit * (1 if value >= 0 else -1) if unit else value


def _std(values: list[float]) -> float:
    return float(np.std(values, ddof=1))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "log": math.log, "exp": math.exp, "sqrt": math.sqrt, "abs": abs, "log10": math.log10, "log2": math.log2,
    "log1px": math.log1p, "sin": math.sin, "cos": math.cos, "tan": math.tan, "atan": math.atan, "asin": math.asin,
    "acos": math.acos, "arsin": math.asin, "arcos": math.acos, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh,
    "int": lambda v: float(math.trunc(v + math.copysign(1e-12, v))), "floor": lambda v: float(math.floor(v + 1e-12)),
    "ceil": lambda v: float(math.ceil(v - 1e-12)), "round": _round, "sign": lambda v: float((v > 0) - (v < 0)),
    "mod": lambda a, b: math.fmod(a, b) if b else a, "gamma": math.gamma, "lgamma": math.lgamma,
    "fact": lambda v: float(math.factorial(int(v))) if 0 <= v <= 170 else MISSING,
    "comb": lambda n, k: float(math.comb(int(n), int(k))) if 0 <= k <= n <= 1000 else MISSING,
    "probnorm": lambda v: float(special.ndtr(v)), "probit": lambda v: float(special.ndtri(v)),
    "logit": lambda v: math.log(v / (1 - v)), "logistic": lambda v: 1 / (1 + math.exp(-v)),
    "min": _of_known(min), "max": _of_known(max), "sum": _of_known(math.fsum), "n": lambda *v: float(len(_known(v))),
    "mean": _of_known(lambda v: math.fsum(v) / len(v)), "std": _of_known(_std, 2),
    "var": _of_known(lambda v: _std(v) ** 2, 2), "range": _of_known(lambda v: max(v) - min(v)),
    "median": _of_known(lambda v: float(np.median(v))), "nmiss": lambda *v: float(sum(x != x for x in v)),
    "missing": lambda v: float(not v.strip() if isinstance(v, str) else v != v),
    "coalesce": lambda *v: next((x for x in v if x == x), MISSING),
    "ifn": lambda c, a, b: a if c == c and c != 0 else b, "ifc": lambda c, a, b: a if c == c and c != 0 else b,
    "substr": _substr, "trim": lambda t: t.rstrip(), "strip": lambda t: t.strip(), "left": lambda t: t.lstrip(),
    "right": lambda t: t.rstrip(), "upcase": lambda t: t.upper(), "lowcase": lambda t: t.lower(),
    "propcase": lambda t: t.title(), "reverse": lambda t: t[::-1], "length": lambda t: float(max(len(t.rstrip()), 1)),
    "compress": lambda t, marks=" ": "".join(c for c in t if c not in marks),
    "compbl": lambda t: re.sub(" +", " ", t), "index": lambda t, part: float(t.find(part) + 1), "scan": _scan,
    "tranwrd": lambda t, old, new: t.replace(old, new) if old else t,
    "cats": lambda *v: "".join(_text(x).strip() for x in v), "cat": lambda *v: "".join(map(_text, v)),
    "catx": lambda sep, *v: sep.join(s for x in v if (s := _text(x).strip()) and s != "."),
    "put": lambda v: _text(v), "input": _number,
}  # fmt: skip
READS_SEVERAL = frozenset(
    {"min", "max", "sum", "n", "mean", "std", "var", "range", "median", "nmiss", "coalesce", "cats"}
)
TAKES_MISSING = (
    frozenset({"missing", "coalesce", "ifn", "ifc", "put", "cats", "cat", "catx", "n", "nmiss"})
    | READS_SEVERAL
)
OF_TEXT = frozenset(
    {"substr", "trim", "strip", "left", "right", "upcase", "lowcase", "propcase", "reverse", "length", "compress",
     "compbl", "index", "scan", "tranwrd", "input"}
)  # fmt: skip


def call_function(
    word: str, arguments: list[Any], reader: Reader, token: Token
) -> Callable[[dict[str, Any]], Any]:
    """Return a call as a function of a row; a missing number, or one outside its range, gives a missing number."""
    if word.startswith(("lag", "dif")):
        return _lagged(word, arguments, reader, token)
    function = FUNCTIONS[word]

    def call(row: dict[str, Any]) -> Any:
        values = [argument(row) for argument in arguments]
        texts = [isinstance(value, str) for value in values]
        if word in OF_TEXT and values and not texts[0]:
            reader.fail(f"{token.text}() takes a text first; put() turns a number into one.", token)
        if word not in OF_TEXT and word not in TAKES_MISSING and any(texts):
            reader.fail(f"{token.text}() takes numbers; input() turns a text into one.", token)
        if word not in TAKES_MISSING and any(
            not text and v != v for text, v in zip(texts, values, strict=True)
        ):
            return "" if word in OF_TEXT and word not in ("input", "index", "length") else MISSING
        try:
            return function(*values)
        except TypeError:
            reader.fail(f"{token.text}() does not take {len(values)} values of these kinds.", token)
        except (ValueError, ArithmeticError):
            return MISSING

    return call


def _lagged(word: str, arguments: list[Any], reader: Reader, token: Token) -> Callable[[dict[str, Any]], Any]:
    steps = int(word[3:] or 1)
    if len(arguments) != 1 or steps < 1:
        reader.fail(f"{token.text}() takes one value.", token)
    queue: deque[Any] = deque([MISSING] * steps)

    def call(row: dict[str, Any]) -> Any:
        value = arguments[0](row)
        queue.append(value)
        before = queue.popleft()
        if isinstance(value, str):
            return before if isinstance(before, str) else ""
        return before if word.startswith("lag") else value - before

    return call
