"""What `ddf="auto"` stands for, on SAS's scale, in any units; one covariance for all tables; no impossible number."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.inference.ddf import DegreesOfFreedom, automatic, method_for
from mixedmodels.inference.ddf.kenward_roger import KenwardRoger, described, positive_or_first_order, shares
from mixedmodels.inference.sensitivity import Information
from mixedmodels.inference.vcov import model_vcov
from mixedmodels.inference.wald import estimate_rows
from mixedmodels.typing import Array

CASES = Path(os.environ.get("MIXEDMODELS_CASES", Path(__file__).parents[4] / "shared" / "cases"))


def growth() -> pd.DataFrame:
    data = mm.datasets.load("orthodont", backend="pandas").drop(index=[3, 10, 44, 45, 90])
    return data.assign(fem=(data["sex"] == "F") * 1.0, male=(data["sex"] == "M") * 1.0, all=1)


LINEAR = [
    ("(age | id)", {}),
    ("(1 | id, by=sex)", {}),
    ("cs(0 + fem + male | id)", {}),
    ("fa0(2)(1 + age | id)", {}),
    ("(1 | id)", {"bounds": "none"}),
    ("(1 | id)", {"variance": "ident(sex)"}),
    ("(1 | id)", {"variance": "fixed(age)"}),
    ("(1 | id)", {"variance": "ident(sex) * fixed(age)"}),
    ("", {"variance": "ident(sex)"}),
    ("", {"residual": "us(age | id, by=sex)"}),
    ("", {"residual": "toep(age | id)"}),
    ("", {"residual": "banded_us(2)(age | id)"}),
]
NONLINEAR = [
    ("fa0(1)(1 + age | id)", {}),
    ("hcs(1 + age | id)", {}),
    ("(1 | id)", {"variance": "power(age)"}),
    ("(1 | id)", {"variance": "power(fitted)"}),
    ("(1 | id)", {"variance": "ident(sex) * power(age)"}),
    ("", {"residual": "cs(age | id)", "variance": "ident(sex)"}),
    ("", {"residual": "htoep(age | id)"}),
    ("", {"residual": "ar1(age | id)"}),
    ("", {"residual": "car1(age | id)"}),
    ("", {"residual": "unr(age | id)"}),
]


def design_of(random: str, options: dict[str, Any]) -> Any:
    from mixedmodels.frame.ingest import build_frame
    from mixedmodels.syntax.formula import read_formula
    from mixedmodels.terms import build_design

    spec = read_formula("Y ~ age" + (f" + {random}" if random else ""), **options)
    return build_design(spec, build_frame(spec, growth()))[0]


@pytest.mark.parametrize(("random", "options"), LINEAR)
def test_kenward_roger_where_v_is_linear_on_the_scale_of_sas(random: str, options: dict[str, Any]) -> None:
    assert automatic(design_of(random, options)) == "kenward-roger"
    assert automatic(design_of(random, {**options, "method": "ml"})) == "satterthwaite"


@pytest.mark.parametrize(("random", "options"), NONLINEAR)
def test_first_order_elsewhere(random: str, options: dict[str, Any]) -> None:
    assert automatic(design_of(random, options)) == "kenward-roger-linear"


@pytest.mark.parametrize("options", [{}, {"variance": "fixed(age)"}, {"weights": "age"}, {"method": "ml"}])
def test_residual_where_there_is_one_variance(options: dict[str, Any]) -> None:
    assert automatic(design_of("", options)) == "residual"


def samples() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    return np.r_[rng.normal(size=5), 3 * rng.normal(size=12)], np.repeat(["a", "b"], [5, 12])


@pytest.mark.parametrize("first", ["a", "z"])
@pytest.mark.parametrize("method", ["auto", "kenward-roger", "kenward-roger2", "kenward-roger-linear"])
def test_two_variances_are_welchs_test_whatever_the_reference(first: str, method: str) -> None:
    y, g = samples()
    label = np.where(g == "a", first, "b")
    fit = mm.gls("y ~ g", {"y": y, "g": label}, variance="ident(g)", ddf=method)
    welch = stats.ttest_ind(y[g == "a"], y[g == "b"], equal_var=False)
    row = fit.fixed_effects().row(1)
    # the search leaves about 1e-6 of the ratio of variances
    assert abs(row["statistic"]) == pytest.approx(abs(welch.statistic), rel=1e-5)
    assert row["df"] == pytest.approx(welch.df, rel=1e-5)
    assert row["p_value"] == pytest.approx(welch.pvalue, rel=1e-5)


@pytest.mark.parametrize("reference", ["F", "M"])
def test_variances_by_sex_of_the_orthodontic_data(reference: str) -> None:
    data = mm.datasets.load("orthodont", backend="pandas")
    data = data.assign(
        fem=(data["sex"] == "F") * 1.0,
        male=(data["sex"] == "M") * 1.0,
        sex=pd.Categorical(data["sex"], [reference, *{"F", "M"} - {reference}]),
    )
    formula = "Y ~ 0 + fem + male + fem:age + male:age + diag(0 + fem + male | id)"
    fit = mm.lmm(formula, data, variance="ident(sex)")
    # the variances per group of REPEATED / GROUP=; with a ratio as parameter 1.14638 and other df
    assert fit.bse["male"] == pytest.approx(1.12872, abs=5e-6)
    one = mm.lmm(formula, data, residual="homdiag(age | id, by=sex)")
    np.testing.assert_allclose(fit.vcov, one.vcov, rtol=1e-5, atol=1e-9)


def heteroscedastic() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n, t = 12, 5
    data = pd.DataFrame({
        "id": np.repeat(np.arange(n), t), "t": np.tile([0.0, 1.0, 2.5, 4.0, 7.0], n), "visit": np.tile(range(t), n),
    })  # fmt: skip
    data["w"] = rng.uniform(1.0, 4.0, n * t)
    data["x"] = rng.uniform(0.0, 2.0, n * t)
    serial = 0.7 ** np.abs(np.subtract.outer(*[data["t"].to_numpy()[:t]] * 2))
    e = (rng.standard_normal((n, t)) @ np.linalg.cholesky(serial).T).ravel()
    return data.assign(y=8 + 0.8 * data["t"] + data["w"] ** 0.7 * e, y2=8 + 0.8 * data["t"] + e)


UNITS = {
    "power(fitted)": ("y", {"variance": "power(fitted)"}),
    "power(w)": ("y", {"variance": "power(w)"}),
    "exp(x)": ("y2", {"variance": "exp(x)"}),
    "ar1": ("y2", {"residual": "ar1(visit | id)"}),
    "car1": ("y2", {"residual": "car1(t | id)"}),
}


@pytest.mark.parametrize("unit", [1e-3, 1e3])
@pytest.mark.parametrize("name", UNITS)
def test_units_of_response_and_covariates_do_not_matter(name: str, unit: float) -> None:
    response, options = UNITS[name]
    data, control = heteroscedastic(), mm.Control(decrement=1e-13)
    moved = data.assign(
        y=unit * data["y"], y2=unit * data["y2"], w=60 * data["w"], x=data["x"] / 60, t=60 * data["t"]
    )
    here, there = (mm.gls(f"{response} ~ t", one, control=control, **options) for one in (data, moved))
    assert method_for(here, None).name == "kenward-roger-linear"
    scale = np.array([unit, unit / 60])
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(
            there.fixed_effects()[column], scale * here.fixed_effects()[column], rtol=1e-6
        )
    for column in ("df", "statistic"):
        np.testing.assert_allclose(there.fixed_effects()[column], here.fixed_effects()[column], rtol=1e-6)
    assert there.fixed_effects().notes == here.fixed_effects().notes


def series() -> mm.Fit:
    """One autoregressive series of thirty points, in which the second-order term outweighs Φ."""
    root = np.linalg.cholesky(0.8 ** np.abs(np.subtract.outer(np.arange(30), np.arange(30))))
    y = root @ np.random.default_rng(1).normal(size=30)
    data = {"t": np.arange(30), "one": np.ones(30), "post": (np.arange(30) >= 15) * 1.0, "y": y}
    return mm.gls("y ~ post", data, residual="ar1(t | one)")


@pytest.mark.parametrize("method", ["kenward-roger", "kenward-roger2"])
def test_a_covariance_that_is_not_positive_is_that_of_the_first_order_and_says_so(method: str) -> None:
    fit = series()
    assert shares(fit, KenwardRoger())[0] < 0
    table, first = fit.fixed_effects(ddf=method), fit.fixed_effects(ddf="kenward-roger-linear")
    # without adjustment .5132 (nlme 3.1-162, gls)
    assert first["std_error"][0] == pytest.approx(0.62569, abs=1e-5)
    assert fit.fixed_effects(ddf="asymptotic")["std_error"][0] == pytest.approx(0.51319, abs=1e-5)
    for column in ("std_error", "df", "p_value"):
        np.testing.assert_array_equal(table[column], first[column])
        np.testing.assert_array_equal(fit.fixed_effects()[column], first[column])
    for notes in (
        table.notes,
        fit.anova(ddf=method).notes,
        fit.wald(np.eye(2), ddf=method, joint=True).notes,
        fit.emmeans("1", ddf=method).table.notes,
        fit.joint_tests(ddf=method).notes,
        fit.predict(level="population", interval="confidence", ddf=method).notes,
        fit.summary(ddf=method).notes,
    ):
        assert any("not positive definite here: first order instead" in note for note in notes)
    assert "not positive definite" not in " ".join(fit.fixed_effects().notes)


class _Lost:
    """Second-order terms of which rounding has made something enormous, or nothing."""

    name, note = "lost", "as asked"
    information: Information = "observed"

    def __init__(self, size: float) -> None:
        self.size = size

    def adjusted(self, fit: mm.Fit) -> Array:
        return self.size * model_vcov(fit)


@pytest.mark.parametrize("size", [1e60, np.inf, np.nan])
def test_a_covariance_lost_to_rounding_is_that_of_the_first_order(size: float) -> None:
    fit = series()
    method = _Lost(size)
    np.testing.assert_array_equal(positive_or_first_order(fit, method), KenwardRoger(linear=True).vcov(fit))
    assert "lost to rounding here: first order instead" in described(method, fit)


def test_a_covariance_that_shrinks_is_given_as_asked_with_a_note() -> None:
    place = np.array([(i, j) for i in range(7) for j in range(7)], float)
    distance = np.sqrt(((place[:, None] - place[None]) ** 2).sum(-1))
    rng = np.random.default_rng(2)
    draws = [np.linalg.cholesky(np.exp(-distance / 2)) @ rng.normal(size=49) for _ in range(4)]
    field = {"x": place[:, 0], "z": place[:, 1], "f": np.ones(49), "y": draws[3]}
    fit = mm.gls("y ~ 1", field, residual="exp(x, z | f)")
    table = fit.fixed_effects(ddf="kenward-roger2")
    share = (table["std_error"][0] / fit.fixed_effects(ddf="asymptotic")["std_error"][0]) ** 2
    assert 0 < share < 0.8
    assert f"a variance {share:.2g} times the unadjusted" in table.notes[0]
    assert "times" not in fit.fixed_effects().notes[0]


def test_all_tables_are_of_one_covariance() -> None:
    fit = mm.lmm("Y ~ age * sex + (age | id)", growth())
    table, plain = fit.fixed_effects(), fit.fixed_effects(ddf="asymptotic")
    np.testing.assert_allclose(np.sqrt(np.diag(fit.vcov)), table["std_error"], rtol=1e-14)
    np.testing.assert_array_equal(fit.bse.array, table["std_error"])
    np.testing.assert_allclose(fit.tvalues.array, fit.beta / fit.bse.array, rtol=1e-12)
    np.testing.assert_array_equal(fit.conf_int()["conf_low"], table["conf_low"])
    other = fit.cov_params(ddf="asymptotic").array
    np.testing.assert_allclose(np.sqrt(np.diag(other)), plain["std_error"], rtol=1e-14)
    assert (plain["std_error"] < table["std_error"]).all()
    expected = fit.cov_params(information="expected").array
    np.testing.assert_allclose(
        np.sqrt(np.diag(expected)), fit.fixed_effects(information="expected")["std_error"]
    )
    for options in ({"method": "ml"}, {"ddf": "satterthwaite"}):
        unadjusted = fit.update(**options)
        np.testing.assert_array_equal(unadjusted.vcov, unadjusted.cov_params(ddf="asymptotic").array)


class _Indefinite(DegreesOfFreedom):
    name = note = "indefinite"

    def df_of_rows(self, fit: mm.Fit, functions: Array) -> Array:
        return np.full(len(functions), 10.0)

    def df_of_test(self, fit: mm.Fit, functions: Array) -> tuple[float, float]:
        return 1.0, 10.0

    def vcov(self, fit: mm.Fit) -> Array:
        return -np.eye(fit.design.fixed.rank)


def test_a_negative_variance_is_an_error_and_not_zero() -> None:
    fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    with pytest.raises(mm.FitError, match="a variance of -1, which cannot be"):
        estimate_rows(fit, np.eye(1), np.zeros(1), _Indefinite(), 0.95, np.ones(1, bool))


@pytest.mark.skipif(not CASES.exists(), reason="the collection of cases stands beside the repository")
class TestCases:
    def test_replicated_crossover(self) -> None:
        data = pd.read_csv(CASES / "reports" / "rtte.csv")
        formula = "logpk ~ treatment + factor(period) + sequence + "
        expected = {"ident(treatment)": 0.06084, None: 0.06058}
        for variance, error in expected.items():
            for random in ("(0 + treatment | subject)", "fa0(2)(0 + treatment | subject)"):
                fit = mm.lmm(formula + random, data, variance=variance)
                for method in ("auto", "kenward-roger", "kenward-roger2"):
                    found = fit.fixed_effects(ddf=method)["std_error"][1]
                    assert found == pytest.approx(error, abs=6e-6)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("zero_se_power_fitted", r"the fixed part, by 'C\(f, contr.sum\)', holds .*nothing is left"),
            ("negative_df", r"the fixed part, by 'x:C\(h\)', holds .*nothing is left"),
            ("zero_df_pairs", "8 random effects for 8 rows"),
        ],
    )
    def test_what_leaves_nothing_to_estimate(self, name: str, reason: str) -> None:
        with pytest.raises(mm.DataError, match=reason):
            runpy.run_path(str(CASES / "degenerate" / f"{name}.py"))

    def test_no_negative_f_or_df(self) -> None:
        data = pd.read_csv(CASES / "inference" / "negative_f.csv")
        table = mm.lmm("y ~ arm*t + (t|id)", data).wald(np.eye(4)[[1, 3]], joint=True)
        assert np.isnan([table["statistic"][0], table["den_df"][0], table["p_value"][0]]).all()
        assert "no F test" in table.notes[-1]

    @pytest.mark.parametrize("name", ["zero_df_anova"])
    def test_what_is_lost_to_rounding_is_refused(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(mm.FitError, match=r"lost to rounding.*satterthwaite"):
            runpy.run_path(str(CASES / "degenerate" / f"{name}.py"))
