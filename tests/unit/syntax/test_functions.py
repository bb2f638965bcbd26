"""The closed list: every function computes what its name says, in every spelling, and nothing else is there."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels.errors import SpecError
from mixedmodels.frame.column import Column
from mixedmodels.syntax.expressions import read_expression
from mixedmodels.syntax.functions import FUNCTIONS, SPELLINGS
from mixedmodels.syntax.tokens import tokenize
from mixedmodels.terms.bases import BASES
from mixedmodels.terms.evaluate import ROWS, SUMMARIES, Evaluation

X = np.array([0.2, 0.5, 0.9, 0.4])
DATA = {
    "x": Column("x", X),
    "z": Column("z", np.array([3.0, -1.0, 2.0, 7.0])),
    "k": Column("k", np.array([1, 2, 3, 2], np.uint8)),
    "g": Column("g", np.array([0, 1, 0, 2], np.int32), np.array(["a", "b", "c"], object)),
}


def value(text: str, data: dict[str, Column] = DATA) -> np.ndarray:
    node = read_expression(text, tokenize(text))
    return Evaluation(data, len(next(iter(data.values())).values), learning=True).column(node, text)


def test_every_listed_function_is_there() -> None:
    kinds = {
        kind: {f.name for f in FUNCTIONS.values() if f.kind == kind} for kind in ("rows", "summary", "basis")
    }
    assert set(ROWS) == kinds["rows"]
    assert set(SUMMARIES) == kinds["summary"]
    assert set(BASES) == kinds["basis"]
    assert len({spelling.lower() for spelling in SPELLINGS}) >= len(SPELLINGS) - 1


@pytest.mark.parametrize(
    "spelling", [s for s, f in SPELLINGS.items() if s.startswith("np.") and len(FUNCTIONS[f].parameters) == 1]
)
def test_numpys_functions_are_numpys(spelling: str) -> None:
    plain = spelling.removeprefix("np.")
    if not hasattr(np, plain):
        pytest.skip("an R spelling")
    at = DATA["z"].values if plain == "arccosh" else X
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(
            value(f"{spelling}({'z' if plain == 'arccosh' else 'x'})"),
            np.broadcast_to(getattr(np, plain)(at), 4),
            rtol=1e-15,
        )
    np.testing.assert_array_equal(value(f"{spelling}(x)"), value(f"{plain}(x)"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x + z * 2", X + 2 * DATA["z"].values),
        ("-x^2", -(X**2)),
        ("2 ** 3 ** 0.5 + 0 * x", np.full(4, 2 ** (3**0.5))),
        ("(z %% 3) + z %/% 3", DATA["z"].values % 3 + DATA["z"].values // 3),
        ("k * 200", np.array([200.0, 400, 600, 400])),
        ("x > 0.3 & x < 0.6", np.array([0.0, 1, 0, 1])),
        ("!(x > 0.3) | x > 0.8", np.array([1.0, 0, 1, 0])),
        ("(x > 0.3) + (x > 0.4)", np.array([0.0, 2, 2, 1])),
        ("-(x > 0.3)", np.array([0.0, -1, -1, -1])),
        ("g == 'a'", np.array([1.0, 0, 1, 0])),
        ("g != 'a'", np.array([0.0, 1, 0, 1])),
        ("g %in% c('a', 'c')", np.array([1.0, 0, 1, 1])),
        ("k %in% c(1, 3)", np.array([1.0, 0, 1, 0])),
        ("ifelse(z > 0, x, 0)", np.array([0.2, 0, 0.9, 0.4])),
        ("pmin(x, 0.45)", np.minimum(X, 0.45)),
        ("log(x, 2)", np.log2(X)),
        ("round(x * 3, 1)", np.round(X * 3, 1)),
        ("x - mean(x)", X - X.mean()),
        ("(x - mean(x)) / sd(x)", (X - X.mean()) / X.std(ddof=1)),
        ("x / np.std(x)", X / X.std()),
        ("x - quantile(x, 0.25)", X - np.quantile(X, 0.25)),
        ("sin(np.pi * x)", np.sin(np.pi * X)),
        ("clip(x, 0.3, 0.6)", np.clip(X, 0.3, 0.6)),
        ("qlogis(x)", np.log(X / (1 - X))),
        ("plogis(z)", 1 / (1 + np.exp(-DATA["z"].values))),
        ("scale(x, scale=FALSE)", X - X.mean()),
        ("1e3 + .5 * x - 2L", 998 + 0.5 * X),
    ],
)
def test_arithmetic(text: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(value(text), expected, rtol=1e-14)


def test_what_is_learned_stays() -> None:
    text = "scale(log(x)) + x - mean(x) + max(z)"
    node = read_expression(text, tokenize(text))
    evaluation = Evaluation(DATA, 4, learning=True)
    first = evaluation.column(node, text)
    some = {name: column.take(np.array([2])) for name, column in DATA.items()}
    again = Evaluation.of(evaluation.learned(), some, 1).column(node, text)
    np.testing.assert_allclose(again, first[2:3], rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lgo(x)", "Did you mean 'log'"),
        ("log(x, bas=2)", "Did you mean 'base'"),
        ("log(x, 2, 3)", "at most 2 arguments: log\\(x, base=None\\)"),
        ("log()", "log needs x"),
        ("round(x, 1.5)", "whole number"),
        ("poly(x, 0)", "degree is from 1 to 1000"),
        ("quantile(x, 2)", "q is from 0 to 1"),
        ("bs(x, extrapolation='exend')", "Did you mean 'extend'"),
        ("bs(x, knots=['a'])", "list of numbers"),
        ("scale(x, center='a')", "True or False"),
        ("0 < x < 1", "chain of comparisons"),
        ("x:z", "inside a function write '\\*'"),
        ("x || z", "one bar"),
        ("x = 2", "write '==' to compare"),
        ("x + 'a'", "numbers are needed"),
        ("x + [1, 2]", "numbers are needed"),
        ("x 2", "operator is missing"),
        ("x +", "something is missing"),
        ("log(x)(z)", "cannot be called"),
        ("x[1]", "cannot stand here"),
        ("np.pi.real * x", "unknown function"),
        ("relevel(x)", "contr.treatment"),
        ("f(x)", "context="),
        ("1e16 * x", "at most 1e\\+15"),
        ("x / 0 ** -1", None),
    ],
)
def test_what_is_refused(text: str, message: str | None) -> None:
    with pytest.raises(SpecError, match=message):
        read_expression(text, tokenize(text))
