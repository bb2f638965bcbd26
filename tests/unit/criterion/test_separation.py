"""Data without a finite maximum: infinite estimates are found, certified and said; others are not accused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import ConvergenceWarning, DataError

RNG = np.random.default_rng(1)
N, GROUPS = 400, 20
FRAME = pd.DataFrame({"g": np.repeat(np.arange(GROUPS), N // GROUPS), "x": RNG.normal(size=N)})
_EFFECT = RNG.normal(size=GROUPS)[FRAME["g"]] * 0.7
FRAME["year"] = 2015 + RNG.integers(0, 8, N)
FRAME["y"] = (RNG.random(N) < 1 / (1 + np.exp(0.3 - 0.6 * FRAME["x"] - _EFFECT))).astype(int)
FRAME["count"] = RNG.poisson(np.exp(0.5 + 0.3 * FRAME["x"] + _EFFECT))
FRAME["arm"] = np.where(FRAME["g"] < 3, "a", np.where(FRAME["g"] < 10, "b", "c"))
SPARED = FRAME.assign(
    y=np.where(FRAME["arm"] == "a", 1, FRAME["y"]), count=np.where(FRAME["arm"] == "a", 0, FRAME["count"])
)


def fitted(formula: str, data: pd.DataFrame, family: str, link: str | None = None, **options) -> mm.Fit:
    with pytest.warns(ConvergenceWarning, match="no finite estimate of"):
        return mm.glmm(formula, data, family, link, **options)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("origin", [0, 2000])
def test_a_level_of_events_alone(link: str, origin: int) -> None:
    data = SPARED.assign(year=SPARED["year"] - origin)
    fit = fitted("y ~ arm + x + year + (1 | g)", data, "binomial", link)
    assert not fit.converged
    table = fit.fixed_effects().to_frame().set_index("term")
    assert table.loc["(Intercept)", "estimate"] == np.inf
    assert table.loc["arm[T.b]", "estimate"] == table.loc["arm[T.c]", "estimate"] == -np.inf
    infinite = ["(Intercept)", "arm[T.b]", "arm[T.c]"]
    assert table.loc[infinite, ["std_error", "df", "statistic", "p_value"]].isna().all(axis=None)
    assert np.isfinite(table.loc[["x", "year"], "std_error"]).all()
    rest = mm.glmm("y ~ arm + x + year + (1 | g)", data[data["arm"] != "a"], "binomial", link)
    np.testing.assert_allclose(fit.params["x"], rest.params["x"], rtol=2e-2)
    assert fit.loglik == pytest.approx(rest.loglik, abs=1e-4)


def test_contrasts_that_do_not_move_stand() -> None:
    fit = fitted("count ~ arm + x + (1 | g)", SPARED, "poisson")
    means = fit.emmeans("arm").contrast("pairwise", adjust="none").to_frame().set_index("contrast")
    assert means.loc["a - b", "estimate"] == -np.inf
    rest = mm.glmm("count ~ arm + x + (1 | g)", SPARED[SPARED["arm"] != "a"], "poisson")
    np.testing.assert_allclose(means.loc["b - c", "estimate"], -rest.params["arm[T.c]"], rtol=1e-4)
    tests = fit.anova().to_frame().set_index("term")
    assert np.isnan(tests.loc["arm", "statistic"])
    assert tests.loc["x", "p_value"] < 1e-4


def test_other_predictors_and_thresholds_run_off_too() -> None:
    hurdle = fitted("count ~ x + (1 | g)", SPARED, "poisson", hurdle="~ arm")
    table = hurdle.fixed_effects().to_frame()
    assert np.isinf(table.loc[table["component"] == "hurdle", "estimate"]).all()
    assert np.isfinite(table.loc[table["component"] == "mean", "std_error"]).all()
    never = fitted("I(count + 1) ~ x + (1 | g)", FRAME, "poisson", zero_inflation="~ 1")
    assert never.fixed_effects().to_frame().iloc[-1]["estimate"] == -np.inf
    grades = FRAME.assign(grade=np.where(FRAME["x"] > 1, 2, FRAME["y"]), high=(FRAME["x"] > 1).astype(int))
    ordered = fitted("grade ~ high + (1 | g)", grades, "ordinal")
    assert np.isinf(ordered.fixed_effects()["estimate"][-1])


def test_steep_effects_are_not_accused() -> None:
    steep = FRAME.assign(y=(FRAME["x"] + 0.05 * np.sin(np.arange(N)) > 0).astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fit = mm.glmm("y ~ x + (1 | g)", steep, "binomial")
    assert fit.converged
    assert np.isfinite(fit.fixed_effects()["std_error"]).all()


def test_groups_of_events_or_none_have_no_variance() -> None:
    with pytest.raises(DataError, match="every level of g has only events or none"):
        mm.glmm("y ~ x + (1 | g)", FRAME.assign(y=FRAME["g"] % 2), "binomial")


def test_a_refit_is_judged_by_its_own_responses() -> None:
    apart = fitted("count ~ arm + x + (1 | g)", SPARED, "poisson")
    whole = mm.glmm("count ~ arm + x + (1 | g)", FRAME, "poisson")
    again = apart.refit(FRAME["count"].to_numpy(float))
    assert again.converged
    np.testing.assert_allclose(again.fixed_effects()["estimate"], whole.params, rtol=1e-5)
    other = whole.refit(SPARED["count"].to_numpy(float))
    assert not other.converged
    assert other.fixed_effects()["estimate"][0] == -np.inf
