"""Degrees of freedom from counts: containment, inner–outer, between–within."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.fit import Fit
from mixedmodels.inference.ddf.containment import variables_of


@pytest.fixture(scope="module")
def oats() -> Fit:
    return mm.lmm("yield ~ Variety + C(nitro) + (1 | Block) + (1 | Block:Variety)", mm.datasets.load("oats"))


@pytest.fixture(scope="module")
def growth() -> Fit:
    return mm.lmm("Y ~ age * sex + (age | id)", mm.datasets.load("orthodont"))


@pytest.fixture(scope="module")
def rails() -> Fit:
    return mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))


@pytest.mark.parametrize(
    "ddf", ["containment", "inner-outer", "between-within", "kenward-roger", "satterthwaite"]
)
def test_overall_mean_of_a_balanced_one_way_layout(rails: Fit, ddf: str) -> None:
    row = rails.emmeans("1", ddf=ddf).row(0)
    assert row["df"] == pytest.approx(5, rel=1e-6)
    # R's emmeans prints 40.35452 and 92.64548.
    assert (row["conf_low"], row["conf_high"]) == pytest.approx((40.35452, 92.64548), abs=2e-5)


def test_fixed_rails() -> None:
    row = mm.lm("travel ~ Rail", mm.datasets.load("rail")).emmeans("1").row(0)
    assert [round(row[name], 3) for name in ("estimate", "std_error", "conf_low", "conf_high")] == [
        66.5,
        0.948,
        64.435,
        68.565,
    ]
    assert row["df"] == 12


def test_split_plot(oats: Fit) -> None:
    # nlme: anova(lme(yield ~ Variety + factor(nitro), Oats, ~ 1 | Block/Variety)) has denDF 10 and 51; SAS
    # the same.
    for ddf in ("containment", "inner-outer"):
        np.testing.assert_array_equal(oats.anova(ddf=ddf)["den_df"], [10, 51])
        np.testing.assert_array_equal(oats.fixed_effects(ddf=ddf)["df"], [5, 10, 10, 51, 51, 51])


def test_contrasts_that_leave_the_intercept_out(oats: Fit) -> None:
    means = oats.emmeans("Variety", ddf="inner-outer")
    np.testing.assert_array_equal(means["df"], 5)
    np.testing.assert_array_equal(means.contrast("pairwise")["df"], 10)


def test_growth_curves(growth: Fit) -> None:
    # nlme prints 79 for the intercept, 25 for sex, 79 for age and the interaction.
    np.testing.assert_array_equal(growth.fixed_effects(ddf="inner-outer")["df"], [26, 79, 25, 79])
    np.testing.assert_array_equal(growth.fixed_effects(ddf="between-within")["df"], [25, 79, 25, 79])
    # age*id contains age; nothing contains sex by name: n − rank[X Z] = 108 − 54.
    np.testing.assert_array_equal(growth.fixed_effects(ddf="containment")["df"], [25, 25, 54, 54])


def test_without_an_intercept() -> None:
    # nlme: summary(lme(distance ~ 0 + Sex + age, Orthodont, ~ age | Subject)) has DF 25, 25 and 81.
    fit = mm.lmm("Y ~ 0 + sex + age + (age | id)", mm.datasets.load("orthodont"))
    np.testing.assert_array_equal(fit.fixed_effects(ddf="inner-outer")["df"], [25, 25, 81])


def test_order_of_random_terms_matters_to_containment() -> None:
    data = mm.datasets.load("oats")
    fit = mm.lmm("yield ~ Variety + (1 | Block:Variety) + (1 | Block)", data)
    # Block:Variety comes first and takes the rank of Block as well; Block then adds nothing.
    assert fit.anova(ddf="containment")["den_df"].tolist() == [15]


@pytest.mark.parametrize("ddf", ["inner-outer", "between-within"])
def test_crossed_factors_are_refused(ddf: str) -> None:
    fit = mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.datasets.load("penicillin"))
    with pytest.raises(SpecError, match="cross"):
        fit.fixed_effects(ddf=ddf)


def test_names_of_variables() -> None:
    assert variables_of("C(week)[T.2]:sex[T.M]") == {"week", "sex"}
    assert variables_of("(Intercept)") == frozenset()


def test_curves_are_no_subjects() -> None:
    """A smooth is a random term of one level, which left between–within, the default of glmm, no df."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.uniform(0.0, 3.0, 200), "g": np.repeat(list("abcdefghij"), 20)})
    data["c"] = rng.poisson(np.exp(np.sin(data["x"])))
    with_curve = mm.glmm("c ~ s(x) + (1 | g)", data, family="poisson").fixed_effects()
    assert with_curve["df"].tolist() == [9.0, 200 - 10 - 1.0]
    assert np.isfinite(with_curve["p_value"]).all()
    curve_alone = mm.glmm("c ~ s(x)", data, family="poisson").fixed_effects()
    assert np.isinf(curve_alone["df"]).all()
