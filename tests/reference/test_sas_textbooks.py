"""Programs of textbooks and of other packages' tests, as their `program` fields say, and what SAS printed for them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from reference.test_inference_sas import SHARED, carrots, ham, opposites, sas_case, schools

CLOSE = 1e-4
"""SAS stops a little early; its figures were copied to five digits or so."""
PUPILS = "proc mixed data=pupils covtest{proc}; class School; model MathAch = {fixed} / solution; random intercept / subject=School; {more} run;"  # noqa: E501
GROWTH = """proc mixed data=o covtest method=reml{proc}; class id; model opp = time ccog time*ccog / solution ddfm=bw;
random intercept time / sub=id type=un; {more} run;"""
BOOKS: dict[str, tuple[str, Any]] = {
    "hsb_null": (PUPILS.replace("{fixed}", ""), schools),
    "hsb_meanses": (PUPILS.replace("{fixed}", "MEANSES"), schools),
    "alda_table7_2": (GROWTH, opposites),
}


def unit(value: float) -> float:
    return 10.0 ** -len(repr(value).partition(".")[2]) if not float(value).is_integer() else 1.0


@pytest.mark.parametrize("name", BOOKS)
def test_textbook(name: str) -> None:
    printed = sas_case("textbook_g_side.json", name)
    program, read = BOOKS[name]
    keys = [key for key in ("UN(1,1)", "UN(2,1)", "UN(2,2)", "Intercept", "Residual") if key in printed]
    values = " ".join(f"({printed[key][0]!r})" for key in keys)
    data = {"pupils": read(), "o": read()}
    found = mm.sas(program.format(proc="", more=""), data=data).tables
    there = mm.sas(program.format(proc="", more=f"parms {values} / noiter;"), data=data).tables
    # the package's minimum is not above SAS's, which prints one decimal
    assert found["FitStatistics"]["Value"][0] <= there["FitStatistics"]["Value"][0] + 1e-7
    for label, key in (("-2 Res", "m2resll"), ("AIC ", "AIC"), ("AICC", "AICC"), ("BIC", "BIC")):
        if key in printed:
            i = next(k for k, text in enumerate(found["FitStatistics"]["Descr"]) if text.startswith(label))
            assert abs(found["FitStatistics"]["Value"][i] - printed[key]) <= 0.0501
    rows = there["CovParms"]
    for i, key in enumerate(keys):
        assert rows["CovParm"][i] == key
        for column, value in zip(("StdErr", "ZValue"), printed[key][1:], strict=True):
            # a standard error is that of the optimum where SAS stopped: 2e-4 of itself
            assert abs(rows[column][i] - value) <= 0.5001 * unit(value) + 2e-4 * abs(value)
    solution = there["SolutionF"]
    assert len(solution) == len(printed["fixed"])
    for i, line in enumerate(printed["fixed"].values()):
        for column, value in zip(("Estimate", "StdErr", "DF", "tValue"), line, strict=True):
            # θ is rounded to four decimals
            assert abs(solution[column][i] - value) <= 0.5001 * unit(value) + 1e-5 * abs(value)
    if "null_lrt" in printed:
        assert found["LRT"]["DF"][0] == printed["null_lrt"][0]
        assert found["LRT"]["ChiSq"][0] == pytest.approx(printed["null_lrt"][1], abs=5.01e-3)


def test_structures_of_a_textbook() -> None:
    values = sas_case("textbook_g_side.json", "alda_table7_3_structures")
    (found,) = values.values()
    for kind, value in found.items():
        out = mm.sas(
            f"""proc mixed data=o method=reml; class id wave; model opp = time ccog time*ccog / solution ddfm=bw;
            repeated wave / sub=id type={kind}; run;""",
            data={"o": opposites()},
        )
        assert out.tables["FitStatistics"]["Value"][0] == pytest.approx(value, abs=1e-4)


def taste(data: pd.DataFrame, program: str) -> Any:
    return mm.sas(program, data={"d": data}).tables


def test_carrots() -> None:
    three = sas_case("lmertest_vs_sas.json", "carrots_type3_satt")
    tables = taste(
        carrots(),
        """proc mixed data=d; class Frequency Income Consumer;
        model Preference = sens2|Frequency|Income / ddfm=satterthwaite;
        random intercept sens2 / type=un subject=Consumer; run;""",
    )
    order = ["sens2", "Frequency", "Income", "sens2*Frequency", "sens2*Income", "Frequency*Income"]
    places = {str(effect): i for i, effect in enumerate(tables["Tests3"]["Effect"])}
    wanted = [places[name] for name in (*order, "sens2*Frequency*Income")]
    np.testing.assert_allclose(tables["Tests3"]["ProbF"][wanted], three["p"], atol=6e-6, rtol=3e-4)
    np.testing.assert_array_equal(tables["Tests3"]["DenDF"][wanted].round(), three["den_df_rounded"])
    two = sas_case("lmertest_vs_sas.json", "carrots_type2")
    tables = taste(
        carrots(),
        """proc mixed data=d; class Homesize Consumer; model Preference = sens2 Homesize sens2*Homesize / htype=2;
        random intercept sens2 / type=un subject=Consumer; run;""",
    )
    np.testing.assert_allclose(tables["Tests2"]["FValue"], two["F"], rtol=CLOSE)
    both = sas_case("lmertest_vs_sas.json", "carrots_product_type2_3")
    tables = taste(
        carrots(),
        """proc mixed data=d; class Homesize Product; model Preference = sens2|Homesize|sens1 / htype=2,3;
        random Product; run;""",
    )
    order = ["sens2", "Homesize", "sens1", "sens2*Homesize", "sens2*sens1", "sens1*Homesize"]
    places = {"*".join(sorted(str(e).split("*"))): i for i, e in enumerate(tables["Tests2"]["Effect"])}
    wanted = [places["*".join(sorted(n.split("*")))] for n in (*order, "sens2*sens1*Homesize")]
    for kind in (2, 3):
        np.testing.assert_allclose(
            tables[f"Tests{kind}"]["FValue"][wanted], both[f"type{kind}_F"], rtol=2 * CLOSE
        )


def test_ham() -> None:
    printed = sas_case("lmertest_vs_sas.json", "ham_lsmeans_product")
    tables = taste(
        ham(),
        """proc mixed data=d; class Product Information Gender Consumer; model liking = Product|Information|Gender;
        random Product*Consumer Consumer; lsmeans Product / cl; run;""",
    )
    means = tables["LSMeans"]
    for ours, theirs in (("Estimate", "estimate"), ("tValue", "t"), ("Lower", "lower"), ("Upper", "upper")):
        for i, value in enumerate(printed[theirs]):
            assert abs(means[ours][i] - value) <= 0.5001 * unit(value) + 2e-5 * abs(value)
    two = sas_case("lmertest_vs_sas.json", "ham_type2")
    tables = taste(
        ham(),
        """proc mixed data=d; class Product Consumer; model liking = Product Age Product*Age / htype=2;
        random Consumer; run;""",
    )
    np.testing.assert_allclose(tables["Tests2"]["FValue"], two["F"], rtol=CLOSE)


def test_all_cases_are_run_here_or_beside() -> None:
    here = set(BOOKS) | {"alda_table7_3_structures", "kreft_null", "kreft_homework"}
    path = SHARED / "sas" / "textbook_g_side.json"
    if path.exists():
        # the data of Kreft and de Leeuw, imm23, are in no package of R at hand
        assert {case["id"] for case in json.loads(path.read_text())["cases"]} == here
