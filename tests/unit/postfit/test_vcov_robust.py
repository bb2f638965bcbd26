"""Sandwich covariances against the textbook forms they reduce to, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.resampling import Clusters
from mixedmodels.postfit.sandwich import stack_clusters


@pytest.fixture(scope="module")
def rail():
    return mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))


@pytest.fixture(scope="module")
def line():
    rng = np.random.default_rng(1)
    x = rng.standard_normal(25)
    return mm.lm("y ~ x", {"y": 1 + x + np.exp(x) * rng.standard_normal(25), "x": x})


@pytest.mark.parametrize(("kind", "power"), [("CR0", 0), ("CR2", 1), ("CR3", 2)])
def test_least_squares_gives_white_and_its_refinements(line, kind, power):
    x = line.design.x
    inverse = np.linalg.inv(x.T @ x)
    leverage = np.einsum("ia,ab,ib->i", x, inverse, x)
    squares = line.resid**2 / (1 - leverage) ** power
    expected = inverse @ (x.T * squares) @ x @ inverse
    np.testing.assert_allclose(line.vcov_robust(kind), expected, rtol=1e-9)


def test_df_of_two_means_in_closed_form():
    rng = np.random.default_rng(2)
    group = np.repeat(["a", "b"], [6, 15])
    fit = mm.lm("y ~ g", {"y": rng.standard_normal(21), "g": group})
    # Imbens and Kolesár 2016, Bell–McCaffrey df of HC2 for a difference of two means
    expected = 21**2 * 5 * 14 / (6**2 * 5 + 15**2 * 14)
    assert fit.vcov_robust("CR2").df[1] == pytest.approx(expected, rel=1e-9)


def test_balanced_one_way_layout(rail):
    codes = rail.design.random[0].codes
    means = np.array([rail.response[codes == c].mean() for c in range(6)])
    between = np.sum((means - means.mean()) ** 2) / 36
    assert np.asarray(rail.vcov_robust("CR0"))[0, 0] == pytest.approx(between, rel=1e-8)
    for kind in ("CR1", "CR2"):
        robust = rail.vcov_robust(kind)
        # V̂ is the model's own here, whose variance of the mean is MSB/18
        assert np.asarray(robust)[0, 0] == pytest.approx(rail.vcov[0, 0], rel=1e-6)
        assert robust.df[0] == pytest.approx(5, rel=1e-9)
    assert np.asarray(rail.vcov_robust("CR3"))[0, 0] == pytest.approx(between * 36 / 25, rel=1e-8)
    mbn = 17 / 17 * 6 / 5 * between + 1 / 5 * max(1, between / rail.vcov[0, 0]) * rail.vcov[0, 0]
    assert np.asarray(rail.vcov_robust("mbn"))[0, 0] == pytest.approx(mbn, rel=1e-8)


def test_cr2_is_unbiased_under_the_model():
    data = mm.datasets.load("sleepstudy")
    keep = np.random.default_rng(3).random(180) < 0.7
    columns = {name: np.asarray(data[name])[keep] for name in ("Reaction", "Days", "Subject")}
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", columns)
    root = np.linalg.cholesky(_marginal(fit))
    hat = fit.design.x @ fit.vcov @ fit.design.x.T @ np.linalg.inv(root @ root.T)
    total = np.zeros((2, 2))
    for stack in stack_clusters(fit, Clusters.of(fit, None, "a test"), "CR2"):
        for rows, weighted in zip(stack.rows, stack.weighted, strict=True):
            left = (np.eye(fit.nobs) - hat)[rows] @ root
            total += fit.vcov @ weighted.T @ left @ left.T @ weighted @ fit.vcov
    np.testing.assert_allclose(total, fit.vcov, rtol=1e-7)


def _marginal(fit):
    term, sigma = fit.design.random[0], fit.covariances[0][0]
    values = term.dense_values()
    return fit.sigma2 * np.eye(fit.nobs) + (values @ sigma @ values.T) * (term.codes[:, None] == term.codes)


def test_table_uses_the_sandwich(rail):
    row = rail.vcov_robust("CR2").table().row(0)
    assert row["std_error"] == pytest.approx(10.171, abs=1e-3)
    assert (row["conf_low"], row["conf_high"]) == pytest.approx((40.35, 92.65), abs=0.01)


def test_bad_arguments(rail):
    with pytest.raises(mm.SpecError, match="Did you mean 'CR2'"):
        rail.vcov_robust("CR22")
    with pytest.raises(mm.SpecError, match="Did you mean 'Rail'"):
        rail.vcov_robust(cluster="rails")
    crossed = mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.datasets.load("penicillin"))
    with pytest.raises(mm.SpecError, match="crossed"):
        crossed.vcov_robust()
