"""The quadratic model: Newton where the Hessian is definite, descent everywhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixedmodels.criterion.differences import Evaluation
from mixedmodels.optimise.step import newton_step
from mixedmodels.typing import Array


def evaluation(gradient: Array, information: Array, curvature: Array) -> Evaluation:
    return Evaluation(0.0, gradient, information, curvature, (), ())


def random_evaluation(seed: int, curvature: float) -> Evaluation:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 7))
    a, c = rng.standard_normal((k, k + 2)), rng.standard_normal((k, k))
    return evaluation(rng.standard_normal(k), a @ a.T, curvature * (c + c.T))


def test_a_definite_hessian_gives_the_newton_step() -> None:
    for seed in range(20):
        e = random_evaluation(seed, 0.0)
        model = newton_step(e)
        assert model.definite
        np.testing.assert_allclose(e.information @ model.step, -e.gradient, rtol=1e-8, atol=1e-10)
        assert model.decrement == pytest.approx(-e.gradient @ model.step)


def test_every_step_descends() -> None:
    for seed in range(200):
        e = random_evaluation(seed, [0.1, 1.0, 30.0][seed % 3])
        for damping in (0.0, 0.1, 100.0):
            model = newton_step(e, damping=damping)
            assert model.decrement > 0
            assert e.gradient @ model.step == pytest.approx(-model.decrement)


def test_damping_shortens_the_step() -> None:
    e = random_evaluation(3, 0.0)
    lengths = [np.linalg.norm(newton_step(e, damping=d).step) for d in (0.0, 1.0, 10.0, 1e4)]
    assert lengths == sorted(lengths, reverse=True)


def test_held_parameters_stay() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4, 6))
    e = evaluation(rng.standard_normal(4), a @ a.T, np.zeros((4, 4)))
    free = np.array([0, 2])
    step = newton_step(e, free).step
    assert np.all(step[[1, 3]] == 0)
    inside = np.ix_(free, free)
    np.testing.assert_allclose(
        step[free], -np.linalg.solve(e.information[inside], e.gradient[free]), rtol=1e-10
    )


def test_the_scale_of_parameters_does_not_matter() -> None:
    e = random_evaluation(12, 1.0)
    units = 10.0 ** np.arange(-3, len(e.gradient) - 3)
    both = np.outer(units, units)
    scaled = evaluation(e.gradient * units, e.information * both, e.curvature * both)
    np.testing.assert_allclose(newton_step(scaled).step * units, newton_step(e).step, rtol=1e-6)


def test_a_parameter_without_information_does_not_move() -> None:
    e = evaluation(np.array([1.0, 0.0]), np.diag([2.0, 0.0]), np.zeros((2, 2)))
    np.testing.assert_allclose(newton_step(e).step, [-0.5, 0.0], rtol=1e-5)


def test_derivatives_that_are_not_finite_give_no_step() -> None:
    e = random_evaluation(1, 0.1)
    overflowed = newton_step(replace(e, curvature=np.full_like(e.curvature, np.nan)))
    np.testing.assert_allclose(e.information @ overflowed.step, -e.gradient, rtol=1e-3, atol=1e-3)
    lost = newton_step(replace(e, gradient=np.full_like(e.gradient, np.nan)))
    assert lost.decrement == np.inf
    assert np.all(lost.step == 0)


def test_an_indefinite_information_gives_a_step_that_descends() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        root = rng.normal(size=(4, 4))
        information = root + root.T
        e = evaluation(rng.normal(size=4), information, np.zeros((4, 4)))
        model = newton_step(e)
        assert model.definite == (np.linalg.eigvalsh(information)[0] > 0)
        assert model.decrement > 0
        assert e.gradient @ model.step < 0
