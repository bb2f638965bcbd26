"""Tests by Hotelling–Lawley traces, against R's multivariate linear model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

KNOWN = json.loads((Path(__file__).parents[2] / "reference" / "multivariate" / "manova.json").read_text())


def long(y: Any, arm: list[str]) -> pd.DataFrame:
    y = np.asarray(y)
    n, t = y.shape
    return pd.DataFrame(
        {
            "y": y.ravel(),
            "id": np.repeat(np.arange(n), t),
            "t": np.tile(np.arange(t), n),
            "arm": np.repeat(arm, t),
        }
    )


def check(fit: mm.Fit, known: dict[str, Any]) -> None:
    """R's table is sequential: the mean over clusters, then the arms, each times the contrasts within."""
    table = fit.multivariate_tests("hlps", type=1)
    # REML estimates to 1e-6 of their standard errors
    for row, place in ((0, 0), (1, 1)):
        for column, name in (
            ("trace", "statistic"),
            ("statistic", "f"),
            ("num_df", "num_df"),
            ("den_df", "den_df"),
        ):
            assert table[column][row] == pytest.approx(known[name][place], rel=2e-6)
        assert table["p_value"][row] == pytest.approx(known["p"][place], rel=2e-5)


def test_growth_by_sex() -> None:
    data = mm.datasets.load("orthodont")
    check(mm.gls("Y ~ sex * factor(age)", data, residual="us(age | id)"), KNOWN["growth"])


def test_three_arms_by_both_approximations() -> None:
    known = KNOWN["three"]
    fit = mm.gls("y ~ arm * factor(t)", long(known["y"], known["arm"]), residual="us(t | id)")
    check(fit, known["table"])
    table = fit.multivariate_tests(type=1)
    # McKeon's formula at p = 3, q = 2, ν = 18
    p, q, n = 3, 2, 7.0
    b = (p + 2 * n) * (q + 2 * n) / (2 * (2 * n + 1) * (n - 1))
    more = (p * q + 2) / (b - 1)
    trace = known["table"]["statistic"][1]
    f = trace / ((2 + more) / (2 * n)) * (4 + more) / (p * q)
    assert table["den_df"][1] == pytest.approx(4 + more)
    assert table["statistic"][1] == pytest.approx(f, rel=1e-5)


def test_what_it_is_not_for_is_said() -> None:
    data = mm.datasets.load("orthodont")
    with pytest.raises(mm.SpecError, match="unstructured errors alone"):
        mm.lmm("Y ~ sex * factor(age) + (1 | id)", data).multivariate_tests()
    with pytest.raises(mm.SpecError, match="REML"):
        mm.gls("Y ~ sex * factor(age)", data, residual="us(age | id)", method="ml").multivariate_tests()
    with pytest.raises(mm.SpecError, match="is not known; use 'hlm'"):
        mm.gls("Y ~ sex * factor(age)", data, residual="us(age | id)").multivariate_tests("wilks")
