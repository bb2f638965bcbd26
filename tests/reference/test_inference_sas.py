"""Figures that SAS printed, read where they are kept; data of R packages are asked of R."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

SHARED = Path(os.environ.get("MIXEDMODELS_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
PRINTED = 1e-4
"""SAS stops a little short of the optimum: figures agree to about four digits whatever it prints."""


def sas_case(file: str, name: str) -> dict[str, Any]:
    path = SHARED / "sas" / file
    if not path.exists():
        pytest.skip(f"figures printed by SAS are not at {path}")
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return next(case["results"] for case in cases if case["id"] == name)


@cache
def r_data(expression: str) -> pd.DataFrame:
    """Return a data set of an R package; skip where R or the package is absent."""
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed; its packages hold the data")
    done = subprocess.run(
        ["Rscript", "-e", f"write.csv({expression}, row.names = FALSE)"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"R has no {expression}")
    return pd.read_csv(io.StringIO(done.stdout))


def carrots() -> pd.DataFrame:
    return r_data("lmerTest::carrots").astype(
        dict.fromkeys(["Frequency", "Income", "Homesize", "Consumer"], str)
    )


def ham() -> pd.DataFrame:
    frame = r_data("lmerTest::ham").rename(columns={"Informed.liking": "liking"})
    return frame.astype(dict.fromkeys(["Product", "Information", "Gender", "Consumer"], str))


def test_type_three_with_satterthwaite() -> None:
    printed = sas_case("lmertest_vs_sas.json", "carrots_type3_satt")
    fit = mm.lmm("Preference ~ sens2 * Frequency * Income + (1 + sens2 | Consumer)", carrots())
    found = fit.anova(3, ddf="satterthwaite")
    np.testing.assert_allclose(found["p_value"], printed["p"], atol=6e-5)
    np.testing.assert_array_equal(found["den_df"].round(), printed["den_df_rounded"])


@pytest.mark.parametrize("contrasts", [None, {"Homesize": "sum"}])
def test_type_two_with_a_covariate(contrasts: dict[str, str] | None) -> None:
    printed = sas_case("lmertest_vs_sas.json", "carrots_type2")
    fit = mm.lmm("Preference ~ sens2 * Homesize + (1 + sens2 | Consumer)", carrots(), contrasts=contrasts)
    np.testing.assert_allclose(fit.anova(2, ddf="satterthwaite")["statistic"], printed["F"], rtol=PRINTED)
    printed = sas_case("lmertest_vs_sas.json", "ham_type2")
    fit = mm.lmm("liking ~ Product * Age + (1 | Consumer)", ham())
    np.testing.assert_allclose(fit.anova(2, ddf="satterthwaite")["statistic"], printed["F"], rtol=PRINTED)


def test_types_two_and_three_of_products() -> None:
    printed = sas_case("lmertest_vs_sas.json", "carrots_product_type2_3")
    fit = mm.lmm("Preference ~ sens2 * Homesize * sens1 + (1 | Product)", carrots())
    for type in (2, 3):
        np.testing.assert_allclose(
            fit.anova(type, ddf="satterthwaite")["statistic"], printed[f"type{type}_F"], rtol=2 * PRINTED
        )


def test_means_with_containment() -> None:
    printed = sas_case("lmertest_vs_sas.json", "ham_lsmeans_product")
    fit = mm.lmm("liking ~ Product * Information * Gender + (1 | Product:Consumer) + (1 | Consumer)", ham())
    found = fit.emmeans("Product", ddf="containment")
    np.testing.assert_allclose(found["estimate"], printed["estimate"], atol=6e-5)
    np.testing.assert_allclose(found["estimate"] / found["std_error"], printed["t"], atol=6e-3)
    np.testing.assert_allclose(found["conf_low"], printed["lower"], atol=1.1e-4)
    np.testing.assert_allclose(found["conf_high"], printed["upper"], atol=1.1e-4)


def test_small_table_of_type_two() -> None:
    path = SHARED / "sas" / "lmertest_vs_sas.json"
    if not path.exists():
        pytest.skip(f"figures printed by SAS are not at {path}")
    case = next(c for c in json.loads(path.read_text())["cases"] if c["id"] == "small_type2")
    data = pd.DataFrame(case["data"]).astype({"a": str, "b": str, "f": str})
    fit = mm.lmm("y ~ a * b + (1 | f)", data)
    found = fit.anova(2, ddf="satterthwaite")
    np.testing.assert_allclose(found["statistic"], case["results"]["F(a,b,a*b)"], rtol=PRINTED)


def schools() -> pd.DataFrame:
    return r_data("nlme::MathAchieve").astype({"School": str})


def school_means() -> pd.DataFrame:
    """The pupils with the mean of their school as R carries it."""
    return schools()


def opposites() -> pd.DataFrame:
    path = SHARED / "data" / "opposites_pp.csv"
    if not path.exists():
        pytest.skip(f"the data are not at {path}")
    return pd.read_csv(path)


MINIMAL = {"Intercept": "var({group}: (Intercept))", "Residual": "var(Residual)"}
TEXTBOOK: dict[str, tuple[Any, str, str, dict[str, str]]] = {
    # data, formula, df method of the program, our names of the covariance parameters
    "hsb_null": (schools, "MathAch ~ 1 + (1 | School)", "containment", MINIMAL),
    "hsb_meanses": (school_means, "MathAch ~ MEANSES + (1 | School)", "containment", MINIMAL),
    "alda_table7_2": (
        opposites,
        "opp ~ time * ccog + (time | id)",
        "between-within",
        {
            "UN(1,1)": "var({group}: (Intercept))",
            "UN(2,1)": "cov({group}: (Intercept), time)",
            "UN(2,2)": "var({group}: time)",
            "Residual": "var(Residual)",
        },
    ),
}
NOT_COMPARED = {
    "kreft_null": "the data, imm23, are in no package of R at hand",
    "kreft_homework": "the data, imm23, are in no package of R at hand",
    "alda_table7_3_structures": "in a test of its own",
}


def textbook() -> dict[str, Any]:
    path = SHARED / "sas" / "textbook_g_side.json"
    return {c["id"]: c["results"] for c in json.loads(path.read_text())["cases"]} if path.exists() else {}


def test_every_case_of_lmertest_is_compared() -> None:
    path = SHARED / "sas" / "lmertest_vs_sas.json"
    if path.exists():
        here = Path(__file__).read_text(encoding="utf-8")
        names = [case["id"] for case in json.loads(path.read_text())["cases"]]
        assert [name for name in names if f'"{name}"' not in here] == []


def test_every_textbook_case_is_compared_or_accounted_for() -> None:
    if textbook():
        assert set(textbook()) == set(TEXTBOOK) | set(NOT_COMPARED)


def digit(text: float) -> float:
    """Return half a unit of the last digit that a book prints."""
    return 0.5001 * 10.0 ** -len(str(text).partition(".")[2])


@pytest.mark.parametrize("name", list(TEXTBOOK))
def test_textbook(name: str) -> None:
    printed = textbook().get(name) or pytest.skip("figures printed by SAS are absent")
    read, formula, ddf, parameters = TEXTBOOK[name]
    fit = mm.lmm(formula, read())
    group = next(iter(fit.ngroups))
    natural = fit._work.criterion().jointly().natural(fit._work.criterion().absolute(fit.optimum.theta))
    places = {label: i for i, label in enumerate(natural.names)}
    std_error = np.sqrt(np.diag(fit._work.natural_covariance()))
    # SAS stops when −2l is to fall by less than 1e-8 of itself, which is 5e-4 with 7185 pupils; a parameter
    # may then be the root of that times its standard error away
    slack = float(np.sqrt(1e-8 * fit.criterion))
    for theirs, ours in parameters.items():
        i = places[ours.format(group=group)]
        value, error, z = printed[theirs]
        assert natural.values[i] == pytest.approx(value, abs=digit(value) + slack * error)
        assert std_error[i] == pytest.approx(error, abs=digit(error) + slack * error)
        assert natural.values[i] / std_error[i] == pytest.approx(z, abs=5.01e-3 + slack)
    criteria = fit.information_criteria()
    shown = dict(zip(criteria["criterion"], criteria["sas"], strict=True))
    assert fit.criterion == pytest.approx(printed["m2resll"], abs=0.0501)
    for label in ("AIC", "AICC", "BIC"):
        if label in printed:
            assert shown[label] == pytest.approx(printed[label], abs=0.0501)
    # fixed effects at the variances SAS stopped at, so that they are compared to the last digit
    there = mm.lmm(
        formula, read(), hold={ours.format(group=group): printed[key][0] for key, ours in parameters.items()}
    )
    assert fit.criterion <= there.criterion <= fit.criterion + 1e-8 * fit.criterion
    table = there.fixed_effects(ddf=ddf)
    rows = {term.strip("()").upper(): i for i, term in enumerate(table["term"])}
    assert len(rows) == len(printed["fixed"])
    for term, (value, error, df, t) in printed["fixed"].items():
        i = rows[term.upper().replace("*", ":")]
        assert table["estimate"][i] == pytest.approx(value, abs=digit(value))
        assert table["std_error"][i] == pytest.approx(error, abs=digit(error) + 1e-5 * error)
        assert table["df"][i] == df
        assert table["statistic"][i] == pytest.approx(t, abs=5.01e-3 + 1e-5 * abs(t))
    if "null_lrt" in printed:
        test = mm.compare(fit)
        assert test["df"][1] == printed["null_lrt"][0]
        assert test["statistic"][1] == pytest.approx(printed["null_lrt"][1], abs=5.01e-3)


def test_structures_of_a_textbook() -> None:
    values = textbook().get("alda_table7_3_structures") or pytest.skip("figures printed by SAS are absent")
    (found,) = values.values()
    names = {"UN": "us", "CS": "cs", "CSH": "hcs", "AR(1)": "ar1", "ARH(1)": "har1", "TOEP": "toep"}
    assert set(found) == set(names)
    for theirs, value in found.items():
        fit = mm.gls("opp ~ time * ccog", opposites(), residual=f"{names[theirs]}(wave | id)")
        assert fit.criterion == pytest.approx(value, abs=1e-4)


def test_containment_of_a_school_covariate() -> None:
    fit = mm.lmm("MathAch ~ MEANSES + (1 | School)", school_means())
    # SAS prints 158 and 7025 by containment; between–within and nlme give 158 for both.
    np.testing.assert_array_equal(fit.fixed_effects(ddf="containment")["df"], [158, 7025])
    np.testing.assert_array_equal(fit.fixed_effects(ddf="between-within")["df"], [158, 158])
