"""Intraclass correlations and R² against definitions and printed values."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def sleep():
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


def test_shares_of_random_slopes_by_hand(sleep):
    days = np.arange(10.0)
    sigma = sleep.covariances[0][0]
    random = np.mean(sigma[0, 0] + 2 * days * sigma[0, 1] + days**2 * sigma[1, 1])
    fixed = np.var(np.tile(days, 18) * sleep.beta[1], ddof=1)
    table = sleep.icc()
    np.testing.assert_allclose(table["variance"], [random, random, sleep.sigma2, fixed], rtol=1e-10)
    assert table["icc"][1] == pytest.approx(random / (random + sleep.sigma2), rel=1e-10)
    expected = [fixed, fixed + random] / (fixed + random + sleep.sigma2)
    np.testing.assert_allclose(sleep.r2()["r2"], expected, rtol=1e-10)


def test_a_model_of_fixed_effects_only():
    fit = mm.lm("travel ~ Rail", mm.datasets.load("rail"))
    marginal, conditional = fit.r2()["r2"]
    assert marginal == conditional
    with pytest.raises(mm.SpecError, match=r"no random terms.*add one such as `\(1 \| group\)`"):
        fit.icc()
    correlated = mm.gls("travel ~ 1", mm.datasets.load("rail"), residual="cs(1 | Rail)")
    with pytest.raises(mm.SpecError, match="residual_cov"):
        correlated.icc()


def test_intercepts_of_two_factors_add_up():
    fit = mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.datasets.load("penicillin"))
    table = fit.icc()
    variances = fit.variance_components()["variance"]
    np.testing.assert_allclose(table["icc"][:2], variances[:2] / variances.sum(), rtol=1e-10)
    assert table["icc"][2] == pytest.approx(table["icc"][:2].sum(), rel=1e-12)
