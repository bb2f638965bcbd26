"""Bootstrap: streams by replicate, agreement with refits and theory, failures kept in sight, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.inference.bootstrap import stream
from structured_models import MODELS, visits


@pytest.fixture(scope="module")
def sleep():
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def rail():
    return mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))


@pytest.mark.parametrize("kind", ["parametric", "case"])
def test_replicates_do_not_depend_on_how_many_there_are(rail, kind):
    few, many = rail.bootstrap(n=20, seed=7, kind=kind), rail.bootstrap(n=60, seed=7, kind=kind)
    np.testing.assert_array_equal(few.replicates, many.replicates[:20])


def test_threads_do_not_change_replicates(rail):
    one = rail.update(control=mm.Control(threads=1)).bootstrap(n=40, seed=2)
    two = rail.update(control=mm.Control(threads=2)).bootstrap(n=40, seed=2)
    np.testing.assert_array_equal(one.replicates, two.replicates)


def test_a_replicate_is_the_refit_of_its_simulated_response(rail):
    boot = rail.bootstrap(n=5, seed=3)
    fit = rail.refit(rail.simulate(1, stream(3, 4))[:, 0])
    sds = fit.variance_components()["sd"]
    # native and general search both stop within 1e-4 standard errors
    np.testing.assert_allclose(boot.replicates[4], [*sds, fit.beta[0]], rtol=1e-4)


def test_a_statistic_of_ones_own_agrees_with_the_native_path(rail):
    own = rail.bootstrap(lambda fit: {"mean": fit.beta[0], "sigma": fit.sigma}, n=30, seed=5)
    native = rail.bootstrap(n=30, seed=5)
    assert own.names == ("mean", "sigma")
    np.testing.assert_allclose(own.replicates, native.replicates[:, [2, 1]], rtol=1e-4)


def test_standard_errors_of_fixed_effects(sleep):
    table = sleep.bootstrap(n=1500, seed=1).table()
    # the parametric bootstrap's SE of β̂ is the Wald SE here; a relative error of 1/√(2n), 4 of them
    np.testing.assert_allclose(table["std_error"][-2:], np.asarray(sleep.bse), rtol=4 / np.sqrt(3000))


def test_bca_limits_are_their_definition(rail):
    """Efron (1987): the bias from the share below, the acceleration from fits without one rail each."""
    boot = rail.bootstrap(n=300, seed=4)
    found = boot.confint(level=0.9, interval="bca")
    codes = rail.rows.random[0].codes
    data = {"y": rail.response, "g": codes.astype(str)}
    left_out = []
    for rail_number in range(6):
        kept = codes != rail_number
        one = mm.lmm("y ~ 1 + (1 | g)", {name: np.asarray(values)[kept] for name, values in data.items()})
        left_out.append([*one.variance_components()["sd"], one.beta[0]])
    gap = np.mean(left_out, axis=0) - left_out
    for j in range(3):
        draws = boot.replicates[:, j]
        bias = stats.norm.ppf(np.mean(draws < boot.estimate[j]))
        acceleration = np.sum(gap[:, j] ** 3) / (6 * np.sum(gap[:, j] ** 2) ** 1.5)
        for column, tail in (("conf_low", 0.05), ("conf_high", 0.95)):
            moved = bias + stats.norm.ppf(tail)
            share = stats.norm.cdf(bias + moved / (1 - acceleration * moved))
            # fits without a rail stop within 1e-4 standard errors
            assert found[column][j] == pytest.approx(np.quantile(draws, share), rel=1e-3)


def test_progress_is_on_standard_error_and_changes_nothing(rail, capsys):
    silent = rail.bootstrap(lambda fit: fit.sigma, n=30, seed=5)
    assert capsys.readouterr().err == ""
    shown = rail.bootstrap(lambda fit: fit.sigma, n=30, seed=5, progress=True)
    printed = capsys.readouterr().err
    assert "bootstrap  0/30" in printed
    assert printed.rstrip().split("\r")[-1].startswith("bootstrap  30/30")
    np.testing.assert_array_equal(silent.replicates, shown.replicates)


@pytest.mark.parametrize("interval", ["percentile", "basic", "bca"])
def test_intervals_cover_the_estimate(sleep, interval):
    table = sleep.bootstrap(n=400, seed=2).confint(interval=interval)
    assert np.all(table["conf_low"] < table["estimate"])
    assert np.all(table["estimate"] < table["conf_high"])


def test_basic_mirrors_percentile(rail):
    boot = rail.bootstrap(n=200, seed=2)
    plain, basic = boot.confint(), boot.confint(interval="basic")
    np.testing.assert_allclose(basic["conf_low"], 2 * boot.estimate - plain["conf_high"])


def test_case_bootstrap_of_the_mean_of_balanced_groups(rail):
    boot = rail.bootstrap(n=200, seed=6, kind="case")
    means = np.asarray(rail.response).reshape(6, 3).mean(axis=1)
    rows = stream(6, 0).integers(6, size=6)
    # the groups of rail stand in order of their levels' first rows
    codes = rail.rows.random[0].codes
    by_level = np.array([rail.response[codes == c].mean() for c in range(6)])
    assert sorted(by_level) == pytest.approx(sorted(means))
    assert boot.replicates[0, 2] == pytest.approx(by_level[rows].mean(), abs=1e-6)


@pytest.mark.parametrize("kind", ["parametric", "case"])
def test_statistics_may_be_means_and_tests(kind):
    data = mm.datasets.load("oats", backend="pandas").rename(columns={"yield": "y"})
    fit = mm.lmm("y ~ Variety + nitro + (1 | Block) + (1 | Block:Variety)", data)

    def statistic(one):
        return [*one.emmeans("Variety")["estimate"], one.anova()["statistic"][1]]

    boot = fit.bootstrap(statistic, n=3, seed=1, kind=kind)
    assert not boot.failures
    assert np.isfinite(boot.replicates).all()
    if kind == "parametric":
        found = mm.lmm(
            "y ~ Variety + nitro + (1 | Block) + (1 | Block:Variety)",
            data.assign(y=fit.simulate(1, stream(1, 2))),
        )
        np.testing.assert_allclose(boot.replicates[2], statistic(found), rtol=1e-4)


def test_failures_are_reported(rail):
    calls = []

    def fragile(fit):
        calls.append(1)
        if len(calls) % 5 == 0:
            raise ArithmeticError("no luck")
        return fit.sigma

    boot = rail.bootstrap(fragile, n=20, seed=1)
    assert len(boot.failures) == 4
    assert boot.failures[0] == (3, "ArithmeticError: no luck")
    assert np.isnan(boot.replicates[3]).all()
    assert any("4 replicates failed" in note for note in boot.confint().notes)


def test_bad_arguments(rail):
    with pytest.raises(mm.SpecError, match=r"kind='cases' is not known\. Did you mean 'case'"):
        rail.bootstrap(kind="cases")
    with pytest.raises(mm.SpecError, match="n=0"):
        rail.bootstrap(n=0)
    with pytest.raises(mm.SpecError, match="seed=-1"):
        rail.bootstrap(n=2, seed=-1)
    with pytest.raises(mm.SpecError, match="Did you mean 'Rail'"):
        rail.bootstrap(n=2, seed=1, kind="case", cluster="Rails")
    with pytest.raises(mm.SpecError, match="interval='bc'"):
        rail.bootstrap(n=3, seed=1).confint(interval="bc")
    with pytest.raises(mm.SpecError, match="fewer than two"):
        rail.bootstrap(n=1, seed=1).confint()
    penicillin = mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.datasets.load("penicillin"))
    with pytest.raises(mm.SpecError, match="plate, sample are crossed"):
        penicillin.bootstrap(n=2, seed=1, kind="case")


CASES = {
    # fit, the factor whose levels are drawn, other factors that are relabelled with it
    "us": ("id", ()),
    "random slope, exp with nugget, offset": ("id", ()),
    "nested, toep": ("site", ("id",)),
    "site, har1 within subject": ("site", ("id",)),
    "car1, power": ("id", ()),
    "random intercept, ident": ("id", ()),
    "plane": ("site", ("id",)),
    "fitted": ("id", ()),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_case_replicate_is_the_fit_to_the_clusters_drawn(name):
    """Against the model fitted anew to a frame put together from the clusters, each draw a new cluster."""
    (outer, inner), fit, data = CASES[name], MODELS[name](), visits()
    found = fit.bootstrap(n=2, seed=5, kind="case")
    levels = np.unique(data[outer])
    for i in range(2):
        parts = []
        for draw, j in enumerate(stream(5, i).integers(len(levels), size=len(levels))):
            part = data[data[outer] == levels[j]].copy()
            for column in inner:
                part[column] += 1000 * draw
            part[outer] = draw
            parts.append(part)
        again = fit.refit(pd.concat(parts, ignore_index=True))
        assert again.converged
        # two searches from different starts agree to the tolerance of the optimiser, 1e-8 of −2l
        expected = again.bootstrap(n=1, seed=1).estimate
        np.testing.assert_allclose(found.replicates[i], expected, rtol=2e-3, atol=2e-3)
        assert found.replicates[i][-2:] == pytest.approx(expected[-2:], abs=1e-4)


def test_cases_need_several_clusters():
    fit = mm.gls("y ~ x", visits(), residual="exp(east, north | 1)")
    with pytest.raises(mm.SpecError, match="all rows are of one"):
        fit.bootstrap(n=2, kind="case")


def test_a_variance_function_of_the_mean_is_renewed_for_every_response():
    fit = MODELS["fitted"]()
    y = fit.simulate(1, seed=3)[:, 0]
    data = visits()
    data["y"] = y
    np.testing.assert_allclose(fit.refit(y).beta, fit.refit(data).beta, rtol=1e-5)
    assert fit.refit(y).criterion == pytest.approx(fit.refit(data).criterion, abs=1e-5)
    many = fit.refit(np.column_stack([y, y]))
    np.testing.assert_allclose(many.criterion, fit.refit(data).criterion, atol=1e-5)


def test_a_variance_of_zero_is_reported_as_zero():
    fit = mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff2"))
    boot = fit.bootstrap(n=8, seed=1)
    zero = fit.refit(fit.simulate(1, stream(1, 0))[:, 0]).singular
    assert boot.table()["estimate"][0] == 0.0
    assert (boot.replicates[0, 0] == 0.0) == zero
    assert boot.n_singular == (boot.replicates[:, 0] == 0.0).sum() > 0
