"""Sandwich covariances of generalised models: scores of clusters, invariance, refusals."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import optimize, special

import mixedmodels as mm
from mixedmodels.criterion.by_cluster import cluster_scores
from mixedmodels.errors import SpecError
from mixedmodels.inference.resampling import Clusters

CBPP = mm.datasets.load("cbpp")
EVENTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "laplace": (EVENTS, "cbpp", {"family": "binomial"}),
    "expected": (EVENTS, "cbpp", {"family": "binomial", "link": "probit", "information": "expected"}),
    "quadrature": (EVENTS, "cbpp", {"family": "binomial", "method": "quadrature", "points": 5}),
    "zeros": (
        "count ~ mined + (1 | site)",
        "salamanders",
        {"family": "poisson", "zero_inflation": "~ 1 + (1 | site)"},
    ),
    "dispersion": ("count ~ mined + (1 | site)", "salamanders", {"family": "nb2", "dispersion": "~ mined"}),
    "ordinal": ("rating ~ temp + contact + (1 | judge)", "wine", {"family": "ordinal"}),
    "nested": ("count ~ mined + (1 | site) + (1 | site:spp)", "salamanders", {"family": "poisson"}),
    "slopes": ("count ~ DOP + (DOP | site)", "salamanders", {"family": "poisson"}),
    "by": ("count ~ mined + (1 | site, by=mined)", "salamanders", {"family": "poisson"}),
    "by quadrature": (
        "count ~ mined + (1 | site, by=mined)",
        "salamanders",
        {"family": "poisson", "method": "quadrature", "points": 5},
    ),
    "without": ("Reaction ~ Days", "sleepstudy", {"family": "t"}),
}


@cache
def fitted(name: str) -> mm.Fit:
    formula, data, options = MODELS[name]
    return (mm.glmm if "|" in formula else mm.glm)(formula, mm.datasets.load(data), **options)


@pytest.mark.parametrize("name", MODELS)
def test_scores_of_clusters_add_up(name: str) -> None:
    fit = fitted(name)
    criterion = fit._work.likelihood()
    cluster = None if fit.design.random else "Subject"
    clusters = Clusters.of(fit, cluster, "a test")
    theta = fit.optimum.theta + 0.05
    found = cluster_scores(criterion, theta, clusters.rows, fit.control)
    slope = criterion.gradient(theta)
    # the mode of the whole is known to a decrement of 1e-7
    np.testing.assert_allclose(-2.0 * found.scores.sum(axis=0), slope, atol=2e-6 * np.abs(slope).max())
    own = criterion.of_beta
    information = criterion.evaluate(theta).information[own, own] / 2.0
    whole = found.information.sum(axis=0)
    if name != "expected":
        np.testing.assert_allclose(whole, information, atol=1e-6 * np.abs(whole).max())


def test_the_score_of_a_herd_is_the_slope_of_its_likelihood() -> None:
    fit = fitted("laplace")
    criterion, theta = fit._work.likelihood(), fit.optimum.theta
    clusters = Clusters.of(fit, None, "a test")
    found = cluster_scores(criterion, theta, clusters.rows, fit.control)
    x, y = criterion.observed.stack.predictors[0].x, fit.distribution.responses
    rows = clusters.rows[3]

    def minus_twice(at: Any) -> float:
        sd, beta = at[0], at[1:]
        fixed, events, trials = x[rows] @ beta, y.y[rows], y.trials[rows]

        def height(u: float) -> float:
            eta = fixed + sd * u
            return float(-(events * eta - trials * np.logaddexp(0.0, eta)).sum() + 0.5 * u * u)

        u = optimize.minimize_scalar(height, bracket=(-1.0, 1.0), tol=1e-12).x
        p = special.expit(fixed + sd * u)
        return 2.0 * height(u) + float(np.log1p(sd**2 * (trials * p * (1.0 - p)).sum()))

    slope = [(minus_twice(theta + e) - minus_twice(theta - e)) / 2e-3 for e in 1e-3 * np.eye(len(theta))]
    # the mode of the scalar search is known to 1e-8
    np.testing.assert_allclose(-2.0 * found.scores[3], slope, atol=3e-5 * np.abs(slope).max())


def test_kinds_are_ordered_and_invariant() -> None:
    fit = fitted("laplace")
    sizes = [np.sqrt(np.diag(np.asarray(fit.vcov_robust(kind)))) for kind in ("CR0", "CR2", "CR3")]
    assert (sizes[0] < sizes[1]).all()
    assert (sizes[1] < sizes[2]).all()
    m = 15
    np.testing.assert_allclose(
        np.asarray(fit.vcov_robust("CR1")), np.asarray(fit.vcov_robust("CR0")) * m / (m - 1), rtol=1e-12
    )
    shuffled = CBPP.sample(frac=1.0, random_state=1).assign(herd=lambda d: "h" + d["herd"].astype(str))
    again = mm.glmm(EVENTS, shuffled, "binomial")
    for kind in ("CR0", "CR2", "mbn"):
        np.testing.assert_allclose(
            np.asarray(again.vcov_robust(kind)), np.asarray(fit.vcov_robust(kind)), rtol=1e-5
        )


def test_other_contrasts_give_the_same_means() -> None:
    fit = fitted("laplace")
    other = mm.glmm(EVENTS, CBPP, "binomial", contrasts={"period": "sum"})
    one, two = (each.vcov_robust("CR2").emmeans("period").to_frame() for each in (fit, other))
    np.testing.assert_allclose(one["std_error"], two["std_error"], rtol=1e-5)


def test_tables_say_what_they_are() -> None:
    found = fitted("laplace").vcov_robust()
    assert "CR2 sandwich, 15 clusters" in str(found)
    assert found.anova().names[-2:] == ("statistic", "p_value")
    assert len(fitted("zeros").vcov_robust("CR0").table()) == 3


def test_what_is_refused() -> None:
    crossed = mm.glmm("count ~ mined + (1 | site) + (1 | spp)", mm.datasets.load("salamanders"), "poisson")
    with pytest.raises(SpecError, match="site, spp are crossed"):
        crossed.vcov_robust()
    split = mm.glm(
        "cbind(a, b) ~ g", {"a": [0, 0, 3, 4], "b": [5, 4, 2, 1], "g": ["x", "x", "y", "y"]}, "binomial"
    )
    with pytest.raises(SpecError, match="separation"):
        split.vcov_robust()
    many = mm.glm("I(incidence > 0) ~ period", CBPP.assign(times=2), "binomial", frequency="times")
    with pytest.raises(SpecError, match="frequency="):
        many.vcov_robust()
    assert many.vcov_robust(cluster="herd").n_clusters == 15
