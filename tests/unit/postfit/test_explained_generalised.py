"""Shares of the variance of generalised models."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit

EVENTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def epil() -> Fit:
    return mm.glmm("y ~ trt + base + (1 | subject)", mm.datasets.load("epil"), "poisson", method="mspl")


@pytest.mark.parametrize("method", ["laplace", "rspl"])
@pytest.mark.parametrize(
    ("link", "variance"), [("logit", np.pi**2 / 3), ("probit", 1.0), ("cloglog", np.pi**2 / 6)]
)
def test_latent_variances(method: str, link: str, variance: float) -> None:
    fit = mm.glmm(EVENTS, mm.datasets.load("cbpp"), "binomial", link, method=method)
    random, fixed = fit.covariances[0][0, 0, 0], np.var(fit.linear_predictor, ddof=1)
    total = random + fixed + variance
    assert fit.icc()["icc"][0] == pytest.approx(random / (random + variance))
    assert fit.r2()["r2"] == pytest.approx([fixed / total, (fixed + random) / total])
    assert any("latent" in note for note in fit.icc().notes)


def test_counts_by_three_formulas(epil: Fit) -> None:
    """With μ̄ = mean of exp(η + ½s²) and v = μ̄: log(1 + 1/μ̄), ψ₁(μ̄), 1/μ̄."""
    s2 = epil.covariances[0][0, 0, 0]
    mean = np.exp(epil.linear_predictor + s2 / 2).mean()
    expected = {"auto": np.log1p(1 / mean), "trigamma": special.polygamma(1, mean), "delta": 1 / mean}
    for how, variance in expected.items():
        assert epil.icc(how)["variance"][2] == pytest.approx(variance, rel=1e-9)


def test_the_dispersion_counts() -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(40), 8)
    y = rng.gamma(4.0, np.exp(0.5 * rng.normal(size=40)[g]) / 4.0)
    fit = mm.glmm("y ~ 1 + (1 | g)", {"y": y, "g": g.astype(str)}, "gamma", method="rspl")
    assert fit.icc("trigamma")["variance"][2] == pytest.approx(special.polygamma(1, fit.dispersion), rel=1e-9)
    normal = mm.glmm("y ~ 1 + (1 | g)", {"y": y, "g": g.astype(str)}, "gaussian", method="rspl")
    linear = mm.lmm("y ~ 1 + (1 | g)", {"y": y, "g": g.astype(str)})
    assert normal.icc()["icc"] == pytest.approx(linear.icc()["icc"], rel=1e-5, nan_ok=True)


def test_what_is_refused(epil: Fit) -> None:
    with pytest.raises(SpecError, match="use 'delta'"):
        epil.icc("latent")
    with pytest.raises(SpecError, match="observation='theory'"):
        epil.r2("theory")
    with pytest.raises(SpecError, match="generalised models"):
        mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy")).r2("delta")
    zeros = mm.glmm(
        "count ~ mined + (1 | site)", mm.datasets.load("salamanders"), "poisson", zero_inflation="~ 1"
    )
    with pytest.raises(SpecError, match="inverse of a link"):
        zeros.icc()
