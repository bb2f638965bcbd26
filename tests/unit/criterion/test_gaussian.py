"""The criterion and its derivatives against definitions by dense algebra and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dense_algebra import make_design, random_codes, random_known, random_term
from dense_criterion import dense_gaussian
from dense_equations import DenseEquations, equal_errors
from mixedmodels.covariance import structure_class
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.engines.base import Direction
from mixedmodels.errors import FitError
from mixedmodels.typing import Array
from models import Model

KINDS = ["slopes", "crossed", "sets", "known", "precision", "structured", "none"]


def structure(name: str) -> object:
    return structure_class(name)()


def design_of(kind: str, reml: bool, seed: int = 0) -> Model:
    rng = np.random.default_rng([KINDS.index(kind), seed])
    n = 60
    g, h = random_codes(rng, n, 9), random_codes(rng, n, 6)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    us, diag, homdiag = structure("us"), structure("diag"), structure("homdiag")
    terms = {
        "slopes": [random_term("g", g, x[:, :2], us)],
        "crossed": [random_term("g", g, x, us), random_term("h", h, None, us)],
        "sets": [
            random_term("g", g, x[:, :2], us, sets=np.arange(9) % 2),
            random_term("h", h, x[:, :2], diag, sets=np.arange(6) % 3),
        ],
        "known": [random_term("g", g, x[:, :2], us, known=random_known(rng, 9, precision=False))],
        "precision": [
            random_term("h", h, None, homdiag, known=random_known(rng, 6, precision=True)),
            random_term("g", g, x, diag),
        ],
        "structured": [random_term("g", g, x, structure("ar1")), random_term("h", h, x, structure("hcs"))],
        "none": [],
    }[kind]
    return make_design(rng, terms, fixed=2, weighted=kind != "slopes", reml=reml)


def random_theta(objective: Gaussian, rng: np.random.Generator) -> Array:
    return rng.uniform(0.3, 1.2, objective.n_theta) * rng.choice([-1.0, 1.0], objective.n_theta)


def differences(function: object, theta: Array, step: float = 1e-5) -> Array:
    """Return central differences, one row per parameter; error of the order step²."""
    rows = [(function(theta + e) - function(theta - e)) / (2 * step) for e in step * np.eye(len(theta))]
    return np.array(rows)


def slopes_of(objective: Gaussian, theta: Array, unit: float = 1.0) -> list[Direction]:
    """Return ∂Σ by every parameter of a random term times a unit, as directions."""
    return [
        Direction(random=((b.term, b.set, unit * m),))
        for b in objective.model.random_blocks
        for m in b.structure.d_matrix(theta[b.place], b.positions)
    ]


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_value_is_minus_two_log_likelihood(kind: str, reml: bool, joint: bool) -> None:
    design = design_of(kind, reml)
    objective = dense_gaussian(design, profiled=not joint)
    theta = random_theta(objective, np.random.default_rng(1))
    value = objective.value(theta)
    sigma2 = objective.sigma2(theta)
    unit = 1.0 if joint else sigma2
    absolute = [m * unit for m in objective.matrices(theta)]
    v = DenseEquations.of(design).covariance(equal_errors(absolute, sigma2))
    x, y = design.x, design.y
    beta = np.linalg.solve(x.T @ np.linalg.solve(v, x), x.T @ np.linalg.solve(v, y))
    residual = y - x @ beta
    expected = np.linalg.slogdet(v)[1] + residual @ np.linalg.solve(v, residual)
    expected += (design.n - reml * x.shape[1]) * np.log(2 * np.pi)
    if reml:
        expected += np.linalg.slogdet(x.T @ np.linalg.solve(v, x))[1]
    assert value == pytest.approx(expected, rel=1e-11)  # both in double precision, n = 60


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_the_derivative_of_the_value(kind: str, reml: bool, joint: bool) -> None:
    design = design_of(kind, reml)
    objective = dense_gaussian(design, profiled=not joint)
    for seed in range(3):
        theta = random_theta(objective, np.random.default_rng(seed))
        gradient = objective.gradient(theta)
        expected = differences(objective.value, theta)
        scale = 1 + np.abs(gradient).max(initial=0.0)
        # differences of values near 1e3 with step 1e-5: rounding 1e-13·1e3/1e-5 = 1e-5 to slopes of 1e2
        np.testing.assert_allclose(gradient, expected, atol=1e-6 * scale, rtol=0)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_average_information_and_curvature_in_joint_parameters(kind: str, reml: bool) -> None:
    design = design_of(kind, reml)
    objective = dense_gaussian(design, profiled=False)
    theta = random_theta(objective, np.random.default_rng(2))
    evaluation = objective.evaluate(theta)
    sigma2, oracle = objective.sigma2(theta), DenseEquations.of(design)
    oracle.factor(equal_errors(objective.matrices(theta), sigma2))
    directions = [*slopes_of(objective, theta), Direction(errors=lambda g: np.full((1, 1, 1), sigma2))]
    average, traces = oracle.information(directions), oracle.trace_products(directions, reml)
    scale = np.abs(average).max()
    np.testing.assert_allclose(evaluation.information, average, atol=1e-10 * scale)
    hessian = differences(objective.gradient, theta)
    # H = 2AI − tr(PV̇PV̇) + ⟨Γ, Σ̈⟩ identifies the curvature; the differences are good to 1e-7
    np.testing.assert_allclose(
        2 * average - traces + evaluation.curvature, hessian, atol=1e-6 * np.abs(hessian).max()
    )
    expected = objective.observed_information(theta, expected=True)
    np.testing.assert_allclose(expected, traces, atol=1e-6 * np.abs(hessian).max())


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("kind", ["slopes", "crossed", "sets", "known", "precision", "structured"])
def test_profiled_information_is_the_schur_complement_of_the_residual_variance(kind: str, reml: bool) -> None:
    design = design_of(kind, reml)
    objective, oracle = dense_gaussian(design), DenseEquations.of(design)
    theta = random_theta(objective, np.random.default_rng(3))
    evaluation = objective.evaluate(theta)
    sigma2, relative = objective.sigma2(theta), objective.matrices(theta)
    oracle.factor(equal_errors([sigma2 * m for m in relative], sigma2))
    # joint parameters (relative θ, log σ²): V̇_θ = σ²·∂Ṽ, V̇_s = V
    whole = [(k, s, sigma2 * m) for k, stack in enumerate(relative) for s, m in enumerate(stack)]
    directions = slopes_of(objective, theta, sigma2)
    directions.append(Direction(tuple(whole), errors=lambda g: np.full((1, 1, 1), sigma2)))
    average = oracle.information(directions)
    schur = average[:-1, :-1] - np.outer(average[:-1, -1], average[:-1, -1]) / average[-1, -1]
    np.testing.assert_allclose(evaluation.information, schur, atol=1e-10 * np.abs(average).max())
    assert np.linalg.eigvalsh(evaluation.information).min() > -1e-9 * np.abs(average).max()


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("kind", ["slopes", "crossed", "sets", "known", "structured"])
def test_profiled_hessian_needs_no_differences(kind: str, reml: bool) -> None:
    design = design_of(kind, reml)
    objective = dense_gaussian(design)
    theta = random_theta(objective, np.random.default_rng(8))
    hessian = differences(objective.gradient, theta)
    found = objective.observed_information(theta)
    # central differences of the gradient are good to 1e-7
    np.testing.assert_allclose(found, hessian, atol=1e-6 * np.abs(hessian).max())


def test_evaluate_reuses_the_factorisation_of_value() -> None:
    design = design_of("crossed", True)
    equations = DenseEquations.of(design)
    objective = Gaussian(design.design, equations)
    theta = random_theta(objective, np.random.default_rng(4))
    objective.value(theta)
    objective.evaluate(theta.copy())
    objective.solve(theta)
    assert equations.evaluations == objective.evaluations == 1
    objective.value(theta + 0.1)
    assert equations.evaluations == 2


def test_objectives_that_share_a_system_do_not_mistake_its_state() -> None:
    design = design_of("slopes", True)
    objective = dense_gaussian(design)
    theta = random_theta(objective, np.random.default_rng(5))
    beta = objective.solve(theta)[0].beta
    joint = objective.jointly()
    joint.value(joint.n_theta * [0.7] + np.zeros(joint.n_theta))
    np.testing.assert_array_equal(objective.solve(theta)[0].beta, beta)


@pytest.mark.parametrize("kind", ["slopes", "sets", "structured"])
def test_absolute_and_relative_parameters_are_one_model(kind: str) -> None:
    design = design_of(kind, True)
    objective = dense_gaussian(design)
    theta = random_theta(objective, np.random.default_rng(6))
    joint = objective.jointly()
    absolute = objective.absolute(theta)
    assert joint.value(absolute) == pytest.approx(objective.value(theta), rel=1e-12)
    np.testing.assert_allclose(joint.relative(absolute), theta, rtol=1e-12)


@pytest.mark.parametrize("reml", [False, True])
def test_natural_covariance_is_twice_the_inverse_observed_information(reml: bool) -> None:
    design = replace(design_of("crossed", reml, seed=3))
    objective, oracle = dense_gaussian(design), DenseEquations.of(design)
    theta = stationary(objective)
    natural = objective.natural(theta)
    sigma2 = objective.sigma2(theta)
    directions = [
        Direction(random=((b.term, b.set, matrix),))
        for b in objective.model.random_blocks
        for matrix in b.structure.d_natural(theta[b.place], b.positions)
    ]
    directions.append(Direction(errors=lambda g: np.ones((1, 1, 1))))
    oracle.factor(equal_errors([sigma2 * m for m in objective.matrices(theta)], sigma2))
    # the Hessian of −2l, whose directions do not bend
    hessian = 2 * oracle.information(directions) - oracle.trace_products(directions, reml)
    scale = np.sqrt(np.diag(2 * np.linalg.inv(hessian)))
    actual = objective.natural_covariance(theta) / np.outer(scale, scale)
    # differences of the analytic gradient: 1e-7 relative, and θ is stationary to 1e-6 standard errors
    np.testing.assert_allclose(actual, 2 * np.linalg.inv(hessian) / np.outer(scale, scale), atol=2e-5)
    assert natural.values[-1] == pytest.approx(sigma2, rel=1e-14)


def stationary(objective: Gaussian) -> Array:
    """Return an interior stationary point by plain Newton steps, independent of the optimiser."""
    theta = np.full(objective.n_theta, 0.5)
    for b in objective.model.random_blocks:
        theta[b.place] = b.structure.start(np.eye(b.positions.size), b.positions)
    for _ in range(60):
        e = objective.evaluate(theta)
        h = e.information + e.curvature
        w, v = np.linalg.eigh(h)
        step = -(v / np.maximum(np.abs(w), 1e-3)) @ v.T @ e.gradient
        length = 1.0
        while objective.value(theta + length * step) > e.value + 1e-9 and length > 1e-6:
            length /= 2
        theta = theta + length * step
        if np.abs(e.gradient).max() < 1e-9:
            break
    return theta


def test_a_point_outside_the_domain_has_an_infinite_value() -> None:
    design = design_of("slopes", True)
    objective = dense_gaussian(design, profiled=False)
    theta = np.ones(objective.n_theta)
    assert objective.value(np.full_like(theta, np.nan)) == np.inf
    assert objective.value(np.full_like(theta, 1e200)) == np.inf
    with pytest.raises(FitError, match="not finite"):
        objective.gradient(np.full_like(theta, np.nan))


def test_too_few_rows_for_the_fixed_effects() -> None:
    rng = np.random.default_rng(0)
    design = make_design(rng, [random_term("g", np.arange(3) % 2, None, structure("us"))], fixed=3)
    with pytest.raises(FitError, match="3 rows cannot determine 3 fixed effects"):
        dense_gaussian(design)


@pytest.mark.parametrize("reml", [False, True])
def test_scaling_the_response_shifts_the_criterion(reml: bool) -> None:
    design = design_of("crossed", reml)
    scaled = replace(design, y=1e3 * design.y)
    a, b = (
        dense_gaussian(design),
        dense_gaussian(scaled),
    )
    theta = random_theta(a, np.random.default_rng(7))
    assert b.value(theta) - a.value(theta) == pytest.approx(a.nu * np.log(1e6), rel=1e-10)
    np.testing.assert_allclose(a.gradient(theta), b.gradient(theta), rtol=1e-8)
    np.testing.assert_allclose(a.evaluate(theta).information, b.evaluate(theta).information, rtol=1e-8)


@pytest.mark.parametrize("reml", [False, True])
def test_recoding_the_fixed_effects_shifts_the_restricted_criterion(reml: bool) -> None:
    design = design_of("crossed", reml)
    a = np.array([[2.0, 1.0], [0.5, -3.0]])
    recoded = replace(design, fixed=replace(design.fixed, matrix=design.fixed.matrix @ a))
    first, second = (
        dense_gaussian(design),
        dense_gaussian(recoded),
    )
    theta = random_theta(first, np.random.default_rng(8))
    shift = 2 * np.log(abs(np.linalg.det(a))) if reml else 0.0
    assert second.value(theta) - first.value(theta) == pytest.approx(shift, abs=1e-9)
    np.testing.assert_allclose(first.gradient(theta), second.gradient(theta), rtol=1e-8, atol=1e-8)


def test_the_order_of_rows_does_not_matter() -> None:
    design = design_of("sets", True)
    rng = np.random.default_rng(9)
    order = rng.permutation(design.n)
    shuffled = replace(
        design,
        y=design.y[order],
        fixed=replace(design.fixed, matrix=design.fixed.matrix[order]),
        weights=design.weights[order],
        random=tuple(replace(t, codes=t.codes[order], values=t.values[order]) for t in design.random),
    )
    a, b = (
        dense_gaussian(design),
        dense_gaussian(shuffled),
    )
    theta = random_theta(a, rng)
    assert a.value(theta) == pytest.approx(b.value(theta), rel=1e-12)
    np.testing.assert_allclose(a.gradient(theta), b.gradient(theta), rtol=1e-9, atol=1e-9)
