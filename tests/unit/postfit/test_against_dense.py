"""Every tool against its definition in dense algebra on V."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from fitted_models import Oracle, make_oracle
from mixedmodels.fit import Fit

# The engine and dense algebra differ by rounding in sums over rows of a well-conditioned system.
CLOSE = {"rtol": 1e-8, "atol": 1e-9}


def test_random_effects_and_their_standard_errors(fit: Fit, oracle: Oracle) -> None:
    table = fit.random_effects()
    dense = oracle.equations.solution().random
    np.testing.assert_allclose(table["estimate"], np.concatenate([b.ravel() for b in dense]), **CLOSE)
    variances = [
        np.einsum("jaa->ja", oracle.equations.conditional_covariance(k)).ravel()
        for k in range(len(fit.design.random))
    ]
    np.testing.assert_allclose(table["std_error"] ** 2, np.concatenate(variances), **CLOSE)


def test_joint_covariance_of_one_term(fit: Fit, oracle: Oracle) -> None:
    label = fit.design.random[0].label
    matrix = fit.random_effects(term=label, joint=True)
    np.testing.assert_allclose(matrix.array, oracle.equations.joint_covariance(0), **CLOSE)
    se = fit.random_effects(term=label)["std_error"]
    np.testing.assert_allclose(np.sqrt(np.diag(matrix.array)), se, **CLOSE)


def test_fixed_effects_covariance_is_the_inverse_information(fit: Fit, oracle: Oracle) -> None:
    x = fit.rows.x
    np.testing.assert_allclose(fit.solution.vcov, np.linalg.inv(x.T @ np.linalg.solve(oracle.v, x)), **CLOSE)


def test_criterion_is_the_density_of_the_data(fit: Fit, oracle: Oracle) -> None:
    x, nu = fit.rows.x, fit.df_resid if fit.design.reml else fit.nobs
    resid = fit.response - fit.linear_predictor
    value = nu * np.log(2 * np.pi) + np.linalg.slogdet(oracle.v)[1] + resid @ np.linalg.solve(oracle.v, resid)
    if fit.design.reml:
        value += np.linalg.slogdet(x.T @ np.linalg.solve(oracle.v, x))[1]
    assert fit.criterion == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("level", ["conditional", "population"])
def test_prediction_standard_errors(fit: Fit, oracle: Oracle, level: str) -> None:
    codes = [term.codes if level == "conditional" else None for term in fit.rows.random]
    values = [term.values for term in fit.rows.random]
    expected = oracle.equations.prediction_variance(fit.rows.x, codes, values)
    table = fit.predict(level=level, se=True, ddf="asymptotic")
    np.testing.assert_allclose(table["se"] ** 2, expected, **CLOSE)


def test_marginal_covariance_of_a_cluster_is_a_block_of_v(fit: Fit, oracle: Oracle) -> None:
    term = fit.design.random[0]
    level = term.levels[2]
    rows = np.flatnonzero(fit.rows.random[0].codes == 2)
    np.testing.assert_allclose(
        fit.marginal_cov(level, group=term.group).array, oracle.v[np.ix_(rows, rows)], **CLOSE
    )
    correlation = fit.marginal_cov(level, group=term.group, correlation=True).array
    np.testing.assert_allclose(np.diag(correlation), 1.0)


def test_pearson_residuals_are_scaled_by_their_standard_deviation(fit: Fit, oracle: Oracle) -> None:
    marginal = fit.residuals("pearson", level="marginal")
    np.testing.assert_allclose(
        marginal, (fit.response - fit.linear_predictor) / np.sqrt(np.diag(oracle.v)), **CLOSE
    )
    weights = np.ones(fit.nobs) if fit.rows.weights is None else fit.rows.weights
    np.testing.assert_allclose(fit.residuals("pearson"), fit.resid * np.sqrt(weights) / fit.sigma, **CLOSE)


def test_standard_errors_of_variances_come_from_the_observed_information(weighted: Fit) -> None:
    from mixedmodels.engines.base import Direction

    dense = make_oracle(weighted).equations
    us = [np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([0.0, 1.0])]
    directions = [Direction(random=((0, 0, matrix),)) for matrix in us]
    directions += [Direction(random=((1, 0, np.eye(1)),)), Direction(errors=lambda g: np.ones((1, 1, 1)))]
    # the Hessian of −2l, whose directions do not bend
    hessian = 2 * dense.information(directions) - dense.trace_products(directions, reml=True)
    covariance = 2 * np.linalg.inv(hessian)
    table = weighted.variance_components(se=True)
    # Printed order: the two variances of g, their covariance, h, residual. The engine differentiates its
    # gradient numerically with a relative error of about 1e-6.
    order = [0, 2, 1, 3, 4]
    np.testing.assert_allclose(table["std_error"], np.sqrt(np.diag(covariance))[order], rtol=1e-5)


def test_simulated_responses_have_the_fitted_mean_and_covariance(weighted: Fit) -> None:
    draws = weighted.simulate(4000, seed=3)
    v = make_oracle(weighted).v
    standard = (draws.mean(axis=1) - weighted.linear_predictor) / np.sqrt(np.diag(v) / 4000)
    # 119 standard normal deviates: |z| > 4.5 has probability 1e-3.
    assert np.abs(standard).max() < 4.5
    ratio = draws.var(axis=1) / np.diag(v)
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / 4000)
    whitened = np.linalg.solve(np.linalg.cholesky(v), draws - weighted.linear_predictor[:, None])
    assert np.mean(whitened**2) == pytest.approx(1.0, abs=5 * np.sqrt(2 / (119 * 4000)))


def test_conditional_simulation_keeps_the_predicted_effects(weighted: Fit) -> None:
    draws = weighted.simulate(2000, seed=4, level="conditional")
    error = weighted.sigma / np.sqrt(weighted.rows.weights)
    assert np.abs((draws.mean(axis=1) - weighted.fitted) / (error / np.sqrt(2000))).max() < 4.5


def test_a_known_covariance_reaches_every_tool() -> None:
    rng = np.random.default_rng(2)
    q = 15
    root = rng.standard_normal((q, q + 4))
    names = [f"a{j:02d}" for j in range(q)]
    import pandas as pd

    kinship = pd.DataFrame(root @ root.T / q, index=names, columns=names)
    data = {
        "animal": np.repeat(names, 4),
        "y": np.repeat(np.linalg.cholesky(kinship) @ rng.standard_normal(q), 4),
    }
    data["y"] = data["y"] + rng.standard_normal(4 * q)
    fit = mm.lmm("y ~ 1 + (1 | animal, cov=A)", data, known={"A": kinship})
    oracle = make_oracle(fit)
    block = fit.marginal_cov("a03")
    np.testing.assert_allclose(block.array, oracle.v[12:16, 12:16], **CLOSE)
    expected = (fit.response - fit.linear_predictor) / np.sqrt(np.diag(oracle.v))
    np.testing.assert_allclose(fit.residuals("pearson", level="marginal"), expected, **CLOSE)
    np.testing.assert_allclose(
        fit.random_effects()["std_error"] ** 2,
        oracle.equations.conditional_covariance(0).ravel(),
        **CLOSE,
    )
    ratio = fit.simulate(4000, seed=1).var(axis=1) / np.diag(oracle.v)
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / 4000)


def test_questions_do_not_disturb_each_other(fit: Fit) -> None:
    before = fit.random_effects()["std_error"].copy()
    first = fit.variance_components(se=True)["std_error"]
    np.testing.assert_allclose(fit.random_effects()["std_error"], before, rtol=1e-12)
    fit.refit(fit.simulate(2, seed=1))
    np.testing.assert_allclose(fit.variance_components(se=True)["std_error"], first, rtol=1e-12)
    np.testing.assert_allclose(fit.random_effects()["std_error"], before, rtol=1e-12)
