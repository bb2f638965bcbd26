"""PROC MIXED: the programs of an introductory course, and identities between ways to write one model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

SPLIT = """
proc mixed data=dentT method=reml; /* REML is the default */
  class id; /* specifies the factors */
  model y= fem male fem*age male*age / ddfm=kr;
  random intercept / subject=id group=sex; /* by sex */
  repeated / group=sex;
run;
"""
MARGINAL = """
proc mixed data=dentT method=reml;
  class id time;
  model y= fem male fem*age male*age / ddfm=kr;
  repeated time / subject=id type=cs group=sex;
run;
"""


def dent() -> pd.DataFrame:
    data = mm.datasets.load("orthodont")
    return data.assign(time=data["age"])


def test_programs_of_the_tutorial_are_one_model() -> None:
    first, second = (mm.sas(text, data={"dentT": dent()}) for text in (SPLIT, MARGINAL))
    for listing in (first, second):
        assert listing.tables["FitStatistics"]["Value"][0] == pytest.approx(414.666, abs=5e-4)
    left, right = first.tables["CovParms"], second.tables["CovParms"]
    assert list(left["Group"]) == ["sex F", "sex M", "sex F", "sex M"]
    assert list(right["CovParm"]) == ["Variance", "CS", "Variance", "CS"]
    np.testing.assert_allclose(left["Estimate"][[2, 0, 3, 1]], right["Estimate"], rtol=1e-4)
    np.testing.assert_allclose(left["Estimate"], [4.27857, 2.64069, 0.60845, 2.81642], rtol=1e-4)


def test_the_fit_is_that_of_the_formula() -> None:
    listing = mm.sas(SPLIT, data={"dentT": dent()})
    fit = mm.lmm("Y ~ fem + male + fem:age + male:age + (1 | id, by=sex)", dent(), variance="ident(sex)")
    assert listing.fits[0].loglik == pytest.approx(fit.loglik, abs=1e-7)


def test_error_names_line_and_column() -> None:
    with pytest.raises(mm.SpecError, match=r"line 3, column 9: 'agee' is no variable"):
        mm.sas("proc mixed data=d;\n  class id;\n  model agee = sex;\nrun;", data={"d": dent()})
    with pytest.raises(mm.SpecError, match="PRIOR is not done"):
        mm.sas("proc mixed data=d; model y = age; prior / seed=1; run;", data={"d": dent()})


def test_aliased_columns_print_zero() -> None:
    listing = mm.sas("proc mixed data=d; class sex; model y = sex age / s; run;", data={"d": dent()})
    table = listing.tables["SolutionF"]
    assert list(table["sex"]) == ["", "F", "M", ""]
    assert table["Estimate"][2] == 0.0
    assert np.isnan(table["StdErr"][2])


@pytest.mark.parametrize("method", ["type1", "type2", "type3", "mivque0"])
def test_method_of_moments(method: str) -> None:
    rail = mm.datasets.load("rail")
    out = mm.sas(
        f"proc mixed data=rail method={method}; class rail; model travel = ; random rail; run;",
        data={"rail": rail},
    )
    # a balanced design: moments are REML
    np.testing.assert_allclose(out.tables["CovParms"]["Estimate"], [615.311, 16.1667], rtol=1e-5)
    assert ("Type" + method[-1] in out.tables) == (method != "mivque0")
    assert "LRT" not in out.tables


def test_stepdown_is_between_none_and_all() -> None:
    text = """proc mixed data=d; class sex; model y = sex age; lsmestimate sex 'a' 1 0, 'b' 1 -1, 'c' 0 1 /
    adjust=bon{more}; run;"""
    plain, stepped = (
        mm.sas(text.format(more=more), data={"d": dent()}).tables["LSMEstimates"]
        for more in ("", " stepdown")
    )
    assert np.all(stepped["Adjp"] <= plain["Adjp"])
    assert np.all(stepped["Adjp"] >= stepped["Probt"])
    with pytest.raises(mm.SpecError, match="stepdown needs adjust="):
        mm.sas(text.replace("adjust=bon{more}", "stepdown"), data={"d": dent()})
