"""Where a method leaves no degrees of freedom the cells are empty and a note says why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def few_groups() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(list("abc"), 4)
    return pd.DataFrame(
        {"g": g, "arm": np.repeat([0.0, 1.0, 5.0], 4), "t": [*"uvwu"] * 3, "y": rng.normal(size=12)}
    )


def test_between_within_without_groups_left() -> None:
    data = few_groups()
    data["square"] = data["arm"] ** 2
    fit = mm.lmm("y ~ arm + square + t + (1 | g)", data, method="ml", ddf="between-within")
    table = fit.fixed_effects()
    outer = [0, 1, 2]
    assert np.isfinite(table["std_error"]).all()
    for name in ("df", "p_value", "conf_low", "conf_high"):
        assert np.isnan(table[name][outer]).all(), name
        assert np.isfinite(table[name][3:]).all(), name
    assert any("no test or limits of (Intercept), arm, square" in note for note in table.notes)
    tests = fit.anova()
    assert np.isnan(tests["p_value"][:2]).all()
    assert tests["p_value"][2] > 0
    assert any("no F test of arm, square" in note for note in tests.notes)
    assert "-1" not in str(tests)


def test_contrasts_letters_and_simultaneous_limits_follow() -> None:
    data = few_groups()
    model = mm.lmm("y ~ g + t + (1 | g)", data, method="ml", ddf="between-within")
    means = model.emmeans("g")
    for adjust in ("tukey", "mvt", "scheffe", "none"):
        pairs = means.contrast("pairwise", adjust=adjust).table
        assert np.isfinite(pairs["std_error"]).all()
        assert np.isnan(pairs["p_value"]).all()
        assert np.isnan(pairs["conf_high"]).all()
        assert any("no test or limits" in note for note in pairs.notes)
    letters = means.cld()
    assert set(letters["group"]) == {""}
    assert any("no letters" in note for note in letters.notes)
    assert model.joint_tests().notes[-1].startswith("no F test of g")


def test_a_term_of_which_nothing_is_left_has_no_df() -> None:
    data = few_groups().assign(copy=few_groups()["arm"])
    table = mm.lmm("y ~ arm + copy + (1 | g)", data).anova(type=1)
    assert np.isnan(table["num_df"][1])
    assert any("nothing estimable is left of copy" in note for note in table.notes)


@pytest.mark.parametrize("n", [6])
def test_criteria_that_do_not_exist_are_empty(n: int) -> None:
    rng = np.random.default_rng(n)
    data = pd.DataFrame(
        {"x": rng.normal(size=n), "z": rng.normal(size=n), "w": rng.normal(size=n), "y": rng.normal(size=n)}
    )
    model = mm.lm("y ~ x + z + w", data)
    assert np.isnan(model.aicc)
    assert " Inf" not in str(model.information_criteria())
