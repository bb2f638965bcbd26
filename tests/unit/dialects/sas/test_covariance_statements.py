"""COVTEST, PARMS grids, GDATA= and LDATA=, HLM, coefficients of random effects: each is a verb of the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.dialects.listing import Listing
from sas_programs import frames

BLOCKS = (
    "proc mixed data=rcbd{proc}; class block trt; model y = trt / s{model}; random block{random}; {more} run;"
)
KINSHIP = 0.5 * np.eye(6) + 0.5


def run(program: str, **more: Any) -> Listing:
    return mm.sas(program, data={**frames(), **more})


def blocks(more: str = "", *, proc: str = "", model: str = "", random: str = "", **data: Any) -> Listing:
    return run(BLOCKS.format(proc=proc, model=model, random=random, more=more), **data)


def by_element(*matrices: np.ndarray) -> pd.DataFrame:
    cells = [
        (k, i + 1, j + 1, m[i, j])
        for k, m in enumerate(matrices, 1)
        for i in range(len(m))
        for j in range(len(m))
    ]
    return pd.DataFrame(cells, columns=["parm", "row", "col", "value"])


# -- coefficients after | --------------------------------------------------------------------------------------
def test_narrow_and_intermediate_inference() -> None:
    program = """proc mixed data=split; class rep whole sub; model yield = whole|sub / ddfm=satterth;
    random rep rep*whole;
    estimate 'narrow' intercept 1 whole 1 sub .25 .25 .25 .25 whole*sub .25 .25 .25 .25
      | rep .2 .2 .2 .2 .2 rep*whole .2 0 0 .2 0 0 .2 0 0 .2 0 0 .2;
    estimate 'by five' intercept 5 whole 5 sub 1.25 1.25 1.25 1.25 whole*sub 1.25 1.25 1.25 1.25
      | rep 1 1 1 1 1 / divisor=5 cl;
    estimate 'broad' intercept 4 whole 4 sub 1 1 1 1 whole*sub 1 1 1 1 / divisor=4; run;"""
    table = run(program).tables["Estimates"]
    fit = mm.lmm("yield ~ whole * C(sub) + (1 | rep) + (1 | rep:whole)", frames()["split"])
    mean = {"(Intercept)": 1.0} | {name: 0.25 for name in fit.params.names if name.startswith("C(sub)")}
    rep = dict.fromkeys("12345", 0.2)
    plots = {f"{k}:a1": 0.2 for k in "12345"}
    ask = {"joint": False, "ddf": "satterthwaite"}
    expected = [
        fit.test(mean, random={"rep": rep, "rep:whole": plots}, **ask),
        fit.test(mean, random={"rep": rep}, **ask),
        fit.test(mean, **ask),
    ]
    for i, one in enumerate(expected):
        for ours, theirs in (("Estimate", "estimate"), ("StdErr", "std_error"), ("DF", "df")):
            np.testing.assert_allclose(table[ours][i], one[theirs][0], rtol=1e-5)
    assert table["StdErr"][0] < table["StdErr"][1] < table["StdErr"][2]


def test_a_row_that_is_not_estimable_is_printed_and_the_program_goes_on() -> None:
    listing = blocks("estimate 'a' trt 1 | block 1 0; estimate 'b' trt 1 -1;")
    table = listing.tables["Estimates"]
    assert np.isnan(table["Estimate"][0])
    assert np.isfinite(table["Estimate"][1])
    assert "Non-est: a" in table.notes


def test_subjects_have_factors_of_their_own() -> None:
    program = "proc mixed data=rcbd; class block trt; model y=trt; random int/subject=block s; {} run;"
    listing = run(
        program.format("estimate 'u3' | int 1 / subject 0 0 1; contrast 'u' | int 1 / subject 1 -1;")
    )
    predicted = listing.tables["SolutionR"]
    line = listing.tables["Estimates"].row(0)
    assert line["Estimate"] == pytest.approx(predicted["Estimate"][2])
    assert line["StdErr"] == pytest.approx(predicted["StdErrPred"][2])
    assert line["DF"] == predicted["DF"][2] == 24 - 9
    assert listing.tables["Contrasts"]["NumDF"][0] == 1
    with pytest.raises(mm.SpecError, match="need a factor for each subject"):
        run(program.format("estimate 'a' | int 1;"))
    with pytest.raises(mm.SpecError, match="6 subjects, and 7 factors"):
        run(program.format("estimate 'a' | int 1 / subject 1 0 0 0 0 0 1;"))
    with pytest.raises(mm.SpecError, match="trt is no effect of RANDOM"):
        run(program.format("estimate 'a' | trt 1 / subject 1;"))


def test_predicted_effects_have_the_df_of_their_method() -> None:
    program = """proc mixed data=dent; class id; model y = age / ddfm={}; random int age / subject=id type=un s; run;"""
    tables = {name: run(program.format(name)).tables["SolutionR"] for name in ("contain", "satterth", "bw")}
    assert list(tables["contain"]["Effect"][:2]) == ["Intercept", "age"]
    assert list(tables["contain"]["Subject"][:3]) == ["id 1", "id 1", "id 10"]
    # 108 rows less the rank of [X Z]: a line for each of 27 children
    assert set(tables["contain"]["DF"]) == {108 - 54}
    fit = mm.lmm("Y ~ age + (age | id)", frames()["dent"])
    assert np.all((tables["satterth"]["DF"] > 1) & (tables["satterth"]["DF"] < 108))
    assert "DF" not in tables["bw"].names
    limits = run(program.format("contain").replace(" s; run", " s cl alpha=.1; run")).tables["SolutionR"]
    half = 1.6735649 * limits["StdErrPred"]
    np.testing.assert_allclose(limits["Upper"] - limits["Estimate"], half, rtol=1e-6)
    assert set(limits["DF"]) == {54}
    np.testing.assert_allclose(
        np.sort(tables["bw"]["Estimate"]), np.sort(fit.random_effects()["estimate"]), rtol=1e-4, atol=1e-5
    )


# -- COVTEST ---------------------------------------------------------------------------------------------------
def test_covtest_is_that_of_the_fit() -> None:
    listing = run(
        """proc glimmix data=dent; class id; model y = age / s; random int age / type=un subject=id; covtest zerog;
        covtest 'uncorrelated' diagg / est; covtest 'no slopes' . 0 0; covtest 'sigma' . . . 1.5; run;"""
    )
    table, fit = listing.tables["CovTests"], listing.fits[0]
    names = fit._work.parameters().natural(fit.optimum.theta).names
    expected = fit.covtest("zerog", "diagg", dict.fromkeys(names[1:3], 0.0), {names[3]: 1.5})
    np.testing.assert_allclose(table["ChiSq"], expected["statistic"], rtol=1e-6)
    np.testing.assert_allclose(table["ProbChiSq"], expected["p_value"], rtol=1e-6)
    assert list(table["Label"]) == ["ZEROG", "uncorrelated", "no slopes", "sigma"]
    assert list(table["DF"]) == [3, 1, 2, 1]
    first = listing.tables["FitStatistics"]["Value"][0]
    np.testing.assert_allclose(table["M2ResLogLike"], first + table["ChiSq"], rtol=1e-9)


def test_covtest_of_one_variance_refers_to_a_mixture() -> None:
    table = run(
        "proc glimmix data=rcbd; class block trt; model y = trt; random block; covtest 'x' 0 . / wald; run;"
    ).tables
    assert table["CovTests"]["Note"][0] == "MI"
    assert "ZValue" in table["CovParms"].names


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("covtest;", "names a hypothesis"),
        ("covtest 'a' zeros;", "'zeros' is no hypothesis"),
        ("covtest general 1 -1;", "general is not done"),
        ("covtest 1 2 3 4;", "4 values for 2 parameters"),
        ("covtest . .;", "holds no parameter"),
        ("covtest diagr;", "fulfils 'diagr'"),
        ("covtest zerog / cl;", "option cl of COVTEST"),
    ],
)
def test_covtest_refusals(statement: str, message: str) -> None:
    with pytest.raises(mm.SpecError, match=message) as caught:
        run(f"proc glimmix data=rcbd; class block trt; model y = trt; random block; {statement} run;")
    assert "line 1, column" in str(caught.value)


def test_covtest_needs_a_likelihood() -> None:
    with pytest.raises(mm.SpecError, match="method=laplace"):
        run(
            "proc glimmix data=counts; class site; model count = dose / dist=poisson; random int / subject=site; "
            "covtest zerog; run;"
        )


# -- PARMS -----------------------------------------------------------------------------------------------------
def test_a_grid_is_evaluated_row_by_row() -> None:
    listing = blocks("parms (0.2 to 1 by 0.4) (0.5, 1);")
    grid = listing.tables["ParmSearch"]
    np.testing.assert_allclose(grid["CovP1"], [0.2, 0.2, 0.6, 0.6, 1.0, 1.0])
    np.testing.assert_allclose(grid["M2ResLogLike"], -2 * grid["ResLogLike"])
    best = blocks().tables
    np.testing.assert_allclose(
        listing.tables["CovParms"]["Estimate"], best["CovParms"]["Estimate"], rtol=1e-4
    )
    assert grid["M2ResLogLike"].min() >= best["FitStatistics"]["Value"][0]
    # the residual variance is profiled out: only the ratio of a row counts
    doubled = blocks("parms (0.2, 0.4) (1, 2);").tables["ParmSearch"]["M2ResLogLike"]
    assert doubled[0] == pytest.approx(doubled[3], abs=1e-8)
    assert "ParmSearch" not in blocks("parms (0.4) (1);").tables


def test_noiter_keeps_the_best_row() -> None:
    listing = blocks("parms (0.2 to 1 by 0.4) (0.5, 1) / noiter;")
    grid = listing.tables["ParmSearch"]
    assert listing.tables["FitStatistics"]["Value"][0] == pytest.approx(grid["M2ResLogLike"].min(), abs=1e-7)
    variance, residual = listing.tables["CovParms"]["Estimate"]
    assert variance / residual == pytest.approx(0.2)
    kept = blocks("parms 0.2 1 / noiter;", proc=" noprofile").tables["CovParms"]["Estimate"]
    np.testing.assert_allclose(kept, [0.2, 1.0])


def test_values_come_from_data() -> None:
    given = pd.DataFrame({"covp1": [0.2, 0.6], "covp2": [1.0, 1.0]})
    listing = blocks("parms / pdata=p;", p=given)
    assert len(listing.tables["ParmSearch"]) == 2
    column = pd.DataFrame({"CovParm": ["block", "Residual"], "Estimate": [0.2, 1.0]})
    held = blocks("parms / pdata=p hold=1,2;", p=column).tables["CovParms"]["Estimate"]
    np.testing.assert_allclose(held, [0.2, 1.0])
    with pytest.raises(mm.SpecError, match="a column 'estimate'"):
        blocks("parms / pdata=rcbd;")
    with pytest.raises(mm.SpecError, match="no data set 'q'"):
        blocks("parms / pdata=q;")


# -- matrices as data ------------------------------------------------------------------------------------------
def test_gdata_is_the_covariance_itself() -> None:
    listing = blocks(random=" / gdata=g", g=by_element(KINSHIP))
    assert list(listing.tables["CovParms"]["CovParm"]) == ["Residual"]
    fit = mm.lmm(
        "y ~ trt + (1 | block, cov=A)",
        frames()["rcbd"],
        known={"A": (KINSHIP, [str(k) for k in range(1, 7)])},
        hold={"var(block)": 1.0},
    )
    assert listing.fits[0].loglik == pytest.approx(fit.loglik, abs=1e-6)
    assert "LRT" not in listing.tables


def test_ldata_are_the_matrices_of_a_sum() -> None:
    one = blocks(random=" / type=lin(1) ldata=a", a=by_element(KINSHIP))
    fit = mm.lmm(
        "y ~ trt + (1 | block, cov=A)",
        frames()["rcbd"],
        known={"A": (KINSHIP, [str(k) for k in range(1, 7)])},
    )
    assert list(one.tables["CovParms"]["CovParm"]) == ["LIN(1)", "Residual"]
    assert one.fits[0].loglik == pytest.approx(fit.loglik, abs=1e-6)
    lag = np.abs(np.subtract.outer(range(4), range(4)))
    bands = by_element(*(np.where(lag == k, 1.0, 0.0) for k in range(4)))
    program = """proc mixed data=visits; class id visit arm; model y = arm|visit;
    repeated visit / subject=id type={}; run;"""
    lin, toep = (run(program.format(kind), bands=bands) for kind in ("lin(4) ldata=bands", "toep"))
    assert lin.fits[0].loglik == pytest.approx(toep.fits[0].loglik, abs=1e-6)
    assert list(lin.tables["CovParms"]["CovParm"]) == [f"LIN({k})" for k in range(1, 5)]
    with pytest.raises(mm.SpecError, match="no rows for parm 2"):
        blocks(random=" / type=lin(2) ldata=a", a=by_element(KINSHIP))
    with pytest.raises(mm.SpecError, match="needs its matrices"):
        blocks(random=" / type=lin(1)")
    wide = pd.DataFrame({"parm": 1, "row": range(1, 7)} | {f"col{j}": np.arange(6.0) for j in range(1, 7)})
    with pytest.raises(mm.SpecError, match="not symmetric"):
        blocks(random=" / type=lin(1) ldata=a", a=wide)


# -- multivariate tests ----------------------------------------------------------------------------------------
def test_hlm_and_hlps() -> None:
    listing = run(
        "proc mixed data=dent; class id sex age; model y = sex|age; repeated age / subject=id type=un hlm hlps; run;"
    )
    expected = listing.fits[0].multivariate_tests("hlm")
    np.testing.assert_allclose(listing.tables["HLM3"]["FValue"], expected["statistic"])
    assert list(listing.tables["HLM3"]["Effect"]) == ["age", "sex*age"]
    assert list(listing.tables["HLPS3"]["DenDF"]) == [23, 23]
    with pytest.raises(
        mm.SpecError, match=r"line 1, column 8\d: multivariate_tests needs unstructured errors"
    ):
        run(
            "proc mixed data=dent; class id sex age; model y = sex|age; repeated age / subject=id hlm type=cs; run;"
        )
