"""Power by simulation: tests are those of refits, sizes are of the data asked for, values assumed are kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.inference import power as power_module
from mixedmodels.inference.batched_sensitivity import BatchedSensitivity
from mixedmodels.inference.extended_data import along_levels


def plan(subjects: int = 12, times: int = 4) -> pd.DataFrame:
    data = pd.DataFrame(
        {"subject": np.repeat(np.arange(subjects), times), "week": np.tile(np.arange(times), subjects)}
    )
    data["arm"] = np.where(data.subject % 2, "b", "a")
    return data


@pytest.mark.parametrize("ddf", ["kenward-roger", "satterthwaite"])
@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
        ("oats", "yield ~ Variety + nitro + (1 | Block/Variety)"),
    ],
)
def test_responses_taken_together_have_the_tests_of_their_refits(
    name: str, formula: str, ddf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = mm.lmm(formula, mm.datasets.load(name))
    term = "Days" if name == "sleepstudy" else "Variety"
    run = power_module._Run(24, 0.05, ddf, 3, False)
    together = run.p_values(fit, [term])[0]
    assert BatchedSensitivity.of(fit) is not None
    monkeypatch.setattr(BatchedSensitivity, "of", classmethod(lambda cls, fit: None))
    alone = run.p_values(fit, [term])[0]
    # searches end within 1e-8 of −2l: estimates agree to 1e-5 of their errors
    np.testing.assert_allclose(np.log(together), np.log(alone), rtol=1e-4, atol=1e-4)


def test_power_of_a_balanced_design_is_that_of_the_noncentral_t() -> None:
    data = plan(24, 3)
    table = mm.power(
        "y ~ arm + (1 | subject)",
        data,
        fixed={"(Intercept)": 3.0, "arm[T.b]": 1.5},
        sd={"subject": 1.0, "Residual": 1.0},
        n_sim=1500,
        seed=2,
    )
    # subject means: two groups of 12 with variance 1 + 1/3
    shift = 1.5 / np.sqrt((1 + 1 / 3) * 2 / 12)
    limit = stats.t.ppf(0.975, 22)
    exact = stats.nct.sf(limit, 22, shift) + stats.nct.cdf(-limit, 22, shift)
    assert table["conf_low"][0] - 0.01 < exact < table["conf_high"][0] + 0.01
    assert table["failed"][0] == 0


def test_without_an_effect_the_level_is_that_of_the_test() -> None:
    table = mm.power(
        "y ~ week + (week | subject)",
        plan(),
        fixed={"(Intercept)": 0.0, "week": 0.0},
        sd={"subject": [1.0, 0.5], "Residual": 1.0},
        n_sim=600,
        seed=4,
    )
    assert 0.025 < table["power"][0] < 0.085


def test_sizes_are_levels_and_more_of_them_have_more_power() -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    table = fit.power("Days", n_sim=60, along="Subject", sizes=[3, 9, 30], seed=1)
    assert table["size"].tolist() == [3, 9, 30]
    assert (np.diff(table["power"]) >= 0).all()
    study = power_module.resized(fit, "Subject", 30, ("Subject",))
    assert study.ngroups == {"Subject": 30}
    assert study.nobs == 300
    np.testing.assert_allclose(study.covariances[0], fit.covariances[0], rtol=1e-9)
    np.testing.assert_allclose(study.beta, fit.beta, rtol=1e-9)
    assert study.sigma == pytest.approx(fit.sigma, rel=1e-9)


def test_the_table_depends_on_the_seed_alone() -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    one = fit.power("Days", n_sim=30, along="Subject", sizes=[4], seed=7)
    two = fit.power("Days", n_sim=30, along="Subject", sizes=[4], seed=7, threads=2)
    assert one["power"][0] == two["power"][0]


def test_levels_of_other_factors_are_new_where_they_lie_within() -> None:
    columns = {
        "school": np.array(["s", "s", "r", "r"]),
        "pupil": np.array([1, 2, 3, 4]),
        "item": np.array(["u", "v", "u", "v"]),
    }
    found = along_levels(columns, "school", 5, ("pupil", "item"))
    assert len(set(found["school"])) == 5
    assert len(set(found["pupil"])) == 10
    assert set(found["item"]) == {"u", "v"}
    fewer = along_levels(columns, "school", 1, ("pupil", "item"))
    assert len(set(fewer["school"])) == 1


@pytest.mark.parametrize("size", [4, 6, 12, 18, 30])
def test_arms_keep_their_shares_however_they_are_ordered(size: int) -> None:
    for arms in (["a", "b"] * 12, ["a"] * 12 + ["b"] * 12, ["a", "a", "b"] * 8):
        columns = {
            "subject": np.repeat(np.arange(24), 2),
            "arm": np.repeat(arms, 2),
            "week": np.tile([0, 1], 24),
        }
        found = along_levels(columns, "subject", size, ("subject",))
        share = np.mean(found["arm"] == "b")
        assert abs(share - np.mean(columns["arm"] == "b")) <= 0.5 / size + 1e-12


def test_serial_errors_and_generalised_fits_are_simulated_too() -> None:
    table = mm.power(
        "y ~ week",
        plan(),
        residual="ar1(week | subject)",
        fixed={"(Intercept)": 0.0, "week": 0.5},
        parameters={"var(Residual)": 2.0, "correlation(Residual)": 0.6},
        n_sim=20,
        along="subject",
        sizes=[8, 16],
        seed=1,
    )
    assert table["failed"].tolist() == [0, 0]
    fit = mm.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mm.datasets.load("cbpp"),
        family="binomial",
    )
    assert fit.power("period", n_sim=10, seed=1)["power"][0] > 0.5
    with pytest.raises(SpecError, match="linear models"):
        fit.power("period", along="herd", sizes=[5])


def test_what_is_missing_or_not_known_is_named() -> None:
    formula, sd = "y ~ week + (week | subject)", {"subject": [1.0, 0.5], "Residual": 1.0}
    beta = {"(Intercept)": 0.0, "week": 0.1}
    for options, text in (
        ({"fixed": {"week": 0.1}, "sd": sd}, "no value for \\(Intercept\\)"),
        ({"fixed": {**beta, "weeks": 1.0}, "sd": sd}, "Did you mean 'week'"),
        ({"fixed": beta, "sd": {"subject": [1.0, 0.5]}}, r"no value of var\(Residual\)"),
        ({"fixed": beta, "sd": {"subjct": 1.0}}, "Did you mean 'subject'"),
        ({"fixed": beta, "sd": {**sd, "subject": 1.0}}, "must give 2 standard deviations"),
        ({"fixed": beta, "sd": sd, "along": "week"}, "no grouping factor"),
        ({"fixed": beta, "sd": sd, "sizes": [3]}, "needs along="),
        ({"fixed": beta, "sd": sd, "alpha": 5}, "alpha=5"),
    ):
        with pytest.raises(SpecError, match=text):
            mm.power(formula, plan(), **options)  # type: ignore[arg-type]
