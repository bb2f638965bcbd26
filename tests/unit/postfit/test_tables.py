"""Tables of components, effects, coefficients, criteria, and broom's shapes."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit


@pytest.fixture(scope="module")
def sleep() -> Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def rail() -> Fit:
    return mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))


def test_components_of_an_unstructured_term(sleep: Fit) -> None:
    table = sleep.variance_components()
    sigma = sleep.random_cov().array
    assert list(table) == ["group", "name1", "name2", "kind", "variance", "sd"]
    assert table["kind"].tolist() == ["variance", "variance", "covariance", "variance"]
    assert (table["name1"][2], table["name2"][2]) == ("(Intercept)", "Days")
    np.testing.assert_allclose(
        table["variance"], [sigma[0, 0], sigma[1, 1], sigma[0, 1], sleep.sigma2], rtol=1e-12
    )
    correlation = sigma[0, 1] / np.sqrt(sigma[0, 0] * sigma[1, 1])
    np.testing.assert_allclose(
        table["sd"], [sigma[0, 0] ** 0.5, sigma[1, 1] ** 0.5, correlation, sleep.sigma], rtol=1e-12
    )


def test_standard_errors_of_a_balanced_one_way_layout(rail: Fit) -> None:
    # Balanced one-way REML estimates are the ANOVA ones: MSE has 12 df, MSA 5, and they are independent, so
    # var(MSE) = 2 MSE²/12 and var((MSA - MSE)/3) = (2 MSA²/5 + 2 MSE²/12)/9.
    mse, msa = rail.sigma2, rail.sigma2 + 3 * rail.covariances[0][0, 0, 0]
    expected = [np.sqrt((2 * msa**2 / 5 + 2 * mse**2 / 12) / 9), np.sqrt(2 * mse**2 / 12)]
    table = rail.variance_components(ci="symmetric", level=0.9)
    # Second derivatives are differences of the exact gradient, good to about 1e-7.
    np.testing.assert_allclose(table["std_error"], expected, rtol=1e-6)
    np.testing.assert_allclose(
        table["conf_high"] - table["variance"], 1.6448536 * table["std_error"], rtol=1e-7
    )


def test_components_of_structures_keep_their_own_names() -> None:
    fit = mm.lmm("score ~ Machine + hcs(0 + Machine | Worker)", mm.datasets.load("machines"))
    table = fit.variance_components()
    assert table["kind"].tolist() == ["variance"] * 3 + ["correlation", "variance"]
    sigma = fit.random_cov().array
    np.testing.assert_allclose(table["variance"][:3], np.diag(sigma), rtol=1e-10)
    assert np.isnan(table["variance"][3])
    assert table["sd"][3] == pytest.approx(sigma[0, 1] / np.sqrt(sigma[0, 0] * sigma[1, 1]), rel=1e-10)


def test_components_by_group_are_named_by_set() -> None:
    fit = mm.lmm("Y ~ sex * age + (1 | id, by=sex)", mm.datasets.load("orthodont"))
    assert fit.variance_components()["group"].tolist() == ["id [F]", "id [M]", "Residual"]
    assert fit.random_cov(by="M").array[0, 0] == fit.covariances[0][1, 0, 0]
    with pytest.raises(mm.SpecError, match="give by= one of"):
        fit.random_cov()
    with pytest.raises(mm.SpecError, match="by='X' is not a set"):
        fit.random_cov(by="X")


def test_a_variance_of_zero_has_no_standard_error() -> None:
    fit = mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff2"))
    table = fit.variance_components(ci="wald")
    assert np.isnan(table["std_error"][0])
    # The rest is a sample of 30: var(s²) = 2s⁴/29.
    assert table["std_error"][1] == pytest.approx(fit.sigma2 * np.sqrt(2 / 29), rel=1e-6)
    assert "without standard error: Batch (Intercept)" in table.notes[0]


def test_unavailable_intervals_are_refused(sleep: Fit) -> None:
    with pytest.raises(mm.SpecError, match=r"ci='profil' is not known. Did you mean 'profile'"):
        sleep.variance_components(ci="profil")


def test_profile_limits_on_the_scale_of_the_table(sleep: Fit) -> None:
    ml = sleep.update(method="ml")
    table, deviations = ml.variance_components(ci="profile"), ml.confint("profile", terms="covariance")
    rows = {term: i for i, term in enumerate(deviations["term"])}
    for k, term in ((0, "sd(Subject: (Intercept))"), (1, "sd(Subject: Days)"), (3, "sd(Residual)")):
        i = rows[term]
        assert table["conf_low"][k] == pytest.approx(deviations["conf_low"][i] ** 2, rel=1e-5)
        assert table["conf_high"][k] == pytest.approx(deviations["conf_high"][i] ** 2, rel=1e-5)
    # the covariance itself, not the correlation: −2l has risen by χ²₁ where it is held
    for limit in (table["conf_low"][2], table["conf_high"][2]):
        held = ml.update(hold={"cov(Subject: (Intercept), Days)": float(limit)})
        assert held.criterion - ml.criterion == pytest.approx(3.841458821, abs=1e-4)


def test_random_effects_of_rails(rail: Fit) -> None:
    # nlme 3.1-162: random.effects(lme(travel ~ 1, random = ~ 1 | Rail)).
    expected = {"2": -34.53091, "5": -16.35675, "1": -12.39148, "6": 16.02631, "3": 18.00894, "4": 29.24388}
    table = rail.random_effects()
    for level, estimate in zip(table["level"], table["estimate"], strict=True):
        assert estimate == pytest.approx(expected[level], abs=2e-4)


def test_terms_are_chosen_by_label_or_group() -> None:
    fit = mm.lmm("Y ~ 0 + fem + male + (0 + fem | id) + (0 + male | id)", mm.datasets.load("orthodont"))
    labels = [term.label for term in fit.design.random]
    assert len(fit.random_effects(term=labels[1])) == 27
    with pytest.raises(mm.SpecError, match="several random terms"):
        fit.random_cov()
    with pytest.raises(mm.SpecError, match="Did you mean 'id'"):
        fit.random_cov("idd")
    assert fit.random_cov(labels[0]).rows == ("fem",)


def test_crossed_factors_need_a_group_for_clusters() -> None:
    fit = mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.datasets.load("penicillin"))
    with pytest.raises(mm.SpecError, match="cross; give group= one of 'plate', 'sample'"):
        fit.marginal_cov("a")
    assert fit.marginal_cov("a", group="plate").shape == (6, 6)
    with pytest.raises(mm.SpecError, match="is not a level of 'plate'"):
        fit.marginal_cov("zz", group="plate")


def test_nested_factors_have_an_outermost_one() -> None:
    fit = mm.lmm("strength ~ 1 + (1 | batch/cask)", mm.datasets.load("pastes"))
    matrix = fit.marginal_cov("A")
    assert matrix.shape == (6, 6)
    batch, cask = (float(sigma[0, 0, 0]) for sigma in fit.covariances)
    np.testing.assert_allclose(
        matrix.array[0, :3], [batch + cask + fit.sigma2, batch + cask, batch], rtol=1e-12
    )
    np.testing.assert_allclose(fit.residual_cov("A").array, fit.sigma2 * np.eye(6))


def test_coefficients_add_fixed_and_random(sleep: Fit) -> None:
    table = sleep.coefficients()
    # lme4 1.1-31: coef(fit)$Subject["308", ], to its optimiser's tolerance.
    np.testing.assert_allclose(table["estimate"][:2], [253.663655798, 19.666261725], atol=2e-4)
    assert len(table) == 36


def test_coefficients_of_several_terms_on_one_factor_are_added() -> None:
    fit = mm.lmm("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", mm.datasets.load("sleepstudy"))
    table = fit.coefficients()
    assert len(table) == 36
    b = [effects[:, 0] for effects in fit.solution.random]
    np.testing.assert_allclose(table["estimate"].reshape(18, 2), fit.beta + np.column_stack(b), rtol=1e-12)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_information_criteria_of_nlme(method: str) -> None:
    # nlme 3.1-162: AIC and BIC of lme(Reaction ~ Days, random = ~ Days | Subject), by REML and ML.
    expected = {"reml": (1755.628272, 1774.718973), "ml": (1763.939344, 1783.097086)}[method]
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"), method=method)
    table = fit.information_criteria()
    found = dict(zip(table["criterion"], table["nlme"], strict=True))
    assert (found["AIC"], found["BIC"]) == pytest.approx(expected, abs=1e-5)
    lme4 = dict(zip(table["criterion"], table["lme4"], strict=True))
    assert (lme4["AIC"], lme4["AICC"], lme4["BIC"]) == (fit.aic, fit.aicc, fit.bic)


def test_information_criteria_of_sas_count_subjects_and_free_covariance_parameters(sleep: Fit) -> None:
    def sas(fit: Fit) -> dict[str, float]:
        table = fit.information_criteria()
        return dict(zip(table["criterion"], table["sas"], strict=True))

    # SAS/STAT User's Guide, PROC MIXED: d = 4 covariance parameters, 178 = n - p, 18 subjects.
    found = sas(sleep)
    assert found["AIC"] == pytest.approx(sleep.criterion + 8)
    assert found["AICC"] == pytest.approx(sleep.criterion + 8 * 178 / 173)
    assert found["BIC"] == pytest.approx(sleep.criterion + 4 * np.log(18))
    singular = mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff2"))
    assert sas(singular)["AIC"] == pytest.approx(singular.criterion + 2)


def test_tidy_has_fixed_then_random_parameters(sleep: Fit) -> None:
    table = sleep.tidy()
    assert table["effect"].tolist() == ["fixed"] * 2 + ["random"] * 4
    assert table["term"].tolist()[2:] == [
        "sd__(Intercept)", "sd__Days", "cor__(Intercept).Days", "sd__Observation",
    ]  # fmt: skip
    np.testing.assert_allclose(table["estimate"][-1], sleep.sigma)
    assert len(sleep.tidy("fixed")) == 2
    assert len(sleep.tidy("random")) == 4


def test_glance_is_one_row(sleep: Fit) -> None:
    row = sleep.glance().row(0)
    assert row["nobs"] == 180
    assert row["loglik"] == sleep.loglik
    assert row["converged"] is True


def test_augment_has_the_rows_used() -> None:
    data = mm.datasets.load("sleepstudy", backend="polars")
    fit = mm.lmm("log(Reaction) ~ Days + (1 | Subject)", data)
    frame = fit.augment().to_frame()
    assert frame.columns == ["Reaction", "Days", "Subject", ".fitted", ".resid", ".fixed"]
    np.testing.assert_allclose(np.log(frame["Reaction"]) - frame[".fitted"], frame[".resid"], atol=1e-12)


def test_models_without_random_terms_say_so() -> None:
    fit = mm.lm("travel ~ 1", mm.datasets.load("rail"))
    with pytest.raises(mm.SpecError, match="no random terms"):
        fit.random_effects()
    with pytest.raises(mm.SpecError, match="no random terms"):
        fit.coefficients()
    with pytest.raises(mm.SpecError, match="no grouping factor"):
        fit.marginal_cov("1")
    table = fit.variance_components(ci="wald")
    assert table["std_error"][0] == pytest.approx(fit.sigma2 * np.sqrt(2 / 17), rel=1e-6)


def test_covariances_of_errors_stand_beside_their_correlations() -> None:
    orthodont = mm.datasets.load("orthodont")
    fit = mm.gls("Y ~ age", orthodont, residual="us(age | id)")
    table, matrix = fit.variance_components(), fit.residual_cov("1", correlation=True)
    pairs = [i for i, kind in enumerate(table["kind"]) if kind == "covariance"]
    assert len(pairs) == 6
    places = {name: i for i, name in enumerate(("8", "10", "12", "14"))}
    for i in pairs:
        expected = matrix.array[places[table["name1"][i]], places[table["name2"][i]]]
        assert table["sd"][i] == pytest.approx(expected, rel=1e-12)
