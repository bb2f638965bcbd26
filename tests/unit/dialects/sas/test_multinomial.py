"""DIST=MULTINOMIAL: the cumulative-link models of `glmm(family="ordinal")`, with SAS's signs and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from sas_programs import frames

PROGRAM = """proc glimmix data=c{method}; class site group;
model grade{order} = dose group / dist={dist} link={link} s cl;
{random} estimate 'slope' dose 1 / cl; contrast 'both' dose 1, group 1 -1; run;"""
RANDOM = "random int / subject=site;"


def graded() -> pd.DataFrame:
    data = frames()["counts"].copy()
    data["grade"] = np.array(["a", "b", "c", "d"], dtype=object)[np.digitize(data["count"], [1, 3, 6])]
    return data


def ours(**options: Any) -> Any:
    data = graded().assign(grade=lambda d: pd.Categorical(d["grade"], ordered=True))
    data["group"] = pd.Categorical(data["group"], ["v", "u"])
    return mm.glmm("grade ~ dose + group + (1 | site)", data, family="ordinal", **options)


def run(**asked: str) -> Any:
    given = {"method": " method=laplace", "order": "", "dist": "mult", "link": "cumlogit", "random": RANDOM}
    return mm.sas(PROGRAM.format(**(given | asked)), data={"c": graded()})


@pytest.mark.parametrize(
    ("link", "own"), [("cumlogit", "logit"), ("clogit", "logit"), ("cumprobit", "probit")]
)
def test_estimates_are_those_of_the_ordinal_model(link: str, own: str) -> None:
    listing, fit = run(link=link), ours(link=own)
    assert listing.fits[0].loglik == pytest.approx(fit.loglik, abs=1e-5)
    table = listing.tables["ParameterEstimates"]
    assert list(table["grade"][:3]) == ["a", "b", "c"]
    # P(y ≤ k) = F(α_k + x'β) here, and F(τ_k − x'β) there; the last level of group is the reference in both
    expected = np.concatenate([np.asarray(fit.params)[:3], -np.asarray(fit.params)[3:], [0.0]])
    np.testing.assert_allclose(table["Estimate"], expected, rtol=1e-4)
    error = fit.fixed_effects(ddf="asymptotic")["std_error"]
    np.testing.assert_allclose(table["StdErr"][:5], error, rtol=1e-4)
    tests = fit.anova(3)
    np.testing.assert_allclose(listing.tables["Tests3"]["FValue"], tests["statistic"], rtol=1e-4)
    assert listing.tables["Estimates"]["Estimate"][0] == table["Estimate"][3]
    assert listing.tables["Contrasts"]["NumDF"][0] == 2


def test_containment_counts_the_cuts_as_intercepts() -> None:
    table = run().tables["ParameterEstimates"]
    # 20 sites less the rank of group and intercept; 100 rows less the rank of [X Z]
    assert list(table["DF"][:4]) == [18, 18, 18, 79]


def test_descending_turns_the_order() -> None:
    up, down = (run(method="", random="", order=order) for order in ("", "(descending)"))
    left, right = up.tables["ParameterEstimates"], down.tables["ParameterEstimates"]
    assert list(right["grade"][:3]) == ["d", "c", "b"]
    np.testing.assert_allclose(right["Estimate"][:3], -left["Estimate"][2::-1], rtol=1e-5)
    np.testing.assert_allclose(right["Estimate"][3:5], -left["Estimate"][3:5], rtol=1e-5)
    assert any("in the order d, c, b, a" in note for note in down.notes)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": ""}, "write method=laplace"),
        ({"link": "glogit"}, "family='multinomial'"),
        ({"link": "logit"}, "link=logit is not of DIST=MULTINOMIAL"),
        ({"random": RANDOM + " lsmeans group;"}, "LSMEANS is not for DIST=MULTINOMIAL"),
        ({"random": RANDOM + " estimate 'x' int 1 dose 1;"}, "an intercept for each cut"),
        ({"order": "(ref='a')"}, "descending turns the order"),
        ({"random": "random _residual_;"}, "no R side"),
    ],
)
def test_refusals(asked: dict[str, str], message: str) -> None:
    with pytest.raises(mm.SpecError, match=message) as caught:
        run(**asked)
    assert "line " in str(caught.value)
