"""Profile, Wald and bootstrap intervals: against lme4, against definitions, at boundaries, and bad input."""

from __future__ import annotations

import json
import pathlib
from dataclasses import replace

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.paths import CovariancePath, Path, Surroundings
from mixedmodels.inference.profile import follow
from mixedmodels.inference.profiles import profiles_of
from mixedmodels.inference.reported import reported_parameters

REFERENCE = pathlib.Path(__file__).parents[2] / "reference" / "intervals" / "intervals.json"
MODELS = {
    "sleepstudy": "Reaction ~ Days + (Days | Subject)",
    "dyestuff": "Yield ~ 1 + (1 | Batch)",
    "penicillin": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    "dyestuff2": "Yield ~ 1 + (1 | Batch)",
}
OTHERS = {
    "uncorrelated": ("sleepstudy", "Reaction ~ Days + (Days || Subject)"),
    "split_plot": ("oats", "yield ~ nitro + Variety + (1 | Block) + (1 | Block:Variety)"),
    "pastes": ("pastes", "strength ~ 1 + (1 | sample) + (1 | batch)"),
    "cake": ("cake", "angle ~ recipe + temp + (1 | recipe:replicate)"),
    "unbalanced": ("orthodont", "Y ~ age * sex + (1 | id)"),
}
"""Models of R's script on other data sets; `unbalanced` leaves out four rows."""


@pytest.fixture(scope="module")
def sleep():
    return mm.lmm(MODELS["sleepstudy"], mm.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def dyestuff():
    return mm.lmm(MODELS["dyestuff"], mm.datasets.load("dyestuff"))


@pytest.mark.parametrize("name", list(MODELS))
def test_profile_intervals_of_lme4(name):
    expected = json.loads(REFERENCE.read_text())[name]
    table = mm.lmm(MODELS[name], mm.datasets.load(name)).confint("profile", likelihood="ml")
    assert len(table) == len(expected["term"])
    width = np.array(expected["high"]) - np.array(expected["low"])
    # lme4 interpolates its profile by splines and stops its optimiser at about 1e-4 of −2l
    assert np.all(np.abs(table["conf_low"] - expected["low"]) < 2e-3 * width)
    assert np.all(np.abs(table["conf_high"] - expected["high"]) < 2e-3 * width)
    assert any("maximum likelihood" in note for note in table.notes)


def our_name(term: str) -> str:
    """Return lme4's `sd_(Intercept)|g` or `sigma` as we write it."""
    if term == "sigma":
        return "sd(Residual)"
    head, _, group = term.partition("|")
    return f"sd({group}: {head.removeprefix('sd_')})" if group else term


@pytest.mark.parametrize("name", OTHERS)
def test_profile_intervals_of_other_models(name):
    expected = json.loads(REFERENCE.read_text())[name]
    source, formula = OTHERS[name]
    data = mm.datasets.load(source, backend="pandas")
    data = data.drop(index=[2, 9, 43, 44]) if name == "unbalanced" else data
    fit = mm.lmm(formula, data)
    table = fit.confint("profile", likelihood="ml")
    fixed = len(fit.design.fixed.columns)
    places = {term: i for i, term in enumerate(table["term"])}
    order = [places[our_name(term)] for term in expected["term"][:-fixed]]
    order += range(len(table) - fixed, len(table))
    width = np.array(expected["high"]) - np.array(expected["low"])
    assert np.all(np.abs(table["conf_low"][order] - expected["low"]) < 2e-3 * width)
    assert np.all(np.abs(table["conf_high"][order] - expected["high"]) < 2e-3 * width)


def test_limits_lie_where_the_held_fit_has_the_critical_rise(dyestuff):
    ml = dyestuff.update(method="ml")
    row = ml.confint("profile", terms="sd(Batch: (Intercept))").row(0)
    for limit in (row["conf_low"], row["conf_high"]):
        held = ml.update(hold={"var(Batch: (Intercept))": limit**2})
        # χ²₁ at 95 %, through held parameters, a route of its own; 1e-4 of −2l is the tolerance of the search
        assert held.criterion - ml.criterion == pytest.approx(3.841458821, abs=1e-4)


def test_limits_of_a_fixed_effect_by_offset(sleep):
    ml = sleep.update(method="ml")
    row = ml.confint("profile", terms="Days").row(0)
    data = mm.datasets.load("sleepstudy")
    shifted = {name: np.asarray(data[name]) for name in ("Reaction", "Days", "Subject")}
    shifted["left"] = shifted["Reaction"] - row["conf_high"] * shifted["Days"]
    held = mm.lmm("left ~ 1 + (Days | Subject)", shifted, method="ml")
    assert held.criterion - ml.criterion == pytest.approx(3.841458821, abs=1e-5)


def test_profile_of_the_restricted_likelihood(dyestuff):
    table = dyestuff.confint("profile", likelihood="reml")
    assert list(table["term"]) == ["sd(Batch: (Intercept))", "sd(Residual)"]
    np.testing.assert_allclose(table["estimate"], [42.0006, 49.5101], atol=1e-3)
    row = table.row(0)
    held = dyestuff.update(hold={"var(Batch: (Intercept))": row["conf_high"] ** 2})
    assert held.criterion - dyestuff.criterion == pytest.approx(3.841458821, abs=1e-4)


def test_correlation_at_its_bound_is_one_sided():
    rng = np.random.default_rng(3)
    t, g = np.tile(np.arange(4.0), 12), np.repeat(np.arange(12), 4)
    level = rng.standard_normal(12)
    data = {"y": 3 * level[g] + t * level[g] + rng.standard_normal(48), "t": t, "g": g.astype(str)}
    fit = mm.lmm("y ~ t + (t | g)", data, method="ml")
    row = fit.confint("profile", terms=["cor(g: (Intercept), t)"]).row(0)
    assert row["conf_high"] == 1
    assert 0 < row["conf_low"] < 1


@pytest.mark.parametrize("likelihood", ["ml", "reml"])
def test_profiles_of_structured_errors(likelihood):
    data = mm.datasets.load("orthodont")
    fit = mm.gls("Y ~ age", data, residual="ar1(age | id)", variance="ident(sex)")
    table = fit.confint("profile", likelihood=likelihood, terms="covariance")
    model = fit.update(method=likelihood)
    assert list(table["term"]) == ["sd(Residual)", "correlation(Residual)", "ident(sex): ratio(M)"]
    for i, name in ((1, "correlation(Residual)"), (2, "ident(sex): ratio(M)")):
        for limit in (table["conf_low"][i], table["conf_high"][i]):
            held = model.update(hold={name: limit})
            assert held.criterion - model.criterion == pytest.approx(3.841458821, abs=2e-4)


class Saturating(Path):
    """−2l that rises by one at most to the left, and has an edge at 2 before it reaches the cutoff to the right."""

    estimate, scale, upper = 0.0, 1.0, 2.0

    def rise(self, value: float) -> float:
        return float(1 - np.exp(-(value**2)))


def test_limits_that_are_not_reached_are_infinite_or_at_the_edge_and_said():
    points = follow(Saturating(), 1.96)
    assert points.low == -np.inf
    assert points.high == 2.0
    assert "lower limit not reached: unbounded as far as followed" in points.note
    assert "upper limit at the boundary" in points.note


class Broken(Saturating):
    def rise(self, value: float) -> float:
        return float("nan")


def test_a_profile_that_cannot_be_followed_has_no_limits_and_says_so():
    points = follow(Broken(), 1.96)
    assert np.isnan(points.low)
    assert np.isnan(points.high)
    assert "could not be followed" in points.note


def test_profile_table_is_monotone(dyestuff):
    table = dyestuff.profile()
    for term in dict.fromkeys(table["term"]):
        rows = table["term"] == term
        assert np.all(np.diff(table["value"][rows]) > 0)
        assert np.all(np.diff(table["zeta"][rows]) > 0)
        assert table["zeta"][rows][-1] >= 2.575829 - 1e-6


def test_a_better_optimum_on_the_way_restarts(sleep):
    best = sleep.update(method="ml")
    theta = 1.3 * best.optimum.theta
    stopped = replace(best.optimum, theta=theta, value=best._work.criterion().value(theta))
    worse = replace(best, optimum=stopped, _cache={})
    assert worse.criterion > best.criterion + 0.1
    found, notes = profiles_of(worse, ["sd(Residual)"], 0.95, "ml")
    assert any("restarted" in note for note in notes)
    assert found["sd(Residual)"].estimate == pytest.approx(25.5918, abs=1e-3)


def test_a_better_optimum_along_a_fixed_effect(sleep):
    best = sleep.update(method="ml")
    stopped = replace(best.optimum, theta=1.3 * best.optimum.theta, value=best.criterion + 6)
    found, notes = profiles_of(replace(best, optimum=stopped, _cache={}), ["Days"], 0.95, "ml")
    assert any("restarted" in note for note in notes)
    expected = best.confint("profile", terms="Days")["conf_high"][0]
    assert found["Days"].points.high == pytest.approx(expected, rel=1e-6)


def test_residual_of_a_linear_model_in_closed_form():
    fit = mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy"))
    row = fit.confint("profile", terms="sd(Residual)", likelihood="ml").row(0)
    squares = np.sum(fit.resid**2)
    for limit in (row["conf_low"], row["conf_high"]):
        rise = 180 * np.log(limit**2 * 180 / squares) + squares / limit**2 - 180
        assert rise == pytest.approx(3.841458821, abs=1e-5)


def test_steps_reach_the_cutoff_asked_for(dyestuff):
    ml = dyestuff.update(method="ml")
    parameter = reported_parameters(ml._work.criterion(), ml.optimum.theta)[1]
    points = follow(CovariancePath(Surroundings.of(ml), parameter), 3.0, points=True)
    for limit, zeta in ((points.low, -3.0), (points.high, 3.0)):
        assert points.zeta[list(points.values).index(limit)] == pytest.approx(zeta, abs=1e-6)
    assert np.count_nonzero(points.zeta < 0) >= 4


def test_wald_intervals(sleep):
    table = sleep.confint()
    fixed = sleep.fixed_effects()
    np.testing.assert_allclose(table["conf_low"][-2:], fixed["conf_low"])
    np.testing.assert_allclose(table["conf_high"][-2:], fixed["conf_high"])
    components = sleep.variance_components(se=True)
    ratio = components["std_error"][1] / (2 * components["variance"][1])
    expected = components["sd"][1] * np.exp(1.959963985 * ratio)
    row = next(table.row(i) for i in range(len(table)) if table["term"][i] == "sd(Subject: Days)")
    assert row["conf_high"] == pytest.approx(expected, rel=1e-6)


def test_wald_at_zero_variance_is_missing():
    fit = mm.lmm(MODELS["dyestuff2"], mm.datasets.load("dyestuff2"))
    table = fit.confint()
    assert np.isnan(table["conf_low"][0])
    assert np.isnan(table["conf_high"][0])


def test_bootstrap_intervals_are_those_of_the_bootstrap(dyestuff):
    table = dyestuff.confint("boot", n=100, seed=4)
    np.testing.assert_array_equal(table["conf_low"], dyestuff.bootstrap(n=100, seed=4).confint()["conf_low"])


def test_bad_arguments(dyestuff):
    with pytest.raises(mm.SpecError, match="Did you mean 'profile'"):
        dyestuff.confint("profil")
    with pytest.raises(mm.SpecError, match=r"Did you mean 'sd\(Residual\)'"):
        dyestuff.confint("profile", terms=["sd(Residuals)"])
    for terms in ("fixed", "(Intercept)"):
        with pytest.raises(mm.SpecError, match="no part of the restricted likelihood"):
            dyestuff.confint("profile", likelihood="reml", terms=terms)
    with pytest.raises(mm.SpecError, match="level=95"):
        dyestuff.confint(level=95)
    with pytest.raises(mm.SpecError, match="likelihood='reml' needs"):
        dyestuff.update(method="ml").confint("profile", likelihood="reml")


def test_studentized_limits_of_one_sample_are_those_of_t_and_chi_square():
    from scipy import stats

    y = np.random.default_rng(0).normal(3, 2, 12)
    table = mm.lm("y ~ 1", {"y": y}).confint("boot", interval="studentized", n=1500, seed=1)
    half = stats.t.ppf(0.975, 11) * y.std(ddof=1) / np.sqrt(12)
    deviation = np.sqrt(11 * y.var(ddof=1) / stats.chi2.ppf([0.975, 0.025], 11))
    # (ȳ* − ȳ)/se* is t with 11 df and σ̂*/σ̂ is χ, so that only the number of replicates stands between
    np.testing.assert_allclose(
        [table["conf_low"][1], table["conf_high"][1]], [y.mean() - half, y.mean() + half], atol=0.25
    )
    np.testing.assert_allclose([table["conf_low"][0], table["conf_high"][0]], deviation, rtol=0.12)


def test_studentized_limits_of_few_groups_reach_above_percentiles(dyestuff):
    """On the logarithmic scale they were below, for errors of log sd are without bound near zero."""
    own = dyestuff.confint("boot", interval="studentized", n=200, seed=1, terms="covariance")
    percentile = dyestuff.confint("boot", n=200, seed=1, terms="covariance")
    assert own["conf_high"][0] > percentile["conf_high"][0]
    assert own["conf_low"][0] >= 0
    assert "standard deviations on the scale of variances" in own.notes[0]


def test_studentized_limits_leave_out_what_has_no_standard_error(dyestuff):
    table = dyestuff.confint("boot", interval="studentized", n=60, seed=1, terms="covariance")
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()
    again = dyestuff.confint("boot", interval="studentized", n=60, seed=1)
    np.testing.assert_array_equal(again["conf_low"][:2], table["conf_low"])
    with pytest.raises(mm.SpecError, match="interval"):
        dyestuff.confint("boot", interval="student", n=60)
