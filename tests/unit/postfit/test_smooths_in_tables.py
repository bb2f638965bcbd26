"""Smooths in the tables of the fixed part: tested among the smooths, and parts of the mean."""

from __future__ import annotations

import numpy as np

import mixedmodels as mm

RNG = np.random.default_rng(21)
N = 160
DATA = {"x": RNG.uniform(0, 1, N), "f": RNG.choice(["u", "v"], N), "g": RNG.choice(list("abcdefgh"), N)}
DATA["y"] = np.sin(6 * DATA["x"]) + (DATA["f"] == "u") + RNG.normal(0, 0.3, N)
FIT = mm.lmm("y ~ f + s(x, by=f, bs='cr') + (1 | g)", DATA)


def test_the_line_of_a_curve_is_no_hypothesis() -> None:
    for table in (FIT.anova(), FIT.anova(1), FIT.anova(2)):
        assert table["term"].tolist() == ["f"]
        assert "tests of s(x):fu, s(x):fv: fit.smooths()" in table.notes
    assert FIT.drop1()["term"].tolist() == ["<none>", "f"]


def test_a_model_of_curves_alone_has_an_empty_table() -> None:
    table = mm.lmm("y ~ s(x, bs='cr')", DATA).anova()
    assert len(table) == 0
    assert "fit.smooths()" in str(table)


def test_curves_without_a_penalty_are_fixed_terms() -> None:
    table = mm.lmm("y ~ f + s(x, bs='cr', k=5, fx=True)", DATA).anova()
    assert table["term"].tolist() == ["f", "s(x)"]
    assert table["num_df"].tolist() == [1, 4]


def test_a_curve_contains_no_effect() -> None:
    df = FIT.fixed_effects(ddf="containment")["df"]
    # all that is left of 160 rows beside X, the curves and the levels of g
    assert set(df[1:].tolist()) == {float(N - 4 - 2 * 8 - 7)}


def test_tables_of_several_models_count_no_levels_of_curves() -> None:
    text = str(mm.model_table(FIT))
    assert "levels of g" in text
    assert "levels of all" not in text
    assert "sd s(x):fu  " in text
