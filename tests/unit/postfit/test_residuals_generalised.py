"""Residuals, simulated responses, refits and checks of generalised models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import mixedmodels as mm
from mixedmodels.errors import DataError, SpecError
from mixedmodels.fit import Fit

CBPP = mm.datasets.load("cbpp")
EVENTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def counts(
    groups: int = 60, each: int = 10, sd: float = 0.5, extra: float = 0.0, seed: int = 4
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), each)
    x = rng.normal(size=len(g))
    eta = 0.7 + 0.4 * x + sd * rng.normal(size=groups)[g] + extra * rng.normal(size=len(g))
    return pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "g": g.astype(str)})


@pytest.fixture(scope="module")
def cbpp() -> Fit:
    return mm.glmm(EVENTS, CBPP, "binomial", method="rspl")


@pytest.fixture(scope="module")
def poisson() -> Fit:
    return mm.glmm("y ~ x + (1 | g)", counts(), "poisson", method="mspl")


def test_residuals_by_their_formulas(cbpp: Fit) -> None:
    p, m = special.expit(cbpp._eta), CBPP["size"].to_numpy(dtype=float)
    y = CBPP["incidence"].to_numpy(dtype=float)
    np.testing.assert_allclose(cbpp.residuals(), y / m - p)
    np.testing.assert_allclose(cbpp.residuals("pearson"), (y - m * p) / np.sqrt(m * p * (1 - p)))
    parts = 2 * (special.xlogy(y, y / (m * p)) + special.xlogy(m - y, (m - y) / (m * (1 - p))))
    np.testing.assert_allclose(cbpp.residuals("deviance"), np.sign(y - m * p) * np.sqrt(parts))
    np.testing.assert_allclose(cbpp.residuals("working"), (y / m - p) / (p * (1 - p)), rtol=1e-6)
    q = special.expit(cbpp.linear_predictor)
    np.testing.assert_allclose(cbpp.residuals("response", level="marginal"), y / m - q)


def test_quantile_residuals_lie_in_the_step_of_their_count(cbpp: Fit) -> None:
    p, m = special.expit(cbpp._eta), CBPP["size"].to_numpy(dtype=float)
    y = CBPP["incidence"].to_numpy(dtype=float)
    u = special.ndtr(cbpp.residuals("quantile", seed=1))
    assert ((stats.binom.cdf(y - 1, m, p) <= u + 1e-12) & (u <= stats.binom.cdf(y, m, p) + 1e-12)).all()
    np.testing.assert_array_equal(cbpp.residuals("quantile", seed=1), cbpp.residuals("quantile", seed=1))
    assert not np.array_equal(cbpp.residuals("quantile", seed=1), cbpp.residuals("quantile", seed=2))


def test_quantile_and_simulated_residuals_are_normal_and_uniform(poisson: Fit) -> None:
    """Kolmogorov–Smirnov on 600 rows; a wrong distribution is far out."""
    marginal = poisson.residuals("quantile", level="marginal", seed=3)
    ranks = poisson.residuals("simulated", n=400, seed=3)
    assert ((ranks > 0) & (ranks < 1)).all()
    # rows of one group are correlated: the sizes are those of about 150 independent rows
    assert stats.kstest(marginal, "norm").statistic < 0.09
    assert stats.kstest(ranks, "uniform").statistic < 0.09
    wrong = mm.glmm("y ~ x + (1 | g)", counts(extra=1.2), "poisson", method="mspl")
    assert stats.kstest(wrong.residuals("quantile", seed=3), "norm").statistic > 0.1


def test_responses_drawn_have_the_moments_of_the_model(poisson: Fit) -> None:
    drawn = poisson.simulate(4000, seed=2)
    s2 = poisson.covariances[0][0, 0, 0]
    mean = np.exp(poisson.linear_predictor + s2 / 2)
    np.testing.assert_allclose(drawn.mean(axis=1), mean, rtol=0.08)
    variance = mean + mean**2 * np.expm1(s2)
    np.testing.assert_allclose(drawn.var(axis=1).mean(), variance.mean(), rtol=0.05)
    held = poisson.simulate(2000, seed=2, level="conditional")
    np.testing.assert_allclose(held.mean(axis=1), poisson.fitted, rtol=0.15)
    np.testing.assert_array_equal(poisson.simulate(2, seed=5), poisson.simulate(2, seed=5))


def test_events_are_drawn_and_refitted(cbpp: Fit) -> None:
    drawn = cbpp.simulate(3, seed=1)
    assert (drawn <= CBPP["size"].to_numpy()[:, None]).all()
    again = cbpp.refit(CBPP["incidence"])
    assert again.beta == pytest.approx(cbpp.beta, rel=1e-6)
    other = mm.glmm(EVENTS, CBPP.assign(incidence=drawn[:, 0]), "binomial", method="rspl")
    assert cbpp.refit(drawn[:, 0]).beta == pytest.approx(other.beta, rel=1e-5)
    many = cbpp.refit(drawn)
    assert many.beta[0] == pytest.approx(other.beta, rel=1e-5)
    with pytest.raises(DataError, match="trials"):
        cbpp.refit(CBPP["size"] + 1.0)
    swapped = cbpp.refit(CBPP.assign(incidence=drawn[:, 1]))
    assert swapped.beta == pytest.approx(many.beta[1], rel=1e-5)


def test_bootstraps_by_responses_and_by_clusters(poisson: Fit) -> None:
    for kind in ("parametric", "case"):
        found = poisson.bootstrap(n=12, seed=1, kind=kind)
        assert np.isfinite(np.asarray(found.replicates)).all()


def test_dispersion_and_zeros() -> None:
    good = mm.glmm("y ~ x + (1 | g)", counts(groups=25, each=6), "poisson", method="mspl")
    found = good.test_dispersion(20, seed=1)
    assert found.names == ("statistic", "observed", "expected", "p_value", "n_sim")
    assert found["p_value"][0] > 0.05
    wild = mm.glmm("y ~ x + (1 | g)", counts(groups=25, each=6, extra=0.9), "poisson", method="mspl")
    found = wild.test_dispersion(40, seed=1)
    assert found["observed"][0] > 1.3 * found["expected"][0]
    assert found["p_value"][0] == pytest.approx(2 / 41)
    zeros = wild.test_zeros(200, seed=1)
    assert zeros["observed"][0] == (wild.response == 0).sum()
    assert zeros["n_sim"][0] == 200
    assert zeros["p_value"][0] < 0.1


def test_what_is_refused(cbpp: Fit) -> None:
    free = mm.glmm(EVENTS, CBPP, "binomial", method="rspl", dispersion="free")
    for ask in (
        lambda: free.simulate(1, seed=1),
        lambda: free.residuals("quantile"),
        lambda: free.residuals("simulated", seed=1),
    ):
        with pytest.raises(SpecError, match="needs the distribution of the responses"):
            ask()
    with pytest.raises(SpecError, match="for linear models"):
        cbpp.residuals("student")
    with pytest.raises(SpecError, match="kind='raw'"):
        cbpp.residuals("raw")
    linear = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"))
    with pytest.raises(SpecError, match="generalised models"):
        linear.test_dispersion(10)
    with pytest.raises(SpecError, match="zeros of counts"):
        linear.test_zeros(10)
