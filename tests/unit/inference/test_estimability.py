"""Estimability where columns lie far from zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.inference.wald import is_estimable

RNG = np.random.default_rng(8)
N = 200
T = RNG.integers(0, 10, N) - 4.5
DATA = pd.DataFrame({"t": T, "h": RNG.choice(["a", "b"], N), "y": T + RNG.normal(size=N)})


@pytest.mark.parametrize("origin", [0.0, 2014.5, 1e5, -1e6])
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_slopes_of_two_copies_are_not_estimable_one_by_one(origin: float, unit: float) -> None:
    data = DATA.assign(x=(DATA.t + origin) * unit)
    data["other"] = data.x * 1.8 + 32.0 * unit
    fit = mm.lm("y ~ x + other + h", data)
    assert fit.design.fixed.estimable == (0, 1, 3)
    assert is_estimable(fit, np.eye(4)).tolist() == [False, False, False, True]
    assert is_estimable(fit, fit.rows.fixed.matrix[:20]).all()
    together = np.array([[0.0, 1.0, 1.8, 0.0], [0.0, 1.0, 1.7, 0.0]])
    assert is_estimable(fit, together).tolist() == [True, False]


@pytest.mark.parametrize("origin", [10.0, 2014.5, 2e4])
def test_a_square_about_its_centre_after_the_raw_one(origin: float) -> None:
    data = DATA.assign(x=DATA.t + origin)
    data["square"], data["centred"] = data.x**2, DATA.t**2
    fit = mm.lm("y ~ x + square + centred", data)
    assert fit.design.fixed.estimable == (0, 1, 2)
    # a millionth and less of the null vector in raw columns, and yet no function of Xβ
    assert is_estimable(fit, np.eye(4)).tolist() == [False] * 4
    assert is_estimable(fit, np.array([[0.0, 0.0, 1.0, 1.0]])).all()
    assert is_estimable(fit, fit.rows.fixed.matrix[:20]).all()
