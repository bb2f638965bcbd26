"""Small areas: identities, finite populations, boundaries, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def units(seed: int = 3, spread: float = 2.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    area = np.repeat([f"a{i}" for i in range(8)], [1, 2, 3, 4, 5, 3, 2, 6])
    x = rng.normal(5, 2, len(area))
    effect = dict(zip(dict.fromkeys(area), rng.normal(0, spread, 8), strict=True))
    y = 1 + 2 * x + np.array([effect[a] for a in area]) + rng.normal(0, 1, len(area))
    return pd.DataFrame({"area": area, "x": x, "y": y})


def means(data: pd.DataFrame) -> pd.DataFrame:
    return data.groupby("area", as_index=False)["x"].mean().assign(N=1000.0)


@pytest.fixture(scope="module")
def fit() -> mm.Fit:
    return mm.lmm("y ~ x + (1 | area)", units())


def test_first_two_parts_are_the_variance_of_the_prediction(fit: mm.Fit) -> None:
    table = fit.small_area(means(units()))
    predicted = fit.predict(means(units()), se=True, ddf="asymptotic")
    np.testing.assert_allclose(table["estimate"], predicted["fit"], rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(table["g1"] + table["g2"]), predicted["se"], rtol=1e-8)


def test_weights_stand_for_repeated_units() -> None:
    data = units()
    averaged = data.groupby("area", as_index=False).agg(x=("x", "mean"), y=("y", "mean"), n=("y", "size"))
    known = 1.3
    whole = mm.lmm("y ~ 1 + (1 | area)", data, hold={"var(Residual)": known, "var(area: (Intercept))": 2.0})
    held = {"var(Residual)": 1.0, "var(area: (Intercept))": 2.0}
    reduced = mm.lmm("y ~ 1 + (1 | area)", averaged, weights=averaged["n"] / known, hold=held)
    a, b = (one.small_area({"area": averaged["area"]}, estimator="known") for one in (whole, reduced))
    for name in ("estimate", "mse", "gamma"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-10)


def test_a_population_seen_whole_has_its_mean_and_no_error(fit: mm.Fit) -> None:
    data = units()
    seen = data.groupby("area", as_index=False).agg(x=("x", "mean"), y=("y", "mean"), N=("y", "size"))
    table = fit.small_area(seen, size="N")
    np.testing.assert_allclose(table["estimate"], seen["y"], rtol=1e-10)
    np.testing.assert_allclose(table["mse"], 0.0, atol=1e-12)
    huge = fit.small_area(seen.assign(N=1e9), size="N")
    np.testing.assert_allclose(huge["mse"], fit.small_area(seen)["mse"], rtol=1e-6)


def test_no_variance_between_areas_is_said_and_still_uncertain() -> None:
    data = units()
    flat = mm.lmm("y ~ x + (1 | area)", data.assign(y=2 * data["x"] + np.tile([1.0, -1.0], 13)))
    table = flat.small_area(means(data))
    assert flat.singular
    assert (table["gamma"] == 0).all()
    assert (table["g3"] > 0).all()
    assert any("estimated as zero" in note for note in table.notes)


def test_mean_squared_error_by_simulation() -> None:
    """Prasad and Rao's mse is that of the predictions, averaged over areas, to Monte Carlo error."""
    rng = np.random.default_rng(5)
    m, draws = 12, 400
    d, x = np.linspace(0.5, 3.0, m), rng.uniform(0, 5, m)
    data = pd.DataFrame({"area": np.arange(m), "x": x, "D": d, "y": np.zeros(m)})
    data["y"] = x + rng.normal(0, 1, m)
    fit = mm.fay_herriot("y ~ x", data, variance="D", area="area")
    true, claimed, naive = np.zeros(m), np.zeros(m), np.zeros(m)
    for _ in range(draws):
        effect = rng.normal(0, 1, m)
        found = fit.refit(x + effect + np.sqrt(d) * rng.normal(0, 1, m)).small_area()
        true += (found["estimate"] - x - effect) ** 2 / draws
        claimed += found["mse"] / draws
        naive += (found["g1"] + found["g2"]) / draws
    # the standard error of the mean of 400 × 12 squared errors is about 3 %
    assert claimed.mean() == pytest.approx(true.mean(), rel=0.12)
    assert naive.mean() < 0.93 * true.mean()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda fit: fit.small_area(), "population means of x"),
        (lambda fit: fit.small_area({"area": ["a1"], "z": [1.0]}), "no column 'x'"),
        (lambda fit: fit.small_area({"area": ["a1", "a1"], "x": [1.0, 2.0]}), "stands in several rows"),
        (lambda fit: fit.small_area({"area": ["a1"], "x": [np.nan]}), "missing values"),
        (
            lambda fit: fit.small_area({"area": ["a7"], "x": [1.0], "N": [2]}, size="N"),
            "6 units in the data and 2",
        ),
        (lambda fit: fit.small_area({"area": ["a1"], "x": [1.0]}, estimator="ml"), "are by REML"),
        (lambda fit: fit.small_area({"area": ["a1"], "x": [1.0]}, estimator="mle"), "Did you mean 'ml'"),
    ],
)
def test_mistakes_are_explained(fit: mm.Fit, ask: Any, message: str) -> None:
    with pytest.raises((mm.SpecError, mm.DataError), match=message):
        ask(fit)


def test_equal_sampling_variances_and_missing_estimates() -> None:
    """James and Stein's case: one known variance for all; an area without an estimate is left out and said."""
    data = {
        "area": list("abcdefg"),
        "y": [1.0, 3.0, np.nan, 4.0, 9.0, 7.0, 8.0],
        "x": [0.0, 1, 2, 3, 4, 5, 6],
        "D": [1.0] * 7,
    }
    fit = mm.fay_herriot("y ~ x", data, variance="D", area="area")
    table = fit.small_area()
    assert table["area"].tolist() == list("abdefg")
    assert np.ptp(table["gamma"]) < 1e-12
    residual = fit.response - fit.linear_predictor
    np.testing.assert_allclose(table["estimate"], fit.response - (1 - table["gamma"]) * residual)
    # with equal variances REML is the moment estimator: residual mean square less D
    ols = mm.lm("y ~ x", {name: np.delete(np.array(values), 2) for name, values in data.items()})
    assert fit.covariances[0][0, 0, 0] == pytest.approx(ols.sigma2 - 1.0, rel=1e-5)


def test_models_that_are_not_of_areas_are_refused() -> None:
    slopes = mm.lmm("y ~ x + (x || area)", units())
    with pytest.raises(mm.SpecError, match="one random intercept"):
        slopes.small_area(means(units()))
    held = mm.lmm("y ~ x + (1 | area)", units(), hold={"var(area: (Intercept))": 2.0})
    with pytest.raises(mm.SpecError, match="say how it was found"):
        held.small_area(means(units()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variance": "d"}, "Did you mean 'D'"),
        ({"area": "aria"}, "Did you mean 'area'"),
        ({"method": "moments"}, "method='moments'"),
        ({"variance": [1.0, 2.0]}, "2 values for 4 rows"),
        ({"variance": [1.0, 2.0, 0.0, 1.0]}, "0 is no sampling variance"),
    ],
)
def test_mistakes_in_area_level_models(given: dict[str, Any], message: str) -> None:
    data = {
        "area": list("abcd"),
        "y": [1.0, 2.0, 4.0, 3.0],
        "x": [1.0, 2.0, 3.0, 5.0],
        "D": [1.0, 1.0, 2.0, 2.0],
    }
    with pytest.raises((mm.SpecError, mm.DataError), match=message):
        mm.fay_herriot("y ~ x", data, **{"variance": "D", "area": "area", **given})
    with pytest.raises(mm.SpecError, match="added by area="):
        mm.fay_herriot("y ~ x + (1 | area)", data, variance="D", area="area")
    twice = {name: values * 2 for name, values in data.items()}
    with pytest.raises(mm.DataError, match="several rows"):
        mm.fay_herriot("y ~ x", twice, variance="D", area="area")


def test_variances_with_labels_are_matched_by_label() -> None:
    frame = pd.DataFrame(
        {"area": [*"abcde"], "y": [1.0, 3.0, 2.0, 6.0, 4.0], "D": [0.5, 0.4, 0.5, 0.6, 0.3]}, index=[*"vwxyz"]
    )
    by_column = mm.fay_herriot("y ~ 1", frame, variance="D", area="area")
    by_label = mm.fay_herriot("y ~ 1", frame, variance=frame["D"].iloc[::-1], area="area")
    assert by_label.criterion == by_column.criterion
