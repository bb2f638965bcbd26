"""Degrees of freedom that are given, by term or in order."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def oats() -> mm.Fit:
    return mm.lmm("yield ~ Variety * factor(nitro) + (1 | Block/Variety)", mm.datasets.load("oats"))


def test_a_list_goes_by_the_order_of_the_terms(oats: mm.Fit) -> None:
    table = oats.anova(ddf=[10, 45, 44])
    assert table["den_df"].tolist() == [10.0, 45.0, 44.0]
    plain = oats.anova(ddf="containment")
    assert table["statistic"] == pytest.approx(plain["statistic"])
    assert "given" in table.notes[0]


def test_terms_left_out_have_sas_defaults(oats: mm.Fit) -> None:
    table, own = oats.anova(ddf={"Variety": 7}), oats.anova(ddf="containment")
    assert table["den_df"].tolist() == [7.0, *own["den_df"][1:].tolist()]
    listed = oats.anova(ddf=[None, 12.5, None])
    assert listed["den_df"].tolist() == [own["den_df"][0], 12.5, own["den_df"][2]]


def test_one_number_serves_all(oats: mm.Fit) -> None:
    assert set(oats.fixed_effects(ddf=9)["df"]) == {9.0}
    assert set(oats.emmeans("Variety", ddf=9)["df"]) == {9.0}


def test_a_fit_keeps_what_it_was_given() -> None:
    data = mm.datasets.load("sleepstudy")
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", data, ddf={"Days": 17, "(Intercept)": 16})
    assert fit.fixed_effects()["df"].tolist() == [16.0, 17.0]
    assert "given (Days 17, (Intercept) 16)" in str(fit)
    again = pickle.loads(pickle.dumps(fit))
    assert again.anova()["den_df"].tolist() == [17.0]
    assert np.allclose(fit.bse, fit.fixed_effects(ddf="asymptotic")["std_error"])


@pytest.mark.parametrize(
    ("ddf", "message"),
    [
        ([10, 10], "2 numbers, but the fixed part has the terms Variety"),
        ({"Varety": 3}, "no term of the fixed part. Did you mean 'Variety'"),
        ({"Variety": -1}, "no number above 0"),
        ([10, "x", 3], "no number above 0"),
    ],
)
def test_what_does_not_go_is_said(oats: mm.Fit, ddf: object, message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        oats.anova(ddf=ddf)


def test_a_fit_refuses_what_its_terms_lack() -> None:
    data = mm.datasets.load("sleepstudy")
    with pytest.raises(mm.SpecError, match="2 numbers, but the fixed part has the terms Days;"):
        mm.lmm("Reaction ~ Days + (1 | Subject)", data, ddf=[10, 10])
    with pytest.raises(mm.SpecError, match="ddf=True is no method"):
        mm.lmm("Reaction ~ Days + (1 | Subject)", data, ddf=True)
