"""Joint draws: their moments are the fit's, whatever the model."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError


def test_given_well_known_variances_draws_have_the_moments_of_the_fit() -> None:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(200), 6)
    x = rng.normal(size=1200)
    y = 1 + x + rng.normal(size=200)[g] + rng.normal(size=200)[g] * x + rng.normal(size=1200)
    fit = mm.lmm("y ~ x + (x | g)", {"g": g, "x": x, "y": y})
    draws = fit.draws(800, seed=1)
    beta = np.column_stack([draws["(Intercept)"], draws["x"]])
    vcov = np.asarray(fit.cov_params(ddf="asymptotic"))
    # within four Monte Carlo errors of 800 draws: 0.14 SE of a mean, 20 % of a variance
    np.testing.assert_allclose(beta.mean(axis=0), fit.beta, atol=0.15 * np.sqrt(vcov[0, 0]))
    np.testing.assert_allclose(np.diag(np.cov(beta.T)), np.diag(vcov), rtol=0.2)
    effects = fit.random_effects()
    b = np.asarray(effects["estimate"]).reshape(200, 2)
    error = np.asarray(effects["std_error"]).reshape(200, 2)
    gap = (draws["g"].mean(axis=0) - b) / error
    assert np.abs(gap).max() < 0.25
    np.testing.assert_allclose(draws["g"].std(axis=0).mean(), error.mean(), rtol=0.05)
    natural = fit._work.criterion().natural(fit.optimum.theta)
    spread = np.sqrt(np.diag(fit._work.natural_covariance()))
    for j, name in enumerate(natural.names):
        assert abs(draws[name].mean() - natural.values[j]) < 0.4 * spread[j]
        assert draws[name].std() == pytest.approx(spread[j], rel=0.2)


def test_correlated_errors_and_least_squares_are_drawn_too() -> None:
    sleep = mm.datasets.load("sleepstudy")
    for fit in (
        mm.gls("Reaction ~ Days", sleep, residual="ar1(Days | Subject)"),
        mm.lm("Reaction ~ Days", sleep),
        mm.lmm("Reaction ~ Days + (Days || Subject)", sleep, method="ml"),
    ):
        draws = fit.draws(200, seed=3)
        error = float(np.asarray(fit.cov_params(ddf="asymptotic"))[1, 1]) ** 0.5
        assert draws["Days"].std() == pytest.approx(error, rel=0.25)
        assert (draws["var(Residual)"] > 0).all()


def test_draws_are_frames_and_repeat() -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    one, two = fit.draws(5, seed=1), fit.draws(3, seed=1)
    np.testing.assert_array_equal(one["Days"][:3], two["Days"])
    frame = one.to_frame()
    assert frame.shape == (5, 6 + 36)
    assert "Subject[308, Days]" in frame.columns
    with pytest.raises(SpecError, match="no draws of"):
        one["days"]


def test_arviz_gets_them_as_a_posterior() -> None:
    pytest.importorskip("arviz")
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    data = fit.draws(6, seed=1).to_arviz()
    assert data["posterior"]["Subject"].shape == (1, 6, 18, 2)
