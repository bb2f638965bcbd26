"""Rubin's rules and D1 against mice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import mixedmodels as mm
from mixedmodels.fit import Fit

R = json.loads((Path(__file__).parent / "pool" / "pool.json").read_text())


def fits() -> list[Fit]:
    data = [{name: [row[name] for row in rows] for name in rows[0]} for rows in R["data"]]
    return [mm.lm("chl ~ age + bmi", one) for one in data]


def test_pooled_estimates_are_those_of_mice() -> None:
    table = mm.pool(fits())
    for name in (
        "estimate",
        "std_error",
        "df",
        "statistic",
        "p_value",
        "conf_low",
        "conf_high",
        "fmi",
        "riv",
    ):
        np.testing.assert_allclose(table[name], R[name], rtol=1e-10, err_msg=name)
    np.testing.assert_allclose(mm.pool(fits(), dfcom=np.inf)["df"], R["df_large"], rtol=1e-10)


def test_the_joint_test_is_that_of_mice() -> None:
    row = mm.pool(fits(), joint="age, bmi").row(0)
    found = [row[name] for name in ("statistic", "num_df", "den_df", "p_value", "riv")]
    np.testing.assert_allclose(found, R["d1"], rtol=1e-10)
