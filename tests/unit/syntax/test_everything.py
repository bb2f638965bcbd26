"""`.` for all other columns: R's rules, written out in the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

RNG = np.random.default_rng(1)
DATA = pd.DataFrame(
    {
        "y": np.exp(RNG.normal(size=40)), "a": RNG.normal(size=40), "b.c": RNG.normal(size=40),
        "c d": RNG.normal(size=40), "g": np.repeat(list("abcdefgh"), 5),
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        # names(coef(lm(formula, data))) of R 4.2, `data` without g
        ("y ~ .", ["a", "b.c", "c d"]),
        ("y ~ .^2 - a", ["b.c", "c d", "a:b.c", "a:c d", "b.c:c d"]),
        ("log(y^2) ~ . - `b.c`", ["a", "c d"]),
        ("y ~ I(a^2) + .", ["I(a ** 2)", "a", "b.c", "c d"]),
        ("y ~ .:a", ["a", "b.c:a", "c d:a"]),
    ],
)
def test_a_dot_is_all_columns_but_those_of_the_response(formula, columns):
    data = DATA.drop(columns="g")
    fit = mm.lm(formula, data)
    expected = ["(Intercept)", *columns]
    assert sorted(":".join(sorted(name.split(":"))) for name in fit.params.index) == sorted(
        ":".join(sorted(name.split(":"))) for name in expected
    )
    polars = pytest.importorskip("polars")
    assert mm.lm(formula, polars.from_pandas(data)).criterion == pytest.approx(fit.criterion)


def test_grouping_factors_are_columns_like_others():
    fit = mm.lmm("y ~ . - g + (1 | g)", DATA)
    named = mm.lmm("y ~ a + `b.c` + `c d` + (1 | g)", DATA)
    assert fit.criterion == pytest.approx(named.criterion, abs=1e-9)
    assert "y ~ (a + `b.c` + `c d` + g) - g + (1 | g)" in str(fit)
    assert fit.update(". ~ . - a").params.index.tolist() == ["(Intercept)", "b.c", "c d"]
    with pytest.raises(mm.DataError, match=r"\(1 \| g\).*Leave out 'g' or the random term"):
        mm.lmm("y ~ . + (1 | g)", DATA)


def test_columns_added_later_are_not_of_the_model():
    fit = mm.lm("y ~ .", DATA.drop(columns="g"))
    more = DATA.assign(new=1.0)
    assert fit.refit(more).params.index.tolist() == fit.params.index.tolist()
    np.testing.assert_allclose(fit.predict(more.drop(columns="y")), fit.fitted)


@pytest.mark.parametrize("formula", ["y ~ log(.)", "y ~ a + (. | g)", "y ~ a + (1 | .)", "y ~ a + offset(.)"])
def test_a_dot_elsewhere_is_refused_where_it_stands(formula):
    with pytest.raises(mm.SpecError, match=r"'\.' stands for all other columns") as caught:
        mm.lmm(formula, DATA)
    line, carets = str(caught.value).splitlines()[-2:]
    assert line[carets.index("^")] == "."


def test_a_dot_needs_another_column_and_a_generalised_model_has_one_too():
    with pytest.raises(mm.SpecError, match="no column beside those of the response"):
        mm.lm("y ~ .", DATA[["y"]])
    counts = DATA[["a", "b.c"]].assign(y=RNG.poisson(2.0, 40))
    assert mm.glm("y ~ .", counts, family="poisson").params.index.tolist() == ["(Intercept)", "a", "b.c"]
