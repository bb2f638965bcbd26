"""Means with zeros, shares of zeros, dispersions and probabilities at rows of the fit and new ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import special

import mixedmodels as mm
from mixedmodels.errors import SpecError

SALAMANDERS = mm.datasets.load("salamanders")
WINE = mm.datasets.load("wine")
MODELS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "zeros": (
        "count ~ mined + spp + (1 | site)",
        SALAMANDERS,
        {"family": "poisson", "zero_inflation": "~ mined + (1 | spp)"},
    ),
    "hurdle": (
        "count ~ mined + (1 | site)",
        SALAMANDERS,
        {"family": "nb2", "hurdle": "~ mined", "dispersion": "~ mined"},
    ),
    "truncated": (
        "count ~ mined + (1 | site)",
        SALAMANDERS[SALAMANDERS["count"] > 0],
        {"family": "truncated_nb2"},
    ),
    "ordinal": ("rating ~ temp + contact + (1 | judge)", WINE, {"family": "ordinal"}),
    "multinomial": (
        "rating ~ contact + temp",
        WINE.assign(rating=WINE["rating"].astype(int).clip(2, 4)),
        {"family": "multinomial"},
    ),
}
LEVELS = ("conditional", "population", "averaged")


@cache
def fitted(name: str) -> mm.Fit:
    formula, data, options = MODELS[name]
    return (mm.glmm if "|" in formula else mm.glm)(formula, data, **options)


@pytest.mark.parametrize("name", ["zeros", "hurdle", "truncated"])
def test_new_rows_are_predicted_as_those_of_the_fit(name: str) -> None:
    fit, data = fitted(name), MODELS[name][1]
    for type in ("response", "conditional", *(("zero",) if name != "truncated" else ())):
        for level in LEVELS:
            np.testing.assert_allclose(
                fit.predict(data, type=type, level=level), fit.predict(type=type, level=level), rtol=1e-10
            )
    np.testing.assert_allclose(fit.predict(type="response"), fit.fitted, rtol=1e-10)


def test_a_mean_is_the_share_that_is_not_zero_times_the_rest() -> None:
    for name in ("zeros", "hurdle"):
        fit = fitted(name)
        for level in ("conditional", "population"):
            share, rest = fit.predict(type="zero", level=level), fit.predict(type="conditional", level=level)
            np.testing.assert_allclose(
                fit.predict(type="response", level=level), (1.0 - share) * rest, rtol=1e-10
            )


def test_population_has_no_random_effects_of_the_zeros() -> None:
    fit = fitted("zeros")
    share = fit.predict(type="zero", level="population")
    assert len(np.unique(share.round(10))) == 2
    assert len(np.unique(fit.predict(type="zero").round(10))) > 2


def test_averages_are_those_of_many_draws() -> None:
    fit, rng = fitted("zeros"), np.random.default_rng(1)
    row = SALAMANDERS.iloc[[0]]
    site, spp = (float(np.sqrt(one[0, 0, 0])) for one in fit.covariances)
    eta = fit.predict(row, type="link", level="population")[0]
    zero = special.logit(fit.predict(row, type="zero", level="population")[0])
    z = rng.standard_normal((2, 400_000))
    drawn = np.exp(eta + site * z[0]) * special.expit(-(zero + spp * z[1]))
    found = fit.predict(row, type="response", level="averaged")[0]
    assert found == pytest.approx(drawn.mean(), abs=4.0 * drawn.std() / np.sqrt(400_000))


def test_errors_of_averages_tend_to_those_without_random_effects() -> None:
    small = mm.glmm(
        "count ~ mined + (1 | site)",
        SALAMANDERS,
        "poisson",
        zero_inflation="~ mined",
        hold={"var(site: (Intercept))": 1e-8},
    )
    row = SALAMANDERS.iloc[[0, 200]]
    one, two = (
        small.predict(row, type="response", level=level, se=True) for level in ("population", "averaged")
    )
    np.testing.assert_allclose(one["fit"], two["fit"], rtol=1e-6)
    np.testing.assert_allclose(one["se"], two["se"], rtol=1e-4)


@pytest.mark.parametrize("name", ["zeros", "hurdle", "ordinal", "multinomial"])
@pytest.mark.parametrize("level", LEVELS)
def test_limits_stay_in_range(name: str, level: str) -> None:
    fit, data = fitted(name), MODELS[name][1]
    type = "response" if name in ("zeros", "hurdle") else "prob"
    table = fit.predict(data.iloc[:6], type=type, level=level, se=True, interval="confidence")
    low, high = np.asarray(table["lower"]), np.asarray(table["upper"])
    assert (low > 0.0).all()
    assert ((low < table["fit"]) & (table["fit"] < high)).all()
    assert (np.asarray(table["se"]) > 0.0).all()
    if type == "prob":
        assert (high < 1.0).all()


def test_probabilities_add_up_whatever_the_reference() -> None:
    fit = fitted("multinomial")
    table = fit.predict(WINE, type="prob")
    total = sum(np.asarray(table[name]) for name in table.names)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    # of a saturated table they are its shares
    full = mm.glm("rating ~ contact", MODELS["multinomial"][1], "multinomial")
    shares = MODELS["multinomial"][1].groupby("contact")["rating"].value_counts(normalize=True)
    found = full.predict({"contact": ["no", "yes"]}, type="prob")
    for level in found.names:
        np.testing.assert_allclose(
            found[level], [shares["no"][int(level)], shares["yes"][int(level)]], rtol=1e-6
        )


def test_missing_predictors_give_missing_predictions() -> None:
    data = SALAMANDERS.iloc[:3].assign(mined=["yes", None, "no"])
    found = fitted("zeros").predict(data, type="response", se=True)
    assert np.isnan(found["fit"]).tolist() == [False, True, False]
    assert np.isnan(found["se"]).tolist() == [False, True, False]


def test_what_is_refused() -> None:
    with pytest.raises(SpecError, match="type='zero' is the probability of a zero"):
        fitted("truncated").predict(type="zero")
    with pytest.raises(SpecError, match="categories have probabilities"):
        fitted("ordinal").predict(type="response")
    with pytest.raises(SpecError, match="has no dispersion"):
        fitted("zeros").predict(type="dispersion")
    with pytest.raises(SpecError, match="unordered categories have a linear predictor for each"):
        fitted("multinomial").predict(type="link")
    with pytest.raises(SpecError, match="ask for type='response' with it"):
        fitted("zeros").predict(type="zero", interval="prediction")
