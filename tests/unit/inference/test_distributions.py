"""t and F tails against SciPy's distributions, and their limits at infinite degrees of freedom."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mixedmodels.inference.distributions import f_upper, t_quantile, t_two_sided


@pytest.mark.parametrize("df", [1.0, 3.5, 178.0, np.inf])
def test_two_sided_tail_and_quantile_agree_with_scipy(df: float) -> None:
    reference = stats.norm() if np.isinf(df) else stats.t(df)
    t = np.array([0.0, -1.3, 4.2])
    # Both are the same special functions, so only rounding separates them.
    np.testing.assert_allclose(t_two_sided(t, np.full(3, df)), 2 * reference.sf(np.abs(t)), rtol=1e-12)
    np.testing.assert_allclose(t_quantile(0.9, np.array([df])), [reference.ppf(0.95)], rtol=1e-10)


def test_extreme_statistics_keep_their_tail() -> None:
    assert 0 < t_two_sided(np.array([30.0]), np.array([np.inf]))[0] < 1e-190


def test_f_tail_agrees_with_scipy_and_reaches_chi_square() -> None:
    assert f_upper(3.7, 3, 11.5) == pytest.approx(stats.f(3, 11.5).sf(3.7), rel=1e-12)
    assert f_upper(3.7, 3, np.inf) == pytest.approx(stats.chi2(3).sf(3 * 3.7), rel=1e-12)
