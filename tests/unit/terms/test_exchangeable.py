"""A residual variance that can be exchanged for variances of a vector term is said to be undetermined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def one_row_each() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    g, f = np.repeat(np.arange(30), 4), np.tile(list("abcd"), 30)
    y = rng.normal(size=30)[g] + rng.normal(size=120)
    return pd.DataFrame({"g": g.astype(str), "f": f, "t": np.tile(np.arange(4.0), 30), "y": y})


def warnings_of(fit: Any) -> list[str]:
    return [str(status) for status in fit.status if "can be exchanged" in str(status)]


@pytest.mark.parametrize("term", ["(0 + f | g)", "(f | g)", "diag(0 + f | g)", "hcs(0 + f | g)"])
@pytest.mark.parametrize("bounds", ["psd", "none"])
def test_as_many_columns_as_rows(term: str, bounds: Any, one_row_each: pd.DataFrame) -> None:
    if bounds == "none" and "hcs" in term:
        pytest.skip("hcs has no form without bounds")
    with pytest.raises(mm.DataError, match="120 random effects for 120 rows"):
        mm.lmm(f"y ~ f + {term}", one_row_each, bounds=bounds)


@pytest.mark.parametrize("term", ["homdiag(0 + f | g)", "cs(0 + f | g)", "toep(0 + f | g)"])
@pytest.mark.parametrize("bounds", ["psd", "none"])
def test_one_row_for_each_column(term: str, bounds: Any, one_row_each: pd.DataFrame) -> None:
    fit = mm.lmm(f"y ~ f + {term}", one_row_each, bounds=bounds)
    assert len(warnings_of(fit)) == 1
    # and it is so: another division of the variances has the same likelihood
    objective = fit._work.criterion().jointly()
    theta = fit._work.criterion().absolute(fit.optimum.theta)
    assert objective.value(theta) == pytest.approx(fit.criterion, abs=1e-9)


def test_determined_models_have_no_such_note(one_row_each: pd.DataFrame) -> None:
    twice = pd.concat([one_row_each, one_row_each.assign(y=one_row_each["y"] + 1)])
    for formula, data in [
        ("y ~ f + (0 + f | g)", twice),
        ("y ~ f + (t | g)", one_row_each),
        ("y ~ f + (1 | g)", one_row_each),
        ("y ~ f + ar1(0 + f | g)", one_row_each),
    ]:
        assert not warnings_of(mm.lmm(formula, data))
    held = mm.lmm("y ~ f + (0 + f | g)", one_row_each, hold={"var(Residual)": 0.2})
    assert not warnings_of(held)
    unequal = mm.lmm("y ~ f + (0 + f | g)", one_row_each, weights=np.linspace(1, 2, 120))
    assert not warnings_of(unequal)
