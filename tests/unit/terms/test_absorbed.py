"""Random terms and strata of errors of which the fixed part leaves nothing to estimate from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

SLEEP = mm.datasets.load("sleepstudy")


@pytest.mark.parametrize(
    ("right", "holder", "what"),
    [
        ("Days * Subject + (Days | Subject)", "Days:Subject", "the whole term"),
        ("Subject + (1 | Subject)", "Subject", "the whole term"),
        ("Days + Subject + (Days | Subject)", "Subject", "the effects of '\\(Intercept\\)'"),
        ("Days:Subject + (0 + Days | Subject)", "Days:Subject", "the whole term"),
    ],
)
def test_the_term_that_holds_a_random_one_is_named(right: str, holder: str, what: str) -> None:
    with pytest.raises(mm.DataError, match=f"by '{holder}', holds {what}.*nothing is left"):
        mm.lmm(f"Reaction ~ {right}", SLEEP)


def test_whatever_the_unit_of_the_covariate_and_the_order_of_rows() -> None:
    data = SLEEP.assign(year=2000 + SLEEP["Days"] * 1e-3).sample(frac=1.0, random_state=1)
    with pytest.raises(mm.DataError, match="by 'year:Subject'"):
        mm.lmm("Reaction ~ year * Subject + (year | Subject)", data)
    assert mm.lmm("Reaction ~ year + (1 | Subject)", data).converged


def test_one_variance_for_both_columns_is_told_from_the_slopes() -> None:
    assert mm.lmm("Reaction ~ 0 + Subject + Days + homdiag(Days | Subject)", SLEEP).converged


def test_a_held_variance_and_maximum_likelihood_are_fitted() -> None:
    fit = mm.lmm("Reaction ~ Subject + (1 | Subject)", SLEEP, hold={"var(Subject: (Intercept))": 4.0})
    assert fit.fixed_effects()["std_error"][0] > 2.0
    assert mm.lmm("Reaction ~ Subject + (1 | Subject)", SLEEP, method="ml").singular


@pytest.mark.parametrize("formula", ["y ~ t + (1 | g)", "y ~ t"])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_stratum_of_one_row_with_its_own_mean(formula: str, method: str) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"g": np.repeat(list("abcdef"), 5), "t": ["u", "v", "w"] * 10, "y": rng.normal(size=30)}
    )
    data.loc[5, "t"] = "zsolo"
    with pytest.raises(mm.DataError, match="the only row of 'zsolo'"):
        mm.lmm(formula, data, variance="ident(t)", method=method)
    if method == "reml":
        held = [
            mm.lmm(formula, data, variance="ident(t)", hold={"ident(t): ratio(zsolo)": ratio}).criterion
            for ratio in (1.0, 3.0)
        ]
        assert held[0] == pytest.approx(held[1], abs=1e-7)
