"""Splines are part of the mean of the population in every tool that asks for it."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit


@pytest.fixture(scope="module")
def curve() -> Fit:
    rng = np.random.default_rng(1)
    x, g, t = np.sort(rng.uniform(0, 10, 200)), rng.integers(0, 10, 200), rng.integers(0, 2, 200)
    y = np.sin(x) + 0.5 * t + rng.normal(0, 0.5, 10)[g] + rng.normal(0, 0.3, 200)
    data = {"y": y, "x": x, "g": g, "t": np.array(["a", "b"])[t]}
    return mm.lmm("y ~ t + spline(x, knots=8) + (1 | g)", data)


def test_the_population_mean_is_one_everywhere(curve: Fit) -> None:
    mean = curve.predict(level="population")
    np.testing.assert_allclose(curve.linear_predictor, mean, atol=1e-12)
    np.testing.assert_allclose(curve.augment()[".fixed"], mean, atol=1e-12)
    np.testing.assert_allclose(curve.residuals(level="marginal"), curve.response - mean, atol=1e-12)
    # a curve of amplitude one and groups of spread one half
    assert np.std(curve.residuals(level="marginal")) < 0.7


def test_pearson_residuals_divide_by_the_variance_about_that_mean(curve: Fit) -> None:
    g = next(k for k, term in enumerate(curve.design.random) if not term.smooth)
    variance = curve.covariances[g][0, 0, 0] + curve.sigma2
    expected = (curve.response - curve.predict(level="population")) / np.sqrt(variance)
    np.testing.assert_allclose(curve.residuals("pearson", level="marginal"), expected, rtol=1e-12)


def test_scaled_residuals_are_of_the_whole_marginal_model(curve: Fit) -> None:
    # (y − Xβ̂)'V⁻¹(y − Xβ̂) is n − rank X by REML, spline coefficients a part of V
    squares = float(np.sum(curve.residuals("scaled", level="marginal") ** 2))
    np.testing.assert_allclose(squares, curve.df_resid, rtol=1e-8)


def test_simulated_responses_vary_about_the_curve(curve: Fit) -> None:
    drawn = curve.simulate(400, seed=1)
    spread = np.sqrt(curve.sigma2 + 0.5**2) / np.sqrt(400)
    # four standard errors, and a little for 200 of them
    assert np.abs(drawn.mean(axis=1) - curve.linear_predictor).max() < 5 * spread


def test_trajectories_are_of_the_subjects(curve: Fit) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    axes = curve.plot.trajectories("x")
    assert len(axes) == 10
    grid, mean = axes[0].lines[0].get_data()
    steps = np.abs(np.diff(mean))
    # the curve and steps of t, nothing else: it does not leave the data
    assert np.abs(mean).max() < 2.5
    assert np.median(steps) < 0.2
    assert len(grid) == len(mean)


@pytest.mark.parametrize("ddf", ["kenward-roger", "satterthwaite", "residual", "asymptotic"])
def test_means_are_predictions_of_the_population(curve: Fit, ddf: str) -> None:
    means = curve.emmeans("t", at={"x": 7.5}, ddf=ddf).table
    new = {"t": ["a", "b"], "x": [7.5, 7.5]}
    predicted = curve.predict(new, level="population", interval="confidence", ddf=ddf)
    for own, other in zip(
        ("estimate", "std_error", "conf_low", "conf_high"), ("fit", "se", "lower", "upper"), strict=True
    ):
        np.testing.assert_allclose(means[own], predicted[other], rtol=1e-10)


def test_differences_along_the_curve_by_dense_algebra(curve: Fit) -> None:
    at = np.array([1.0, 5.0, 9.0])
    means = curve.emmeans("x", at={"x": at}, ddf="satterthwaite")
    rows, names = curve.rows, [term.smooth for term in curve.design.random]
    s, g = names.index(True), names.index(False)
    basis, groups = rows.random[s].dense_values(), np.eye(10)[rows.random[g].codes]
    v = curve.covariances[s][0, 0, 0] * basis @ basis.T + curve.covariances[g][0, 0, 0] * groups @ groups.T
    v += curve.sigma2 * np.eye(curve.nobs)
    # var(l'(β̂ − β) + k'(û − u)) from the joint equations, the groups part of V
    r = v - curve.covariances[s][0, 0, 0] * basis @ basis.T
    both = np.hstack([rows.x, basis])
    system = both.T @ np.linalg.solve(r, both)
    system[4:, 4:] += np.eye(8) / curve.covariances[s][0, 0, 0]
    functions = means.L
    np.testing.assert_allclose(means.vcov, functions @ np.linalg.inv(system) @ functions.T, rtol=1e-7)
    step = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])
    contrasts = means.contrast("consec")
    estimate, covariance = -step @ means.table["estimate"], step @ means.vcov @ step.T
    np.testing.assert_allclose(contrasts.table["estimate"], estimate, rtol=1e-8)
    np.testing.assert_allclose(contrasts.table["std_error"], np.sqrt(np.diag(covariance)), rtol=1e-7)
    f = estimate @ np.linalg.solve(covariance, estimate) / 2
    np.testing.assert_allclose(contrasts.joint_test()["statistic"], f, rtol=1e-7)


def test_slopes_follow_the_curve(curve: Fit) -> None:
    slope = curve.emtrends("x", at={"x": 5.0})["estimate"][0]
    ends = curve.predict({"t": ["a", "a"], "x": [5 - 1e-4, 5 + 1e-4]}, level="population")
    # the basis is of degree two: the central difference is exact between knots
    np.testing.assert_allclose(slope, (ends[1] - ends[0]) / 2e-4, rtol=1e-5)


def test_contrasts_at_one_point_of_the_curve_are_of_fixed_effects(curve: Fit) -> None:
    pair = curve.emmeans("t").pairs().table
    fixed = curve.fixed_effects()
    np.testing.assert_allclose(pair["std_error"], fixed["std_error"][1:2], rtol=1e-10)
    np.testing.assert_allclose(pair["df"], fixed["df"][1:2], rtol=1e-8)
    assert list(curve.joint_tests()["term"]) == ["t", "x"]
