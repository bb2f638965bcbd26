"""Means by component of models of several predictors, and residuals and rows of categories."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.errors import SpecError

SALAMANDERS = mm.datasets.load("salamanders")
WINE = mm.datasets.load("wine")


@cache
def zeros() -> mm.Fit:
    return mm.glmm("count ~ spp + mined + (1 | site)", SALAMANDERS, "poisson", zero_inflation="~ mined + DOP")


@cache
def ordinal() -> mm.Fit:
    return mm.glmm("rating ~ temp + contact + (1 | judge)", WINE, "ordinal")


def test_shares_of_zeros_are_those_of_predictions() -> None:
    fit = zeros()
    found = fit.emmeans("mined", component="zero", type="response", ddf="asymptotic")
    for level, value, error, low in zip(
        found["mined"], found["estimate"], found["std_error"], found["conf_low"], strict=True
    ):
        row = SALAMANDERS.iloc[[0]].assign(mined=level, DOP=SALAMANDERS["DOP"].mean())
        own = fit.predict(
            row, type="zero", level="population", se=True, interval="confidence", ddf="asymptotic"
        )
        assert value == pytest.approx(own["fit"][0], rel=1e-10)
        assert error == pytest.approx(own["se"][0], rel=1e-8)
        assert low == pytest.approx(own["lower"][0], rel=1e-8)


def test_means_of_all_responses_are_averages_of_predictions() -> None:
    fit = zeros()
    found = fit.emmeans("mined", component="response", type="response", ddf="asymptotic")
    for level, value in zip(found["mined"], found["estimate"], strict=True):
        rows = SALAMANDERS.drop_duplicates("spp").assign(mined=level, DOP=SALAMANDERS["DOP"].mean())
        assert value == pytest.approx(fit.predict(rows, type="response", level="population").mean(), rel=1e-9)
    one = fit.emmeans("mined | spp", component="response", type="response", ddf="asymptotic")
    row = SALAMANDERS[(SALAMANDERS["spp"] == one["spp"][0])].iloc[[0]]
    row = row.assign(mined=one["mined"][0], DOP=SALAMANDERS["DOP"].mean())
    own = fit.predict(
        row, type="response", level="population", se=True, interval="confidence", ddf="asymptotic"
    )
    assert one["std_error"][0] == pytest.approx(own["se"][0], rel=1e-7)
    assert one["conf_high"][0] == pytest.approx(own["upper"][0], rel=1e-7)


def test_contrasts_and_other_scales() -> None:
    fit = zeros()
    odds = fit.emmeans("mined", component="zero", type="response").contrast("pairwise")
    coefficient = fit.params["zero: mined[T.no]"]
    assert odds["ratio"][0] == pytest.approx(np.exp(-coefficient), rel=1e-9)
    plain = fit.emmeans("mined", component="zero")
    share = fit.emmeans("mined", component="zero", type="response")
    np.testing.assert_allclose(plain.regrid()["estimate"], share["estimate"], rtol=1e-12)
    dispersion = mm.glm("count ~ mined", SALAMANDERS, "nb2", dispersion="~ mined")
    found = dispersion.emmeans("mined", component="dispersion", type="response")
    assert found["estimate"][0] == pytest.approx(
        np.exp(dispersion.params["dispersion: (Intercept)"]), rel=1e-9
    )


def test_means_say_which_responses_they_are_of() -> None:
    assert "no structural zeros" in str(zeros().emmeans("mined", type="response"))
    with pytest.raises(SpecError, match=r"component='zeros' is none of this model.*'zero'"):
        zeros().emmeans("mined", component="zeros")
    with pytest.raises(SpecError, match="goes without means='averaged'"):
        zeros().emmeans("mined", component="zero", means="averaged")
    with pytest.raises(SpecError, match="It has 'mean'"):
        mm.lmm("count ~ mined + (1 | site)", SALAMANDERS).emmeans("mined", component="response")


def test_quantile_residuals_of_ordered_categories() -> None:
    fit = ordinal()
    for level in ("conditional", "marginal"):
        found = fit.residuals("quantile", level=level, seed=1)
        # 72 rows: the 1 % limit of Kolmogorov's statistic
        assert stats.kstest(found, "norm").statistic < 0.19
        rank = WINE["rating"].astype(int).to_numpy()
        assert stats.spearmanr(found, rank).statistic > 0.2
    ranks = fit.residuals("simulated", n=100, seed=1)
    assert ((ranks > 0.0) & (ranks < 1.0)).all()
    with pytest.raises(SpecError, match="ordered categories have none of"):
        fit.residuals("pearson")


def test_rows_of_categories() -> None:
    fit = ordinal()
    table: Any = fit.augment()
    shares = fit.predict(type="prob")
    observed = [shares[str(level)][i] for i, level in enumerate(WINE["rating"])]
    np.testing.assert_allclose(table[".fitted"], observed, rtol=1e-12)
    assert set(table[".predicted"]) <= set("12345")
    assert fit.augment(WINE.iloc[:2]).names[-2:] == (".predicted", ".fitted")


def test_marginal_residuals_have_no_random_effects_of_the_zeros() -> None:
    fit = mm.glmm("count ~ mined + (1 | site)", SALAMANDERS, "poisson", zero_inflation="~ 1 + (1 | spp)")
    mean = fit.predict(type="response", level="population")
    np.testing.assert_allclose(
        fit.residuals("response", level="marginal"), SALAMANDERS["count"] - mean, rtol=1e-10
    )
    found = fit.residuals("quantile", level="marginal", seed=1)
    assert abs(found.mean()) < 0.3


def test_terms_of_every_component_are_tested() -> None:
    fit = zeros()
    table = fit.anova()
    assert list(table["term"]) == ["spp", "mined", "zero: mined", "zero: DOP"]
    rows = fit.fixed_effects(ddf="asymptotic")
    place = list(rows["term"]).index("zero: mined[T.no]")
    assert table["statistic"][2] == pytest.approx(rows["statistic"][place] ** 2, rel=1e-8)
    # that of the mean is that of its own columns, as without formulas of the zeros
    crossed = mm.glmm("count ~ mined * DOP + (1 | site)", SALAMANDERS, "nb2", dispersion="~ mined * DOP")
    assert list(crossed.anova()["term"])[3:] == [
        "dispersion: mined",
        "dispersion: DOP",
        "dispersion: mined:DOP",
    ]
    sums = mm.glmm(
        "count ~ mined * DOP + (1 | site)",
        SALAMANDERS,
        "nb2",
        dispersion="~ mined * DOP",
        contrasts={"mined": "sum"},
    )
    np.testing.assert_allclose(crossed.anova()["statistic"], sums.anova()["statistic"], rtol=1e-4)
