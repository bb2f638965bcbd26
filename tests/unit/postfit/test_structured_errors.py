"""Every tool on fits with structured errors against the algebra written out with V in full."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import mixedmodels as mm
from dense_algebra import design_matrix, random_covariance
from mixedmodels.fit import Fit
from models import Model
from structured_models import CROSSED, MODELS, Full, full_covariance, visits

CLOSE = {"rtol": 1e-8, "atol": 1e-9}


@dataclass(frozen=True)
class Case:
    fit: Fit
    full: Full


@pytest.fixture(scope="module", params=[*MODELS, *CROSSED])
def case(request: pytest.FixtureRequest) -> Case:
    fit = {**MODELS, **CROSSED}[request.param]()
    assert fit.converged
    assert fit.engine == ("sparse" if request.param in CROSSED else "clusters")
    return Case(fit, full_covariance(fit))


def test_criterion_and_fixed_effects(case: Case) -> None:
    fit, full = case.fit, case.full
    value = np.linalg.slogdet(full.v)[1] + full.residual @ np.linalg.solve(full.v, full.residual)
    nu = fit.nobs
    if fit.design.reml:
        nu -= fit.design.fixed.rank
        value += np.linalg.slogdet(np.linalg.inv(full.phi))[1]
    assert fit.criterion == pytest.approx(value + nu * np.log(2 * np.pi), abs=1e-7)
    np.testing.assert_allclose(fit.solution.vcov, full.phi, **CLOSE)


def test_effects_and_fitted_values(case: Case) -> None:
    fit, full = case.fit, case.full
    mean = full.x @ fit.solution.beta
    np.testing.assert_allclose(fit.rows.y - mean, full.residual, **CLOSE)
    conditional = mean + (full.v - full.r) @ np.linalg.solve(full.v, full.residual)
    offset = 0.0 if fit.rows.offset is None else fit.rows.offset
    np.testing.assert_allclose(fit.fitted, conditional + offset, **CLOSE)


def test_errors_of_prediction(case: Case) -> None:
    fit, full = case.fit, case.full
    if not fit.design.random:
        pytest.skip("no random effects")
    g = full.v - full.r
    expected = g - g @ full.p @ g
    cross = full.x @ full.phi @ full.x.T @ np.linalg.inv(full.v) @ g
    variance = np.diag(full.x @ full.phi @ full.x.T + expected - cross - cross.T)
    table = fit.predict(se=True, ddf="asymptotic")
    np.testing.assert_allclose(table["se"] ** 2, variance, **CLOSE)
    for k, term in enumerate(Model.of_fit(fit).random):
        own = fit._work.equations().conditional_covariance(k)
        joint = fit._work.equations().joint_covariance(k)
        p = term.n_columns
        blocks = [joint[j * p : (j + 1) * p, j * p : (j + 1) * p] for j in range(term.n_levels)]
        np.testing.assert_allclose(own, np.array(blocks), **CLOSE)
        z, sigma = design_matrix(term), random_covariance(term, fit.covariances[k])
        np.testing.assert_allclose(joint, sigma - sigma @ z.T @ full.p @ z @ sigma, **CLOSE)


def test_covariance_matrices_of_a_cluster(case: Case) -> None:
    fit, full = case.fit, case.full
    if not fit.design.random and fit.design.residual.structure is None:
        with pytest.raises(mm.SpecError, match="no grouping factor"):
            fit.residual_cov()
        return
    group, name = "id", "7"
    factors = {*fit.ngroups, fit.design.residual.label}
    if "id" not in factors:
        group, name = ("site:id", "1:7") if "site:id" in factors else ("item", "7")
    rows = np.flatnonzero(visits()[group.split(":")[-1]] == 7)
    square = np.ix_(rows, rows)
    np.testing.assert_allclose(fit.residual_cov(name, group=group).array, full.r[square], **CLOSE)
    np.testing.assert_allclose(fit.marginal_cov(name, group=group).array, full.v[square], **CLOSE)
    correlation = fit.marginal_cov(name, group=group, correlation=True).array
    np.testing.assert_allclose(np.diag(correlation), 1.0)


def test_residuals(case: Case) -> None:
    fit, full = case.fit, case.full
    raw = full.r @ full.p @ fit.rows.y
    np.testing.assert_allclose(fit.residuals(), raw, **CLOSE)
    np.testing.assert_allclose(fit.residuals("pearson"), raw / np.sqrt(np.diag(full.r)), **CLOSE)
    student = raw / np.sqrt(np.diag(full.r @ full.p @ full.r))
    np.testing.assert_allclose(fit.residuals("student"), student, **CLOSE)
    marginal = full.residual
    np.testing.assert_allclose(fit.residuals(level="marginal"), marginal, **CLOSE)
    np.testing.assert_allclose(
        fit.residuals("pearson", level="marginal"), marginal / np.sqrt(np.diag(full.v)), **CLOSE
    )
    variance = np.diag(full.v - full.x @ full.phi @ full.x.T)
    np.testing.assert_allclose(
        fit.residuals("student", level="marginal"), marginal / np.sqrt(variance), **CLOSE
    )


def test_scaled_residuals_have_the_quadratic_form_of_the_likelihood(case: Case) -> None:
    fit, full = case.fit, case.full
    if any(term.known is not None for term in fit.design.random):
        with pytest.raises(mm.SpecError, match="needs the covariance of whole clusters"):
            fit.residuals("scaled", level="marginal")
        return
    scaled = fit.residuals("scaled", level="marginal")
    assert scaled @ scaled == pytest.approx(full.residual @ np.linalg.solve(full.v, full.residual))
    raw = full.r @ full.p @ fit.rows.y
    conditional = fit.residuals("scaled")
    # rows of these data stand in the order of their clusters, and of positions inside
    np.testing.assert_allclose(scaled, np.linalg.solve(np.linalg.cholesky(full.v), full.residual), **CLOSE)
    np.testing.assert_allclose(conditional, np.linalg.solve(np.linalg.cholesky(full.r), raw), **CLOSE)
    assert conditional @ conditional == pytest.approx(raw @ np.linalg.solve(full.r, raw))


def test_simulated_responses_have_the_covariance_of_the_model(case: Case) -> None:
    fit, full = case.fit, case.full
    draws = fit.simulate(4000, seed=2)
    gap = draws - fit.linear_predictor[:, None]
    whitened = np.linalg.solve(np.linalg.cholesky(full.v), gap)
    # mean of 4000 n independent squares with standard deviation √2, and of products of neighbours
    n = fit.nobs
    assert np.mean(whitened**2) == pytest.approx(1.0, abs=5 * np.sqrt(2 / (4000 * n)))
    assert np.mean(whitened[:-1] * whitened[1:]) == pytest.approx(0.0, abs=5 / np.sqrt(4000 * n))


def test_refit_to_a_multiple(case: Case) -> None:
    fit = case.fit
    if fit.rows.offset is not None or any(term.fitted for term in fit.design.residual.variance):
        pytest.skip("an offset, or a variance function of the mean, does not scale with the response")
    again = fit.refit(3 * fit.response)
    np.testing.assert_allclose(again.beta, 3 * fit.beta, rtol=1e-4, atol=1e-4)
    assert again.sigma == pytest.approx(3 * fit.sigma, rel=1e-4)


def test_missing_responses_are_predicted_from_their_cluster() -> None:
    data = visits()
    held_out = (data["id"] % 4 == 1) & (data["visit"] == 3)
    used = data[~held_out]
    missing = data[held_out]
    for formula, options in (
        ("y ~ x", {"residual": "us(visit | id)"}),
        ("y ~ x + offset(known) + (1 | site)", {"residual": "ar1(visit | id)", "weights": "w"}),
        ("y ~ x + (x | id)", {"residual": "exp(time | id, nugget=True)", "variance": "ident(kind)"}),
        ("y ~ x", {"residual": "har1(visit | id, by=arm)", "variance": "power(w)"}),
    ):
        fit = mm.lmm(formula, used, **options)
        both = mm.lmm(formula, data, hold=held_at(fit), **options)
        full = full_covariance(both)
        inside, outside = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        v_oo, v_om = full.v[np.ix_(inside, inside)], full.v[np.ix_(inside, outside)]
        weights = np.linalg.solve(v_oo, v_om)
        own = fit.rows.y - fit.rows.x @ fit.solution.beta
        offset = 0.0 if both.rows.offset is None else both.rows.offset[outside]
        expected = full.x[outside] @ fit.solution.beta + weights.T @ own + offset
        slope = full.x[outside] - weights.T @ full.x[inside]
        variance = full.v[np.ix_(outside, outside)] - v_om.T @ weights + slope @ fit.solution.vcov @ slope.T
        table = fit.predict(missing, se=True, ddf="asymptotic")
        np.testing.assert_allclose(table["fit"], expected, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(table["se"] ** 2, np.diag(variance), rtol=1e-7)
        limits = fit.predict(missing, interval="prediction", ddf="asymptotic")
        np.testing.assert_allclose((limits["upper"] - limits["lower"]) / 2 / 1.959964, table["se"], rtol=1e-6)
        assert "missing responses" in " ".join(table.notes)
        seen = fit.predict(used, se=True, ddf="asymptotic")
        np.testing.assert_allclose(seen["fit"], fit.fitted, rtol=1e-9)


def held_at(fit: Fit) -> dict[str, float]:
    natural = fit._work.criterion().natural(fit.optimum.theta)
    return dict(zip(natural.names, natural.values.tolist(), strict=True))


def test_a_new_cluster_is_predicted_by_its_mean() -> None:
    fit = MODELS["us"]()
    new = {"x": [0.5, 0.5], "id": [999, 999], "visit": [1, 2]}
    table = fit.predict(new, interval="prediction", ddf="asymptotic")
    np.testing.assert_allclose(table["fit"], [1, 0.5] @ fit.beta)
    sd = np.sqrt(np.diag(fit._work.criterion().model.residual_blocks[0].structure.matrix(
        fit.optimum.theta, fit.design.residual.positions))[:2])  # fmt: skip
    half = (table["upper"] - table["lower"]) / 2 / 1.959963984540054
    np.testing.assert_allclose(half, np.sqrt(table["se"] ** 2 + sd**2), rtol=1e-6)
    np.testing.assert_allclose(fit.predict({"x": [0.5]}), [1, 0.5] @ fit.beta)
    with pytest.raises(mm.DataError, match="'id'"):
        fit.predict({"x": [0.5]}, interval="prediction")


def test_weights_and_structures_count_parameters() -> None:
    fit = MODELS["us by arm, weights"]()
    assert fit.n_covariance_parameters == 2 * 15
    assert MODELS["car1, power"]().n_covariance_parameters == 4
    assert MODELS["variance only"]().n_covariance_parameters == 3


def test_rows_whose_errors_are_not_known_say_so() -> None:
    fit = MODELS["us"]()
    ninth = {"x": [1.0, 1.0], "id": [7, 7], "visit": [9, 2]}
    table = fit.predict(ninth, interval="prediction")
    assert np.isnan(table["lower"]).tolist() == [True, False]
    assert np.isfinite(table["fit"]).all()
    assert "1 row has no limits: a position or group that was not in the fit" in " ".join(table.notes)
    # a missing response of a known subject, without what its variance depends on
    power = MODELS["car1, power"]()
    new = {"x": [1.0], "id": [7], "time": [9.5], "kind": ["old"]}
    with pytest.raises(mm.DataError, match=r"gives 'id', 'time' and lacks 'w', .* or use level='population'"):
        power.predict(new)
    assert np.isfinite(power.predict(new, level="population")).all()
    assert np.isfinite(power.predict({"x": [1.0]})).all()


def test_text_and_numbers_name_the_same_cluster() -> None:
    fit = MODELS["us"]()
    data = visits()
    gone = next(i for i in range(30) if 5 not in data["visit"][data["id"] == i].tolist())
    number = fit.predict({"x": [1.0], "id": [gone], "visit": [5]}, se=True)
    text = fit.predict({"x": [1.0], "id": [str(gone)], "visit": [5]}, se=True)
    assert "missing response" in number.notes[0]
    assert (number["fit"][0], number["se"][0]) == (text["fit"][0], text["se"][0])
