"""Tests of functions of fixed and random effects, against predictions and dense algebra."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def sleep() -> mm.Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


def test_a_subjects_line_is_its_prediction(sleep: mm.Fit) -> None:
    fixed, own = {"(Intercept)": 1, "Days": 3}, {"(Intercept)": 1, "Days": 3}
    table = sleep.test(fixed, random={"Subject": {"308": own}}, joint=False, ddf="satterthwaite")
    new = pd.DataFrame({"Days": [3], "Subject": ["308"]})
    row = sleep.predict(new, se=True, interval="confidence", ddf="satterthwaite")
    for mine, theirs in (
        ("estimate", "fit"),
        ("std_error", "se"),
        ("conf_low", "lower"),
        ("conf_high", "upper"),
    ):
        # slopes in θ by differences, along θ here and along V there
        assert table[mine][0] == pytest.approx(row[theirs][0], rel=1e-5)


def test_without_random_coefficients_it_is_the_broad_test(sleep: mm.Fit) -> None:
    one = sleep.test("Days", random={}, joint=False, ddf="satterthwaite")
    other = sleep.test("Days", joint=False, ddf="satterthwaite")
    for name in ("estimate", "std_error", "df", "p_value"):
        assert one[name][0] == pytest.approx(other[name][0], rel=1e-5)


def test_narrow_means_are_dense_algebra() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame(
        {"a": np.repeat(list("uvwxyz"), 8), "b": np.tile(list("pqrs"), 12), "x": rng.normal(size=48)}
    )
    effects = dict(zip("uvwxyz", rng.normal(size=6), strict=True))
    data["y"] = data["x"] + data["a"].map(effects) + rng.normal(size=48)
    fit = mm.lmm("y ~ x + (1 | a) + (1 | b)", data)
    sa, sb = fit.covariances[0][0, 0, 0], fit.covariances[1][0, 0, 0]
    z = [pd.get_dummies(data[name]).to_numpy(float) for name in ("a", "b")]
    design = np.column_stack([np.ones(48), data["x"], *z])
    penalty = np.diag([0.0, 0.0, *[1 / max(sa, 1e-300)] * 6, *[1 / max(sb, 1e-300)] * 4])
    inverse = np.linalg.pinv(design.T @ design / fit.sigma2 + penalty) if sb > 0 else None
    if inverse is None:
        design = design[:, :8]
        inverse = np.linalg.inv(design.T @ design / fit.sigma2 + penalty[:8, :8])
    wanted = np.r_[1.0, 0.5, np.full(6, 1 / 6), np.zeros(design.shape[1] - 8)]
    table = fit.test({"(Intercept)": 1, "x": 0.5}, random={"a": np.full(6, 1 / 6)}, joint=False)
    assert table["std_error"][0] == pytest.approx(np.sqrt(wanted @ inverse @ wanted), rel=1e-6)
    broad = fit.test({"(Intercept)": 1, "x": 0.5}, joint=False, ddf="satterthwaite")
    assert table["std_error"][0] < broad["std_error"][0]
    assert table["df"][0] > broad["df"][0]


def test_several_functions_together(sleep: mm.Fit) -> None:
    rows = [{"Days": 1}, {"(Intercept)": 1}]
    random = [{"Subject": {"308": {"Days": 1}}}, {"Subject": {"308": {"(Intercept)": 1}}}]
    joint = sleep.test(rows, random=random, ddf="satterthwaite")
    assert joint["num_df"][0] == 2
    each = sleep.test(rows, random=random, ddf="satterthwaite", joint=False)
    assert 0 < joint["den_df"][0] < 180
    assert joint["statistic"][0] > 0.5 * (each["statistic"] ** 2).max()


@pytest.mark.parametrize(
    ("random", "message"),
    [
        ({"Subjct": {"308": 1}}, "no random term. Did you mean 'Subject'"),
        ({"Subject": {"308": 1}}, "has the columns .Intercept., Days; say which"),
        ({"Subject": {"999": {"Days": 1}}}, "'999' is no level"),
        ({"Subject": {"308": {"Day": 1}}}, "no column of 'Subject'. Did you mean 'Days'"),
        ({"Subject": np.ones(18)}, r"shape \(18,\)"),
        ([{}, {}], "2 functions and L for 1"),
    ],
)
def test_what_does_not_go_is_said(sleep: mm.Fit, random: object, message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        sleep.test("Days", random=random)
