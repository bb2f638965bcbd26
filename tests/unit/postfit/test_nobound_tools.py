"""Tools after a fit with a negative variance: never a wrong square root, and a reason for what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def repelling(clusters: int = 60, t: int = 4) -> pd.DataFrame:
    """Return clusters whose observations repel each other: correlation −0.2 within."""
    rng = np.random.default_rng(21)
    root = np.linalg.cholesky(1.2 * np.eye(t) - 0.2)
    y = rng.standard_normal((clusters, t)) @ root.T
    return pd.DataFrame(
        {
            "g": np.repeat([f"g{i:02d}" for i in range(clusters)], t),
            "t": np.tile(np.arange(t, dtype=float), clusters),
            "y": y.ravel(),
        }
    )


@pytest.fixture(scope="module")
def fit() -> Any:
    return mm.lmm("y ~ t + (1 | g)", repelling(), bounds="none")


NAME = "var(g: (Intercept))"


def test_components(fit: Any) -> None:
    table = fit.variance_components()
    assert table["variance"][0] < 0
    assert np.isnan(table["sd"][0])
    assert "negative, so without standard deviation" in str(table)
    for kind in ("wald", "symmetric", "satterthwaite"):
        with_limits = fit.variance_components(ci=kind)
        low, high = with_limits["conf_low"][0], with_limits["conf_high"][0]
        half = 1.959963984540054 * with_limits["std_error"][0]
        assert (low, high) == pytest.approx((table["variance"][0] - half, table["variance"][0] + half))


def test_summary_says_so_and_has_no_singular_note(fit: Any) -> None:
    text = str(fit)
    assert "The variance of (Intercept) for g is negative." in text
    assert "singular" not in text
    assert not fit.singular
    assert "signed engine" in text


def test_parameters_are_counted_and_compared(fit: Any) -> None:
    smaller = mm.lm("y ~ t", repelling())
    assert fit.n_parameters == smaller.n_parameters + 1
    table = mm.compare(smaller, fit)
    assert table["statistic"][1] > 10
    assert "boundary" not in str(table)
    mixture = mm.compare(smaller, fit, boundary="mixture")
    assert "no boundary with bounds='none'" in str(mixture)
    assert mixture["p_value"][1] == table["p_value"][1]
    sas = fit.information_criteria().to_frame().set_index("criterion")["sas"]
    assert sas["AIC"] == pytest.approx(fit.criterion + 4)


def test_effects_and_predictions_have_no_standard_errors_of_effects(fit: Any) -> None:
    effects = fit.random_effects()
    assert np.isnan(effects["std_error"]).all()
    assert abs(effects["estimate"].sum()) < 1e-8
    new = pd.DataFrame({"g": ["g03"], "t": [1.0]})
    conditional = fit.predict(new, se=True, interval="prediction")
    assert np.isnan(conditional["se"]).all()
    population = fit.predict(new, level="population", se=True, interval="prediction")
    assert np.isfinite(population["se"]).all()
    # a new response has the variance of V, negative component included
    half = (population["upper"] - population["lower"]) / 2
    total = fit.sigma2 + fit.covariances[0].item() + population["se"] ** 2
    assert half[0] / np.sqrt(total[0]) == pytest.approx(1.97, abs=0.02)
    assert fit.emmeans("1").to_frame()["std_error"].notna().all()


def test_simulation_has_the_covariance_of_the_fit(fit: Any) -> None:
    y = fit.simulate(400, seed=3) - fit.linear_predictor[:, None]
    pairs = y.reshape(60, 4, 400).transpose(0, 2, 1).reshape(-1, 4)
    expected = fit.marginal_cov("g00").array
    # standard errors of the elements with 24,000 draws are below 0.011 of the variance
    np.testing.assert_allclose(pairs.T @ pairs / len(pairs), expected, atol=0.04)
    assert fit.simulate(2, seed=3, level="conditional").shape == (240, 2)


def test_profile_and_bootstrap_cross_zero(fit: Any) -> None:
    profile = fit.confint("profile", terms=NAME, likelihood="reml")
    wald = fit.confint("wald", terms=NAME)
    assert profile["conf_high"][0] < 0
    for end in ("conf_low", "conf_high"):
        assert profile[end][0] == pytest.approx(wald[end][0], abs=0.05)
    boot = fit.confint("boot", terms=NAME, n=40, seed=2)
    assert boot["conf_low"][0] < fit.covariances[0].item() < boot["conf_high"][0]


def test_what_needs_a_factor_is_refused(fit: Any) -> None:
    with pytest.raises(mm.SpecError, match=r"theta: .*'g' is not positive semidefinite"):
        _ = fit.theta
    with pytest.raises(mm.SpecError, match="lme4 keeps covariance matrices positive semidefinite"):
        fit.to_lme4()


def test_shares_say_that_they_may_be_negative(fit: Any) -> None:
    assert fit.icc()["icc"][0] == pytest.approx(-0.2, abs=0.06)
    assert "negative" in str(fit.icc())
    assert "negative" in str(fit.r2())


def test_it_pickles_refits_and_updates(fit: Any) -> None:
    again = pickle.loads(pickle.dumps(fit))
    assert again.fixed_effects().to_frame().equals(fit.fixed_effects().to_frame())
    mirrored = fit.refit(-fit.response)
    assert mirrored.covariances[0].item() == pytest.approx(fit.covariances[0].item(), rel=1e-4)
    assert fit.update("y ~ 1 + (1 | g)").spec.bounds == "none"
    assert fit.update("y ~ t + (1 | g)", bounds="psd").covariances[0].item() == 0


def test_values_are_held_and_started_from() -> None:
    data = repelling()
    held = mm.lmm("y ~ t + (1 | g)", data, bounds="none", hold={NAME: -0.1})
    assert held.covariances[0].item() == pytest.approx(-0.1)
    started = mm.lmm("y ~ t + (1 | g)", data, bounds="none", start={NAME: -0.15})
    assert started.converged
    with pytest.raises(mm.FitError, match="not positive definite"):
        mm.lmm("y ~ t + (1 | g)", data, bounds="none", start={NAME: -5.0})


@pytest.mark.parametrize("term", ["ar1(0 + f | g)", "hcs(0 + f | g)"])
def test_structures_of_correlations_are_refused(term: str) -> None:
    data = repelling().assign(f=lambda d: d["t"].astype(int).astype(str))
    with pytest.raises(mm.SpecError, match=r"bounds='none'.*us, diag, homdiag, cs"):
        mm.lmm(f"y ~ t + {term}", data, bounds="none")


def test_known_covariances_are_refused() -> None:
    data = repelling()
    names = data["g"].unique()
    known = {"K": pd.DataFrame(np.eye(60), index=names, columns=names)}
    with pytest.raises(mm.SpecError, match="does not go with a known covariance"):
        mm.lmm("y ~ t + (1 | g, cov=K)", data, known=known, bounds="none")


def test_structured_errors_beside_a_negative_variance() -> None:
    fit = mm.lmm("y ~ t + (1 | g)", repelling(), residual="ar1(t | g)", bounds="none")
    assert fit.converged
    assert fit.engine == "clusters"
    assert np.linalg.eigvalsh(fit.marginal_cov("g00").array)[0] > 0
    assert fit.simulate(1, seed=1).shape == (240, 1)
    bounded = mm.lmm("y ~ t + (1 | g)", repelling(), residual="ar1(t | g)")
    assert fit.criterion <= bounded.criterion + 1e-8


def test_tools_of_effects_are_refused(fit: Any) -> None:
    with pytest.raises(mm.SpecError, match=r"conditional AIC needs .*bounds='psd'"):
        fit.conditional_aic()
    with pytest.raises(mm.SpecError, match=r"small_area: .*bounds='psd'"):
        fit.small_area()


def test_tidy_has_no_standard_deviation(fit: Any) -> None:
    row = fit.tidy().to_frame().set_index("term").loc["sd__(Intercept)"]
    assert np.isnan(row["estimate"])
