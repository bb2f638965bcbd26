"""Tables leave tests and limits out where standard errors rest on rounding, or on what the data do not say."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.inference.distributions import t_quantile

EXACT = pd.DataFrame({"x": np.arange(10.0), "g": np.repeat(list("abcde"), 2), "f": list("uv") * 5})
EXACT["y"] = 1.0 + 2.0 * EXACT["x"]


def exact_fit() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mm.lmm("y ~ x + f + (1 | g)", EXACT)


@pytest.mark.parametrize(
    "table",
    [
        lambda fit: fit.fixed_effects(),
        lambda fit: fit.anova(),
        lambda fit: fit.emmeans("f").contrast("pairwise").table,
        lambda fit: fit.joint_tests(),
        lambda fit: fit.test("x = 2"),
    ],
)
def test_an_exact_fit_has_no_tests(table: Any) -> None:
    found = table(exact_fit())
    assert np.isnan(found["statistic"]).all()
    assert np.isnan(found["p_value"]).all()
    assert "perfect fit" in " ".join(found.notes)


def test_an_exact_fit_has_no_limits_of_predictions() -> None:
    found = exact_fit().predict(interval="confidence")
    assert np.isnan(found["lower"]).all()
    assert "no limits: perfect fit" in " ".join(found.notes)


def test_limits_beyond_a_million_standard_errors_are_left_out() -> None:
    assert np.isnan(t_quantile(0.95, np.array([0.1])))[0]
    # 12.7062 is R's qt(.975, 1)
    np.testing.assert_allclose(t_quantile(0.95, np.array([1.0])), 12.70620, atol=1e-5)


def test_a_function_that_is_zero_whatever_the_coefficients_has_no_standard_error() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"x": np.tile([-1.0, 1.0], 10), "f": np.repeat(list("ab"), 10), "y": rng.normal(size=20)}
    )
    found = mm.lm("y ~ x + x:f", data).emmeans("f").contrast("pairwise").table
    assert found["estimate"][0] == 0.0
    assert np.isnan(found["std_error"][0])
    assert "known, not estimated" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (
            lambda fit, data: mm.lmm(fit.spec.formula, data, start=[1]),
            r"start=\[1\] must map parameter names",
        ),
        (lambda fit, data: mm.Control(rank_tolerance=2), "rank_tolerance=2 must be a number between 0 and 1"),
        (
            lambda fit, data: mm.lmm(fit.spec.formula, data, known={"A": np.eye(6)}),
            "known= holds 'A', which no term",
        ),
        (lambda fit, data: fit.test("x > 0"), "is an inequality; tests are of equalities"),
        (lambda fit, data: fit.test("(Intercept) <= 1"), "is an inequality"),
        (
            lambda fit, data: mm.lm("y ~ f", data, control=mm.Control(keep_data=False)).anova(),
            "anova of types 2 and 3",
        ),
    ],
)
def test_requests_that_cannot_be_met_are_named(ask: Any, words: str) -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame(
        {
            "x": rng.normal(size=18),
            "g": np.repeat(np.arange(6), 3),
            "f": list("abc") * 6,
            "y": rng.normal(size=18),
        }
    )
    fit = mm.lmm("y ~ x + (1 | g)", data)
    with pytest.raises(SpecError, match=words):
        ask(fit, data)


def test_update_leaves_out_the_matrix_of_a_term_that_goes() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(6), 3).astype(str), "y": rng.normal(size=18)})
    fit = mm.lmm("y ~ 1 + (1 | g, cov=A)", data, known={"A": (np.eye(6), [str(k) for k in range(6)])})
    assert fit.update(". ~ . - (1 | g, cov=A) + (1 | g)").converged


@pytest.mark.parametrize("names", [np.array(["f"]), pd.Index(["f"]), np.str_("f"), ("f",)])
def test_arrays_and_indices_name_factors(names: Any) -> None:
    fit = mm.lm("y ~ x + f", EXACT.assign(y=np.random.default_rng(4).normal(size=10)))
    np.testing.assert_array_equal(fit.emmeans(names).table["estimate"], fit.emmeans("f").table["estimate"])
