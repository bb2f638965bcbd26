"""Tails of sums of weighted χ² variables against exact ones, far out and without a warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from mixedmodels.inference.smooth_test import _steepest, mixture_tail


@pytest.mark.parametrize("count", [1, 2, 5, 9])
@pytest.mark.parametrize("q", [0.01, 1.0, 10.0, 50.0, 200.0])
def test_equal_weights_are_chi_squared_and_f(count: int, q: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own = _steepest(2.0 * q, np.full(count, 2.0), np.inf)
        assert own == pytest.approx(stats.chi2.sf(q, count), rel=1e-8)
        for df in (5.0, 50.0, 500.0):
            ratio = _steepest(q * count, np.ones(count), df)
            assert ratio == pytest.approx(stats.f.sf(q, count, df), rel=1e-7)


@pytest.mark.parametrize("q", [0.1, 1.0, 5.0, 20.0, 80.0])
def test_two_pairs_of_weights_are_a_sum_of_exponentials(q: float) -> None:
    a, b = 1.0, 0.3
    exact = (a * np.exp(-q / 2 / a) - b * np.exp(-q / 2 / b)) / (a - b)
    assert mixture_tail(q, np.array([a, a, b, b])) == pytest.approx(exact, rel=1e-9)


def test_small_weights_hardly_count() -> None:
    one = mixture_tail(9.0, np.array([1.0, 1e-9]))
    assert one == pytest.approx(stats.chi2.sf(9.0, 1), rel=1e-6)
