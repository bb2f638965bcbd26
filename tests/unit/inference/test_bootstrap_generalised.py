"""Bootstrap and simulated responses of models whose random effects are integrated out."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.inference.bootstrap import simulated
from mixedmodels.inference.resampling import Clusters, fit_rows

CBPP = mm.datasets.load("cbpp")
EVENTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "laplace": (EVENTS, "cbpp", {"family": "binomial"}),
    "quadrature": (EVENTS, "cbpp", {"family": "binomial", "method": "quadrature", "points": 5}),
    "zeros": (
        "count ~ mined + (1 | site)",
        "salamanders",
        {"family": "poisson", "zero_inflation": "~ 1 + (1 | spp)"},
    ),
    "ordinal": ("rating ~ temp + contact + (1 | judge)", "wine", {"family": "ordinal"}),
    "multinomial": ("rating ~ contact + diag(1 | judge)", "wine", {"family": "multinomial"}),
    "nb2": ("count ~ mined + (1 | site)", "salamanders", {"family": "nb2", "dispersion": "~ mined"}),
}


@cache
def fitted(name: str) -> mm.Fit:
    formula, data, options = MODELS[name]
    return mm.glmm(formula, mm.datasets.load(data), **options)


@pytest.mark.parametrize("name", ["laplace", "quadrature", "zeros", "ordinal"])
def test_replicates_are_refits_of_simulated_responses(name: str) -> None:
    fit = fitted(name)
    found = fit.bootstrap(n=3, seed=4)
    for i in range(3):
        again = fit.refit(simulated(fit, 4, i))
        np.testing.assert_allclose(found.replicates[i, -len(fit.beta) :], again.beta, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["laplace", "quadrature", "ordinal", "nb2"])
def test_drawing_every_cluster_once_is_the_fit(name: str) -> None:
    fit = fitted(name)
    clusters = Clusters.of(fit, None, "a test")
    again = fit_rows(fit, clusters, np.arange(clusters.count))
    # both searches end at decrements of 1e-8
    np.testing.assert_allclose(again.beta, fit.beta, rtol=1e-4, atol=1e-5)
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-7)


def test_a_cluster_drawn_twice_is_two() -> None:
    fit = fitted("laplace")
    clusters = Clusters.of(fit, None, "a test")
    chosen = np.r_[0, 0, np.arange(clusters.count)]
    rows = np.concatenate([clusters.rows[c] for c in chosen])
    data = CBPP.iloc[rows].assign(
        herd=np.repeat(np.arange(len(chosen)), [len(clusters.rows[c]) for c in chosen])
    )
    assert fit_rows(fit, clusters, chosen).loglik == pytest.approx(
        mm.glmm(EVENTS, data, "binomial").loglik, abs=1e-6
    )


def test_random_effects_of_the_zeros_are_drawn_anew() -> None:
    fit, data = fitted("zeros"), mm.datasets.load("salamanders")
    spread = {}
    for level in ("population", "conditional"):
        none = fit.simulate(300, seed=1, level=level) == 0.0
        spread[level] = np.ptp([none[data["spp"] == spp].mean() for spp in data["spp"].unique()])
    assert spread["population"] < 0.08
    assert spread["conditional"] > 0.15


def test_levels_are_drawn_by_their_probabilities() -> None:
    fit = fitted("ordinal")
    drawn = fit.simulate(2000, seed=2, level="conditional")
    share = np.array([(drawn == k).mean(axis=1) for k in range(5)]).T
    expected = np.column_stack([fit.predict(type="prob")[str(k)] for k in range(1, 6)])
    # four standard errors of 2,000 draws
    assert np.abs(share - expected).max() < 4.0 * np.sqrt(0.25 / 2000)


@pytest.mark.parametrize("kind", ["parametric", "case"])
def test_intervals(kind: str) -> None:
    found = fitted("laplace").confint("boot", n=40, seed=1, kind=kind)
    assert found["term"][0] == "sd(herd: (Intercept))"
    assert ((found["conf_low"] < found["estimate"]) & (found["estimate"] < found["conf_high"])).all()
    alone = mm.glm("cbind(incidence, size - incidence) ~ period", CBPP, "binomial")
    assert len(alone.confint("boot", n=20, seed=1, kind=kind)) == 4


def test_bootstrap_of_a_statistic_and_studentized() -> None:
    fit = fitted("laplace")
    found = fit.bootstrap(lambda one: one.covariances[0][0, 0, 0], n=8, seed=1)
    assert (found.replicates >= 0.0).all()
    table = fit.confint("boot", n=20, seed=1, interval="studentized")
    assert (table["conf_low"] < table["conf_high"]).all()


def test_unordered_levels_are_drawn_and_refitted() -> None:
    fit = fitted("multinomial")
    drawn = fit.simulate(2, seed=1)
    assert set(np.unique(drawn)) <= set(range(5))


def test_rows_that_stand_for_several_are_not_drawn() -> None:
    data = CBPP.assign(times=2)
    fit = mm.glmm("I(incidence > 0) ~ period + (1 | herd)", data, "binomial", frequency="times")
    with pytest.raises(SpecError, match="frequency="):
        fit.simulate(1, seed=1)


def test_restricted_fits_are_refused_in_one_sentence() -> None:
    fit = mm.glmm(EVENTS, CBPP, "binomial", reml=True)
    for tool in (lambda: fit.bootstrap(5, seed=1), lambda: fit.confint("boot", n=5), fit.vcov_robust):
        with pytest.raises(SpecError, match="fit it without reml=True"):
            tool()


def test_predictions_of_restricted_fits_say_what_they_take_as_known() -> None:
    fit = mm.glmm(EVENTS, CBPP, "binomial", reml=True)
    assert "take the covariance parameters as known" in str(fit.predict(se=True))
    assert "take the covariance parameters as known" not in str(fitted("laplace").predict(se=True))
