"""Hypotheses as text, coefficients by name, and matrices are the same hypotheses."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit


@pytest.fixture(scope="module")
def growth() -> Fit:
    return mm.lmm("Y ~ 0 + fem + male + fem:age + male:age + (1 | id)", mm.datasets.load("orthodont"))


@pytest.mark.parametrize(
    ("text", "row", "rhs"),
    [
        ("fem:age = male:age", [0, 0, 1, -1], 0),
        ("age:fem - male:age", [0, 0, 1, -1], 0),
        ("2*fem - 3 * male = 1", [2, -3, 0, 0], 1),
        ("fem + 1.5 = male*2 - 1e-1", [1, -2, 0, 0], -1.6),
        ("-fem = 0", [-1, 0, 0, 0], 0),
    ],
)
def test_text(growth: Fit, text: str, row: list[float], rhs: float) -> None:
    assert growth.test(text).row(0) == growth.wald(row, rhs, joint=True).row(0)


def test_several_hypotheses(growth: Fit) -> None:
    joint = growth.test("fem = male, fem:age = male:age")
    assert joint.row(0) == growth.wald([[1, -1, 0, 0], [0, 0, 1, -1]], joint=True).row(0)
    single = growth.test(["fem = male", {"fem:age": 1, "male:age": -1}], joint=False)
    np.testing.assert_allclose(
        single["estimate"], [growth.beta[0] - growth.beta[1], growth.beta[2] - growth.beta[3]]
    )


def test_names_with_brackets() -> None:
    fit = mm.lmm("angle ~ recipe + (1 | recipe:replicate)", mm.datasets.load("cake"))
    assert fit.test("recipe[T.B] = recipe[T.C]").row(0) == fit.wald([0, 1, -1], joint=True).row(0)


def test_unknown_coefficient(growth: Fit) -> None:
    with pytest.raises(SpecError, match="Did you mean 'fem:age'"):
        growth.test("fem:aeg = 0")


def test_functions_that_are_not_estimable_are_named() -> None:
    data = mm.datasets.load("rail").assign(one=lambda d: d["Rail"].isin(["1", "2"]).astype(int))
    fit = mm.lm("travel ~ one + Rail", data)
    table = fit.test("one", joint=False)
    assert np.isnan(table["estimate"][0])
    assert "not estimable: one" in table.notes
