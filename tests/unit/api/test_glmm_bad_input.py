"""Bad input to `glmm`: each failure is one sentence that names the value, its row and what to do."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import ConvergenceWarning, DataError, FitError, SpecError

DATA = pd.DataFrame(
    {
        "count": [3, 0, 2, 5, 1, 4, 0, 2, 6, 1, 3, 2],
        "size": [8] * 12,
        "share": [0.2, 0.4, 0.5, 0.9, 0.3, 0.6, 0.1, 0.7, 0.8, 0.25, 0.45, 0.55],
        "x": np.arange(12.0),
        "g": list("aaabbbcccddd"),
        "h": list("pqrpqrpqrpqr"),
    }
)
RANDOM = " ~ x + (1 | g)"


def refused(formula: str, family: str, data: Any = DATA, **options: Any) -> str:
    with pytest.raises((DataError, SpecError)) as caught:
        mm.glmm(formula, data, family, **options)
    message = str(caught.value)
    assert message.endswith(".")
    return message


@pytest.mark.parametrize(
    ("family", "value"),
    [
        ("poisson", -3.0),
        ("poisson", 2.5),
        ("nb2", 2.5),
        ("gamma", 0.0),
        ("inverse_gaussian", -1.0),
        ("beta", 1.0),
        ("beta", 0.0),
        ("tweedie", -0.1),
        ("binomial", 2.0),
        ("truncated_poisson", 0.0),
    ],
)
def test_a_response_outside_the_range_is_named_with_its_row(family: str, value: float) -> None:
    usual = {"beta": 0.5, "binomial": 0.0}.get(family, 1.0)
    y = np.full(12, usual)
    y[5] = 1.0 if family == "binomial" else 0.3 if family == "beta" else 2.0
    y[7] = value
    message = refused("y" + RANDOM, family, DATA.assign(y=y))
    assert f"{value:g}" in message
    assert "row 7" in message


def test_fewer_trials_than_events() -> None:
    message = refused("count / size" + RANDOM, "binomial", DATA.assign(size=[8] * 8 + [5] + [8] * 3))
    assert "row 8" in message
    assert "6" in message


@pytest.mark.parametrize("value", [0, 1])
def test_all_or_none_are_events(value: int) -> None:
    message = refused("y" + RANDOM, "binomial", DATA.assign(y=value))
    assert "no variation" in message


def test_complete_and_quasi_separation_are_told_with_their_terms() -> None:
    complete = DATA.assign(y=(DATA["x"] > 5).astype(int))
    # quasi: one level of h has events alone
    quasi = DATA.assign(y=np.where(DATA["h"] == "p", 1, DATA["count"] % 2))
    for formula, data, name in (("y ~ x", complete, "x"), ("y ~ h", quasi, "h[T.q]")):
        with pytest.warns(ConvergenceWarning, match="separation"):
            fit = mm.glm(formula, data, "binomial")
        assert not fit.converged
        table = fit.fixed_effects()
        place = list(table["term"]).index(name)
        assert np.isinf(table["estimate"][place])
        assert np.isnan(table["p_value"][place])


def test_a_family_by_another_name_is_suggested() -> None:
    assert "did you mean" in refused("count" + RANDOM, "poison").lower()
    assert mm.glm("count ~ x", DATA, "nbinom2").family == "nb2"
    assert mm.glm("share ~ x", DATA, "Gamma", link="log").family == "gamma"


def test_methods_and_arguments_that_do_not_go_together() -> None:
    crossed = refused("count ~ x + (1 | g) + (1 | h)", "poisson", method="quadrature")
    assert "one grouping factor" in crossed
    assert "method='laplace'" in crossed
    nested = refused("count ~ x + (1 | g / h)", "poisson", method="quadrature")
    assert "nested" in nested
    residual = refused("count" + RANDOM, "poisson", residual="ar1(x | g)")
    assert "method='rspl'" in residual
    weighted = refused("share" + RANDOM, "binomial", weights="size")
    assert "trials=" in weighted


def test_an_empty_level_and_one_level_a_row() -> None:
    rating = pd.Categorical(["a", "b", "c", "a", "b", "c"] * 2, list("abcd"), ordered=True)
    fit = mm.glm("rating ~ x", DATA.assign(rating=rating), "ordinal")
    assert "1 unused levels of rating dropped: d" in [status.message for status in fit.status]
    rows = DATA.assign(row=[str(i) for i in range(12)], y=DATA["count"] % 2)
    assert "one row of one trial" in refused("y ~ x + (1 | row)", "binomial", rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert mm.glmm("count ~ x + (1 | row)", rows, "poisson").nobs == 12


@pytest.mark.parametrize("off", [800.0, -45.0])
def test_an_offset_on_the_wrong_scale_is_told(off: float) -> None:
    data = DATA.assign(off=off)
    fit = mm.glmm("count ~ x + offset(off) + (1 | g)", data, "poisson")
    plain = mm.glmm("count ~ x + (1 | g)", data, "poisson")
    assert any(f"an offset of {off:g} stands beside" in status.message for status in fit.status)
    # what an offset shifts comes back in the intercept
    assert fit.loglik == pytest.approx(plain.loglik, abs=1e-6)
    assert fit.params["(Intercept)"] == pytest.approx(plain.params["(Intercept)"] - off, abs=1e-6)
    assert not any("offset" in status.message for status in plain.status)


def test_a_start_from_which_predictors_overflow_is_no_fit() -> None:
    with pytest.raises(FitError, match="choose another start"):
        mm.glmm("count ~ x + (1 | g)", DATA, "poisson", start={"var(g: (Intercept))": 1e300})
