"""The table of variances says what the covariance matrices say."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_table_of_variances_in_units_of_1e9(unit: float) -> None:
    """A part of a large variance that rounding puts into a small one shows where their units are far apart."""
    sleep = mm.datasets.load("sleepstudy", backend="pandas").assign(Days=lambda d: d["Days"] * unit)
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    printed = fit.variance_components()["variance"][:3]
    sigma = fit.random_cov("Subject").array
    np.testing.assert_allclose(printed, [sigma[0, 0], sigma[1, 1], sigma[1, 0]], rtol=1e-10)
