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
