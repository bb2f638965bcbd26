"""Pseudo-likelihood: identities, what it refuses, what its fits say."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import ConvergenceWarning, SpecError

CBPP = mm.datasets.load("cbpp")
EVENTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
PSEUDO = ("rspl", "mspl", "rmpl", "mmpl")


def counts(seed: int = 3, groups: int = 25, each: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), each)
    x = rng.normal(size=len(g))
    eta = 0.4 + 0.5 * x + rng.normal(0.0, 0.6, groups)[g]
    return pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "g": g.astype(str), "year": 1990 + g % 7})


@pytest.mark.parametrize("method", PSEUDO)
def test_normal_responses_are_a_linear_mixed_model(method: str) -> None:
    data = mm.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (Days | Subject)"
    linear = mm.lmm(formula, data, method="reml" if method[0] == "r" else "ml")
    fit = mm.glmm(formula, data, "gaussian", method=method)
    assert fit.beta == pytest.approx(linear.beta, rel=1e-9)
    assert fit.sigma2 == pytest.approx(linear.sigma2, rel=1e-6)
    assert -2.0 * fit.pseudo_loglik == pytest.approx(linear.criterion, abs=1e-7)
    assert fit.fixed_effects()["df"] == pytest.approx(linear.fixed_effects()["df"], rel=1e-4)
    assert fit.fitted == pytest.approx(linear.fitted, rel=1e-6)
    assert fit.dispersion == pytest.approx(linear.sigma2, rel=1e-6)


def test_without_random_terms_the_scores_vanish() -> None:
    data = counts()
    for family, link in (("poisson", "log"), ("poisson", "sqrt"), ("geometric", "log")):
        fit = mm.glmm("y ~ x", data, family, link, method="mspl")
        known = fit.distribution
        score = known.family.at(known.responses, known.predictors(fit.linear_predictor), order=1).score[0]
        x = np.column_stack([np.ones(len(data)), data["x"]])
        assert np.abs(x.T @ score).max() < 1e-6 * np.abs(score).sum()
        assert fit.fixed_effects()["df"] == pytest.approx(np.inf)


def test_trials_are_rows_taken_together() -> None:
    rows = CBPP.loc[CBPP.index.repeat(CBPP["size"])].copy()
    first = CBPP["size"].cumsum().shift(fill_value=0).repeat(CBPP["size"]).to_numpy()
    rows["sick"] = (np.arange(len(rows)) - first < rows["incidence"].to_numpy()).astype(int)
    grouped = mm.glmm(EVENTS, CBPP, "binomial", method="mspl")
    single = mm.glmm("sick ~ period + (1 | herd)", rows, "binomial", method="mspl")
    assert single.beta == pytest.approx(grouped.beta, rel=1e-6)
    assert single.covariances[0].ravel() == pytest.approx(grouped.covariances[0].ravel(), rel=1e-5)
    weighed = mm.glmm(
        "sick ~ period + (1 | herd)",
        rows.groupby(["herd", "period", "sick"], observed=True).size().rename("times").reset_index(),
        "binomial",
        method="mspl",
        frequency="times",
    )
    assert weighed.beta == pytest.approx(grouped.beta, rel=1e-6)


def test_other_spellings_rows_and_units() -> None:
    data = counts()
    fit = mm.glmm("y ~ x + (1 | g)", data, "poisson", method="rspl")
    shuffled = data.sample(frac=1.0, random_state=4).assign(
        x=lambda d: 1e6 * d["x"] + 3e6, g=lambda d: "level " + d["g"]
    )
    other = mm.glmm("y ~ x + (1 | g)", shuffled, "poisson", method="rspl")
    assert other.beta[1] * 1e6 == pytest.approx(fit.beta[1], rel=1e-6)
    assert other.covariances[0].ravel() == pytest.approx(fit.covariances[0].ravel(), rel=1e-5)
    years = mm.glmm("y ~ year + x + (1 | g)", data, "poisson", method="rspl")
    centred = mm.glmm("y ~ I(year - 1990) + x + (1 | g)", data, "poisson", method="rspl")
    assert years.beta[1] == pytest.approx(centred.beta[1], rel=1e-6)
    shifted = mm.glmm("y ~ x + offset(0 * x + 2) + (1 | g)", data, "poisson", method="rspl")
    assert shifted.beta[0] + 2.0 == pytest.approx(fit.beta[0], rel=1e-7)
    assert shifted.fitted == pytest.approx(fit.fitted, rel=1e-6)


def test_the_errors_of_rows_have_no_variance_of_their_own() -> None:
    fit = mm.glmm(EVENTS, CBPP, "binomial", method="rspl")
    assert fit.dispersion == 1.0
    assert fit.variance_components()["group"].tolist() == ["herd"]
    assert fit.n_covariance_parameters == 1
    free = mm.glmm(EVENTS, CBPP, "binomial", method="rspl", dispersion="free")
    assert free.variance_components()["group"].tolist() == ["herd", "Residual"]
    assert free.dispersion == pytest.approx(free.sigma2)
    assert "phi = " in str(free)


def test_there_is_no_likelihood() -> None:
    fit = mm.glmm(EVENTS, CBPP, "binomial", method="rspl")
    for name in ("loglik", "criterion", "aic", "bic", "aicc", "llf"):
        with pytest.raises(SpecError, match="pseudo-data differ from model to model"):
            getattr(fit, name)
    with pytest.raises(SpecError, match=r"fit\.anova"):
        mm.compare(fit, mm.glmm(EVENTS.replace("period + ", ""), CBPP, "binomial", method="rspl"))
    assert np.isnan(fit.glance()["loglik"][0])
    assert "residual log pseudo-likelihood" in str(fit)
    assert "binomial, logit link" in fit._repr_html_()
    with pytest.raises(SpecError, match="has a likelihood"):
        _ = mm.lmm("Reaction ~ Days", mm.datasets.load("sleepstudy")).pseudo_loglik


def test_fitted_means_and_residuals_are_of_the_response() -> None:
    fit = mm.glmm(EVENTS, CBPP, "binomial", method="rspl")
    assert fit.response == pytest.approx(CBPP["incidence"] / CBPP["size"])
    assert ((fit.fitted > 0) & (fit.fitted < 1)).all()
    assert fit.resid == pytest.approx(fit.response - fit.fitted)
    assert (fit.family, fit.link) == ("binomial", "logit")
    again = pickle.loads(pickle.dumps(fit))
    assert again.fitted == pytest.approx(fit.fitted)
    assert str(again) == str(fit)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("nb2", {}, "variance is known but for a factor"),
        ("poisson", {"zero_inflation": "~ 1"}, "not zero_inflation="),
        ("poisson", {"variance": "power(fitted)"}, "already follows the fitted mean"),
        ("gamma", {"dispersion": "free"}, "whole|positive|without a dispersion"),
        ("poisson", {"method": "laplace", "dispersion": "free"}, "working model"),
    ],
)
def test_what_pseudo_likelihood_does_not_know(family: str, options: dict[str, str], message: str) -> None:
    with pytest.raises((SpecError, mm.DataError), match=message):
        mm.glmm("y ~ x + (1 | g)", counts(), family, **{"method": "rspl", **options})


def test_an_infinite_estimate_is_not_called_converged() -> None:
    data = counts()
    data["event"] = (data["x"] > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="did not settle"):
        fit = mm.glmm("event ~ x + (1 | g)", data, "binomial", method="rspl")
    assert not fit.converged


def test_every_df_method_and_sandwich_of_the_linear_case() -> None:
    fit = mm.glmm(EVENTS, CBPP, "binomial", method="rspl")
    for ddf in ("kenward-roger", "satterthwaite", "containment", "between-within", "residual", "asymptotic"):
        assert np.isfinite(fit.fixed_effects(ddf=ddf)["std_error"]).all()
    assert np.isfinite(fit.vcov_robust(kind="CR2", cluster="herd").table()["p_value"]).all()
    assert fit.anova()["num_df"].tolist() == [3.0]


@pytest.mark.parametrize("tool", ["small_area", "start_grid", "conditional_aic"])
def test_tools_of_one_linear_model_are_refused(tool: str) -> None:
    fit = mm.glmm(EVENTS, CBPP, "binomial", method="rspl")
    with pytest.raises(SpecError, match=f"{tool} is for linear mixed models"):
        getattr(fit, tool)()
    with pytest.raises(SpecError, match="glmmPQL"):
        fit.to_lme4()
    with pytest.raises(SpecError, match="Laplace's approximation alone"):
        fit.to_glmmtmb()
