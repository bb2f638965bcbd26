"""Tests of hypotheses about covariance parameters: each is the likelihood ratio of two fits."""

from __future__ import annotations

import pytest
from scipy import stats

import mixedmodels as mm


@pytest.fixture(scope="module")
def sleep() -> mm.Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


def test_each_row_is_two_fits(sleep: mm.Fit) -> None:
    data = mm.datasets.load("sleepstudy")
    table = sleep.covtest("diagg", "zerog")
    smaller = [
        mm.lmm("Reaction ~ Days + (Days || Subject)", data),
        mm.lmm("Reaction ~ Days", data),
    ]
    for row, fit in enumerate(smaller):
        # both searches end within 1e-8 of the optimum
        assert table["statistic"][row] == pytest.approx(fit.criterion - sleep.criterion, abs=1e-6)
        assert table["n_parameters"][row] == fit.n_parameters
        assert table["p_value"][row] == pytest.approx(
            stats.chi2.sf(table["statistic"][row], table["df"][row]), rel=1e-6
        )


def test_one_variance_at_zero_is_a_mixture() -> None:
    fit = mm.lmm("Reaction ~ Days + (1 | Subject)", mm.datasets.load("sleepstudy"))
    table = fit.covtest("zerog")
    assert table["reference"][0] == "mixture"
    assert table["p_value"][0] == pytest.approx(0.5 * stats.chi2.sf(table["statistic"][0], 1), rel=1e-6)


def test_values_are_held(sleep: mm.Fit) -> None:
    named = sleep.covtest({"cov(Subject: (Intercept), Days)": 0})
    assert named["statistic"][0] == pytest.approx(sleep.covtest("diagg")["statistic"][0], abs=1e-6)
    value = sleep.covtest({"var(Residual)": 500})
    held = mm.lmm(
        "Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"), hold={"var(Residual)": 500}
    )
    assert value["criterion"][0] == pytest.approx(held.criterion, abs=1e-6)
    assert value["reference"][0] == "chi2"


def test_errors_and_groups() -> None:
    data = mm.datasets.load("orthodont")
    unequal = mm.lmm("Y ~ sex * age + (1 | id, by=sex)", data, variance="ident(sex)")
    equal = mm.lmm("Y ~ sex * age + (1 | id)", data)
    table = unequal.covtest("homogeneity")
    assert table["criterion"][0] == pytest.approx(equal.criterion, abs=1e-6)
    assert table["df"][0] == 2
    serial = mm.gls("Y ~ sex * age", data, residual="ar1(age | id)").covtest("diagr")
    assert serial["criterion"][0] == pytest.approx(mm.lm("Y ~ sex * age", data).criterion, abs=1e-6)
    general = mm.gls("Y ~ sex * age", data, residual="us(age | id)").covtest()
    assert general["df"].tolist() == [6, 9]


def test_what_is_not_known_or_holds_already(sleep: mm.Fit) -> None:
    with pytest.raises(mm.SpecError, match="'diagh' is not known"):
        sleep.covtest("diagh")
    with pytest.raises(mm.SpecError, match="fulfils 'homogeneity'"):
        sleep.covtest("homogeneity")
    with pytest.raises(mm.SpecError, match="nothing to test"):
        mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy")).covtest()
    with pytest.raises(mm.SpecError, match="no hypothesis"):
        sleep.covtest({})
