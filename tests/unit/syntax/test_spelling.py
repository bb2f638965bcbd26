"""R's spellings become formulaic's, and the columns of a text are found."""

from __future__ import annotations

import pytest

from mixedmodels.errors import SpecError
from mixedmodels.syntax.rendering import render
from mixedmodels.syntax.spelling import canonical_sum, split_sum, variables
from mixedmodels.syntax.tokens import tokenize


def canonical(text: str) -> str:
    return canonical_sum(text, split_sum(text, tokenize(text)))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("x", "1 + x"),
        ("x - 1", "0 + x"),
        ("-1 + x", "0 + x"),
        ("0 + x", "0 + x"),
        ("x + 0", "0 + x"),
        ("x - 1 + 1", "1 + x"),
        ("x - 0", "1 + x"),
        ("1", "1"),
        ("0", "0"),
        ("a*b - a:b", "1 + a * b - a:b"),
        ("factor(x)", "1 + C(x)"),
        ("as.factor(x)", "1 + C(x)"),
        ("I(x^2)", "1 + I(x ** 2)"),
        ("(a+b)^2", "1 + (a + b) ** 2"),
        ("poly(x, 2, raw=TRUE)", "1 + poly(x, 2, raw=True)"),
        ("body.weight", "1 + `body.weight`"),
        ("log(body.weight)", "1 + log(`body.weight`)"),
        ("np.log(x)", "1 + np.log(x)"),
        ("C(a, contr.sum)", "1 + C(a, contr.sum)"),
        ("x %in% g", "1 + x %in% g"),
        ("I(-x)", "1 + I(-x)"),
        ("class", "1 + `class`"),
        ("x + + z", "1 + x + z"),
        ("x + - z", "1 + x - z"),
        ("I(x / 2L)", "1 + I(x / 2)"),
    ],
)
def test_canonical_spelling(written: str, read: str) -> None:
    assert canonical(written) == read
    assert canonical(read) == read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x +", "nothing follows"),
        ("x * + z", "nothing stands after '\\*'"),
        (": x", "nothing stands before ':'"),
        ("lgo(x)", "Did you mean 'log'"),
        ("ns(x, 3)", "cr\\(x, df=4\\)"),
        ("s(x)", "term of its own"),
        ("relevel(x)", "contr.treatment"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        canonical(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1 + x * z", ("x", "z")),
        ("poly(x, degree=2) + bs(z, df=4)", ("x", "z")),
        ("np.log(x) + C(a, contr.sum)", ("x", "a")),
        ("`a b`:x", ("a b", "x")),
        ("I(x ** 2 + z)", ("x", "z")),
        ("cr(x, knots=[1, 2])", ("x",)),
        ("1", ()),
    ],
)
def test_columns_of_a_text(text: str, names: tuple[str, ...]) -> None:
    assert variables(text) == names


def test_rendering_is_stable() -> None:
    once = render(tokenize("I(x**2)+ a:b -c"))
    assert render(tokenize(once)) == once
