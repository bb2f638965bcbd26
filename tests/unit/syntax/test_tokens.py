"""Tokens know their places, and unreadable text is pointed at."""

from __future__ import annotations

import pytest

from mixedmodels.errors import SpecError
from mixedmodels.syntax.tokens import find_name, split_at_commas, tokenize


def test_tokens_remember_where_they_stood() -> None:
    text = "log(y) ~ x1 + `a b` * 2.5e-1"
    for token in tokenize(text):
        assert text[token.start : token.stop] == token.text
    assert [t.text for t in tokenize(text)] == ["log", "(", "y", ")", "~", "x1", "+", "`a b`", "*", "2.5e-1"]


def test_dotted_names_are_one_token() -> None:
    assert [t.text for t in tokenize("body.weight + np.log(x)")] == [
        "body.weight",
        "+",
        "np.log",
        "(",
        "x",
        ")",
    ]


def test_letters_of_any_script_make_names() -> None:
    assert [t.text for t in tokenize("größe ~ β")] == ["größe", "~", "β"]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("y ~ (1 | g", 4, "never closed"),
        ("y ~ 1 | g)", 9, "closes nothing"),
        ("y ~ (1 | g]", 10, "does not close"),
        ("y ~ `a", 4, "back-tick is never closed"),
        ("y ~ C(a, 'b)", 9, "quotation mark is never closed"),
        ("y ~ a $ b", 6, "cannot be read here"),
    ],
)
def test_unreadable_text_is_pointed_at(text: str, column: int, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        tokenize(text)
    lines = str(caught.value).splitlines()
    assert lines[-2] == text
    assert lines[-1].index("^") == column


def test_newlines_do_not_break_the_caret() -> None:
    with pytest.raises(SpecError) as caught:
        tokenize("y ~ a\n  + $")
    lines = str(caught.value).splitlines()
    assert lines[-2] == "y ~ a   + $"
    assert lines[-1].index("^") == lines[-2].index("$")


def test_commas_inside_brackets_do_not_split() -> None:
    runs = split_at_commas(tokenize("a, f(b, c), [d, e]"))
    assert ["".join(t.text for t in run) for run in runs] == ["a", "f(b,c)", "[d,e]"]


def test_names_are_found_in_text() -> None:
    assert find_name("y ~ x + `a b`", "a b") == (8, 13)
    assert find_name("y ~ x", "z") is None
    assert find_name("y ~ (x", "x") is None
