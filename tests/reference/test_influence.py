"""Deletion diagnostics against SAS's printed table, R's influence measures of lm, and refits by lme4."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

FOLDER = Path(__file__).parent / "influence"
R = json.loads((FOLDER / "influence.json").read_text())
SAS = json.loads((FOLDER / "sas.json").read_text())


def growth() -> pd.DataFrame:
    """Return the orthodontic data by child, girls first, as R and SAS order them."""
    return mm.datasets.load("orthodont").sort_values(["sex", "id", "age"], kind="stable")


def test_sas_prints_the_same_noniterative_table() -> None:
    fit = mm.gls("Y ~ sex * age", growth(), residual="us(age | id)", method="ml")
    table = fit.influence(by="id")
    # SAS stops its iterations a little early: one unit of the last digit printed
    np.testing.assert_allclose(table["press"][:26], SAS["press"], atol=1.2e-4)
    np.testing.assert_allclose(table["cooks_d"][:26], SAS["cooks_d"], atol=0.6e-5)


def test_refits_are_those_of_lme4() -> None:
    fit = mm.lmm("Y ~ male * age + (1 | id)", growth())
    table, expected = fit.influence(by="id", refit=True), R["refit"]
    # lme4's optimiser stops where −2l is known to about 1e-9
    for name in ("cooks_d", "mdffits", "covratio", "covtrace", "press"):
        np.testing.assert_allclose(table[name], expected[name], rtol=2e-4, err_msg=name)
    terms = ("(Intercept)", "male", "age", "male:age")
    found = np.column_stack([table[f"dfbetas[{term}]"] for term in terms])
    np.testing.assert_allclose(found, np.array(expected["dfbetas"]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fit.leverage(), R["hat"], rtol=2e-5)


@pytest.mark.parametrize("refit", [False, True])
def test_ordinary_least_squares_has_the_measures_of_r(refit: bool) -> None:
    fit = mm.lm("Y ~ male * age", growth())
    table, expected = fit.influence(refit=refit), R["lm"]
    for name in ("cooks_d", "dffits", "covratio"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-6, err_msg=name)
    terms = ("(Intercept)", "male", "age", "male:age")
    found = np.column_stack([table[f"dfbetas[{term}]"] for term in terms])
    np.testing.assert_allclose(found, np.array(expected["dfbetas"]), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fit.residuals("student-external"), expected["rstudent"], rtol=1e-8)
    np.testing.assert_allclose(fit.leverage(), expected["hat"], rtol=1e-9)
    np.testing.assert_allclose(fit.leverage("marginal"), expected["hat"], rtol=1e-9)
