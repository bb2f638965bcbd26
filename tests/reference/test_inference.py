"""Tables of lmerTest, pbkrtest and emmeans: estimates, standard errors, df, p-values, intervals."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels import datasets
from mixedmodels.fit import Fit
from reference.loading import FOLDER, read_frame

TO_ROUNDING = mm.Control(decrement=1e-12)
DF = 1e-4
"""Four significant digits: lmerTest differentiates numerically, and its optima are good to about 1e-6."""
STD_ERROR = 1e-5
P_VALUE = 1e-4
MONTE_CARLO = 1e-3
"""emmeans integrates the multivariate t by Monte Carlo, and rounds its degrees of freedom."""


def read_tables(case: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / case / "tables.json").read_text(encoding="utf-8"))["tables"]


@cache
def fitted(case: str, formula: str, data: str) -> Fit:
    described = json.loads(data)
    if isinstance(described, str):
        frame: pd.DataFrame = datasets.load(described, backend="pandas")
    else:
        frame = read_frame(FOLDER / case / described["file"], json.dumps(described["columns"]))
    return mm.lmm(formula, frame, control=TO_ROUNDING)


def fit_of(case: str, table: dict[str, Any]) -> Fit:
    return fitted(case, table["formula"], json.dumps(table["data"]))


def numbers(values: Any) -> np.ndarray[Any, Any]:
    return np.array([np.nan if v is None or v == "Inf" else v for v in np.atleast_1d(values)], dtype=float)


def assert_close(ours: Any, theirs: Any, *, relative: float = 0.0, absolute: float = 0.0, what: str) -> None:
    np.testing.assert_allclose(
        ours, numbers(theirs), rtol=relative, atol=absolute, err_msg=what, equal_nan=True
    )


ANOVA = read_tables("inference_anova")
MEANS = read_tables("inference_means")


@pytest.mark.parametrize("table", ANOVA, ids=lambda table: table["id"])
def test_anova(table: dict[str, Any]) -> None:
    found = fit_of("inference_anova", table).anova(
        type=table["type"],
        ddf=table["ddf"],
        information="expected" if table["ddf"] == "kenward-roger" else "observed",
    )
    assert found["term"].tolist() == np.atleast_1d(table["term"]).tolist()
    assert_close(found["num_df"], table["num_df"], what="num_df")
    assert_close(found["den_df"], table["den_df"], relative=DF, what="den_df")
    assert_close(found["statistic"], table["statistic"], relative=1e-4, what="F")
    assert_close(found["p_value"], table["p_value"], absolute=P_VALUE, what="p")


def ask(fit: Fit, call: dict[str, Any]) -> Any:
    """Return our table for the call that R's script recorded."""
    ours = {"ddf": "kenward-roger", "information": "expected"}
    if call.get("joint"):
        return fit.joint_tests(**ours)
    given = {name: call[name] for name in ("by", "at", "weights") if name in call}
    if "trend" in call:
        return fit.emtrends(call["trend"], call["specs"], **given, **ours)
    means = fit.emmeans(call["specs"], **given, **ours)
    if "interaction" in call:
        return means.contrast(interaction=call["interaction"])
    return means.contrast(call["contrast"], adjust=call.get("adjust")) if "contrast" in call else means


@pytest.mark.parametrize("table", MEANS, ids=lambda table: table["id"])
def test_means(table: dict[str, Any]) -> None:
    call = table["call"]
    found = ask(fit_of("inference_means", table), call)
    monte_carlo = call.get("adjust") == "mvt" or call.get("contrast") in ("consec", "mean_chg")
    p_value = MONTE_CARLO if monte_carlo else P_VALUE
    if call.get("joint"):
        # joint_tests rounds F to three decimals and df to two.
        assert_close(found["statistic"], table["statistic"], absolute=5.1e-4, what="F")
        assert_close(found["num_df"], table["num_df"], what="num_df")
        assert_close(found["den_df"], table["den_df"], absolute=5.1e-3, what="den_df")
    else:
        scale = np.nanmax(np.abs(numbers(table["std_error"])))
        assert_close(
            found["estimate"], table["estimate"], absolute=1e-5 * scale, relative=1e-7, what="estimate"
        )
        assert_close(found["std_error"], table["std_error"], relative=STD_ERROR, what="std_error")
        assert_close(found["df"], table["df"], relative=DF, what="df")
        limits = MONTE_CARLO if monte_carlo else 1e-4
        for name in ("conf_low", "conf_high"):
            if name in table:
                assert_close(found[name], table[name], absolute=limits * scale * 3, what=name)
    if "p_value" in table:
        assert_close(found["p_value"], table["p_value"], absolute=p_value, what="p")
