"""Terms are those formulaic would expand, in its order."""

from __future__ import annotations

import pytest
from formulaic import Formula

from mixedmodels.errors import SpecError
from mixedmodels.syntax.algebra import expand
from mixedmodels.syntax.expressions import read_expression
from mixedmodels.syntax.tokens import tokenize

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
    assert [":".join(atom.label for atom in term) or "1" for term in terms] == [str(t) for t in Formula(text)]


@pytest.mark.parametrize(
    "text",
    ["1 + poly(x, 2) * a", "1 + scale(x):b + b", "1 + C(x, contr.sum) / z", "1 + I(x / 2) + a - I(x / 2)"],
)
def test_functions_are_atoms(text: str) -> None:
    assert [":".join(atom.label for atom in term) or "1" for term in expand(text)] == [
        str(t) for t in Formula(text)
    ]


@pytest.mark.parametrize(
    ("text", "labels"),
    [("a %in% b", ["a:b"]), ("a + b %in% a", ["a", "b:a"]), ("a * b %in% c", ["a", "b:c", "a:b:c"])],
)
def test_in_is_an_interaction_as_in_r(text: str, labels: list[str]) -> None:
    assert [":".join(atom.label for atom in term) for term in expand(text)] == labels


@pytest.mark.parametrize(
    "text", ["1 + 2:x", "1 + {x + z}", "(x - 1)", "(0 + x):z", "(a, b)", "x > 1", "'x'", "log(2)"]
)
def test_what_is_no_term(text: str) -> None:
    with pytest.raises(SpecError):
        expand(text)


def test_atoms_say_what_they_read() -> None:
    coded, logged, cubed = (term[0] for term in expand("0 + C(age) + log(dose) + I(x ** 3)"))
    assert (coded.variable, coded.categorical) == ("age", True)
    assert (logged.variable, logged.variables) == ("", ("dose",))
    assert cubed.expression == read_expression("I(x^3)", tokenize("I(x^3)"))
