"""Likelihood-ratio comparisons against lme4's anova, known null distributions, and bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.inference.bootstrap_ratio import bootstrap_ratio
from mixedmodels.inference.restricted_ratio import simulate_ratio


@pytest.fixture(scope="module")
def sleep():
    return mm.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def intercepts(sleep):
    return mm.lmm("Reaction ~ Days + (1 | Subject)", sleep)


@pytest.fixture(scope="module")
def slopes(sleep):
    return mm.lmm("Reaction ~ Days + (Days | Subject)", sleep)


def test_equal_fixed_parts_compare_by_reml(intercepts, slopes):
    table = mm.compare(slopes, intercepts)
    # lme4 1.1-31: anova(a, b, refit = FALSE)
    assert table["statistic"][1] == pytest.approx(42.83681, abs=2e-5)
    assert table["df"][1] == 2
    assert table["p_value"][1] == pytest.approx(4.99e-10, rel=2e-3)
    np.testing.assert_allclose(table["aic"], [1794.46509, 1755.62827], atol=2e-5)
    np.testing.assert_allclose(table["bic"], [1807.23691, 1774.78601], atol=2e-5)
    assert table["delta_aic"][1] == 0
    assert table["weight"].sum() == pytest.approx(1)
    assert "boundary" in " ".join(table.notes)


def test_different_fixed_parts_are_refitted_by_ml(sleep, slopes):
    flat = mm.lmm("Reaction ~ 1 + (Days | Subject)", sleep)
    table = mm.compare(flat, slopes)
    # lme4 1.1-31: anova(flat, slopes)
    np.testing.assert_allclose(table["deviance"], [1775.47588, 1751.93934], atol=2e-5)
    assert table["p_value"][1] == pytest.approx(1.2256e-06, rel=2e-4)
    assert any("refitted by maximum likelihood" in note for note in table.notes)
    assert slopes.spec.method == "reml"


def test_reml_with_ml_becomes_ml(sleep, intercepts, slopes):
    table = mm.compare(intercepts, slopes.update(method="ml"))
    assert table["deviance"][0] == pytest.approx(1794.07864, abs=2e-5)
    assert any("others are by maximum likelihood" in note for note in table.notes)


def test_mixture_of_two_correlated_columns(intercepts, slopes):
    table = mm.compare(intercepts, slopes, boundary="mixture")
    statistic = table["statistic"][1]
    expected = 0.5 * stats.chi2.sf(statistic, 1) + 0.5 * stats.chi2.sf(statistic, 2)
    assert table["p_value"][1] == pytest.approx(expected, rel=1e-10)


def test_mixture_of_one_variance_halves_the_p_value(sleep, intercepts):
    plain = mm.lm("Reaction ~ Days", sleep)
    mixture = mm.compare(plain, intercepts, boundary="mixture")["p_value"][1]
    assert mixture == pytest.approx(mm.compare(plain, intercepts)["p_value"][1] / 2, rel=1e-10)


def test_mixture_at_a_statistic_of_zero_is_one():
    data = {"y": np.tile([1.0, 2.0, 4.0], 5), "g": np.repeat(list("abcde"), 3)}
    fit = mm.lmm("y ~ 1 + (1 | g)", data)
    table = mm.compare(mm.lm("y ~ 1", data), fit, boundary="mixture")
    assert table["statistic"][1] == pytest.approx(0, abs=1e-8)
    assert table["p_value"][1] == 1


def test_one_fit_is_compared_with_independent_errors(sleep, slopes):
    table = mm.compare(slopes)
    assert table["model"][0] == "null model"
    assert table["deviance"][0] == pytest.approx(mm.lm("Reaction ~ Days", sleep).criterion, abs=1e-8)
    assert table["df"][1] == 3


@pytest.fixture(scope="module")
def rail():
    return mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))


def test_exact_distribution_has_the_known_mass_at_zero(rail):
    draws = simulate_ratio(rail.design, rail.rows, 40_000, seed=1)
    # σ̂_b² = 0 by REML in a balanced one-way layout iff the mean squares have F ≤ 1
    expected = stats.f.cdf(1, 5, 12)
    error = np.sqrt(expected * (1 - expected) / 40_000)
    # draws that leave zero by less than the grid's first step count as zero with it; 4 standard errors
    assert abs(np.mean(draws < 1e-8) - expected) < 4 * error


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_exact_distribution_agrees_with_refitted_null_data(rail, method):
    fit = rail.update(method=method)
    draws = simulate_ratio(fit.design, fit.rows, 20_000, seed=3)
    y = np.random.default_rng(4).standard_normal((18, 1500))
    squares = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    nu = 17 if method == "reml" else 18
    null = nu * (1 + np.log(2 * np.pi * squares / nu)) + (np.log(18) if method == "reml" else 0)
    observed = null - fit.refit(y).criterion
    for point in (0.1, 1.0, 2.7):
        p = np.mean(draws > point)
        # four standard errors of the 1,500 refits
        assert abs(np.mean(observed > point) - p) < 4 * np.sqrt(p * (1 - p) / 1500)


def test_exact_test_is_reproducible_and_close_to_one_for_no_effect():
    rng = np.random.default_rng(5)
    data = {"y": rng.standard_normal(30), "g": np.repeat(np.arange(6).astype(str), 5)}
    small, large = mm.lm("y ~ 1", data), mm.lmm("y ~ 1 + (1 | g)", data)
    first = mm.compare(small, large, boundary="exact", seed=1, n=500)["p_value"][1]
    assert first == mm.compare(small, large, boundary="exact", seed=1, n=500)["p_value"][1]
    assert 0.02 < first <= 1


def test_models_not_nested_are_not_tested(sleep):
    a = mm.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    b = mm.lmm("Reaction ~ 1 + (Days | Subject)", sleep)
    table = mm.compare(a, b)
    assert np.isnan(table["p_value"][1])
    assert any("does not lie" in note for note in table.notes)


def test_other_data_are_refused(sleep, intercepts):
    rows = {name: np.asarray(sleep[name])[:-3] for name in ("Reaction", "Days", "Subject")}
    with pytest.raises(mm.DataError, match="180 and 177 rows"):
        mm.compare(intercepts, mm.lmm("Reaction ~ Days + (1 | Subject)", rows))
    with pytest.raises(mm.DataError, match="same response"):
        mm.compare(intercepts, mm.lmm("np.log(Reaction) ~ Days + (1 | Subject)", sleep))


def test_bad_arguments(sleep, intercepts, slopes):
    with pytest.raises(mm.SpecError, match="at least one fit"):
        mm.compare()
    with pytest.raises(mm.SpecError, match="not str"):
        mm.compare(intercepts, "exact")
    with pytest.raises(mm.SpecError, match="Did you mean 'mixture'"):
        mm.compare(intercepts, slopes, boundary="mixtures")
    with pytest.raises(mm.SpecError, match="one variance component"):
        mm.compare(intercepts, slopes, boundary="exact")
    with pytest.raises(mm.SpecError, match="names has 1"):
        mm.compare(intercepts, slopes, names=["a"])
    with pytest.raises(mm.SpecError, match="one random column"):
        mm.compare(mm.lm("Reaction ~ Days", sleep), slopes, boundary="mixture")


NESTED = [
    ("(1 | Subject)", None, "(Days | Subject)", None, True),
    ("(Days || Subject)", None, "(Days | Subject)", None, True),
    ("(0 + Days | Subject)", None, "(Days | Subject)", None, True),
    ("(1 | Subject)", None, "(1 | Subject)", "ar1(Days | Subject)", True),
    ("(1 | Subject)", None, "", "hcs(Days | Subject)", True),
    ("", "ar1(Days | Subject)", "", "har1(Days | Subject)", True),
    ("", "ar1(Days | Subject)", "", "toep(Days | Subject)", True),
    ("", "cs(Days | Subject)", "", "hcs(Days | Subject)", True),
    ("(1 | Subject)", None, "", "ar1(Days | Subject)", False),
    ("", "cs(Days | Subject)", "", "har1(Days | Subject)", False),
    ("", "ar1(Days | Subject)", "", "hcs(Days | Subject)", False),
    ("(1 | half)", None, "(Days | Subject)", None, False),
]  # fmt: skip


@pytest.mark.parametrize(("old", "old_errors", "new", "new_errors", "nested"), NESTED)
def test_covariance_models_are_tested_where_one_is_a_case_of_the_other(
    old, old_errors, new, new_errors, nested
):
    data = mm.datasets.load("sleepstudy", backend="pandas")
    data["half"] = data["Subject"].astype(str) + np.where(data["Days"] < 5, "a", "b")

    def fitted(random, errors):
        formula = "Reaction ~ Days" + (f" + {random}" if random else "")
        return mm.lmm(formula, data, residual=errors)

    table = mm.compare(fitted(old, old_errors), fitted(new, new_errors))
    said = any("not nested: information criteria only" in note for note in table.notes)
    same_size = any("same number of parameters" in note for note in table.notes)
    assert (said or same_size) == (not nested)
    assert np.isfinite(table["p_value"][1]) == nested


def test_the_null_model_of_one_fit_is_said(slopes):
    assert "no random effects, independent errors of one variance" in mm.compare(slopes).notes[0]


def test_f_has_the_larger_models_own_degrees_of_freedom(sleep, slopes):
    flat = mm.lmm("Reaction ~ 1 + (Days | Subject)", sleep)
    table = mm.compare(flat, slopes, reference="f")
    own = slopes.anova()["den_df"][0]
    assert table["p_value"][1] == pytest.approx(stats.f.sf(table["statistic"][1], 1, own), rel=1e-10)
    assert any("F(1, 17); df: Kenward–Roger" in note for note in table.notes)
    residual = mm.compare(flat, slopes.update(ddf="residual"), reference="f")
    assert residual["p_value"][1] == pytest.approx(stats.f.sf(table["statistic"][1], 1, 178), rel=1e-8)


def test_f_of_several_columns_that_span_the_term_in_another_coding(sleep):
    flat = mm.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    coded = mm.lmm("Reaction ~ factor(Days) + (1 | Subject)", sleep)
    table = mm.compare(flat, coded, reference="f")
    expected = stats.f.sf(table["statistic"][1] / 8, 8, 18 * 10 - 10 - 17)
    assert table["p_value"][1] == pytest.approx(expected, rel=1e-3)


def test_f_of_covariance_parameters_has_residual_degrees_of_freedom(intercepts, slopes):
    table = mm.compare(intercepts, slopes, reference="f")
    assert table["p_value"][1] == pytest.approx(stats.f.sf(table["statistic"][1] / 2, 2, 178), rel=1e-10)
    assert any("F p-values of variances are too large" in note for note in table.notes)


def _small_effect(seed=3, variance=0.25):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(8), 5)
    x = rng.normal(size=40)
    y = x + np.sqrt(variance) * rng.normal(size=8)[group] + rng.normal(size=40)
    return {"y": y, "x": x, "g": group.astype(str)}


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_bootstrap_agrees_with_the_exact_distribution_of_one_variance(method):
    data = _small_effect()
    small = mm.lm("y ~ x", data).update(method=method)
    large = mm.lmm("y ~ x + (1 | g)", data, method=method)
    exact = mm.compare(small, large, boundary="exact", seed=1, n=50_000)["p_value"][1]
    found = mm.compare(small, large, reference="bootstrap", seed=1, n=1000)["p_value"][1]
    # four Monte Carlo errors of 1000 draws
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 1000))


def test_bootstrap_of_a_fixed_effect_in_few_groups_is_above_chi_square():
    rng = np.random.default_rng(8)
    group = np.repeat(np.arange(6), 4)
    arm = (group % 2).astype(float)
    data = {"y": arm + rng.normal(size=6)[group] + rng.normal(size=24), "arm": arm, "g": group.astype(str)}
    flat, full = mm.lmm("y ~ 1 + (1 | g)", data), mm.lmm("y ~ arm + (1 | g)", data)
    by = {
        one: mm.compare(flat, full, reference=one, seed=2)["p_value"][1] for one in ("chi2", "f", "bootstrap")
    }
    # four clusters' worth of denominator df: χ² is too small, F and the bootstrap agree to Monte Carlo error
    assert by["chi2"] < by["f"]
    assert by["bootstrap"] == pytest.approx(by["f"], abs=0.05)


def test_bootstrap_depends_on_seed_and_replicate_alone(sleep, slopes):
    flat = mm.lmm("Reaction ~ 1 + (Days | Subject)", sleep)
    one = bootstrap_ratio(flat, slopes, 40, 5).statistics
    np.testing.assert_allclose(bootstrap_ratio(flat, slopes, 24, 5).statistics, one[:24], atol=1e-7)
    assert np.abs(bootstrap_ratio(flat, slopes, 24, 6).statistics - one[:24]).max() > 0.1
    drawn = mm.compare(flat, slopes, reference="bootstrap", n=20)
    assert any("seed " in note for note in drawn.notes)


def test_bootstrap_where_no_native_search_applies(sleep):
    plain = mm.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    errors = mm.lmm("Reaction ~ Days + (1 | Subject)", sleep, residual="ar1(Days | Subject)")
    table = mm.compare(plain, errors, reference="bootstrap", n=20, seed=1)
    assert table["p_value"][1] == pytest.approx(1 / 21)


def test_replicates_that_fail_are_counted_and_none_left_is_an_error(monkeypatch, slopes, intercepts):
    real = mm.Fit.refit

    def failing(fit, y):
        found = real(fit, y)
        return found if fit is intercepts else replace(found, converged=found.converged & (y[0] > limit))

    limit = 250.0
    monkeypatch.setattr(mm.Fit, "refit", failing)
    table = mm.compare(intercepts, slopes, reference="bootstrap", n=100, seed=1)
    assert any("of 100 replicates failed and are left out: not converged" in note for note in table.notes)
    limit = np.inf
    with pytest.raises(mm.FitError, match=r"only 0 of 100 replicates .* \(not converged\)"):
        mm.compare(intercepts, slopes, reference="bootstrap", n=100, seed=1)


@pytest.mark.parametrize("options", [{"reference": "bootstrap", "n": 40}, {"boundary": "exact", "n": 4000}])
def test_progress_of_draws_and_refits(options, capfd):
    data = _small_effect()
    models = mm.lm("y ~ x", data), mm.lmm("y ~ x + (1 | g)", data)
    mm.compare(*models, seed=1, progress=True, **options)
    assert f"compare  {options['n']}/{options['n']}" in capfd.readouterr().err
    mm.compare(*models, seed=1, progress=False, **options)
    assert capfd.readouterr().err == ""


def test_reference_and_boundary_are_one_choice(intercepts, slopes):
    with pytest.raises(mm.SpecError, match="Did you mean 'bootstrap'"):
        mm.compare(intercepts, slopes, reference="bootstrp")
    with pytest.raises(mm.SpecError, match="give one of them"):
        mm.compare(intercepts, slopes, reference="f", boundary="mixture")
    with pytest.raises(mm.SpecError, match="n=0 must be a whole number"):
        mm.compare(intercepts, slopes, reference="bootstrap", n=0)
    with pytest.raises(mm.SpecError, match="seed=-1 must be"):
        mm.compare(intercepts, slopes, reference="bootstrap", seed=-1)


def test_chi_square_of_fixed_effects_with_few_groups_points_to_others() -> None:
    rng = np.random.default_rng(0)
    for groups, few in ((8, True), (40, False)):
        g = np.repeat(np.arange(groups), 4)
        data = {"g": g.astype(str), "arm": np.where(g % 2, "a", "b"), "y": rng.normal(size=len(g))}
        fits = [mm.lmm(text, data, method="ml") for text in ("y ~ 1 + (1 | g)", "y ~ arm + (1 | g)")]
        assert any("few groups (8)" in note for note in mm.compare(*fits).notes) == few
        assert not any("few groups" in note for note in mm.compare(*fits, reference="f").notes)
