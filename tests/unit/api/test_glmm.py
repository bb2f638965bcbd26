"""`mm.glmm` from text to fit: figures of R, several predictors, refusals."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError, SpecError

LIKE = 5e-5
"""Of log-likelihoods that glmmTMB, glmer and clmm print with five decimals."""
FEW = 15
"""Evaluations to the optimum."""

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
MODELS: dict[str, tuple[str, str, dict[str, Any], float]] = {
    "cbpp": ("cbpp", CBPP, {"family": "binomial"}, -92.02628),
    "probit": ("cbpp", CBPP, {"family": "binomial", "link": "probit"}, -92.58334),
    "cloglog": ("cbpp", CBPP, {"family": "binomial", "link": "cloglog"}, -91.75800),
    "betabinomial": ("cbpp", CBPP, {"family": "betabinomial"}, -88.04165),
    "dispersion": (
        "salamanders",
        "count ~ mined + (1 | site)",
        {"family": "nb2", "dispersion": "~ mined"},
        -865.26684,
    ),
    "zero inflation": (
        "salamanders",
        "count ~ spp + mined + (1 | site)",
        {"family": "poisson", "zero_inflation": "~ mined"},
        -886.76427,
    ),
    "random zeros": (
        "salamanders",
        "count ~ mined + (1 | site)",
        {"family": "poisson", "zero_inflation": "~ 1 + (1 | spp)"},
        -937.76890,
    ),
    "owls": (
        "owls",
        "SiblingNegotiation ~ (FoodTreatment + ArrivalTime) * SexParent + offset(log(BroodSize)) + (1 | Nest)",
        {"family": "nb1", "zero_inflation": "~ 1"},
        -1666.38464,
    ),
    "ordinal": ("wine", "rating ~ temp + contact + (1 | judge)", {"family": "ordinal"}, -81.56541),
    "toenail": (
        "toenail",
        "outcome ~ treatment * time + (1 | patientID)",
        {"family": "binomial"},
        -627.80893,
    ),
}


def fitted(name: str) -> Any:
    data, formula, options, _ = MODELS[name]
    return mm.glmm(formula, mm.datasets.load(data), **options)


@pytest.mark.parametrize("name", MODELS)
def test_log_likelihood_as_in_r(name: str) -> None:
    fit = fitted(name)
    assert fit.loglik == pytest.approx(MODELS[name][3], abs=LIKE)
    assert fit.converged
    assert fit.optimum.evaluations <= FEW


def test_cbpp_table() -> None:
    fit = fitted("cbpp")
    table = fit.fixed_effects(ddf="asymptotic")
    assert table["estimate"] == pytest.approx([-1.39853, -0.992332, -1.12867, -1.58031], abs=2e-5)
    assert table["std_error"][0] == pytest.approx(0.23247, abs=1e-5)
    assert fit.variance_components()["variance"] == pytest.approx([0.412500], abs=2e-5)
    assert fit.sigma2 == 1.0
    assert fit.n_parameters == 5
    assert fit.aic == pytest.approx(-2 * fit.loglik + 10)


def test_degrees_of_freedom_are_between_and_within() -> None:
    assert fitted("cbpp").fixed_effects()["df"].tolist() == [14.0, 38.0, 38.0, 38.0]


def test_components_stand_in_the_table() -> None:
    fit = fitted("dispersion")
    table = fit.fixed_effects()
    assert list(table["component"]) == ["mean", "mean", "dispersion", "dispersion"]
    assert table["estimate"] == pytest.approx([-1.40249, 2.18654, -1.36953, 1.02870], abs=2e-5)
    assert np.isinf(table["df"][2:]).all()
    assert fit.params.index.tolist()[2] == "dispersion: (Intercept)"


def test_thresholds_and_location() -> None:
    fit = fitted("ordinal")
    assert list(fit.params.index)[:2] == ["1|2", "2|3"]
    assert fit.beta == pytest.approx([-1.62367, 1.51337, 4.22853, 6.08877, 3.06300, 1.83488], abs=5e-5)
    assert fit.variance_components()["variance"] == pytest.approx([1.27946], abs=5e-5)


@pytest.mark.parametrize(("spacing", "loglik"), [("equidistant", -83.054972), ("symmetric", -83.016021)])
def test_spaced_thresholds(spacing: str, loglik: float) -> None:
    # ordinal 2022.11-16: clmm(rating ~ temp + contact + (1 | judge), data = wine, threshold = ...)
    data = mm.datasets.load("wine")
    fit = mm.glmm("rating ~ temp + contact + (1 | judge)", data, "ordinal", thresholds=spacing)
    assert fit.loglik == pytest.approx(loglik, abs=2e-5)
    assert fit.beta[-2:] == pytest.approx([3.01, 1.79], abs=2e-2)


def test_dispersion_is_on_its_natural_scale() -> None:
    assert fitted("betabinomial").dispersion == pytest.approx(10.8427, abs=2e-4)
    assert fitted("owls").dispersion == pytest.approx(4.94518, abs=2e-4)


def test_zero_variance_is_said() -> None:
    fit = fitted("betabinomial")
    assert fit.singular
    assert any("variance" in str(status) and "zero" in str(status) for status in fit.status)


def test_effects_at_the_mode_with_the_fixed_part_held() -> None:
    fit = fitted("cbpp")
    effects = fit.random_effects()
    # lme4: ranef(fit, condVar = TRUE) at the same estimates
    assert effects["estimate"][0] == pytest.approx(0.59002, abs=1e-4)
    assert effects["std_error"][0] == pytest.approx(0.34826, abs=1e-4)


def test_pickled_fit_answers() -> None:
    fit = pickle.loads(pickle.dumps(fitted("dispersion")))
    assert fit.variance_components(ci="wald")["std_error"][0] > 0.0
    assert fit.random_effects()["std_error"].min() > 0.0


def test_categories_of_two_levels_are_binary() -> None:
    data = mm.datasets.load("ohio")
    binary = mm.glmm("resp ~ age + smoke + (1 | id)", data, family="binomial")
    kinds = mm.glmm("resp ~ age + smoke + (1 | id)", data, family="multinomial")
    ordered = mm.glmm("resp ~ age + smoke + (1 | id)", data, family="ordinal")
    assert kinds.loglik == pytest.approx(binary.loglik, abs=1e-6)
    assert ordered.loglik == pytest.approx(binary.loglik, abs=1e-6)
    assert kinds.beta == pytest.approx(binary.beta, abs=1e-5)
    assert ordered.beta[1:] == pytest.approx(binary.beta[1:], abs=1e-5)
    assert ordered.beta[0] == pytest.approx(-binary.beta[0], abs=1e-5)


def test_gaussian_is_the_linear_mixed_model() -> None:
    data = mm.datasets.load("sleepstudy")
    one = mm.lmm("Reaction ~ Days + (Days | Subject)", data, method="ml")
    two = mm.glmm("Reaction ~ Days + (Days | Subject)", data, family="gaussian")
    assert two.loglik == pytest.approx(one.loglik, abs=1e-8)
    assert two.dispersion == pytest.approx(one.sigma2, rel=1e-5)
    assert two.beta[:2] == pytest.approx(one.beta, rel=1e-6)


def test_hurdle_is_two_fits() -> None:
    data = mm.datasets.load("salamanders")
    data = data.assign(some=(data["count"] > 0).astype(int))
    both = mm.glmm("count ~ mined + (1 | site)", data, family="poisson", hurdle="~ mined + (1 | site)")
    counts = mm.glmm("count ~ mined + (1 | site)", data[data["count"] > 0], family="truncated_poisson")
    zeros = mm.glmm("some ~ mined + (1 | site)", data, family="binomial")
    assert both.loglik == pytest.approx(counts.loglik + zeros.loglik, abs=1e-6)


def test_rows_without_groups() -> None:
    data = mm.datasets.load("cbpp")
    fit = mm.glm("cbind(incidence, size - incidence) ~ period", data, family="binomial")
    sums = data.groupby("period", observed=True)[["incidence", "size"]].sum()
    hits, misses = sums["incidence"].to_numpy(), (sums["size"] - sums["incidence"]).to_numpy()
    logits, variances = np.log(hits / misses), 1.0 / hits + 1.0 / misses
    assert fit.beta == pytest.approx([logits[0], *(logits[1:] - logits[0])], abs=1e-7)
    expected = np.sqrt([variances[0], *(variances[1:] + variances[0])])
    assert fit.bse.to_numpy() == pytest.approx(expected, rel=1e-5)


def test_offset_shifts_the_intercept_alone() -> None:
    data = mm.datasets.load("owls").assign(more=0.7)
    formula = "SiblingNegotiation ~ FoodTreatment + (1 | Nest)"
    plain = mm.glmm(formula, data, family="poisson")
    moved = mm.glmm(formula + " + offset(more)", data, family="poisson")
    assert moved.loglik == pytest.approx(plain.loglik, abs=1e-8)
    assert moved.beta - plain.beta == pytest.approx([-0.7, 0.0], abs=1e-6)


def test_units_and_origins_of_a_covariate_change_nothing() -> None:
    data = mm.datasets.load("owls")
    far = data.assign(ArrivalTime=1e4 * (data["ArrivalTime"] + 2000.0))
    formula = "SiblingNegotiation ~ ArrivalTime + (ArrivalTime | Nest)"
    one = mm.glmm(formula, data, family="nb2")
    two = mm.glmm(formula, far, family="nb2")
    assert two.loglik == pytest.approx(one.loglik, abs=1e-7)
    assert two.beta[1] * 1e4 == pytest.approx(one.beta[1], rel=1e-5)
    assert two.fixed_effects()["statistic"][1] == pytest.approx(one.fixed_effects()["statistic"][1], rel=1e-4)


def test_expected_curvature_is_that_of_lme4() -> None:
    fit = mm.glmm(CBPP, mm.datasets.load("cbpp"), family="binomial", link="probit", information="expected")
    # lme4 1.1-31, glmer(..., family = binomial("probit")), tightened
    assert fit.loglik == pytest.approx(-92.62122, abs=2e-5)
    with pytest.raises(SpecError, match="information='expected' is for"):
        mm.glmm("rating ~ temp + (1 | judge)", mm.datasets.load("wine"), "ordinal", information="expected")


def test_held_and_starting_values() -> None:
    data = mm.datasets.load("cbpp")
    free = mm.glmm(CBPP, data, family="binomial")
    held = mm.glmm(CBPP, data, family="binomial", hold={"var(herd)": 0.25})
    assert held.variance_components()["variance"] == pytest.approx([0.25])
    assert held.n_parameters == free.n_parameters - 1
    assert held.loglik < free.loglik
    near = mm.glmm(CBPP, data, family="binomial", start={"var(herd)": 0.4125})
    assert near.loglik == pytest.approx(free.loglik, abs=1e-8)
    assert near.optimum.evaluations < free.optimum.evaluations


def test_parameters_of_a_density_can_be_held_and_started_from() -> None:
    data = mm.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (1 | Subject)"
    free = mm.glmm(formula, data, family="t")
    held = mm.glmm(formula, data, family="t", hold={"nu": 4.0})
    assert held.variance_components()["sd"][-1] == pytest.approx(4.0)
    assert held.loglik <= free.loglik + 1e-8
    near = mm.glmm(formula, data, family="t", start={"nu": free.variance_components()["sd"][-1]})
    assert near.loglik == pytest.approx(free.loglik, abs=1e-7)


def test_restricted_likelihood_is_that_of_the_linear_model_where_responses_are_normal() -> None:
    sleep = mm.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (1 | Subject)"
    own = mm.glmm(formula, sleep, family="gaussian", reml=True)
    other = mm.lmm(formula, sleep, ddf="asymptotic")
    assert own.criterion == pytest.approx(other.criterion, abs=1e-6)
    np.testing.assert_allclose(own.beta[:2], other.beta, rtol=1e-7)
    np.testing.assert_allclose(np.asarray(own.bse)[:2], other.bse, rtol=1e-5)


def test_what_is_not_computed_is_refused() -> None:
    zeros = mm.datasets.load("salamanders")
    with pytest.raises(SpecError, match="one formula"):
        mm.glmm("count ~ mined + (1 | site)", zeros, family="poisson", zero_inflation="~ 1", reml=True)


def test_infinite_estimates_have_no_precision() -> None:
    data = mm.datasets.load("salamanders")
    fit = mm.glmm("count ~ mined + (1 | site)", data, family="nb1", hurdle="~ mined")
    assert fit.loglik == pytest.approx(-868.23574, abs=1e-4)
    assert fit.bse.to_numpy()[0] > 100.0


def test_single_trials_have_no_effects_of_their_own() -> None:
    data = mm.datasets.load("ohio")
    data = data.assign(row=np.arange(len(data)))
    with pytest.raises(DataError, match="one row of one trial"):
        mm.glmm("resp ~ age + (1 | row)", data, family="binomial")


def test_ordinal_models_keep_their_intercept() -> None:
    with pytest.raises(SpecError, match="thresholds take the place"):
        mm.glmm("rating ~ 0 + temp + (1 | judge)", mm.datasets.load("wine"), family="ordinal")


def test_counts_of_ten_millions_converge() -> None:
    """log Γ of such counts is 1.5e8: differences of it, rounded, would hide the last steps of the search."""
    rng = np.random.default_rng(1)
    group, x = np.repeat(np.arange(30), 20), rng.standard_normal(600)
    mu = np.exp(16.0 + 0.3 * x + rng.normal(0.0, 0.5, 30)[group])
    y = rng.negative_binomial(3, 3.0 / (3.0 + mu)).astype(float)
    fit = mm.glmm("y ~ x + (1 | g)", {"y": y, "x": x, "g": group}, "nb2")
    assert fit.converged
    assert fit.optimum.evaluations <= FEW
    thousandth = mm.glmm("y ~ x + (1 | g)", {"y": np.round(y / 1e3), "x": x, "g": group}, "nb2")
    # sizes do not depend on the unit of counts that are large
    assert fit.params["x"] == pytest.approx(thousandth.params["x"], rel=1e-3)
    assert fit.dispersion == pytest.approx(thousandth.dispersion, rel=1e-3)


def test_the_density_of_large_counts_has_its_digits() -> None:
    """Values of mpmath at 40 digits: y, log μ, log k, log density."""
    from mixedmodels.likelihood.families import make_family
    from mixedmodels.likelihood.responses import Responses

    family = make_family("nb2")
    for y, m, zeta, value in (
        (1e7, 16.1, 0.5, -16.83728291973168),
        (1e9, 20.7, -1.0, -22.34201834538834),
        (3.0, 1.0, 0.3, -2.12718957794238),
        (5e3, 8.4, 9.2, -27.891972265308),
    ):
        found = family.at(Responses(np.array([y])), np.array([[m], [zeta]]), order=1).value[0]
        assert found == pytest.approx(value, rel=1e-13)


def test_functions_of_many_counts_are_looked_up() -> None:
    from mixedmodels.likelihood.special import gamma_difference

    rng = np.random.default_rng(1)
    y = rng.poisson(4.0, 5000).astype(float)
    for x in (np.full(5000, 1.7), np.where(rng.random(5000) < 0.5, 0.4, 3e4)):
        for order in range(4):
            alone = np.array(
                [gamma_difference(a[None], b[None], order)[0] for a, b in zip(x[:60], y[:60], strict=True)]
            )
            np.testing.assert_array_equal(gamma_difference(x, y, order)[:60], alone)
