"""Whatever is typed, the answer is a formula or a `SpecError` that points somewhere inside the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.errors import SpecError
from mixedmodels.syntax.formula import parse_formula
from mixedmodels.syntax.structure_call import read_residual, read_variance

NAMES = ["y", "~", "x", "g", "h", "a.b", "`a b`", "1", "0", "2", "0.5"]
SIGNS = ["+", "-", "*", "/", ":", "^", "**", "|", "||", "(", ")", "[", "]", "{", "}", ",", "=", "==", "%in%"]
CALLS = [
    "log(",
    "I(",
    "C(",
    "factor(",
    "poly(",
    "spline(",
    "offset(",
    "us(",
    "diag(",
    "ar1(",
    "fa(",
    "exp(",
    "cs(",
]
TERMS = [
    "toep(3)(",
    "kron(us,ar1)(",
    "(1|g)",
    "(x|g)",
    "(1|a/b)",
    "by=",
    "cov=",
    "q=",
    "nugget=True",
    "knots=",
]
ODD = [".", "!", "@", "$", "'", '"', "np.log(", "car1(", "degree=", "ar1"]
PIECES = [*NAMES, *SIGNS, *CALLS, *TERMS, *ODD]

texts = st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join)


def attempt(read: Callable[[str], Any], text: str) -> tuple[Any, str]:
    """Return what was read, or None and the message of the `SpecError`; other exceptions pass through."""
    try:
        return read(text), ""
    except SpecError as error:
        return None, str(error)


@given(st.one_of(texts, texts.map(lambda text: f"y ~ {text}"), st.text(max_size=20)))
@settings(max_examples=1500, deadline=None)
def test_formulas(text: str) -> None:
    parsed, message = attempt(parse_formula, text)
    if parsed is None:
        assert text.strip() == "" or len(message.splitlines()) >= 3
        return
    written = " + ".join([parsed.fixed, *map(str, parsed.random), *map(str, parsed.smooths)])
    again = parse_formula(f"y ~ {written}")
    assert (again.fixed, again.random, again.smooths) == (parsed.fixed, parsed.random, parsed.smooths)


@pytest.mark.parametrize("read", [read_residual, read_variance])
@given(st.one_of(texts, st.text(max_size=12)))
@settings(max_examples=500, deadline=None)
def test_structures(read: Callable[[str], Any], text: str) -> None:
    read_as, message = attempt(read, text)
    assert (read_as is None) == bool(message)
