"""Predictions at new rows: levels, gaps, intervals, aliasing."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from fitted_models import MODELS, make_oracle, weighted_fit
from mixedmodels.fit import Fit
from mixedmodels.inference.distributions import t_quantile


@pytest.fixture(scope="module")
def sleep() -> Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("level", ["conditional", "population"])
def test_the_data_as_new_data_give_the_fitted_values(name: str, level: str) -> None:
    fit = MODELS[name]()
    assert fit.inputs is not None
    rows = slice(None) if fit.rows.used is None else fit.rows.used
    again = fit.predict(fit.inputs.data.given, level=level, se=True)
    here = fit.predict(level=level, se=True)
    np.testing.assert_allclose(again["fit"][rows], here["fit"], rtol=1e-12)
    np.testing.assert_allclose(again["se"][rows], here["se"], rtol=1e-10)


def test_a_known_and_a_new_level(sleep: Fit) -> None:
    new = {"Days": [0, 12], "Subject": ["308", "999"]}
    with pytest.raises(mm.DataError, match=r"level of 'Subject'.*row 2.*new_levels='population'"):
        sleep.predict(new)
    table = sleep.predict(new, new_levels="population", se=True)
    # lme4 1.1-31: predict(fit, newdata, allow.new.levels = TRUE) and coef(fit), to the optimiser's tolerance.
    assert table["fit"][0] == pytest.approx(253.663655798, abs=1e-4)
    assert table["fit"][1] == pytest.approx(sleep.beta @ [1, 12], rel=1e-12)
    x = np.array([1.0, 12.0])
    expected = x @ sleep.vcov @ x + x @ sleep.covariances[0][0] @ x
    assert table["se"][1] ** 2 == pytest.approx(expected, rel=1e-10)


def test_population_level_needs_no_grouping_columns(sleep: Fit) -> None:
    table = sleep.predict({"Days": [3]}, level="population", interval="confidence", ddf="residual")
    x = np.array([1.0, 3.0])
    se = np.sqrt(x @ sleep.vcov @ x)
    half = t_quantile(0.95, np.array([178.0]))[0] * se
    assert table["fit"][0] == pytest.approx(x @ sleep.beta)
    assert table["upper"][0] - table["fit"][0] == pytest.approx(half, rel=1e-12)


def test_prediction_intervals_add_the_variance_of_an_observation() -> None:
    fit = weighted_fit()
    v = np.diag(make_oracle(fit).v)
    z = t_quantile(0.9, np.array([np.inf]))[0]
    for level, extra in (("conditional", fit.sigma2 / fit.rows.weights), ("population", v)):
        table = fit.predict(level=level, interval="prediction", confidence=0.9, ddf="asymptotic")
        half = (table["upper"] - table["lower"]) / 2
        np.testing.assert_allclose(half**2, z**2 * (table["se"] ** 2 + extra), rtol=1e-9)


def test_new_observations_without_weights_have_weight_one() -> None:
    fit = weighted_fit()
    new = {"g": ["g1"], "h": ["h2"], "x": [0.3], "known": [1.0]}
    one = fit.predict({**new, "w": [1.0]}, interval="prediction")
    none = fit.predict(new, interval="prediction")
    np.testing.assert_allclose(none["upper"], one["upper"])
    assert "weight 1" in none.notes[1]
    assert fit.predict({**new, "w": [4.0]}, interval="prediction")["upper"][0] < one["upper"][0]


def test_rows_with_missing_predictors_are_missing(sleep: Fit) -> None:
    table = sleep.predict({"Days": [1.0, np.nan], "Subject": ["308", "309"]}, se=True)
    assert np.isfinite(table["fit"][0])
    assert np.isnan(table["fit"][1])
    assert np.isnan(table["se"][1])


def test_means_that_cannot_be_estimated_are_missing_with_a_warning() -> None:
    data = mm.datasets.load("sleepstudy").assign(twice=lambda d: 2 * d["Days"])
    fit = mm.lmm("Reaction ~ Days + twice + (1 | Subject)", data)
    new = {"Days": [1, 2], "twice": [2, 5], "Subject": ["308", "308"]}
    with pytest.warns(UserWarning, match="1 rows cannot be predicted"):
        predicted = fit.predict(new)
    assert np.isfinite(predicted[0])
    assert np.isnan(predicted[1])


def test_lm_prediction_intervals() -> None:
    # R 4.2: predict(lm(Reaction ~ Days, sleepstudy), data.frame(Days = c(2, 20)), interval = "prediction")
    fit = mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy"))
    table = fit.predict({"Days": [2, 20]}, interval="prediction")
    np.testing.assert_allclose(table["fit"], [272.339676768, 460.750824040], rtol=1e-11)
    np.testing.assert_allclose(table["se"], [4.71490722535, 19.51876552536], rtol=1e-10)
    np.testing.assert_allclose(table["lower"], [177.721777077, 359.017791291], rtol=1e-10)


def test_splines_predict_between_the_data() -> None:
    data = mm.datasets.load("curve")
    fit = mm.lmm("y ~ spline(x, degree=2, knots=20)", data)
    at = np.linspace(float(data["x"].min()), float(data["x"].max()), 50)
    table = fit.predict({"x": at}, se=True)
    assert np.all(np.isfinite(table["fit"]))
    assert np.all(table["se"] > 0)
    np.testing.assert_allclose(fit.predict({"x": data["x"].to_numpy()}), fit.fitted, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "marginal"}, "level='marginal' is not known"),
        ({"interval": "credible"}, "interval='credible' is not known"),
        ({"new_levels": "drop"}, "new_levels='drop' is not known"),
        ({"interval": "confidence", "confidence": 95}, "confidence=95 must lie between"),
    ],
)
def test_unknown_options_name_what_is_allowed(sleep: Fit, options: dict[str, object], message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        sleep.predict(**options)
