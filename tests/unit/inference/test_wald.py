"""The door to estimates: functions of β, joint tests, estimability, df methods."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.inference.ddf import ALIASES, DDF_METHODS, choose_method


@pytest.fixture(scope="module")
def cake() -> Fit:
    return mm.lmm("angle ~ recipe + temperature + (1 | recipe:replicate)", mm.datasets.load("cake"))


@pytest.fixture(scope="module")
def aliased() -> Fit:
    data = mm.datasets.load("rail").assign(one=lambda d: d["Rail"].isin(["1", "2", "3"]).astype(int))
    return mm.lm("travel ~ one + Rail", data)


def test_rows_are_functions_of_beta(cake: Fit) -> None:
    L = np.zeros((2, 8))
    L[0, 1], L[1, [1, 2]] = 1.0, (1.0, -1.0)
    table = cake.wald(L, rhs=[0.5, 0.0], labels=["B", "B - C"])
    np.testing.assert_allclose(table["estimate"], L @ cake.beta)
    np.testing.assert_allclose(table["std_error"], np.sqrt(np.diag(L @ cake.vcov @ L.T)))
    assert table["statistic"][0] == pytest.approx((cake.beta[1] - 0.5) / table["std_error"][0])
    assert table["term"].tolist() == ["B", "B - C"]


def test_one_row_joint_test_is_the_square_of_t(cake: Fit) -> None:
    L = np.eye(8)[3]
    single, joint = cake.wald(L), cake.wald(L, joint=True)
    assert joint["statistic"][0] == pytest.approx(single["statistic"][0] ** 2, rel=1e-10)
    assert joint["p_value"][0] == pytest.approx(single["p_value"][0], rel=1e-8)


def test_joint_tests_do_not_depend_on_how_the_hypothesis_is_written(cake: Fit) -> None:
    rng = np.random.default_rng(1)
    L = np.eye(8)[3:]
    mixed = rng.standard_normal((5, 5)) @ L
    redundant = np.vstack([L, L[:2] + L[2:4]])
    reference = cake.wald(L, joint=True).row(0)
    for other in (mixed, redundant):
        found = cake.wald(other, joint=True).row(0)
        assert found["num_df"] == 5
        assert found["statistic"] == pytest.approx(reference["statistic"], rel=1e-8)


def test_anova_of_a_linear_model() -> None:
    # R 4.2: anova(lm(Reaction ~ Days, sleepstudy)) prints F = 71.46442 on 1 and 178, p = 9.8941e-15.
    fit = mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy"))
    row = fit.wald([0, 1], joint=True).row(0)
    assert (row["num_df"], row["den_df"]) == (1, 178)
    assert row["statistic"] == pytest.approx(71.46442, abs=5e-6)
    assert row["p_value"] == pytest.approx(9.8941e-15, rel=1e-4)


def test_estimable_functions_survive_aliasing(aliased: Fit) -> None:
    names = list(aliased.params)
    kept = {name: aliased.params[name] for name in names}
    assert sum(np.isnan(value) for value in kept.values()) == 1
    # The mean of rail 1 is estimable however the columns are written: one = 1, no dummy.
    L = np.array([1.0 if name in ("(Intercept)", "one") else 0.0 for name in names])
    assert aliased.wald(L)["estimate"][0] == pytest.approx(54.0, rel=1e-12)
    table = aliased.wald([L, np.eye(len(names))[1]], labels=["rail 1", "one"])
    assert np.isnan(table["estimate"][1])
    assert "not estimable: one" in table.notes


def test_a_joint_test_leaves_out_what_is_not_estimable(aliased: Fit) -> None:
    names = list(aliased.params)
    L = np.array([1.0 if name in ("(Intercept)", "one") else 0.0 for name in names])
    row = aliased.wald([L, np.eye(len(names))[1]], joint=True).row(0)
    assert row["num_df"] == 1


def test_df_methods(cake: Fit) -> None:
    L = np.eye(8)[1]
    residual, asymptotic = cake.wald(L, ddf="residual"), cake.wald(L, ddf="asymptotic")
    assert residual["df"][0] == 270 - 8
    assert np.isinf(asymptotic["df"][0])
    assert asymptotic["p_value"][0] < residual["p_value"][0]
    assert asymptotic.notes[0].startswith("df: asymptotic")
    assert cake.wald(L, ddf="asymptotic", joint=True)["p_value"][0] == pytest.approx(asymptotic["p_value"][0])


OF_META = {"knapp-hartung", "knha"}
"""For meta-analyses alone: see `test_meta.py`."""


@pytest.mark.parametrize("name", sorted({*DDF_METHODS, *ALIASES} - OF_META))
def test_every_df_method_answers_for_one_row_and_for_many(cake: Fit, name: str) -> None:
    method = choose_method(name)
    functions = np.eye(8)
    assert method.single(cake, functions).shape == (8,)
    factor, df = method.joint(cake, functions)
    assert factor > 0
    assert df > 0
    assert method.vcov(cake).shape == (8, 8)
    assert method.note


def test_wrong_shapes_and_levels_are_named(cake: Fit) -> None:
    with pytest.raises(mm.SpecError, match=r"shape \(1, 3\).*8 columns"):
        cake.wald([1, 0, 0])
    with pytest.raises(mm.SpecError, match="level=2 must lie"):
        cake.wald(np.eye(8), level=2)
    with pytest.raises(mm.SpecError, match="1 names for 8 rows"):
        cake.wald(np.eye(8), labels=["a"])


def test_hypotheses_that_contradict_one_another_are_refused() -> None:
    fit = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"))
    for contrary in (["Days = 0", "Days = 1"], ["Days = 3", "2*Days = 5"]):
        with pytest.raises(mm.SpecError, match="2 hypotheses contradict one another"):
            fit.test(contrary)
    once, twice = fit.test("Days = 3"), fit.test(["Days = 3", "2*Days = 6"])
    assert twice["statistic"] == pytest.approx(once["statistic"], rel=1e-10)
    scaled = np.array([[0.0, 1e9], [0.0, 1e-9]])
    assert fit.wald(scaled, [3e9, 3e-9], joint=True)["statistic"] == pytest.approx(
        once["statistic"], rel=1e-8
    )
    assert len(fit.test(["Days = 0", "Days = 1"], joint=False)) == 2


def test_coefficients_that_are_missing_are_refused() -> None:
    fit = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"))
    with pytest.raises(mm.SpecError, match="L holds values that are missing"):
        fit.wald([[np.nan, 1.0]])


def test_what_is_asked_is_named_where_it_is_refused() -> None:
    fit = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"))
    with pytest.raises(mm.SpecError, match="confidence=95 must lie between 0 and 1"):
        fit.predict(confidence=95)
    for nothing in ([], [[1, 2]]):
        with pytest.raises(mm.SpecError, match="at: 'Days' is a number"):
            fit.emmeans("1", at={"Days": nothing})
    with pytest.raises(mm.SpecError, match="specs=None must name factors"):
        fit.emmeans(None)
    with pytest.raises(mm.SpecError, match="specs=3 must name factors"):
        fit.emmeans(3)
