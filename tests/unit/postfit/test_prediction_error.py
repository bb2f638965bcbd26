"""Standard errors and intervals of predictions: what estimating the covariance adds, degrees of freedom, one answer."""

from __future__ import annotations

import json
import os
import pathlib

import numpy as np
import pytest

import mixedmodels as mm

SHARED = pathlib.Path(__file__).parents[4] / "shared"
CASES = pathlib.Path(os.environ.get("MIXEDMODELS_CASES", SHARED / "cases"))
REFERENCE = pathlib.Path(os.environ.get("MIXEDMODELS_REFERENCE", SHARED / "reference"))
LISTING = CASES / "outp_kenward_roger.json"


@pytest.fixture(scope="module")
def sleep() -> mm.Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


def one_way(seed: int, groups: int = 5, size: int = 6, between: float = 1.5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), size)
    y = between * rng.standard_normal(groups)[g] + rng.standard_normal(groups * size)
    return {"y": y, "g": g.astype(str)}


@pytest.mark.parametrize(
    "ddf", [None, "satterthwaite", "residual", "asymptotic", "containment", "between-within"]
)
def test_a_new_subject_and_the_population_have_one_interval(sleep: mm.Fit, ddf: str | None) -> None:
    new = {"Days": [3.0, 12.0], "Subject": ["new", "newer"]}
    options = {"interval": "prediction", "ddf": ddf}
    level = sleep.predict(new, new_levels="population", **options)
    population = sleep.predict(new, level="population", **options)
    bare = sleep.predict({"Days": new["Days"]}, level="population", **options)
    for name in ("fit", "lower", "upper"):
        np.testing.assert_allclose(level[name], population[name], rtol=1e-12)
        np.testing.assert_allclose(bare[name], population[name], rtol=1e-12)


def test_degrees_of_freedom_of_a_balanced_layout_in_closed_form() -> None:
    fit = mm.lmm("y ~ 1 + (1 | g)", one_way(3), ddf="satterthwaite")
    between, within, a, n = fit.covariances[0][0, 0, 0], fit.sigma2, 5, 6
    # a new observation of a new group varies by σ_b²(1 + 1/a) + σ²(1 + 1/an) = c₁·MSB + c₂·MSW
    c1, c2 = (1 + 1 / a) / n, (1 + 1 / (a * n)) - (1 + 1 / a) / n
    msb, msw = n * between + within, within
    df = (c1 * msb + c2 * msw) ** 2 / ((c1 * msb) ** 2 / (a - 1) + (c2 * msw) ** 2 / (a * (n - 1)))
    table = fit.predict({"g": ["new"]}, new_levels="population", interval="prediction")
    half = (table["upper"][0] - table["lower"][0]) / 2
    from scipy.stats import t

    assert half == pytest.approx(t.ppf(0.975, df) * np.sqrt(c1 * msb + c2 * msw), rel=1e-6)


def test_coverage_of_a_new_observation_of_a_new_cluster() -> None:
    covered = []
    for seed in range(300):
        fit = mm.lmm("y ~ 1 + (1 | g)", one_way(seed))
        table = fit.predict({"g": ["new"]}, new_levels="population", interval="prediction")
        rng = np.random.default_rng([seed, 1])
        new = 1.5 * rng.standard_normal(50) + rng.standard_normal(50)
        covered.append(np.mean((new > table["lower"][0]) & (new < table["upper"][0])))
    # Monte Carlo standard error 0.6 %; by the residual df 90 %
    assert 0.935 < np.mean(covered) < 0.97


def test_the_adjustment_is_that_of_prasad_and_rao_by_dense_algebra() -> None:
    data = one_way(5, groups=8, size=4)
    rows = np.sort(np.random.default_rng(0).choice(32, 25, replace=False))
    data = {name: values[rows] for name, values in data.items()}
    fit = mm.lmm("y ~ 1 + (1 | g)", data, ddf="kenward-roger")
    w = fit._work.natural_covariance()
    codes = fit.rows.random[0].codes
    j, x = (codes[:, None] == codes).astype(float), np.ones((len(codes), 1))
    v = fit.covariances[0][0, 0, 0] * j + fit.sigma2 * np.eye(len(codes))
    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    p = inverse - inverse @ x @ phi @ x.T @ inverse
    plain = fit.predict({"g": np.array(fit.design.random[0].levels)}, se=True, ddf="satterthwaite")["se"] ** 2
    found = fit.predict({"g": np.array(fit.design.random[0].levels)}, se=True)["se"] ** 2
    for level in range(8):
        z = (codes == level).astype(float)
        t = inverse @ x @ phi[:, 0] + p @ (fit.covariances[0][0, 0, 0] * z)
        slopes = [z - j @ t, -t]
        added = 2 * sum(w[a, b] * slopes[a] @ p @ slopes[b] for a in range(2) for b in range(2))
        assert found[level] - plain[level] == pytest.approx(added, rel=1e-5)


def test_first_order_kenward_roger_of_the_mean_is_the_same_adjustment(sleep: mm.Fit) -> None:
    new = {"Days": [2.0], "Subject": ["new"]}
    x = np.array([1.0, 2.0])
    expected = x @ sleep.vcov @ x + x @ sleep.covariances[0][0] @ x
    assert sleep.predict(new, new_levels="population", se=True)["se"][0] ** 2 == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("information", ["observed", "expected"])
def test_information_is_respected(sleep: mm.Fit, information: str) -> None:
    known = {"Days": [2.0], "Subject": ["308"]}
    tables = {i: sleep.predict(known, interval="confidence", information=i) for i in ("observed", "expected")}
    assert tables["observed"]["upper"][0] != tables["expected"]["upper"][0]
    explicit = sleep.predict(known, interval="confidence", ddf="kenward-roger", information=information)
    np.testing.assert_allclose(explicit["upper"], tables[information]["upper"])


def test_a_singular_fit_and_held_parameters_have_intervals() -> None:
    dyestuff = mm.datasets.load("dyestuff2")
    fit = mm.lmm("Yield ~ 1 + (1 | Batch)", dyestuff)
    assert fit.singular
    for level in ("conditional", "population"):
        table = fit.predict({"Batch": ["A"]}, level=level, interval="prediction")
        assert np.isfinite(table["lower"]).all()
    held = mm.lmm(
        "Yield ~ 1 + (1 | Batch)", dyestuff, hold={"var(Residual)": 14.0, "var(Batch: (Intercept))": 1.0}
    )
    table = held.predict({"Batch": ["A"]}, interval="prediction")
    assert np.isfinite(table["upper"]).all()


def test_a_prediction_leaves_the_fit_as_it_was(sleep: mm.Fit) -> None:
    before = sleep.vcov.copy(), sleep.random_effects(se=True)["std_error"].copy()
    sleep.predict(interval="prediction")
    np.testing.assert_array_equal(sleep.vcov, before[0])
    again = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    again.predict(interval="prediction")
    np.testing.assert_allclose(again.random_effects(se=True)["std_error"], before[1], rtol=1e-12)


@pytest.mark.skipif(not LISTING.exists(), reason="listings of SAS are not here")
def test_outp_and_outpm_of_sas_under_kenward_roger() -> None:
    pandas = pytest.importorskip("pandas")
    fev = pandas.read_csv(REFERENCE / "data" / "fev_data.csv")
    (case,) = json.loads(LISTING.read_text())["cases"]
    _, _, mean, mean_se, predicted, se = np.array(case["rows_first_200"], dtype=float).T
    fit = mm.gls("FEV1 ~ ARMCD", fev, residual="cs(AVISIT | USUBJID)", ddf="kenward-roger")
    rows = fev.iloc[:200]
    conditional, population = fit.predict(rows, se=True), fit.predict(rows, se=True, level="population")
    # SAS's optimum is known to about 1e-8 of −2l: 1e-6 of these
    np.testing.assert_allclose(population["fit"], mean, rtol=1e-7)
    np.testing.assert_allclose(population["se"], mean_se, rtol=1e-6)
    np.testing.assert_allclose(conditional["fit"], predicted, rtol=1e-6)
    # of missing responses to 4e-9; rows that were observed are as in OUTPM=
    np.testing.assert_allclose(conditional["se"], se, rtol=1e-6)
    missing = fev["FEV1"].iloc[:200].isna().to_numpy()
    np.testing.assert_allclose(np.asarray(conditional["se"])[missing], se[missing], rtol=1e-8)


def test_rows_at_positions_without_covariance_are_named() -> None:
    sleep = mm.datasets.load("sleepstudy")
    fit = mm.gls("Reaction ~ Days", sleep, residual="ar1(Days | Subject)")
    table = fit.predict({"Days": [9.0, 12.0], "Subject": ["308", "308"]}, se=True)
    assert any("1 row stands at a position that no row of the fit has" in note for note in table.notes)
    forecast = mm.gls("Reaction ~ Days", sleep, residual="car1(Days | Subject)")
    later = forecast.predict({"Days": [12.0], "Subject": ["308"]}, se=True)
    assert "missing response" in later.notes[0]
    assert later["fit"][0] != forecast.predict({"Days": [12.0]}, level="population")[0]


def test_printing_and_tables_tell_one_story(sleep: mm.Fit) -> None:
    before = str(sleep)
    table, tidy, interval = sleep.fixed_effects(), sleep.tidy("fixed"), sleep.conf_int()
    np.testing.assert_array_equal(np.asarray(sleep.bse), table["std_error"])
    np.testing.assert_array_equal(np.asarray(sleep.tvalues), tidy["statistic"])
    np.testing.assert_array_equal(np.asarray(sleep.pvalues), tidy["p_value"])
    np.testing.assert_array_equal(interval["conf_low"], table["conf_low"])
    np.testing.assert_allclose(np.sqrt(np.diag(sleep.vcov)), table["std_error"], rtol=1e-12)
    assert str(sleep) == before


def test_splines_belong_to_the_mean_of_the_population() -> None:
    rng = np.random.default_rng(4)
    x, g = rng.uniform(0, 6, 240), np.tile(np.arange(12), 20)
    data = {"x": x, "g": g.astype(str), "y": 3 + np.sin(2 * x) + 0.5 * rng.standard_normal(12)[g]}
    data["y"] = data["y"] + 0.2 * rng.standard_normal(240)
    fit = mm.lmm("y ~ spline(x, degree=2, knots=20) + (1 | g)", data)
    at = np.linspace(0.3, 5.7, 20)
    table = fit.predict({"x": at}, level="population", interval="confidence")
    assert np.all(np.abs(table["fit"] - 3 - np.sin(2 * at)) < 0.6)
    assert np.all((table["se"] > 0.05) & (table["se"] < 0.4))
    assert fit.r2()["r2"][0] > 0.5
    assert list(fit.icc()["group"]) == ["g", "all", "Residual", "Fixed"]
