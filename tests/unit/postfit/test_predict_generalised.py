"""Predictions of generalised models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit

EVENTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def cbpp() -> Fit:
    return mm.glmm(EVENTS, mm.datasets.load("cbpp"), "binomial", method="rspl")


@pytest.fixture(scope="module")
def epil() -> Fit:
    return mm.glmm("y ~ trt + base + (1 | subject)", mm.datasets.load("epil"), "poisson", method="rspl")


def test_scales_and_levels(cbpp: Fit) -> None:
    link = cbpp.predict()
    np.testing.assert_allclose(cbpp.predict(type="response"), special.expit(link))
    np.testing.assert_allclose(cbpp.predict(type="response"), cbpp.fitted)
    np.testing.assert_allclose(cbpp.predict(level="population"), cbpp.linear_predictor)
    new = {"period": ["1", "4"], "herd": ["1", "99"]}
    means = cbpp.emmeans("period", type="response")
    np.testing.assert_allclose(
        cbpp.predict(new, level="population", type="response"), means["estimate"][[0, 3]], rtol=1e-9
    )
    table = cbpp.predict(new, level="population", type="response", interval="confidence")
    for ours, theirs in (("se", "std_error"), ("lower", "conf_low"), ("upper", "conf_high")):
        np.testing.assert_allclose(table[ours], means[theirs][[0, 3]], rtol=1e-6)
    assert any("Kenward" in note for note in table.notes)


def test_averages_are_those_of_emmeans(cbpp: Fit) -> None:
    new = {"period": ["1", "2", "3", "4"]}
    found = cbpp.predict(new, level="averaged", type="response", interval="confidence")
    means = cbpp.emmeans("period", type="response", means="averaged")
    for ours, theirs in (
        ("fit", "estimate"),
        ("se", "std_error"),
        ("lower", "conf_low"),
        ("upper", "conf_high"),
    ):
        np.testing.assert_allclose(found[ours], means[theirs], rtol=1e-6)
    rows = cbpp.predict(level="averaged", type="response")
    assert np.ptp(rows[np.asarray(mm.datasets.load("cbpp")["period"]).astype(str) == "2"]) < 1e-12


def test_limits_of_new_counts_are_quantiles_of_the_mixture(epil: Fit) -> None:
    """Against a million draws: quantiles of counts are counts, so the two agree but for ties of probability."""
    new = {"trt": ["placebo", "progabide"], "base": [20.0, 40.0]}
    table = epil.predict(new, level="population", type="response", interval="prediction")
    link = epil.predict(new, level="population", se=True)
    rng = np.random.default_rng(5)
    spread = np.sqrt(link["se"] ** 2 + epil.covariances[0][0, 0, 0])
    drawn = rng.poisson(np.exp(link["fit"] + spread * rng.standard_normal((1_000_000, 2))))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0, method="inverted_cdf")
    assert table["lower"].tolist() == low.tolist()
    assert table["upper"].tolist() == high.tolist()


def test_limits_of_normal_responses_are_those_of_the_linear_model() -> None:
    data = mm.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (1 | Subject)"
    fit, linear = mm.glmm(formula, data, "gaussian", method="rspl"), mm.lmm(formula, data, ddf="asymptotic")
    new = {"Days": [0.0, 9.0], "Subject": ["308", "335"]}
    ours = fit.predict(new, type="response", interval="prediction", ddf="asymptotic")
    theirs = linear.predict(new, interval="prediction")
    for name in ("fit", "se", "lower", "upper"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5)


def test_offsets_follow_new_rows(epil: Fit) -> None:
    data = mm.datasets.load("epil").assign(weeks=2.0)
    written = mm.glmm("y ~ trt + offset(log(weeks)) + (1 | subject)", data, "poisson", method="rspl")
    given = mm.glmm(
        "y ~ trt + (1 | subject)", data, "poisson", method="rspl", offset=np.log(data["weeks"].to_numpy())
    )
    assert given.beta == pytest.approx(written.beta, rel=1e-9)
    new = {"trt": ["placebo"], "weeks": [8.0]}
    first = written.predict(new, level="population")
    with pytest.raises(SpecError, match="says nothing of new rows"):
        given.predict(new, level="population")
    assert given.predict(new, level="population", offset=np.log(8.0)) == pytest.approx(first)
    with pytest.raises(SpecError, match="reads it from data"):
        written.predict(new, level="population", offset=1.0)


def test_missing_rows_and_falling_links() -> None:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(20), 5)
    x = rng.uniform(0.0, 1.0, 100)
    y = rng.gamma(10.0, 0.1 / (0.5 + x))
    data = pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})
    fit = mm.glmm("y ~ x + (1 | g)", data, "gamma", "inverse", method="rspl")
    table = fit.predict({"x": [0.2, np.nan], "g": ["1", "1"]}, type="response", interval="confidence")
    assert np.isnan(table["fit"][1])
    assert table["lower"][0] < table["fit"][0] < table["upper"][0]
    limits = fit.predict({"x": [0.2], "g": ["1"]}, type="response", interval="prediction")
    mu, shape = table["fit"][0], fit.dispersion
    alone = stats.gamma.ppf([0.025, 0.975], shape, scale=mu / shape)
    assert limits["lower"][0] < alone[0] * 1.02
    assert limits["upper"][0] > alone[1] * 0.98


def test_what_is_refused(cbpp: Fit) -> None:
    with pytest.raises(SpecError, match="ask for type='response'"):
        cbpp.predict(interval="prediction")
    with pytest.raises(SpecError, match="trials of new rows"):
        cbpp.predict({"period": ["1"]}, level="population", type="response", interval="prediction")
    free = mm.glmm(EVENTS, mm.datasets.load("cbpp"), "binomial", method="rspl", dispersion="free")
    with pytest.raises(SpecError, match="quasi-likelihood"):
        free.predict(type="response", interval="prediction")
    with pytest.raises(SpecError, match="level='averagd'"):
        cbpp.predict(level="averagd")
    linear = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"))
    with pytest.raises(SpecError, match="level='averaged'"):
        linear.predict(level="averaged")


@pytest.mark.parametrize("method", ["rspl", "laplace"])
def test_figures_and_augmented_rows_are_on_the_scale_of_the_response(method: str) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    data = mm.datasets.load("epil").astype({"period": float})
    fit = mm.glmm("y ~ trt + period + (1 | subject)", data, "poisson", method=method)
    axes = fit.plot.trajectories("period", levels=["1"])
    curve = axes[0].lines[1].get_ydata()
    assert curve[[0, -1]] == pytest.approx(fit.fitted[:4][[0, 3]])
    table = fit.augment()
    assert table[".fitted"] == pytest.approx(fit.fitted)
    assert ".weights" not in table
    assert fit.augment(newdata=data)[".fitted"] == pytest.approx(fit.fitted)
