"""What quadrature says of Laplace's approximation: of the whole model, and of one factor beside others."""

from __future__ import annotations

import numpy as np
import pytest

from generalised_models import one_predictor
from mixedmodels.criterion.laplace_check import differences
from mixedmodels.criterion.quadrature import Quadrature

Data = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def drawn() -> Data:
    rng = np.random.default_rng(5)
    n, levels = 200, 40
    level, x = rng.integers(levels, size=n), rng.normal(size=n)
    eta = 0.4 + 0.5 * x + rng.normal(0.0, 2.0, levels)[level]
    return {
        "x": x,
        "a": np.array([f"a{k}" for k in level]),
        "b": np.array([f"b{k}" for k in rng.integers(8, size=n)]),
        "hit": (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float),
    }


def test_difference_and_step_of_one_factor(drawn: Data) -> None:
    laplace, _ = one_predictor("hit ~ x + (1 | a)", drawn, "binomial")
    theta = laplace.own_start()
    theta[0] = 2.0
    covariance = 2.0 * np.linalg.inv(laplace.observed_information(theta))
    (found,) = differences(laplace, theta, laplace.value(theta), covariance)
    own = Quadrature(laplace, 15)
    assert (found.group, found.points) == ("a", 15)
    assert found.value == pytest.approx(own.value(theta) - laplace.value(theta), abs=1e-9)
    assert found.step is not None
    assert found.step == pytest.approx(-0.5 * covariance @ own.gradient(theta))
    assert abs(found.value) > 0.5


def test_a_factor_beside_another_without_effects_is_alone(drawn: Data) -> None:
    alone, _ = one_predictor("hit ~ x + (1 | a)", drawn, "binomial")
    both, _ = one_predictor("hit ~ x + (1 | a) + (1 | b)", drawn, "binomial")
    theta = alone.own_start()
    theta[0] = 2.0
    beside = np.concatenate([theta[:1], [0.0], theta[1:]])
    (whole,) = differences(alone, theta, alone.value(theta), np.eye(len(theta)))
    first, second = differences(both, beside, both.value(beside), np.eye(len(beside)))
    assert (first.group, second.group) == ("a", "b")
    assert first.value == pytest.approx(whole.value, abs=1e-8)
    assert second.value == pytest.approx(0.0, abs=1e-12)
    assert first.step is None


def test_what_quadrature_does_not_take_is_left_out(drawn: Data) -> None:
    data = {**drawn, "w": drawn["x"] ** 2, "v": drawn["x"] ** 3}
    laplace, _ = one_predictor("hit ~ x + (x + w + v | a) + (1 | b)", data, "binomial")
    theta = laplace.own_start()
    found = differences(laplace, theta, 0.0, np.eye(len(theta)))
    assert [one.group for one in found] == ["b"]
