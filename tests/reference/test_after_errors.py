"""After fits with structured errors: nlme's residuals, covariances and intervals; sandwich covariances in full."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.postfit.variance_components import list_components
from reference.loading import FOLDER, read_frame

CASE = json.loads((FOLDER / "after_errors" / "after.json").read_text(encoding="utf-8"))
MODELS = {model["id"]: model for model in CASE["models"]}
TO_ROUNDING = mm.Control(decrement=1e-14)
OPTIMUM = 2e-5
"""nlme stops where its covariance parameters are good to about 1e-5, and all that follows with them."""
HESSIAN = 5e-3
"""nlme differentiates numerically, by steps of 5 %: limits agree to this share of the interval's length."""


def data() -> Any:
    described = CASE["data"]
    return read_frame(FOLDER / "after_errors" / described["file"], json.dumps(described["columns"]))


@cache
def fit_of(name: str) -> Fit:
    model = MODELS[name]
    return mm.lmm(model["formula"], data(), method=model["method"], control=TO_ROUNDING, **model["options"])


@pytest.fixture(params=list(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_estimates(name: str) -> None:
    fit, expected = fit_of(name), MODELS[name]
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-6)
    assert fit.loglik > expected["loglik"] - 1e-8
    np.testing.assert_allclose(fit.beta, expected["beta"], atol=OPTIMUM * fit.bse.array.max())
    np.testing.assert_allclose(
        fit.solution.vcov, expected["vcov"], rtol=5 * OPTIMUM, atol=5 * OPTIMUM * fit.solution.vcov.max()
    )


def test_residuals(name: str) -> None:
    fit, expected = fit_of(name), MODELS[name]
    for kind, theirs in (("response", "response"), ("pearson", "pearson"), ("scaled", "normalized")):
        ours, values = fit.residuals(kind), np.array(expected[theirs])
        if kind == "scaled" and name == "cs_power":
            # of compound symmetry nlme takes the root by the mean and contrasts, of all others Cholesky's:
            # what they share is the sum of squares of each subject
            clusters = fit.rows.residual.clusters
            ours, values = np.bincount(clusters, ours**2), np.bincount(clusters, values**2)
        np.testing.assert_allclose(ours, values, atol=10 * OPTIMUM, err_msg=kind)


def test_covariance_of_a_subject(name: str) -> None:
    fit, expected = fit_of(name), MODELS[name]
    grouped = bool(fit.design.random) or fit.design.residual.structure is not None
    assert grouped
    for subject, matrices in expected["subjects"].items():
        r, v = np.array(matrices["R"]), np.array(matrices["V"])
        np.testing.assert_allclose(fit.residual_cov(subject).array, r, rtol=0, atol=10 * OPTIMUM * v.max())
        np.testing.assert_allclose(fit.marginal_cov(subject).array, v, rtol=0, atol=10 * OPTIMUM * v.max())
        sd = np.sqrt(np.diag(v))
        correlation = fit.marginal_cov(subject, correlation=True).array
        np.testing.assert_allclose(correlation, v / np.outer(sd, sd), atol=10 * OPTIMUM)


def test_shares_of_the_variance(name: str) -> None:
    fit, shares = fit_of(name), MODELS[name]["shares"]
    fixed, random, residual = shares["fixed"], shares["random"], shares["residual"]
    total = fixed + random + residual
    np.testing.assert_allclose(fit.r2()["r2"], [fixed / total, (fixed + random) / total], rtol=10 * OPTIMUM)
    if fit.design.random:
        table = fit.icc()
        last = list(table["group"]).index("all")
        assert table["icc"][last] == pytest.approx(random / (random + residual), rel=10 * OPTIMUM)
        assert table["icc_unadjusted"][last] == pytest.approx(random / total, rel=10 * OPTIMUM)


INTERVALS = {
    # nlme's parameter: our model, our name of it, and whether nlme shows its square root
    "us": {
        "cor(1,2)": "cor(Residual: 1, 2)",
        "cor(1,4)": "cor(Residual: 1, 4)",
        "cor(2,3)": "cor(Residual: 2, 3)",
    },
    "ar1_ident": {"Phi1": "correlation(Residual)", "M": "ident(sex): ratio(M)", "sigma": "sd(Residual)"},
    "car1_ml": {"Phi": "correlation(Residual)", "sigma": "sd(Residual)"},
    "cs_power": {"power": "power(age): power"},
    "intercept_power": {
        "sd((Intercept))": "sd(id: (Intercept))",
        "power": "power(age): power",
        "sigma": "sd(Residual)",
    },
    "exp": {"range": "range(Residual)", "sigma": "sd(Residual)"},
    "intercept_ar1": {
        "sd((Intercept))": "sd(id: (Intercept))",
        "Phi1": "correlation(Residual)",
        "sigma": "sd(Residual)",
    },
    "intercept_ident_ml": {
        "sd((Intercept))": "sd(id: (Intercept))",
        "M": "ident(sex): ratio(M)",
        "sigma": "sd(Residual)",
    },
}


def nlme_limits(name: str) -> dict[str, tuple[float, float, float]]:
    """Return lower limit, estimate and upper limit of every covariance parameter nlme shows."""
    found = {}
    parts = dict(MODELS[name]["intervals"])
    parts.update(parts.pop("reStruct", {}))
    for key, part in parts.items():
        if key == "coef":
            continue
        if key == "sigma":
            found[key] = (part["lower"], part["est."], part["upper"])
        else:
            found |= {
                n: v for n, *v in zip(part["names"], part["lower"], part["est"], part["upper"], strict=True)
            }
    return found


@pytest.mark.parametrize("name", list(INTERVALS))
def test_wald_intervals_are_those_of_nlme(name: str) -> None:
    fit, theirs = fit_of(name), nlme_limits(name)
    table = fit.confint("wald", terms="covariance")
    rows = {term: i for i, term in enumerate(table["term"])}
    for parameter, ours in INTERVALS[name].items():
        low, value, high = theirs[parameter]
        i = rows[ours]
        assert table["estimate"][i] == pytest.approx(value, abs=1e-4 * (high - low)), ours
        limits = np.array([table["conf_low"][i], table["conf_high"][i], low, high])
        if ours.startswith(("sd", "range", "ident")):
            limits = np.log(limits)
        np.testing.assert_allclose(
            limits[:2], limits[2:], atol=HESSIAN * (limits[3] - limits[2]), err_msg=ours
        )


def test_both_tables_of_intervals_are_on_one_scale(name: str) -> None:
    fit = fit_of(name)
    table, components = fit.variance_components(ci="wald"), list_components(fit)
    parameters = fit.confint("wald", terms="covariance")
    order = sorted(range(len(components)), key=lambda k: components[k].index)
    assert len(order) == len(parameters)
    for row, k in enumerate(order):
        power = {"variance": 2, "covariance": 0}.get(components[k].kind, 1)
        if power:
            for column in ("conf_low", "conf_high"):
                assert table[column][k] == pytest.approx(parameters[column][row] ** power, rel=1e-9)


HELD = {
    "ar1_ident": ["correlation(Residual)", "ident(sex): ratio(M)", "var(Residual)"],
    "car1_ml": ["correlation(Residual)"],
    "exp": ["range(Residual)"],
    "cs_power": ["covariance(Residual)", "power(age): power"],
    "intercept_ar1": ["var(id: (Intercept))", "correlation(Residual)"],
}


@pytest.mark.parametrize("name", list(HELD))
def test_profile_limits_are_where_minus_two_l_has_risen_by_the_quantile(name: str) -> None:
    """The limits through a route of their own: fits with the parameter held there."""
    fit = fit_of(name)
    natural = fit._work.criterion().natural(fit.optimum.theta)
    places = {c.index: k for k, c in enumerate(list_components(fit))}
    table = fit.variance_components(ci="profile", level=0.9)
    for parameter in HELD[name]:
        k = places[natural.names.index(parameter)]
        for column in ("conf_low", "conf_high"):
            held = fit.update(hold={parameter: float(table[column][k])})
            # χ²₁ at 90 %; the search for the limit stops at 1e-7 of a standard error, that for −2l at 1e-8
            assert held.criterion - fit.criterion == pytest.approx(2.705543454, abs=1e-5), (parameter, column)


def compare_robust(fit: Fit, expected: dict[str, Any], kind: str, cluster: str | None = None) -> None:
    robust, model = fit.vcov_robust(kind, cluster=cluster), expected[kind]
    size = np.sqrt(np.diag(model["vcov"]))
    np.testing.assert_allclose(
        np.asarray(robust) / np.outer(size, size), np.array(model["vcov"]) / np.outer(size, size), atol=1e-4
    )
    np.testing.assert_allclose(robust.df, model["df"], rtol=1e-4)
    for test in model["tests"]:
        found = robust.wald(np.eye(len(size))[test["columns"]], joint=True).row(0)
        assert found["num_df"] == len(test["columns"])
        assert found["den_df"] == pytest.approx(test["den_df"], rel=2e-4)
        assert found["statistic"] == pytest.approx(test["statistic"], rel=2e-4)
        assert found["p_value"] == pytest.approx(test["p"], rel=1e-3)


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2", "CR3"])
def test_sandwich(name: str, kind: str) -> None:
    compare_robust(fit_of(name), MODELS[name]["robust"], kind)


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2", "CR3"])
def test_sandwich_of_least_squares(kind: str) -> None:
    expected = CASE["least_squares"]
    compare_robust(mm.lm(expected["formula"], data()), expected["robust"], kind, cluster="id")
