"""Programs written as the listings of SAS say, and the figures that SAS printed for them.

SAS stops its search a little early: where its last objective (8 decimals) is ours to 1e-5, estimates and limits of
covariance parameters may still differ by a few in their fourth digit, which the tolerances allow.
"""

from __future__ import annotations

import json
import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.dialects.listing import Listing

SHARED = Path(os.environ.get("MIXEDMODELS_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
FILES = ("mmrm_fev_structures", "mmrm_fev_kenward_roger", "mmrm_fev_empirical_sandwich")
PRESENT = (SHARED / "sas").is_dir()
pytestmark = pytest.mark.skipif(not PRESENT, reason="the figures are not beside the project")
SECTIONS = {
    "Covariance Parameter Estimates": "CovParms",
    "Solution for Fixed Effects": "SolutionF",
    "Type 3 Tests of Fixed Effects": "Tests3",
    "Least Squares Means": "LSMeans",
    "Differences of Least Squares Means": "Diffs",
}
NAMES = {"Cov Parm": "CovParm", "t Value": "tValue", "F Value": "FValue", "Chi-Square": "ChiSq"}
NOT_SAID = ("(effects read from the listing)", "(intercept only)", "(default ddfm: betwithin)")
WEIGHTED_DF = "sas_weighted"
"""Its df under WEIGHT change when all weights are doubled, ours do not: what rests on them is left out."""
ON_DF = ("DF", "DenDF", "Lower", "Upper")


@cache
def cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in FILES if PRESENT else ():
        listed = json.loads((SHARED / "sas" / f"{file}.json").read_text(encoding="utf-8"))["cases"]
        found |= {case["id"]: case | {"file": file} for case in listed}
    return found


def program_of(case: dict[str, Any]) -> str:
    """Return the statements of a listing as a program; what its field leaves out is read off its tables."""
    text = case["program"]
    for words in NOT_SAID:
        text = text.replace(words, "")
    head, *body = (part.strip() for part in text.split(";"))
    if not any(one.startswith("CLASS") for one in body):
        body = ["CLASS RACE AVISIT SEX ARMCD USUBJID", *body]
    if "coef_ci" in case["id"] or case["file"] != "mmrm_fev_structures":
        # their tables print PBO last
        body = [one.replace("ARMCD USUBJID", "ARMCD(ref='PBO') USUBJID") for one in body]
        head += " cl" if "coef_ci" in case["id"] else ""
        body = [
            f"{one} chisq" if one.startswith("MODEL") and "coef_ci" in case["id"] else one for one in body
        ]
    return f"proc mixed data=fev {head}; {'; '.join(body)}; run;"


@cache
def listing(name: str) -> Listing:
    fev = pd.read_csv(SHARED / "data" / "fev_data.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        return mm.sas(program_of(cases()[name]), data={"fev": fev})


def results(name: str) -> dict[str, Any]:
    case = cases()[name]
    return case["results"] | case


def digit(value: float) -> float:
    """Return half a unit of the last digit printed."""
    text = repr(value)
    decimals = 0 if float(value).is_integer() else len(text.partition(".")[2])
    return 0.51 * 10.0**-decimals


@pytest.mark.parametrize("name", cases())
def test_objectives_and_criteria(name: str) -> None:
    tables, printed = listing(name).tables, results(name)
    history = [float(value) for value in tables["IterHistory"].columns[tables["IterHistory"].names[1]]]
    for ours, key in zip(history, ("objective_initial", "objective_final"), strict=True):
        if key in printed:
            # 1e-5, and a little for where SAS stops
            assert ours == pytest.approx(printed[key], abs=2e-5)
    ours = dict(zip(tables["FitStatistics"]["Descr"], tables["FitStatistics"]["Value"], strict=True))
    for key, value in printed["Fit Statistics"].items():
        assert ours[key] == pytest.approx(value, abs=0.051)
    if printed.get("null_model_lrt"):
        row, test = tables["LRT"].row(0), printed["null_model_lrt"]
        assert row["DF"] == test["DF"]
        assert row["ChiSq"] == pytest.approx(test["ChiSq"], abs=0.0051)


@pytest.mark.parametrize("name", cases())
def test_counts_and_information(name: str) -> None:
    tables, printed = listing(name).tables, results(name)
    for section, table, key, value in (
        ("Dimensions", "Dimensions", "Descr", "Value"),
        ("Number of Observations", "NObs", "Label", "N"),
        ("Model Information", "ModelInfo", "Descr", "Value"),
    ):
        ours = dict(zip(tables[table][key], tables[table][value], strict=True))
        for what, expected in printed.get(section, {}).items():
            if what == "Data Set":
                continue
            # the listing breaks one long name over two lines
            assert ours[what] == expected or str(ours[what]).startswith(str(expected).rstrip("-"))


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("section", SECTIONS)
def test_table(name: str, section: str) -> None:
    lines = results(name).get(section)
    if not lines:
        pytest.skip("the listing has no such table")
    table = listing(name).tables[SECTIONS[section]]
    assert len(table) == len(lines)
    scale = max(abs(line.get("Estimate") or 0.0) for line in lines)
    for i, line in enumerate(lines):
        for column, value in line.items():
            own = NAMES.get(column, column)
            if (
                column.startswith("Pr")
                or value is None
                or (name == WEIGHTED_DF and column in ON_DF and SECTIONS[section] != "CovParms")
            ):
                continue
            ours = table[own][i]
            if isinstance(value, str):
                assert str(ours) == value
                continue
            early = (
                2e-4 * scale if SECTIONS[section] == "CovParms" else 3e-4 * (line.get("StdErr") or abs(value))
            )
            if own in ("DF", "DenDF"):
                early = 5e-4 * abs(value)
            assert float(ours) == pytest.approx(value, abs=digit(value) + early + 3e-4 * abs(value)), (
                i,
                column,
            )


def test_leading_digits_of_differences_of_means() -> None:
    checked = 0
    for name, case in cases().items():
        if "lsmeans_diff_full_precision" not in case:
            continue
        table = listing(name).tables["Diffs"]
        for i, line in enumerate(case["lsmeans_diff_full_precision"]):
            # standard errors 2e-4 and df 5e-4: where SAS stops iterating
            np.testing.assert_allclose(table["Estimate"][i], line["Estimate"], rtol=2e-4)
            np.testing.assert_allclose(table["StdErr"][i], line["StdErr"], rtol=2e-4)
            np.testing.assert_allclose(table["DF"][i], line["DF"], rtol=5e-4)
            checked += 1
    assert checked


def test_growth_of_opposites() -> None:
    """Singer and Willett, table 7.2: random intercepts and slopes, DDFM=BW."""
    case = next(
        c
        for c in json.loads((SHARED / "sas" / "textbook_g_side.json").read_text())["cases"]
        if c["id"] == "alda_table7_2"
    )
    data = pd.read_csv(SHARED / "data" / "opposites_pp.csv")
    out = mm.sas(
        "proc mixed data=o covtest method=reml; class id; model opp = time ccog time*ccog / solution ddfm=bw; "
        "random intercept time / sub=id type=un; run;",
        data={"o": data},
    )
    printed = case["results"]
    table = out.tables["CovParms"]
    for i, key in enumerate(("UN(1,1)", "UN(2,1)", "UN(2,2)", "Residual")):
        assert table["CovParm"][i] == key
        for column, value in zip(("Estimate", "StdErr", "ZValue"), printed[key], strict=True):
            assert float(table[column][i]) == pytest.approx(value, abs=digit(value) + 2e-4 * abs(value))
    solution = out.tables["SolutionF"]
    for i, values in enumerate(printed["fixed"].values()):
        for column, value in zip(("Estimate", "StdErr", "DF", "tValue"), values, strict=True):
            assert float(solution[column][i]) == pytest.approx(value, abs=digit(value) + 1e-4 * abs(value))
    assert out.tables["LRT"]["ChiSq"][0] == pytest.approx(printed["null_lrt"][1], abs=0.006)


def test_small_type_2() -> None:
    """Crossed factors with a random one, HTYPE=2."""
    case = next(
        c
        for c in json.loads((SHARED / "sas" / "lmertest_vs_sas.json").read_text())["cases"]
        if c["id"] == "small_type2"
    )
    out = mm.sas(
        "proc mixed data=s; class a b f; model y = a|b / htype=2; random f; run;",
        data={"s": pd.DataFrame(case["data"])},
    )
    np.testing.assert_allclose(
        out.tables["Tests2"]["FValue"], case["results"]["F(a,b,a*b)"], atol=6e-6, rtol=1e-5
    )


@pytest.mark.parametrize(("case", "ddfm"), [(0, "kr(linear)"), (1, "satterth")])
def test_predictions(case: int, ddfm: str) -> None:
    """OUTP= and OUTPM=: a row without a response has the prediction given its subject's other rows."""
    printed = json.loads((SHARED / "sas" / "mmrm_fev_outp_outpm.json").read_text())["cases"][case][
        "rows_first_200"
    ]
    out = mm.sas(
        f"proc mixed data=fev; class AVISIT ARMCD USUBJID; model FEV1 = ARMCD / ddfm={ddfm} outp=p outpm=m; "
        "repeated AVISIT / subject=USUBJID type=un; run;",
        data={"fev": pd.read_csv(SHARED / "data" / "fev_data.csv")},
    )
    rows = np.array([[np.nan if value is None else value for value in row] for row in printed], dtype=float)
    place = rows[:, 0].astype(int) - 1
    for k, (name, column) in enumerate((n, c) for n in "mp" for c in ("Pred", "StdErrPred")):
        # SAS stops a little early
        np.testing.assert_allclose(np.asarray(out.objects[name][column])[place], rows[:, 2 + k], rtol=2e-4)
