"""Terms are those formulaic would expand, in its order."""

from __future__ import annotations

import pytest
from formulaic import Formula

from mixedmodels.syntax.algebra import expand

PLAIN = [
    "1",
    "0",
    "1 + x",
    "0 + x",
    "1 + a * b",
    "1 + a:b + a",
    "1 + a * b * c",
    "1 + a * b - a",
    "1 + a * b - a:b",
    "1 + (a + b + c) ** 2",
    "1 + (a + b) ** 3 - a:b",
    "1 + a / b",
    "1 + a / b / c",
    "1 + a / (b + c)",
    "1 + (a + b) / c",
    "1 + a %in% b",
    "1 + a + b %in% a",
    "1 + (a + b):c",
    "1 + (a + b):(c + d)",
    "1 + a:a",
    "1 + a * a",
    "1 + b:a + a:b",
    "0 + a:b + C(c)",
    "1 + C(a):x + b",
    "1 + log(x) * a",
    "1 + I(x ** 2) + x",
    "1 + a + b - a + a",
    "1 + `a`:b",
    "0 + a + a:b",
    "1 + a ** 2",
]


@pytest.mark.parametrize("text", PLAIN)
def test_terms_are_formulaics(text: str) -> None:
    terms = expand(text)
    assert terms is not None
    assert [":".join(atom.label for atom in term) or "1" for term in terms] == [str(t) for t in Formula(text)]


@pytest.mark.parametrize(
    "text",
    ["1 + poly(x, 2)", "1 + scale(x)", "1 + C(x, contr.sum)", "1 + 2:x", "1 + {x + z}", "1 + I(x / 2)"],
)
def test_the_rest_is_left_to_formulaic(text: str) -> None:
    assert expand(text) is None


def test_atoms_say_what_they_read() -> None:
    terms = expand("0 + C(age) + log(dose) + I(x ** 3)")
    assert terms is not None
    coded, logged, cubed = (term[0] for term in terms)
    assert (coded.variable, coded.categorical) == ("age", True)
    assert (logged.variable, logged.function) == ("dose", "log")
    assert (cubed.function, cubed.exponent) == ("power", 3)
