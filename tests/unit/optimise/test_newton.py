"""The optimiser: global minima of small problems, exact boundaries, false boundaries, honest failure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize

import mixedmodels as mm
from dense_algebra import make_design, random_codes, random_known, random_term
from dense_criterion import dense_gaussian
from mixedmodels.control import Control
from mixedmodels.covariance import structure_class
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.errors import FitError, Severity
from mixedmodels.optimise.newton import optimise
from models import Model
from random_slopes import slope_objective, slope_problem

US, DIAG, CS, HOMDIAG = (structure_class(name)() for name in ("us", "diag", "cs", "homdiag"))


def best_of_bfgs(objective: Gaussian, starts: int, seed: int) -> float:
    """Return the lowest criterion found by BFGS from several starts on the analytic gradient."""
    rng = np.random.default_rng(seed)
    best = np.inf
    for _ in range(starts):
        theta = rng.standard_normal(objective.n_theta) * rng.choice([0.3, 1.0])
        found = optimize.minimize(
            objective.value, theta, jac=objective.gradient, method="BFGS", options={"gtol": 1e-6}
        )
        best = min(best, float(found.fun))
    return best


def test_small_slope_problems_end_at_the_lowest_point_in_few_steps() -> None:
    iterations, singular = [], 0
    for seed in range(160):
        objective = slope_objective(seed)
        optimum = optimise(objective)
        assert optimum.converged, seed
        assert optimum.value <= best_of_bfgs(slope_objective(seed), 4, seed) + 1e-6, seed
        iterations.append(optimum.iterations)
        rank = optimum.singular[0][0]
        singular += rank < 2
        # the pivots of a singular factor are exactly zero, and only those
        factor = objective.model.random_blocks[0].structure.factor(
            optimum.theta, objective.model.random_blocks[0].positions
        )
        assert np.count_nonzero(factor.diagonal()) == rank, seed
        assert (rank < 2) == any("g" in s.message for s in optimum.statuses), seed
    assert singular > 60
    assert np.median(iterations) <= 5
    assert max(iterations) <= 15


def varied_design(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    n, terms = int(rng.integers(50, 100)), []
    for k in range(int(rng.integers(1, 4))):
        q, p = int(rng.integers(5, 14)), int(rng.integers(1, 4))
        values = None if p == 1 else np.column_stack([np.ones(n), rng.standard_normal((n, p - 1))])
        structure = [US, DIAG, HOMDIAG, US if p == 1 else CS][rng.integers(4)]
        sets = np.arange(q) % 2 if rng.random() < 0.2 else None
        known = random_known(rng, q, precision=True) if sets is None and rng.random() < 0.2 else None
        codes = random_codes(rng, n, q)
        terms.append(random_term(f"g{k}", codes, values, structure, sets=sets, known=known, levels=q))
    return make_design(rng, terms, fixed=2, weighted=rng.random() < 0.3, reml=rng.random() < 0.6)


def test_varied_problems_converge_to_a_stationary_point_on_the_cone() -> None:
    iterations = []
    for seed in range(40):
        design = varied_design(seed)
        objective = dense_gaussian(design)
        optimum = optimise(objective)
        assert optimum.converged, seed
        iterations.append(optimum.iterations)
        evaluation = objective.evaluate(optimum.theta)
        h = evaluation.information.diagonal() + np.abs(evaluation.curvature.diagonal())
        # 1e-8 in the decrement bounds each |g|/√h by 1e-4; the step after it is not checked
        assert np.all(np.abs(evaluation.gradient) <= 3e-4 * np.sqrt(h)), seed
    assert np.median(iterations) <= 10


def test_a_null_factor_has_variance_exactly_zero() -> None:
    rng = np.random.default_rng(1)
    design = make_design(rng, [random_term("batch", np.repeat(np.arange(6), 5), None, US)], fixed=1)
    y = rng.standard_normal(30)
    y -= np.repeat(0.9 * y.reshape(6, 5).mean(axis=1), 5)
    design = replace(design, y=y)
    objective = dense_gaussian(design)
    optimum = optimise(objective)
    assert optimum.theta[0] == 0.0
    assert optimum.singular == ((0,),)
    assert optimum.value == objective.value(np.zeros(1))
    assert optimum.converged
    assert [s.severity for s in optimum.statuses] == [Severity.NOTE]
    assert optimum.statuses[0].message == "the variance of (Intercept) for batch is zero"


@pytest.mark.parametrize("start", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.5, 0.0, 0.0], [1e-9, 0.0, 1e-9]])
def test_false_boundaries_are_left(start: list[float]) -> None:
    for seed in (1, 7, 14):  # problems with covariances of rank two and one
        expected = optimise(slope_objective(seed)).value
        found = optimise(slope_objective(seed), start=np.array(start))
        assert found.converged
        assert found.value == pytest.approx(expected, abs=1e-6)


def test_a_singular_direction_is_named() -> None:
    messages = [s.message for seed in range(40) for s in optimise(slope_objective(seed)).statuses]
    assert any("the covariance of (Intercept), z1 for g has rank 1: the combination" in m for m in messages)
    singular = [m for m in messages if "no lower value" not in m]
    assert all("has variance zero" in m or "is zero" in m or "are zero" in m for m in singular)


def test_the_null_combination_is_the_one_with_no_variance() -> None:
    for seed in range(40):
        objective = slope_objective(seed)
        optimum = optimise(objective)
        message = "".join(s.message for s in optimum.statuses)
        if "combination" not in message:
            continue
        weights = {"z1": 0.0, "(Intercept)": 0.0}
        text = message.split("combination ")[1].split(" has")[0].replace("- ", "-").replace("+ ", "")
        for part in text.split(" "):
            value, name = part.split("·")
            weights[name] = float(value)
        w = np.array([weights["(Intercept)"], weights["z1"]])
        sigma = objective.matrices(optimum.theta)[0][0]
        # the weights are printed to four digits
        assert w @ sigma @ w < 1e-6 * np.trace(sigma) * (w @ w)


def test_a_model_without_random_terms_needs_no_step() -> None:
    rng = np.random.default_rng(3)
    design = make_design(rng, [], fixed=3)
    objective = dense_gaussian(design)
    optimum = optimise(objective)
    residual = design.y - design.x @ np.linalg.lstsq(design.x, design.y)[0]
    assert optimum.converged
    assert optimum.iterations == 0
    assert optimum.theta.shape == (0,)
    assert objective.sigma2(optimum.theta) == pytest.approx(residual @ residual / (design.n - 3), rel=1e-12)


def test_running_out_of_iterations_is_reported_and_not_raised() -> None:
    optimum = optimise(slope_objective(5), Control(max_iterations=1))
    assert not optimum.converged
    assert optimum.iterations == 1
    assert optimum.statuses[0].severity is Severity.WARNING
    assert "did not converge after 1 iterations (max_iterations = 1 reached)" in optimum.statuses[0].message


def test_a_response_without_residual_variation_is_an_error() -> None:
    rng = np.random.default_rng(4)
    design = make_design(rng, [random_term("g", random_codes(rng, 30, 5), None, US)], fixed=1)
    design = replace(design, y=np.zeros(30))
    with pytest.raises(FitError, match="not finite at the starting values"):
        optimise(dense_gaussian(design))


def test_verbose_prints_one_line_per_iterate(capsys: pytest.CaptureFixture[str]) -> None:
    optimum = optimise(slope_objective(0), Control(verbose=True))
    lines = capsys.readouterr().out.strip().split("\n")
    assert len(lines) == len(optimum.trace) == optimum.iterations + 1
    assert "decrement" in lines[0]


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_the_scale_of_the_response_does_not_matter(factor: float) -> None:
    design = slope_problem(0)
    plain, scaled = design, replace(design, y=factor * design.y)
    a = optimise(dense_gaussian(plain))
    b = optimise(dense_gaussian(scaled))
    np.testing.assert_allclose(a.theta, b.theta, rtol=1e-6, atol=1e-8)
    nu = design.n - 2
    assert b.value - a.value == pytest.approx(nu * np.log(factor**2), abs=1e-6)


def test_the_scale_of_a_random_column_does_not_matter() -> None:
    design = slope_problem(0)
    term = design.random[0]
    scaled = replace(design, random=(replace(term, values=term.values * np.array([1.0, 1e4])),))
    a = optimise(dense_gaussian(design))
    b = optimise(dense_gaussian(scaled))
    assert b.value == pytest.approx(a.value, abs=1e-7)
    np.testing.assert_allclose(b.theta * np.array([1, 1e4, 1e4]), a.theta, rtol=1e-5)


def test_both_modes_find_the_same_model() -> None:
    for seed in range(12):
        design = varied_design(seed)
        profiled = dense_gaussian(design)
        joint = dense_gaussian(design, profiled=False)
        a, b = optimise(profiled), optimise(joint)
        assert b.converged, seed
        assert b.value == pytest.approx(a.value, abs=1e-6), seed
        assert np.exp(b.theta[-1]) == pytest.approx(profiled.sigma2(a.theta), rel=1e-3), seed


def test_errors_without_full_rank_are_named() -> None:
    orthodont = mm.datasets.load("orthodont")
    with pytest.raises(
        FitError, match=r"covariance of the errors \(fa0\) is singular there.*such as fa\(q\)"
    ):
        mm.gls("Y ~ age", orthodont, residual="fa0(2)(age | id)")
    # with slopes of every child the sum has full rank
    fit = mm.lmm("Y ~ age + (age | id)", orthodont, residual="fa0(2)(age | id)")
    assert fit.converged
